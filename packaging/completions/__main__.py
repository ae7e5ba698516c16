# SPDX-License-Identifier: MIT
"""Write the completions for bash, zsh and fish, from the parsers that read the command line.

    python3 packaging/completions DIRECTORY

They are put where the shells look below DIRECTORY, which is /usr/share on a system. Debian's zsh
looks elsewhere: see debian/rules.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bash
import fish
import zsh

SCRIPTS = {
    "bash-completion/completions/ipsecwatch": bash.script,
    "zsh/site-functions/_ipsecwatch": zsh.script,
    "fish/vendor_completions.d/ipsecwatch.fish": fish.script,
}


def main() -> None:
    """Write the scripts for all shells below the directory that the command line names."""
    directory = sys.argv[1] if len(sys.argv) == 2 else "-"
    if directory.startswith("-"):
        sys.exit(__doc__)
    for name, write in SCRIPTS.items():
        file = Path(directory, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
