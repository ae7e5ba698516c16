# SPDX-License-Identifier: MIT
"""``ipsecwatch bar``: one state of many, what each bar gets of it, and how it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.cli import main
from ipsecwatch.cli.bar import formats
from ipsecwatch.cli.bar.line import ONE, BarState, Line, Picture
from ipsecwatch.client import Lost
from ipsecwatch.states import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import serving
from tests.support.fake_events import Story
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ipsecwatch.client import Event

UP, DOWN = TunnelState.UP, TunnelState.DOWN

HOSTILE = [
    "<b>evil</b> & <img src=x>", "&amp;", "a\nb", "\x1b[31m", "\u202egnp.exe", "A" * 65536, "",
    "{name}", "%s %n", "%{A1:reboot:}x%{A}", "%%{F-}", "<action=`reboot`>x</action>",
    "</fc><fc=red>", '"}', "\\u202e",
]  # fmt: skip


def picture(*events: Event, wanted: str = "") -> Line:
    made = Picture(lambda name: not wanted or name == wanted)
    for event in events:
        made.take(event)
    return made.line()


# States of tunnels, with a reason after a colon; what the bar says of all of them.
STATES = [
    ("up", "up", "VPN a", 100),
    ("up up", "up", "VPN 2/2", 100),
    ("up waiting", "up", "VPN 1/2", 50),
    ("waiting", "waiting", "VPN a waiting", 0),
    ("waiting:expired waiting", "waiting", "VPN 0/2", 0),
    ("up down", "up", "VPN 1/2", 50),
    ("up down:operator", "up", "VPN 1/2", 50),
    ("down", "down", "VPN a down", 0),
    ("down waiting", "waiting", "VPN 0/2", 0),
    ("up down:peer-dead", "down", "VPN b down", 50),
    ("down:peer-dead up down:no-answer", "down", "VPN 1/3", 33),
    ("up up connecting", "connecting", "VPN c connecting", 66),
    ("connecting stuck:no-answer up", "stuck", "VPN 1/3", 33),
    ("partial:peer-deleted up", "partial", "VPN a in part", 50),
    ("partial:operator", "partial", "VPN a in part", 0),
    ("unknown up", "unknown", "VPN a unknown", 50),
    ("unknown stuck", "stuck", "VPN 0/2", 0),
]  # fmt: skip


@pytest.mark.parametrize(("states", "state", "text", "percentage"), STATES)
def test_what_is_not_well_decides_and_what_is_meant_to_be_down_does_not(
    states: str, state: str, text: str, percentage: int
) -> None:
    story = Story()
    for name, told in zip("abc", states.split(), strict=False):
        word, _, reason = told.partition(":")
        story.listed(name, word, reason=Reason(reason or "none"))
    line = picture(story.snapshot())
    assert (line.state, line.text, line.percentage) == (state, text, percentage)


def test_no_tunnel_is_nothing_that_is_well() -> None:
    line = picture(Story().snapshot())
    assert (line.state, line.state.is_well, line.percentage) == (BarState.NONE, False, 0)
    assert line.tooltip


@pytest.mark.parametrize(
    ("pluto", "state"), [("unreachable", "unknown"), ("starting", "unknown"), ("stopped", "none")]
)
def test_without_tunnels_it_says_how_pluto_is(pluto: str, state: str) -> None:
    story = Story()
    story.pluto = PlutoState(pluto)
    line = picture(story.snapshot())
    assert line.state == state
    assert line.tooltip.startswith("The VPN service")


def test_a_loss_without_a_reason_is_one_where_it_was_seen_up() -> None:
    story = Story()
    assert picture(story.look(a="up", b="up"), story.become("b", "down")).state is BarState.DOWN
    assert picture(story.look(a="up", b="down")).state is BarState.UP
    by_hand = story.become("a", "down", "operator"), story.become("a", "down")
    assert picture(story.look(a="up", b="waiting"), *by_hand).state is BarState.WAITING


def test_a_tooltip_names_the_worst_first_with_the_reason_and_counts_the_rest() -> None:
    story = Story()
    story.look(**{f"gw-{n}": "up" for n in range(30)})
    lines = picture(
        story.snapshot(), story.become("gw-7", "stuck", "no-answer")
    ).tooltip.splitlines()
    assert lines[:3] == [
        "gw-7: can't connect",
        "    The VPN server doesn't answer.",
        "gw-0: connected",
    ]
    assert lines[-1] == "11 more"


def test_of_named_tunnels_the_others_do_not_matter() -> None:
    events = Story().look(a="up", b="stuck")
    assert picture(events, wanted="a").state is BarState.UP
    assert picture(events, wanted="c").state is BarState.NONE


def test_a_service_that_is_not_heard_is_neither_well_nor_the_last_word() -> None:
    story = Story()
    lost = picture(story.look(a="up"), Lost("ipsecwatch isn't running", "Start it"))
    assert (lost.state, lost.state.is_well) == (BarState.LOST, False)
    assert lost.tooltip == "ipsecwatch isn't running. Start it"
    assert picture(Lost("gone"), story.snapshot()).state is BarState.UP


@pytest.mark.parametrize("state", list(BarState))
def test_each_state_has_a_class_and_a_sign(state: BarState) -> None:
    line = Line(state, "VPN", "tooltip", 50)
    told = json.loads(formats.waybar(line))
    assert told == {
        "text": "VPN", "alt": state.value, "class": [state.value], "tooltip": "tooltip",
        "percentage": 50,
    }  # fmt: skip
    assert formats.plain(line).endswith(" VPN")


@pytest.mark.parametrize("form", formats.FORMATS)
@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_taken_for_markup_or_for_another_line(form: str, name: str) -> None:
    story = Story()
    seen = Picture(lambda _: True, {"a": name})
    seen.take(story.look(a="stuck", b="up"))
    told = formats.FORMATS[form](seen.line())
    assert "\n" not in told
    assert told.isprintable()
    if form == "polybar":
        assert re.findall(r"%\{.*?\}", told) == ["%{F#ff5f5f}", "%{F-}"]
        assert told.count("%") == 2
    if form == "xmobar":
        assert re.findall(r"<.*?>", told) == ["<fc=#ff5f5f>", "</fc>"]
        assert told.count("<") == 2
    if form == "waybar":
        shown = json.loads(told)
        for text in shown["text"], shown["tooltip"]:
            assert "<" not in text
            assert re.findall(r"&(?!lt;|gt;|amp;)", text) == []
    if form == "i3blocks":
        assert json.loads(told)["markup"] == "none"


def test_each_state_that_tunnels_can_have_is_told_of_one() -> None:
    assert set(ONE) == {BarState(state.value) for state in TunnelState}


class Running:
    """``ipsecwatch bar`` as a status bar starts it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 30)).decode()[:-1]

    async def until(self, wanted: str) -> dict[str, Any]:
        while (told := json.loads(await self.line()))["alt"] != wanted:
            pass
        found: dict[str, Any] = told
        return found


@asynccontextmanager
async def running(*arguments: str) -> AsyncGenerator[Running]:
    run = [sys.executable, "-m", "ipsecwatch", "bar", *arguments]
    process = await asyncio.create_subprocess_exec(
        *run, stdout=asyncio.subprocess.PIPE, env={**os.environ, "LC_ALL": "C.UTF-8"}
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.usefixtures("system_bus")
async def test_it_goes_on_through_the_end_of_the_service_and_ends_with_its_reader() -> None:
    async with running("--format", "waybar") as bar:
        assert (await bar.until("lost"))["text"] == "VPN ?"
        for run in "run-1", "run-2":
            async with serving(run) as service:
                await service.look(tunnel("<b>", UP), tunnel("home", UP))
                assert (await bar.until("up"))["tooltip"] == "&lt;b&gt;: connected\nhome: connected"
                await service.become(tunnel("home", DOWN), reason=Reason.PEER_DEAD)
                assert (await bar.until("down"))["text"] == "VPN home down"
            await bar.until("lost")
        transport: Any = bar.process._transport  # type: ignore[attr-defined]
        transport.get_pipe_transport(1).close()
        assert await asyncio.wait_for(bar.process.wait(), 30) == 0


@pytest.mark.usefixtures("system_bus")
async def test_once_prints_a_line_and_quiet_prints_none_while_all_is_well() -> None:
    async with running("--once") as bar:
        assert await bar.line() == "? VPN ?"
        assert await bar.process.wait() == 0
    async with serving() as service, running("--quiet") as bar:
        await service.look(tunnel("office", UP))
        while await bar.line():
            pass
        await service.become(tunnel("office", DOWN), reason=Reason.PEER_DEAD)
        assert await bar.line() == "○ VPN office down"
        async with running("--once", "--format", "i3blocks") as block:
            assert json.loads(await block.line()) == {
                "full_text": "○ VPN office down", "markup": "none", "color": "#ff5f5f",
            }  # fmt: skip
        async with running("--once", "--format", "xmobar", "home") as other:
            assert await other.line() == "○ VPN off"


def test_it_is_refused_a_format_that_there_is_none_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["bar", "--format", "lemonbar"]) == 2
    assert "choose from" in capsys.readouterr().err
