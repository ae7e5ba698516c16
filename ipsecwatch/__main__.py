# SPDX-License-Identifier: MIT
"""The ``ipsecwatch`` command, as ``python3 -m ipsecwatch`` and as the installed script start it."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the verb that ``sys.argv`` names, and return the exit code for the process."""
    from ipsecwatch.cli.main import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
