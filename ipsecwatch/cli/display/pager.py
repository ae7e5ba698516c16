# SPDX-License-Identifier: MIT
"""Shows output that has more lines than the terminal in the user's pager."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.common import PLAIN_SIGNS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

LESS: Final = "FRSXMK"
"""The options for less, which are those of systemd's tools: end at once if all lines fit, show
colours, don't wrap lines, don't use the alternate screen, show a long prompt, end at Ctrl-C."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--no-pager`` to a verb's parser, as ``args.no_pager``."""
    parser.add_argument("--no-pager", action="store_true", help="don't use a pager at a terminal")


def show(lines: Sequence[str], *, paged: bool = True) -> None:
    """Print lines, through a pager if stdout is a terminal that has too few lines for them.

    Where no pager can be run, they are printed without one. ``paged`` False: never use a pager.
    """
    text = "".join(f"{line}\n" for line in lines)
    command = _command() if paged and _overflows(lines) else None
    if command is None or not _page(command, text):
        sys.stdout.write(text)


def _overflows(lines: Sequence[str]) -> bool:
    return sys.stdout.isatty() and len(lines) >= os.get_terminal_size(sys.stdout.fileno()).lines


def _command() -> list[str] | None:
    """Return the command line in the variable PAGER; where it isn't set, ``less`` or ``more``.

    Return None for no pager: where it isn't installed, where PAGER is empty, ``cat`` or malformed,
    or where TERM is unset or ``dumb``.
    """
    if os.environ.get("TERM", "dumb") == "dumb":
        return None
    import shutil  # imports all archivers, too

    chosen = os.environ.get("PAGER")
    if chosen is None:
        return next(([name] for name in ("less", "more") if shutil.which(name)), None)
    import shlex

    try:
        words = shlex.split(chosen)
    except ValueError:
        return None
    return words if words and words != ["cat"] and shutil.which(words[0]) else None


def _page(command: list[str], text: str) -> bool:
    """Show a text in a pager, and wait until the user ends that.

    Return False where the pager couldn't be started, so that nothing was shown. Ctrl-C goes to the
    pager only.
    """
    import signal
    import subprocess

    environment = {"LESS": LESS, **os.environ, "LESSSECURE": "1"}  # it needn't run other programs
    try:
        pager = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    except OSError:
        return False
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the pager now
    try:
        encoding = sys.stdout.encoding or "utf-8"
        pager.communicate(text.encode(encoding, PLAIN_SIGNS))
    finally:
        pager.wait()
        signal.signal(signal.SIGINT, before)
    return True
