# SPDX-License-Identifier: MIT
"""A window of the user's terminal, with a tunnel in it. Fixed lists of arguments, and no shell."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Final

logger = logging.getLogger(__name__)

_EXECUTES: Final = {
    "gnome-terminal": ("--",), "kgx": ("--",), "ptyxis": ("--", ), "xfce4-terminal": ("-x",),
    "mate-terminal": ("-x",), "terminator": ("-x",), "wezterm": ("start", "--"),
    "xdg-terminal-exec": (),
}  # fmt: skip
"""What stands before the command in terminals that don't take ``-e COMMAND ARGUMENT …``, as xterm
and Debian's x-terminal-emulator do."""


def find_terminal() -> tuple[str, ...]:
    """Return the beginning of a command line that opens a terminal; none found: nothing."""
    from shutil import which  # brings all archivers with it, and is asked for by a click alone

    for name in ("xdg-terminal-exec", os.environ.get("TERMINAL", ""), "x-terminal-emulator"):
        program = which(name) if name else None
        if program is not None and os.path.isabs(program):
            return program, *_EXECUTES.get(os.path.basename(program), ("-e",))
    return ()


def command(path: str, name: str) -> tuple[str, ...]:
    """Return the command that shows a tunnel live, by its path and name as the agent has them.

    Without a name: all tunnels.
    """
    program = os.path.abspath(sys.argv[0])
    named = os.path.basename(program) == "ipsecwatch" and os.access(program, os.X_OK)
    ours = (program,) if named else (sys.executable, "-m", "ipsecwatch")
    _, _, instance = path.partition("@")
    of = ("--instance", instance) if instance else ()
    wanted = ("--", name.removeprefix(f"{instance}: ") if instance else name) if name else ()
    return (*ours, "status", "--watch", *of, *wanted)


async def open_terminal(path: str, name: str) -> None:
    """Show a tunnel in a terminal, and wait for that to end. Raises nothing."""
    terminal = find_terminal()
    if not terminal:
        return
    arguments = (*_outside(), *terminal, *command(path, name))
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
        )
    except OSError as e:
        logger.warning("no terminal: %s", e)
        return
    if (code := await process.wait()) != 0:
        logger.info("the terminal ended with %s", code)


def _outside() -> tuple[str, ...]:
    """Return what starts a program outside of our unit, whose sandbox isn't made for terminals."""
    if os.environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()):
        return ()
    return "systemd-run", "--user", "--collect", "--quiet", "--"
