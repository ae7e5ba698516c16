#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Make the pictures of notifications: notifications.png, unstable.png and german.png.

After `sh packaging/dev test`, which installs what is needed, from the top of the sources, in a
minute:

    python3 packaging/po ipsecwatch/locale
    .venv/bin/python packaging/screenshots/notifications.py packaging/screenshots

The tunnels are invented. The agent, the service's bus side, D-Bus and xfce4-notifyd are real. They
run on private buses and on an X server without a monitor, so nothing appears on your own desktop.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import struct
import sys
import tempfile
import zlib
from collections import Counter
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ipsecwatch.agent import language, session
from ipsecwatch.config import AgentSettings
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support import dbus_daemon, x_screen
from tests.support.bus_service import serving
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

UP, CONNECTING, STUCK = TunnelState.UP, TunnelState.CONNECTING, TunnelState.STUCK

GROUND: Final = 0xC8D0DC
"""The colour between and around the notifications."""
GAP: Final = 10
"""The width of that ground, in pixels."""
COMMON: Final = 60
"""A colour that this many pixels have is kept as it is: those of a button are all alike."""
NEAR: Final = 150
"""A rarer colour becomes one that is kept if their distance() is at most this."""
SPEED: Final = 2.0
"""How much faster than in real time the agent waits."""
LOSS: Final = 0.5
"""Seconds for which an unstable tunnel is up, or lost."""
STILL: Final = 0.7
"""Seconds for which the screen must not have changed before it counts as drawn."""
LIMIT: Final = 40
"""Seconds in which notifications must appear."""

Picture = list[list[int]]
"""Rows of pixels, from the top. A pixel is 0xRRGGBB."""


class Notice(NamedTuple):
    """A notification on the screen, and where its upper left corner is."""

    left: int
    top: int
    pixels: Picture


class Screen:
    """A private screen on which only xfce4-notifyd draws."""

    def __init__(self, display: str, frame: Path) -> None:
        self.display = display
        self._frame = frame
        self._before: list[Notice] = []

    async def notices(self, count: int) -> list[Notice]:
        """Wait until ``count`` notifications are drawn that weren't there, as they are, before.

        Return them from the top down. Raise TimeoutError after LIMIT seconds.
        """
        async with asyncio.timeout(LIMIT):
            last: list[Notice] = []
            while len(last) != count or last == self._before or last != (now := self._seen()):
                last = self._seen()
                await asyncio.sleep(STILL)
        self._before = now
        return now

    def press_first_button(self, notice: Notice) -> None:
        """Click on the left one of two buttons, then move the pointer away from it."""
        width, height = len(notice.pixels[0]), len(notice.pixels)
        x_screen.click(self.display, notice.left + width // 4, notice.top + height - 30)
        x_screen.move(self.display, 0, 0)

    def _seen(self) -> list[Notice]:
        """Return the notifications that are on the screen now, from the top down."""
        rows = read_screen(self._frame.read_bytes())
        found = []
        for top, bottom in runs([any(row) for row in rows]):
            band = rows[top:bottom]
            [*_, (left, right)] = runs([any(column) for column in zip(*band, strict=True)])
            found.append(Notice(left, top, [row[left:right] for row in band]))
        return found


def read_screen(xwd: bytes) -> Picture:
    """Return what a screenshot in X's own format shows, as Xvfb keeps it up to date in a file."""
    header = struct.unpack(">25I", xwd[:100])
    size, width, height, stride, colours = (header[n] for n in (0, 4, 5, 12, 19))
    start = size + 12 * colours  # the header with the window's name, and the colour map
    lines = (xwd[start + y * stride :][: 4 * width] for y in range(height))
    return [[pixel & 0xFFFFFF for (pixel,) in struct.iter_unpack("=I", line)] for line in lines]


def runs(flags: list[bool]) -> Iterator[tuple[int, int]]:
    """Yield the begin and the end of each run of true values."""
    pairs = zip([False, *flags], [*flags, False], strict=True)
    edges = [n for n, (a, b) in enumerate(pairs) if a != b]
    return zip(edges[::2], edges[1::2], strict=True)


def below(pictures: list[Picture]) -> Picture:
    """Return one picture with these below each other, aligned at the right as on a screen."""
    width = max(len(p[0]) for p in pictures)
    ground = [[GROUND] * (width + 2 * GAP) for _ in range(GAP)]
    whole = list(ground)
    for p in pictures:
        left = [GROUND] * (GAP + width - len(p[0]))
        whole += [[*left, *row, *[GROUND] * GAP] for row in p] + ground
    return whole


def beside(pictures: list[Picture]) -> Picture:
    """Return one picture with these beside each other, aligned at the top."""
    height = max(map(len, pictures))
    padded = [p + [[GROUND] * len(p[0])] * (height - len(p)) for p in pictures]
    gap = [GROUND] * GAP
    rows = [sum((row + gap for row in rows), gap) for rows in zip(*padded, strict=True)]
    ground = [[GROUND] * len(rows[0])] * GAP
    return ground + rows + ground


def png(picture: Picture) -> bytes:
    """Return a picture as a PNG file with the palette of few_colours()."""
    count = Counter(pixel for row in picture for pixel in row)
    palette = few_colours(count)
    index = {c: min(range(len(palette)), key=lambda n: distance(c, palette[n])) for c in count}
    rows = b"".join(bytes([0, *(index[pixel] for pixel in row)]) for row in picture)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", len(picture[0]), len(picture), 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(colour.to_bytes(3) for colour in palette)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def few_colours(count: Counter[int]) -> list[int]:
    """Return the colours that are kept, so that the file is small, the most common one first.

    ``count`` says how many pixels have each colour.
    """
    few: list[int] = []
    for colour, pixels in count.most_common():
        if pixels >= COMMON or all(distance(colour, other) > NEAR for other in few):
            few.append(colour)
    return few


def distance(one: int, other: int) -> int:
    """Return how much two colours differ: the square of their distance in red, green and blue."""
    return sum((a - b) ** 2 for a, b in zip(one.to_bytes(3), other.to_bytes(3), strict=True))


@asynccontextmanager
async def agent(locale: str) -> AsyncGenerator[None]:
    """Run the agent in this language while the context lasts."""
    os.environ["LC_ALL"] = locale
    language.choose()
    # It doesn't watch whether this machine is online or asleep: the pictures are the same anyway.
    world = session.World(watches=(), speed=SPEED)
    task = asyncio.create_task(session.work(AgentSettings(), world))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def three(screen: Screen) -> Picture:
    """Return a picture of a tunnel that can't connect, one that is lost, and one that comes up."""
    async with agent("en_GB.UTF-8"), serving() as service:
        stuck = tunnel("home", STUCK, reason=Reason.NO_ANSWER)
        await service.look(stuck, tunnel("paris", UP), tunnel("office", CONNECTING))
        await screen.notices(1)
        await service.become(
            tunnel("paris", CONNECTING, reason=Reason.PEER_DEAD), reason=Reason.PEER_DEAD
        )
        await screen.notices(2)
        await service.become(tunnel("office", UP))
        return below([notice.pixels for notice in await screen.notices(3)])


async def unstable(screen: Screen) -> Picture:
    """Return a picture of a tunnel that is lost often, and of what is said without the service."""
    async with agent("en_GB.UTF-8"):
        async with serving("run-2") as service:
            await service.look(tunnel("lab", UP), tunnel("stuck", STUCK, reason=Reason.PROPOSAL))
            await screen.notices(1)  # it no longer waits for tunnels that come up late
            await service.look(tunnel("lab", UP))
            for state in [CONNECTING, UP] * 3:
                await service.become(tunnel("lab", state), reason=Reason.PEER_DEAD)
                await asyncio.sleep(LOSS)
            [lost] = await screen.notices(1)
        [unknown] = await screen.notices(1)
    return below([lost.pixels, unknown.pixels])


async def german(screen: Screen) -> Picture:
    """Return a picture of a notification in German, and of its details."""
    async with agent("de_DE.UTF-8"), serving("run-3") as service:
        await service.look(tunnel("office", STUCK, reason=Reason.AUTHENTICATION))
        [told] = await screen.notices(1)
        screen.press_first_button(told)
        [details] = await screen.notices(1)
    return beside([told.pixels, details.pixels])


async def draw(screen: Screen, folder: Path) -> None:
    """Write all pictures into a folder."""
    for name, scene in (("notifications", three), ("unstable", unstable), ("german", german)):
        file = folder / f"{name}.png"
        file.write_bytes(png(await scene(screen)))
        print(f"{file}: {file.stat().st_size} bytes")


def main() -> None:
    """Write the pictures into the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Make the pictures of notifications.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to write them")
    folder = parser.parse_args().folder
    if why := dbus_daemon.missing() or x_screen.missing("Xvfb", "xdotool", x_screen.XFCE):
        sys.exit(why)
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        system = stack.enter_context(dbus_daemon.PrivateBus(system=True))
        users = stack.enter_context(dbus_daemon.PrivateBus(system=False))
        os.environ.update(
            DBUS_SYSTEM_BUS_ADDRESS=system.address, DBUS_SESSION_BUS_ADDRESS=users.address,
            XDG_RUNTIME_DIR=home, XDG_STATE_HOME=home,
            TERMINAL="true",  # any program, so that there is a button for a terminal
        )  # fmt: skip
        display = stack.enter_context(x_screen.x_server("-br", "-nocursor", "-fbdir", home))
        stack.enter_context(x_screen.server([x_screen.XFCE], display, Path(home)))
        asyncio.run(draw(Screen(display, Path(home, "Xvfb_screen0")), folder))


if __name__ == "__main__":
    main()
