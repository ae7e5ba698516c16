# SPDX-License-Identifier: MIT
"""Tests of whole screens on terminals of several widths; the expected ones are in screens/.

If they have to change, write them anew with `SCREENS=write pytest tests/cli/test_screens.py`, and
look at git diff.
"""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import asks_for_details, serving
from tests.support.fake_terminal import FakeTerminal
from tests.support.small_gateway import OFFICES, road_warriors, show
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.dbus_daemon import PrivateBus

PICTURES = Path(__file__).parent / "screens"
WIDTHS = (20, 40, 80, 200)
VERBS = {
    "status": ("status", "--no-pager"),
    "office": ("status", "office", "paris", "--no-pager"),
    "who": ("who", "--no-pager"),
}
"""The arguments of the command, by the name of the expected screens."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_CLOCK = re.compile(r"\d\d:\d\d:\d\d")


async def picture(verb: str, columns: int) -> str:
    with FakeTerminal(*VERBS[verb], columns=columns, lines=120) as terminal:
        await terminal.ended()
        assert terminal.wrapped == 0
        assert not terminal.shows_other_screen()
        return anonymous(terminal.picture)


def anonymous(shown: str) -> str:
    """Return a screen with its dates and times of day replaced."""
    return _CLOCK.sub("hh:mm:ss", _DAY.sub("YYYY-MM-DD", shown)) + "\n"


@asks_for_details
@pytest.mark.parametrize("verb", VERBS)
async def test_screens_are_as_they_were(verb: str, system_bus: PrivateBus) -> None:
    async with serving() as service:
        await show(service, *OFFICES, *road_warriors())
        shown = await asyncio.gather(*(picture(verb, columns) for columns in WIDTHS))
    compare(verb, shown)


async def test_the_lines_of_monitor_are_as_they_were(system_bus: PrivateBus) -> None:
    async with serving() as service:
        await show(service, *OFFICES, *road_warriors())
        with ExitStack() as stack:
            terminals = [
                stack.enter_context(FakeTerminal("monitor", columns=columns, lines=120))
                for columns in WIDTHS
            ]
            for terminal in terminals:
                await shows(terminal, "rw[5]")
            lost = tunnel("paris", TunnelState.DOWN)
            await service.become(lost, reason=Reason.PEER_DEAD)
            await service.become(tunnel("a-long-name-of-a-tunnel", TunnelState.UP))
            await service.become(gone=("rw[5]",), reason=Reason.REPLACED)
            last_word = REASON_TEXTS[Reason.REPLACED].sentence.split()[-1]
            for terminal in terminals:
                await shows(terminal, last_word)
                assert terminal.wrapped == 0
            shown = [anonymous(terminal.picture) for terminal in terminals]
    compare("monitor", shown)


async def shows(terminal: FakeTerminal, text: str) -> None:
    await terminal.until(lambda: text in terminal.picture)


def compare(name: str, shown: Sequence[str]) -> None:
    """Compare screens with the expected ones of the same widths, or write those anew."""
    if os.environ.get("SCREENS") == "write":
        for columns, text in zip(WIDTHS, shown, strict=True):
            (PICTURES / f"{name}-{columns}.txt").write_text(text)
        pytest.skip("drawn anew")
    assert shown == [(PICTURES / f"{name}-{columns}.txt").read_text() for columns in WIDTHS]
