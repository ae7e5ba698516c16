# SPDX-License-Identifier: MIT
"""What is longer than the terminal is shown by the user's pager."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

LESS: Final = "FRSXMK"
"""As systemd's tools have it: leave where all fits, colours, no wrapping, no other screen, a
prompt, and end at Ctrl-C."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that keeps the pager away."""
    parser.add_argument("--no-pager", action="store_true", help="don't use a pager at a terminal")


def show(lines: Sequence[str], *, paged: bool = True) -> None:
    """Print lines, through a pager where stdout is a terminal that they don't fit on."""
    text = "".join(f"{line}\n" for line in lines)
    command = _command() if paged and _overflows(lines) else None
    if command is None or not _page(command, text):
        sys.stdout.write(text)


def _overflows(lines: Sequence[str]) -> bool:
    return sys.stdout.isatty() and len(lines) >= os.get_terminal_size(sys.stdout.fileno()).lines


def _command() -> list[str] | None:
    """Return the pager's command line; None: there is none, or none is wanted."""
    if os.environ.get("TERM", "dumb") == "dumb":
        return None
    import shutil  # brings all archivers with it

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
    """Run a pager; say whether it could be started."""
    import signal
    import subprocess

    environment = {"LESS": LESS, **os.environ, "LESSSECURE": "1"}  # it need run nothing
    try:
        pager = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
    except OSError:
        return False
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's while it is there
    try:
        encoding = sys.stdout.encoding or "utf-8"
        pager.communicate(text.encode(encoding, "backslashreplace"))
    finally:
        pager.wait()
        signal.signal(signal.SIGINT, before)
    return True
