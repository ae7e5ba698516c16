# SPDX-License-Identifier: MIT
"""A window of the user's terminal, with a tunnel in it. Fixed lists of arguments, and no shell."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
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


def open_terminal(path: str, name: str) -> None:
    """Show a tunnel in a terminal. Needs a running loop; raises nothing.

    The terminal outlives the agent: the transport of an asyncio process kills it when it is closed.
    """
    terminal = find_terminal()
    if not terminal:
        return
    arguments = (*_outside(), *terminal, *command(path, name))
    try:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, start_new_session=True)
        fd = os.pidfd_open(process.pid)
    except OSError as e:
        logger.warning("no terminal: %s", e)
        return
    asyncio.get_running_loop().add_reader(fd, _ended, process, fd)


def _ended(process: subprocess.Popen[bytes], fd: int) -> None:
    """Leave no zombie of a terminal that was closed."""
    asyncio.get_running_loop().remove_reader(fd)
    os.close(fd)
    if process.wait() != 0:
        logger.info("the terminal ended with %s", process.returncode)


def _outside() -> tuple[str, ...]:
    """Return what starts a program outside of our unit, whose sandbox isn't made for terminals."""
    if os.environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()):
        return ()
    return "systemd-run", "--user", "--collect", "--quiet", "--"
