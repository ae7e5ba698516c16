# SPDX-License-Identifier: MIT
"""Open a terminal window that shows a tunnel. Programs get lists of arguments; no shell is used."""

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
"""For terminals that don't take ``-e COMMAND ARGUMENT …``: the arguments that come before the
command. xterm and Debian's x-terminal-emulator take ``-e``."""


def find_terminal() -> tuple[str, ...]:
    """Return the path of a terminal program, and the arguments that come before a command for it.

    It is the first of xdg-terminal-exec, $TERMINAL and x-terminal-emulator that is installed.
    Return an empty tuple if none is.
    """
    from shutil import which  # imports all archivers; only a click needs it

    for name in ("xdg-terminal-exec", os.environ.get("TERMINAL", ""), "x-terminal-emulator"):
        program = which(name) if name else None
        if program is not None and os.path.isabs(program):
            return program, *_EXECUTES.get(os.path.basename(program), ("-e",))
    return ()


def command(path: str, name: str) -> tuple[str, ...]:
    """Return the command line that shows a tunnel's state in a terminal, and keeps it up to date.

    ``path`` and ``name`` are those of the tunnel's View in the agent, and may have the name of an
    instance of the service in them. If ``name`` is "", the command shows all tunnels.
    """
    program = os.path.abspath(sys.argv[0])
    named = os.path.basename(program) == "ipsecwatch" and os.access(program, os.X_OK)
    ours = (program,) if named else (sys.executable, "-m", "ipsecwatch")
    _, _, instance = path.partition("@")
    of = ("--instance", instance) if instance else ()
    wanted = ("--", name.removeprefix(f"{instance}: ") if instance else name) if name else ()
    return (*ours, "status", "--watch", *of, *wanted)


def open_terminal(path: str, name: str) -> None:
    """Show a tunnel's state in a new terminal window. Do nothing if no terminal is installed.

    If the terminal can't be started, that is logged. An event loop must be running. The terminal
    stays open when the agent ends: so it isn't an asyncio subprocess, which asyncio would kill
    then.
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
    """Collect the exit status of a terminal that has ended, so that no zombie process remains."""
    asyncio.get_running_loop().remove_reader(fd)
    os.close(fd)
    if process.wait() != 0:
        logger.info("the terminal ended with %s", process.returncode)


def _outside() -> tuple[str, ...]:
    """Return the arguments to put before a command, so that it runs outside of the agent's sandbox.

    They start it in a systemd unit of its own. Return an empty tuple if no systemd unit runs the
    agent.
    """
    if os.environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()):
        return ()
    return "systemd-run", "--user", "--collect", "--quiet", "--"
