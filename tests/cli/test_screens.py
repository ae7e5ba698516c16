# SPDX-License-Identifier: MIT
"""Whole screens, as they are on terminals of several widths: the pictures are in screens/.

Where they are to be other ones, `SCREENS=write pytest tests/cli/test_screens.py` draws them anew,
for git diff to show.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.bus_service import asks_for_details, serving
from tests.support.fake_terminal import FakeTerminal
from tests.support.small_gateway import OFFICES, road_warriors, show

if TYPE_CHECKING:
    from tests.support.dbus_daemon import PrivateBus

PICTURES = Path(__file__).parent / "screens"
WIDTHS = (20, 40, 80, 200)
VERBS = {
    "status": ("status", "--no-pager"),
    "office": ("status", "office", "paris", "--no-pager"),
    "who": ("who", "--no-pager"),
}
"""What is run, by what its pictures are called."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(\s+)\d\d:\d\d:\d\d")


async def picture(verb: str, columns: int) -> str:
    with FakeTerminal(*VERBS[verb], columns=columns, lines=120) as terminal:
        await terminal.ended()
        assert terminal.wrapped == 0
        assert not terminal.shows_other_screen()
        return _MOMENT.sub(r"YYYY-MM-DD\1hh:mm:ss", terminal.picture) + "\n"


@asks_for_details
@pytest.mark.parametrize("verb", VERBS)
async def test_screens_are_as_they_were(verb: str, system_bus: PrivateBus) -> None:
    async with serving() as service:
        await show(service, *OFFICES, *road_warriors())
        shown = await asyncio.gather(*(picture(verb, columns) for columns in WIDTHS))
    if os.environ.get("SCREENS") == "write":
        for columns, text in zip(WIDTHS, shown, strict=True):
            (PICTURES / f"{verb}-{columns}.txt").write_text(text)
        pytest.skip("drawn anew")
    expected = [(PICTURES / f"{verb}-{columns}.txt").read_text() for columns in WIDTHS]
    assert shown == expected
