# SPDX-License-Identifier: MIT
"""Tests of the demo on terminals of several widths, with and without a desktop, and in README."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from tests.support.fake_notification_server import notification_server
from tests.support.paths import TOP

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.flaky(reruns=2)]

LABEL = re.compile(r"^( *(\d+:\d\d|journal|why|desktop|signal)? +)")


def demo(columns: int, **environment: str) -> list[str]:
    """Run the demo on a terminal with so many columns; return the lines that it prints."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    unset = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "COLUMNS")
    inherited = {k: v for k, v in os.environ.items() if k not in unset}
    with subprocess.Popen(
        [sys.executable, "-m", "ipsecwatch", "demo", "--speed", "10"], stdout=theirs, cwd=TOP,
        stderr=subprocess.PIPE, env={**inherited, "NO_COLOR": "1", "TERM": "xterm", **environment},
    ) as process:  # fmt: skip
        os.close(theirs)
        said = b""
        while True:
            try:
                said += os.read(ours, 4096)
            except OSError:  # EIO: it has ended
                break
        os.close(ours)
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait() == 0
    return said.decode().replace("\r", "").splitlines()


def paragraphs(lines: list[str]) -> list[str]:
    """Return lines with their wrapping undone, and without times and blanks for layout."""
    joined: list[str] = []
    for line in lines:
        if joined and (line.startswith(" " * 17) or (line[:1].isalpha() and joined[-1])):
            joined[-1] += " " + line.strip()
        else:
            joined.append(" ".join(LABEL.sub(r"\2 " if "0" not in line[:4] else "", line).split()))
    return [re.sub(r"^\d+:\d\d ", "", line) for line in joined]


def test_the_demo_fits_a_narrow_terminal_and_breaks_no_word() -> None:
    lines = demo(60)
    assert max(map(len, lines)) <= 60
    words = {word for line in lines for word in line.split()}
    for whole in (
        "certificate",
        "TunnelStateChanged",
        "authentication",
        "identity",
        "Reconnecting.",
    ):
        assert not any(word.startswith(whole[:-2]) and len(word) < len(whole) - 1 for word in words)
    told = " ".join(paragraphs(lines))
    for part in (
        "TunnelUp #1", "TunnelDown", "TunnelStuck", "journal Tunnel", "is connected: Connected.",
        "desktop VPN wrongpsk can't connect", "11 transitions came over D-Bus",
        "would have been shown on a desktop.",
    ):  # fmt: skip
        assert part in told
    # By the demo's own clock: it is lost at 0:44 and back at 1:16.
    (away,) = re.findall(r"VPN dpd is back: Back after (\d+) s\.", told)
    assert 26 <= int(away) <= 38


def test_what_readme_shows_is_what_appears() -> None:
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    block = readme[readme.index("    Four recorded tunnels") :]
    [block, *_] = re.split(r"\n\n(?! )", block)
    sample = [line[4:] for line in block.splitlines()]
    assert max(map(len, sample)) <= 80
    lines = demo(80)
    assert max(map(len, lines)) <= 80
    appears = paragraphs(lines)

    def steady(line: str) -> str:
        """Without numbers that are another each time."""
        return re.sub(
            r"Back after \d+ s|\d+ (?:notifications|journal entries)|in \d+ s|#\d+", "N", line
        )

    appeared = {steady(line) for line in appears}
    for line in paragraphs([line for line in sample if line.strip() != "…"]):
        assert steady(line) in appeared


async def test_d14_notifications_that_a_server_showed_are_told_and_counted(
    session_bus: object,
) -> None:
    address = os.environ["DBUS_SESSION_BUS_ADDRESS"]
    async with notification_server() as server:
        lines = await asyncio.to_thread(demo, 80, DBUS_SESSION_BUS_ADDRESS=address)
        shown = sum(call == "Notify" for call in server.calls)
        await server.shows()
    told = paragraphs(lines)
    assert sum(line.startswith("desktop ") for line in told) == shown
    assert f"{shown} notifications were shown on the desktop." in told[-1]
    assert shown >= 7


def test_a_demo_that_is_interrupted_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "NO_COLOR": "1"}
    playing = subprocess.Popen(
        [sys.executable, "-m", "ipsecwatch", "demo"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert playing.stdout is not None
    assert any("TunnelUp" in line for line in iter(playing.stdout.readline, ""))
    (folder,) = tmp_path.glob("ipsecwatch-demo-*")
    playing.send_signal(signal.SIGINT)
    _, err = playing.communicate(timeout=20)
    assert playing.returncode == 0
    assert err == ""
    assert list(tmp_path.iterdir()) == []
    running = subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True).stdout
    assert str(folder) not in running
