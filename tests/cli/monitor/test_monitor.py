# SPDX-License-Identifier: MIT
"""Tests of what ``ipsecwatch monitor`` prints, with a real service and with made-up events."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch import client
from ipsecwatch.cli import main, monitor
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.failure import EXIT_OK, EXIT_UNKNOWN, EXIT_USAGE
from ipsecwatch.cli.monitor.catching_up import KnownTunnels
from ipsecwatch.reasons import LOG_TEXTS
from ipsecwatch.states import LogState, PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import serving
from tests.support.fake_events import Story
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from tests.support.dbus_daemon import PrivateBus

UP, DOWN, STUCK = TunnelState.UP, TunnelState.DOWN, TunnelState.STUCK


class Running:
    """A process of ``ipsecwatch monitor``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 30)).decode().rstrip("\n")

    async def object(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self.line())
        return found

    async def interrupted(self) -> tuple[int | None, str]:
        """Interrupt it as Ctrl-C does; return its exit code and error output."""
        self.process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(self.process.communicate(), 30)
        return self.process.returncode, err.decode()


@asynccontextmanager
async def monitoring(*arguments: str, **environment: str) -> AsyncGenerator[Running]:
    pipe = asyncio.subprocess.PIPE
    run = [sys.executable, "-m", "ipsecwatch", "monitor", *arguments]
    env = {**os.environ, "NO_COLOR": "1", **environment}
    process = await asyncio.create_subprocess_exec(*run, stdout=pipe, stderr=pipe, env=env)
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_across_a_restart_nothing_is_missed_or_told_twice(system_bus: PrivateBus) -> None:
    async with monitoring("--json") as running:
        assert (await running.object())["event"] == "lost"
        async with serving() as service:
            await service.look(tunnel("a", UP), tunnel("b", UP), tunnel("c", DOWN))
            first = await running.object()
            assert (first["event"], first["again"]) == ("snapshot", False)
            assert first["tunnels"] == {"a": "up", "b": "up", "c": "down"}
            await service.become(tunnel("a", DOWN), reason=Reason.PEER_DEAD)
            told = await running.object()
            assert (told["tunnel"], told["new"], told["told"]) == ("a", "down", "down")
            assert (told["run_id"], told["serial"], told["caught_up"]) == ("run-1", 1, False)
        assert (await running.object())["event"] == "lost"
        async with serving("run-2") as service:
            await service.look(tunnel("a", DOWN), tunnel("c", STUCK, reason=Reason.NO_ANSWER))
            again = await running.object()
            assert (again["event"], again["again"], again["run_id"]) == ("snapshot", True, "run-2")
            caught = [await running.object() for _ in range(2)]
            assert [(t["tunnel"], t["new"], t["told"], t["reason"]) for t in caught] == [
                ("b", "down", "down", "unloaded"), ("c", "stuck", "stuck", "no-answer"),
            ]  # fmt: skip
            assert all(t["caught_up"] for t in caught)
            await service.become(tunnel("a", UP))
            assert (await running.object())["tunnel"] == "a"
            assert await running.interrupted() == (EXIT_OK, "")


async def test_only_named_tunnels_are_told_of_and_names_may_be_patterns(
    system_bus: PrivateBus,
) -> None:
    async with serving() as service:
        await service.look(*(tunnel(n, UP) for n in ("gw-1", "gw-2", "office", "rw[3]", "x")))
        async with monitoring("--json", "gw-*", "rw[3]") as running:
            assert set((await running.object())["tunnels"]) == {"gw-1", "gw-2", "rw[3]"}
            for name in ("office", "rw[3]", "x", "gw-2"):
                await service.become(tunnel(name, DOWN))
            assert [(await running.object())["tunnel"] for _ in range(2)] == ["rw[3]", "gw-2"]
        async with monitoring("gw-*", "ofice") as running:
            _, err = await asyncio.wait_for(running.process.communicate(), 30)
            assert running.process.returncode == EXIT_UNKNOWN
            assert err.decode() == "ipsecwatch: no such tunnel: ofice. Did you mean office?\n"


async def test_a_program_runs_for_transitions_and_never_for_the_picture(
    system_bus: PrivateBus, tmp_path: Path
) -> None:
    hook, runs = tmp_path / "hook", tmp_path / "runs"
    words = "$IPSECWATCH_EVENT $IPSECWATCH_TUNNEL $IPSECWATCH_STATE $IPSECWATCH_REASON"
    hook.write_text(f'#!/bin/sh\necho "{words}" >>{runs}\n')
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    async with monitoring("--exec", str(hook), "--", "a", "missing") as running:
        async with serving() as service:
            await service.look(tunnel("a", UP), tunnel("b", STUCK))
            assert running.process.stderr is not None
            said = (await asyncio.wait_for(running.process.stderr.readline(), 30)).decode()
            assert said.startswith("ipsecwatch: there is no tunnel missing yet.")
            await service.become(tunnel("a", TunnelState.PARTIAL))
            await service.become(tunnel("a", DOWN), reason=Reason.OPERATOR)
            await service.become(tunnel("b", UP))
            await until(runs.exists)
        async with serving("run-2") as service:
            await service.look(tunnel("a", UP))
            await until(lambda: len(runs.read_text().splitlines()) == 2)
        assert await running.interrupted() == (EXIT_OK, "")
    assert runs.read_text().splitlines() == ["down a down operator", "up a up none"]


USAGE = {
    "exec": (["--exec", "hook"], "isn't an absolute path"),
    "no program": (["--exec", "/none\x1b"], r"there is no program /none\x1b"),
    "no right": (["--exec", "/etc/passwd"], "Try: chmod +x /etc/passwd"),
    "limit": (["--exec-limit", "nan"], "isn't from 0.1 to 3600 seconds"),
    "since": (["--since", "abc"], "isn't RUN_ID:SERIAL"),
    "serial": (["--since", "abc:-1"], "isn't RUN_ID:SERIAL"),
}


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage_is_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, said = USAGE[case]
    assert main.run(["monitor", *arguments]) == EXIT_USAGE
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


class Screen:
    """What monitor prints for events, with a clock that the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, quiet: bool = False) -> None:
        self.now = 1_700_006_300.0  # 2023-11-14 23:58:20 UTC
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
        monkeypatch.setattr(time, "time", lambda: self.now)
        self._out = monitor.Text(terminal.Paint(False), quiet=quiet)
        self._known = KnownTunnels()

    def lines(self, event: client.Event) -> list[str]:
        news = self._known.apply(event, self.now)
        told: list[str] = []
        if isinstance(event, client.Snapshot):
            views = list(event.tunnels.values())
            told += self._out.snapshot(event, views, again=False)
        elif not isinstance(event, client.Change):
            told += self._out.event(event)
        return [*told, *self._out.transitions(news)]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    return Screen(monkeypatch)


def test_it_begins_with_the_date_and_all_tunnels_the_worst_first(screen: Screen) -> None:
    seen = screen.lines(Story().look(office="up", site="stuck", rw="waiting"))
    assert seen[:2] == ["2023-11-14", "23:58:20   3 tunnels: 1 up, 1 stuck, 1 waiting"]
    assert [line.split()[1:4] for line in seen[2:]] == [
        ["✗", "site", "stuck"], ["○", "rw", "waiting"], ["●", "office", "up"],
    ]  # fmt: skip


def test_of_many_tunnels_those_that_are_not_well_are_listed(screen: Screen) -> None:
    many = {f"gw-{n:04}": "up" for n in range(4990)} | {f"x{n}": "down" for n in range(30)}
    seen = screen.lines(Story().look(**many))
    assert len(seen) == 2 + monitor.SHOWN + 1
    assert seen[-1] == "23:58:20   … and 5,000 more: ipsecwatch status"
    assert all(" down" in line for line in seen[2:-1])


def test_a_date_is_printed_where_the_day_changes_and_nowhere_else(screen: Screen) -> None:
    story = Story()
    screen.lines(story.look(a="up"))
    assert screen.lines(story.pluto_is("stopped")) == ["23:58:20   the IPsec service is stopped"]
    screen.now += 120
    assert screen.lines(story.lost())[0] == "2023-11-15"
    assert len(screen.lines(story.lost())) == 1


def test_without_pluto_the_picture_says_so(screen: Screen) -> None:
    story = Story()
    story.pluto = PlutoState.STOPPED
    assert screen.lines(story.look())[1] == ("23:58:20   no tunnels; the IPsec service is stopped")


@pytest.mark.parametrize("state", LogState)
def test_it_is_said_when_the_log_is_heard_elsewhere(screen: Screen, state: LogState) -> None:
    screen.lines(Story().look(a="up"))
    assert screen.lines(client.Log(state)) == [f"23:58:20   {LOG_TEXTS[state]}"]


def test_who_runs_pluto_is_nothing_to_be_said_by_itself(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = monitor.Text(terminal.Paint(False))
    running = monitor.Monitor((), out)
    running._handle(Story().look(a="up"), patient=False)
    capsys.readouterr()
    for state, lines in ((PlutoState.RUNNING, 0), (PlutoState.STOPPED, 1)):
        running._handle(client.Pluto(state, "vpn.service"), patient=False)
        assert out.unit == "vpn.service"
        assert capsys.readouterr().out.count("\n") == lines


def test_a_program_that_runs_has_the_screen_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    screen, story = Screen(monkeypatch, quiet=True), Story()
    assert screen.lines(story.look(a="up")) == []
    assert screen.lines(story.become("a", "down")) == []
    assert screen.lines(story.lost()) == []
