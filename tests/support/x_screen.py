# SPDX-License-Identifier: MIT
"""Runs a real X server without a monitor (Xvfb), and real notification servers on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

XFCE = next(
    (str(p) for p in sorted(Path("/usr/lib").glob("*/xfce4/notifyd/xfce4-notifyd"))),
    "/usr/lib64/xfce4/notifyd/xfce4-notifyd",
)


def missing(*programs: str) -> str | None:
    """Return in one line which of these programs isn't installed; None if all are."""
    for program in programs:
        if shutil.which(program) is None:
            return f"{program} isn't installed"
    return None


@contextmanager
def x_server(*options: str) -> Iterator[str]:
    """Run a private X server with these options while the context lasts.

    Yield its display, such as ``:1``.
    """
    read, write = os.pipe()
    size = ("-screen", "0", "800x600x24")
    with subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), *size, "-nolisten", "tcp", *options],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(write)
        try:
            with os.fdopen(read) as answer:
                yield f":{answer.readline().strip()}"
        finally:
            process.terminate()


@contextmanager
def server(command: list[str], display: str, home: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a notification server with default settings while the context lasts; yield its process.

    What it prints can be read from the process's stdout. ``home`` is its home folder.
    """
    environment = {
        **os.environ, "DISPLAY": display, "HOME": str(home), "XDG_CONFIG_HOME": str(home),
        "XDG_CACHE_HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_RUNTIME_DIR": str(home),
        "GSETTINGS_BACKEND": "memory", "NO_AT_BRIDGE": "1",
    }  # fmt: skip
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def windows(display: str, of: str) -> list[str]:
    """Return the size and place of each visible window of a program, as xwininfo prints them.

    ``of`` is the beginning of the windows' title.
    """
    tree = subprocess.run(
        ["xwininfo", "-display", display, "-root", "-children"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    found = re.findall(rf'^ +(0x\w+) .*"{re.escape(of)}', tree, re.MULTILINE | re.IGNORECASE)
    shown = []
    for window in found:
        info = subprocess.run(
            ["xwininfo", "-display", display, "-id", window],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        if "IsViewable" in info:
            shown += re.findall(r"-geometry (\S+)", info)
    return shown


def click(display: str, x: int, y: int) -> None:
    """Move the mouse pointer to a place of the display, and click the left button there."""
    move(display, x, y)
    for step in (["sleep", "0.2"], ["click", "1"]):
        subprocess.run(["xdotool", *step], env={**os.environ, "DISPLAY": display}, check=True)


def move(display: str, x: int, y: int) -> None:
    """Move the mouse pointer to a place of the display."""
    command = ["xdotool", "mousemove", str(x), str(y)]
    subprocess.run(command, env={**os.environ, "DISPLAY": display}, check=True)
