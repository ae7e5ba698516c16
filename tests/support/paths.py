# SPDX-License-Identifier: MIT
"""Where things are, for tests in any folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parent.parent
TOP: Final = TESTS.parent
"""The checkout."""
FIXTURES: Final = TESTS / "fixtures"
