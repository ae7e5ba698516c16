# SPDX-License-Identifier: MIT
"""Write all translations below a folder, for gettext: LANGUAGE/LC_MESSAGES/ipsecwatch.mo.

python packaging/po FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from catalog import write_all

write_all(Path(sys.argv[1]))
