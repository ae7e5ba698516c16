# SPDX-License-Identifier: MIT
"""Write the manual pages, each from the source that the code itself uses.

    python3 packaging/manual DIRECTORY

They are put where man looks below DIRECTORY: man1/ipsecwatch.1, and so on.
"""

from __future__ import annotations

import sys
from pathlib import Path

import command
import interfaces
import service
import settings

PAGES = {
    "man1/ipsecwatch.1": command.page,
    "man5/ipsecwatch.toml.5": settings.service,
    "man5/ipsecwatch-agent.toml.5": settings.agent,
    "man5/org.ipsecwatch1.5": interfaces.page,
    "man8/ipsecwatch.8": service.page,
}


def main() -> None:
    """Write all pages below the directory that the command line names."""
    directory = sys.argv[1] if len(sys.argv) == 2 else "-"
    if directory.startswith("-"):
        sys.exit(__doc__)
    for name, write in PAGES.items():
        file = Path(directory, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(write() + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
