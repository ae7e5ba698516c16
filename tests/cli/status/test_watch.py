# SPDX-License-Identifier: MIT
"""Tests of `status --watch` on a terminal, with a service on a real bus."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.display import keys
from ipsecwatch.cli.display.terminal import Paint, width
from ipsecwatch.cli.status.watch import Picture
from ipsecwatch.cli.tunnels.selection import Selection
from ipsecwatch.client import Answer, Log, Lost, Pluto, Snapshot, View
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import asks_for_details, serving
from tests.support.fake_terminal import FakeTerminal
from tests.support.small_gateway import OFFICES, show
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.support.bus_service import Service
    from tests.support.dbus_daemon import PrivateBus

UP, DOWN, STUCK = TunnelState.UP, TunnelState.DOWN, TunnelState.STUCK


def line_of(terminal: FakeTerminal, name: str) -> str:
    return next((row for row in terminal.rows if re.search(rf"\b{name}\b", row)), "")


@asynccontextmanager
async def watching(
    columns: int = 80, lines: int = 24
) -> AsyncGenerator[tuple[Service, FakeTerminal]]:
    """Run a service with twelve tunnels, and `status --watch` on a terminal; yield both."""
    async with serving() as service:
        await service.look(*(tunnel(f"gw-{n}", UP) for n in range(12)))
        with FakeTerminal("status", "--watch", columns=columns, lines=lines) as terminal:
            await terminal.until(lambda: "12 up" in terminal.rows[0])
            yield service, terminal


async def test_what_happens_is_shown_and_little_else_is_sent(system_bus: PrivateBus) -> None:
    async with watching(lines=12) as (service, terminal):
        assert terminal.shows_other_screen()
        assert terminal.rows[1].startswith("  TUNNEL")
        assert terminal.rows[-1].startswith("1-8 of 12  by state")
        await service.become(tunnel("gw-7", STUCK, attempts=4), reason=Reason.NO_ANSWER)
        await terminal.until(lambda: "stuck" in terminal.rows[2])
        assert "gw-7" in terminal.rows[2]
        assert "11 up, 1 stuck" in terminal.rows[0]
        before = len(terminal.sent)
        clock = terminal.rows[0][-8:]
        await terminal.until(lambda: terminal.rows[0][-8:] != clock)
        # A second later only the ages and the clock are written again, and no line is erased first.
        assert 0 < len(terminal.sent) - before < 12 * 80
        terminal.press("q")
        assert await terminal.ended() == 0
        assert terminal.settings_are_as_before()
        assert not terminal.shows_other_screen()
        assert "\x1b[?25h" in terminal.sent[-40:]


async def test_keys_sort_filter_scroll_and_help(system_bus: PrivateBus) -> None:
    async with watching(lines=10) as (service, terminal):
        await service.become(tunnel("gw-11", STUCK))
        await terminal.until(lambda: "gw-11" in terminal.rows[2])
        terminal.press("s")
        await terminal.until(lambda: "by name" in terminal.rows[-1] and "gw-0" in terminal.rows[2])
        terminal.press("r")
        await terminal.until(lambda: "gw-11" in terminal.rows[2])
        terminal.press("\x1b[6~")
        await terminal.until(lambda: terminal.rows[-1].startswith("6-11 of 12"))
        terminal.press("/stu")
        await terminal.until(lambda: terminal.rows[-1] == "/stu_")
        assert [row for row in terminal.rows if "gw-" in row] == [line_of(terminal, "gw-11")]
        terminal.press("\r")
        await terminal.until(lambda: '1-1 of 1  "stu"' in terminal.rows[-1])
        terminal.press("\x1b")  # alone: it is no beginning of a sequence
        await terminal.until(lambda: "of 12" in terminal.rows[-1])
        terminal.press("?")
        await terminal.until(lambda: "quit" in terminal.rows[0])
        terminal.press("x")
        await terminal.until(lambda: "11 up" in terminal.rows[0])


async def test_another_size_is_another_picture(system_bus: PrivateBus) -> None:
    async with watching() as (_, terminal):
        for columns, lines in ((20, 8), (40, 5), (200, 50), (1, 1), (80, 24)):
            terminal.resize(columns, lines)
            await terminal.until(lambda: terminal.rows[-1].startswith(("1-", "…")))
            assert terminal.wrapped == 0
        await terminal.until(lambda: "gw-11" in terminal.picture)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
async def test_the_terminal_is_as_it_was_at_every_end(
    number: signal.Signals, system_bus: PrivateBus
) -> None:
    async with watching() as (_, terminal):
        assert not terminal.settings_are_as_before()
        if number is signal.SIGINT:
            terminal.press("\x03")
        else:
            os.kill(terminal.pid, number)
        assert await terminal.ended() == 0
        assert terminal.settings_are_as_before()
        assert not terminal.shows_other_screen()


async def test_who_stops_it_gets_the_terminal_and_it_goes_on_later(
    system_bus: PrivateBus,
) -> None:
    shell = '"$@"; echo stopped; read; fg >/dev/null'
    async with serving() as service:
        await service.look(tunnel("gw-3", UP))
        with FakeTerminal("status", "--watch", shell=shell) as terminal:
            await terminal.until(lambda: "1 up" in terminal.rows[0])
            terminal.press("\x1a")
            await terminal.until(lambda: "stopped" in terminal.picture)
            assert not terminal.shows_other_screen()
            await service.become(tunnel("gw-3", DOWN), reason=Reason.OPERATOR)
            terminal.press("\n")
            await terminal.until(lambda: "1 down" in terminal.rows[0])
            assert terminal.shows_other_screen()
            terminal.press("q")
            assert await terminal.ended() == 0
            assert terminal.settings_are_as_before()


async def test_a_service_that_goes_is_told_and_comes_back(system_bus: PrivateBus) -> None:
    with FakeTerminal("status", "--watch") as terminal:
        await terminal.until(lambda: "waiting for the service" in terminal.rows[0])
        assert "systemctl start ipsecwatch" in terminal.picture
        for run in ("from-one", "from-two"):
            async with serving(run) as service:
                await service.look(tunnel(run, UP))
                await terminal.until(partial(line_of, terminal, run))
                assert "isn't running" not in terminal.picture
            await terminal.until(lambda: "isn't running" in terminal.picture)
        assert line_of(terminal, "from-two")  # as it was last


async def test_a_pluto_that_does_not_answer_is_told(system_bus: PrivateBus) -> None:
    async with watching() as (service, terminal):
        service.pluto = PlutoState.UNREACHABLE
        await service.become(*(tunnel(f"gw-{n}", TunnelState.UNKNOWN) for n in range(12)))
        await terminal.until(lambda: "The IPsec service does not answer." in terminal.picture)
        await terminal.until(lambda: "12 unknown" in terminal.rows[0])


async def test_over_a_slow_line_the_newest_picture_comes_and_not_all_of_them(
    system_bus: PrivateBus,
) -> None:
    async with watching(columns=200, lines=14) as (service, terminal):
        before = len(terminal.sent)
        for n in range(40):  # nobody reads from the terminal meanwhile
            state = STUCK if n % 2 else DOWN
            await service.become(*(tunnel(f"gw-{m}", state, attempts=n) for m in range(12)))
            await asyncio.sleep(0.01)
        await service.become(*(tunnel(f"gw-{m}", UP) for m in range(12)))
        await terminal.until(lambda: "12 up" in terminal.rows[0])
        assert len(terminal.sent) - before < 40 * 12 * 40


@asks_for_details
async def test_peers_and_traffic_are_shown_to_who_may_know_them(system_bus: PrivateBus) -> None:
    async with serving() as service:
        await show(service, *OFFICES)
        with FakeTerminal("status", "--watch", "par*", "london", columns=120) as terminal:
            await terminal.until(lambda: "203.0.113.7" in line_of(terminal, "paris"))
            assert "7.0G" in line_of(terminal, "paris")
            assert "203.0.113.9" in line_of(terminal, "london")
            assert not line_of(terminal, "berlin")


@asks_for_details
async def test_a_named_tunnel_is_shown_live_with_all_that_is_known_of_it(
    system_bus: PrivateBus,
) -> None:
    async with serving() as service:
        await show(service, *OFFICES)
        with FakeTerminal("status", "paris", "rome", "--watch", lines=24) as terminal:
            await terminal.until(lambda: "203.0.113.7, as @paris" in terminal.picture)
            assert "rome isn't listed." in terminal.picture
            await service.become(tunnel("paris", STUCK), reason=Reason.PEER_DEAD)
            await service.become(tunnel("rome", UP))
            await terminal.until(lambda: "up → stuck: peer-dead" in terminal.picture)
            await terminal.until(lambda: "● rome" in terminal.picture)
            terminal.resize(30, 10)
            await terminal.until(lambda: terminal.rows[-1].startswith("1-6 of"))
            assert terminal.rows[-2].startswith("pluto's log isn't available")
            terminal.press("G")
            await terminal.until(lambda: terminal.rows[-3].strip() == "→ up")
            assert terminal.wrapped == 0


@pytest.mark.parametrize(
    "arguments",
    [["--watch"], ["--watch", "--json"]],
)
def test_without_a_terminal_it_is_wrong_usage(
    arguments: list[str],
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ipsecwatch", "status", *arguments],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1


async def test_a_dumb_terminal_is_none_to_draw_on() -> None:
    with FakeTerminal("status", "--watch", TERM="dumb") as terminal:
        assert await terminal.ended() == 2
        assert "ipsecwatch monitor" in terminal.picture.replace("\n", "")
        assert "\x1b" not in terminal.sent


# --- The picture alone ---------------------------------------------------------------------------


def view(name: str, state: TunnelState = UP, reason: Reason = Reason.NONE) -> View:
    return View(f"/{name}", name, state, state, reason, 1.0, 1.0, children=1)


def picture(*views: View, chosen: Selection | None = None) -> Picture:
    made = Picture(chosen or Selection())
    made.record(Snapshot("run", 1, PlutoState.RUNNING, {v.path: v for v in views}))
    made.arrange(Paint(False), 80)
    return made


@pytest.mark.parametrize("high", range(1, 9))
@pytest.mark.parametrize("wide", [1, 5, 20, 80])
@pytest.mark.parametrize("lost", [False, True])
def test_a_picture_is_never_larger_than_the_terminal(high: int, wide: int, lost: bool) -> None:
    made = picture(*(view(f"gw-{n}") for n in range(30)))
    if lost:
        made.record(Lost("ipsecwatch isn't running", "Start it"))
    made.arrange(Paint(False), wide)
    lines = made.lines(Paint(False), wide, high)
    assert len(lines) == high
    assert all(width(line) <= wide for line in lines)


def test_nobody_scrolls_past_the_end() -> None:
    made = picture(*(view(f"gw-{n}") for n in range(30)))
    for key, top in ((keys.UP, 0), (keys.END, 20), (keys.DOWN, 20), (keys.PAGE_UP, 11), ("g", 0)):
        made.press(key, 10)
        assert made.top == top, key


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("gw", ["gw-1", "gw-2"]),
        ("STUCK", ["lab"]),
        ("no-answer", ["lab"]),
        ("gw-?", ["gw-1", "gw-2"]),
        ("?", []),
        ("", ["lab", "gw-1", "gw-2"]),
    ],
)
def test_a_filter_looks_at_name_state_and_reason(wanted: str, found: list[str]) -> None:
    made = picture(view("gw-1"), view("gw-2"), view("lab", STUCK, Reason.NO_ANSWER))
    made.wanted = wanted
    made.arrange(Paint(False), 80)
    assert [v.name for v in made.sorted] == found


def test_the_selection_of_the_command_line_holds() -> None:
    chosen = Selection(("gw-*",), frozenset({STUCK}))
    made = picture(view("gw-1"), view("gw-2", STUCK), view("lab", STUCK), chosen=chosen)
    assert [v.name for v in made.sorted] == ["gw-2"]


def test_what_was_told_of_a_tunnel_that_went_is_forgotten() -> None:
    made = picture(view("rw[1]"))
    made.details = {"rw[1]": {"PeerAddress": "192.0.2.1"}}
    assert made.row(view("rw[1]")).peer == "192.0.2.1"
    made.record(replace(Snapshot("run", 2, PlutoState.RUNNING, {}), serial=3))
    made.arrange(Paint(False), 80)
    made.record(Pluto(PlutoState.STOPPED))
    assert made.details == {}
    assert made.troubles() == ["The IPsec service is not running."]


def test_until_the_service_answered_nothing_is_said_of_tunnels() -> None:
    made = Picture(Selection())
    made.arrange(Paint(False), 80)
    assert made.lines(Paint(False), 30, 5)[0].strip() == "asking the service"
    made.record(Snapshot("run", 1, PlutoState.RUNNING, {}))
    made.arrange(Paint(False), 80)
    assert made.lines(Paint(False), 30, 5)[0].strip() == "no tunnels"


def test_what_is_no_longer_wrong_is_no_longer_said() -> None:
    made = picture(view("gw-1"))
    made.record(Answer(complete=False, unrecognised=1))
    made.record(Log(LogState.CUT))
    assert len(made.troubles()) == 3
    made.record(Log(LogState.JOURNAL))
    made.record(Answer())
    assert made.troubles() == []
