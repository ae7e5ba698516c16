# SPDX-License-Identifier: MIT
"""Opens a terminal window that shows a tunnel. It uses lists of arguments, and no shell."""

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
"""The arguments before the command in terminals that don't take ``-e COMMAND ARGUMENT …``. xterm
and Debian's x-terminal-emulator take that."""


def find_terminal() -> tuple[str, ...]:
    """Return a terminal's program, and the arguments between it and a command to run in it.

    It is the first that is installed of xdg-terminal-exec, $TERMINAL and x-terminal-emulator;
    an empty tuple: none is.
    """
    from shutil import which  # imports all archivers; only a click needs it

    for name in ("xdg-terminal-exec", os.environ.get("TERMINAL", ""), "x-terminal-emulator"):
        program = which(name) if name else None
        if program is not None and os.path.isabs(program):
            return program, *_EXECUTES.get(os.path.basename(program), ("-e",))
    return ()


def command(path: str, name: str) -> tuple[str, ...]:
    """Return the command that shows a tunnel's state as it changes.

    ``path`` and ``name`` are those of the tunnel's View in the agent, and may contain the name of
    an instance. Where ``name`` is "", the command shows all tunnels.
    """
    program = os.path.abspath(sys.argv[0])
    named = os.path.basename(program) == "ipsecwatch" and os.access(program, os.X_OK)
    ours = (program,) if named else (sys.executable, "-m", "ipsecwatch")
    _, _, instance = path.partition("@")
    of = ("--instance", instance) if instance else ()
    wanted = ("--", name.removeprefix(f"{instance}: ") if instance else name) if name else ()
    return (*ours, "status", "--watch", *of, *wanted)


def open_terminal(path: str, name: str) -> None:
    """Show a tunnel in a terminal window, if a terminal is installed; log it where that fails.

    This needs a running event loop. The terminal stays open when the agent ends, and so it isn't an
    asyncio subprocess: asyncio kills these at the end.
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
    """Collect the exit status of a terminal that was closed, so that no zombie is left."""
    asyncio.get_running_loop().remove_reader(fd)
    os.close(fd)
    if process.wait() != 0:
        logger.info("the terminal ended with %s", process.returncode)


def _outside() -> tuple[str, ...]:
    """Return the arguments that start a program outside of the agent's unit and its sandbox.

    Return an empty tuple where no unit runs the agent.
    """
    if os.environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()):
        return ()
    return "systemd-run", "--user", "--collect", "--quiet", "--"
