# SPDX-License-Identifier: MIT
"""The ``ipsecwatch`` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the verb that the command line names; return the exit code."""
    from ipsecwatch.cli.main import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
