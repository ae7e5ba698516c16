# SPDX-License-Identifier: MIT
"""Tests of the fake pluto that plays a recording, asked as the service asks."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.libreswan.status import parse
from ipsecwatch.pluto.query import AskError, Command, PlutoClient, Trouble
from ipsecwatch.recording import fake_pluto as playback_module
from ipsecwatch.recording.fake_pluto import FakePluto, Silence, Timeline, on_the_wire
from tests.support.bad_pluto import LINE, STATUS
from tests.support.loop_watch import descriptors, no_harm
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipsecwatch import recording
    from ipsecwatch.recording.fake_pluto import Said
    from ipsecwatch.report import Report


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "pluto.ctl")


both_kinds = pytest.mark.parametrize("packets", [False, True], ids=["stream", "packets"])


async def trouble(asker: PlutoClient) -> Trouble:
    with pytest.raises(AskError) as caught:
        await asker.ask()
    return caught.value.trouble


async def moment() -> None:
    """Wait until the fake pluto has looked at the clock."""
    await asyncio.sleep(3 * playback_module.LOOK)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(playback_module, "LOOK", 0.005)


# --- What is said ----------------------------------------------------------------------------


@both_kinds
async def test_it_answers_what_was_said_at_that_time(path: str, packets: bool) -> None:
    clock = Clock()
    said = Timeline([(0, STATUS), (10, STATUS + LINE), (20, "000 the last\n")])
    async with no_harm(), FakePluto(path, said, clock, packets=packets) as playback:
        asker = PlutoClient(path)
        for now, text in [(-5, STATUS), (0, STATUS), (9.9, STATUS), (10, STATUS + LINE)]:
            clock.now = now
            assert (await asker.ask()).text == text
        clock.now = 1e9
        assert (await asker.ask()).text == "000 the last\n"
        assert playback.asked == 5


@both_kinds
async def test_every_line_has_its_prefix_as_on_the_wire(path: str, packets: bool) -> None:
    whack_5 = 'using kernel interface: xfrm\n \n"a": x\x0b\u2028y\n006 #2: kept\n'
    async with FakePluto(path, lambda _: whack_5, Clock(), packets=packets):
        text = (await PlutoClient(path).ask()).text
    assert text == (
        '000 using kernel interface: xfrm\n000  \n000 "a": x\x0b\u2028y\n006 #2: kept\n'
    )


def test_what_was_cut_stays_cut() -> None:
    assert on_the_wire("a\nb") == "000 a\n000 b"
    assert on_the_wire("") == ""


def test_a_timeline_takes_its_moments_in_any_order_but_needs_one() -> None:
    timeline = Timeline([(2, "b"), (1, "a")])
    assert [timeline(t) for t in (0, 1, 1.5, 2, 3)] == ["a", "a", "a", "b", "b"]
    with pytest.raises(ValueError, match="one moment"):
        Timeline([])


# --- What isn't said -------------------------------------------------------------------------


AWAY = Timeline(
    [
        (0, Silence.KILLED),
        (1, STATUS),
        (2, Silence.STOPPED),
        (3, STATUS),
        (4, Silence.KILLED),
        (5, Silence.STOPPED),
    ]
)


@both_kinds
async def test_while_pluto_was_away_there_is_nobody(
    path: str, tmp_path: Path, packets: bool
) -> None:
    clock = Clock()
    async with no_harm(), FakePluto(path, AWAY, clock, packets=packets):
        asker = PlutoClient(path)
        for clock.now in range(6):
            await moment()
            if clock.now in (1, 3):
                assert (await asker.ask()).text == STATUS
            else:
                assert await trouble(asker) is Trouble.STOPPED
                assert (os.path.basename(path) in os.listdir(tmp_path)) == (clock.now in (0, 4))


async def test_while_pluto_hung_questions_wait(path: str) -> None:
    clock = Clock()
    said = Timeline([(0, Silence.HANGING), (1, STATUS)])
    async with no_harm(), FakePluto(path, said, clock) as playback:
        asker, well = PlutoClient(path, timeout=0.1), asyncio.Event()
        asker.on_recovered = well.set
        assert await trouble(asker) is Trouble.UNREACHABLE
        assert await trouble(asker) is Trouble.UNREACHABLE
        clock.now = 1
        await asyncio.wait_for(well.wait(), 5)
        assert (await asker.ask()).text == STATUS
        assert playback.asked == 2


async def test_a_pluto_that_is_killed_while_it_hangs_lets_go(path: str) -> None:
    clock = Clock()
    said = Timeline([(0, Silence.HANGING), (1, Silence.KILLED)])
    async with no_harm(), FakePluto(path, said, clock):
        question = asyncio.create_task(trouble(PlutoClient(path)))
        await moment()
        clock.now = 1
        assert await question is Trouble.CUT
        await moment()
        assert await trouble(PlutoClient(path)) is Trouble.STOPPED


# --- Manners ---------------------------------------------------------------------------------


async def test_only_its_owner_may_ask(path: str, tmp_path: Path) -> None:
    async with FakePluto(path, lambda _: STATUS, Clock()):
        mode = (tmp_path / "pluto.ctl").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) & 0o077 == 0


async def test_it_takes_its_socket_away(path: str, tmp_path: Path) -> None:
    before = descriptors()
    for _ in range(3):
        async with FakePluto(path, lambda _: STATUS, Clock()):
            await PlutoClient(path).ask()
    assert not os.listdir(tmp_path)
    assert descriptors() == before


async def test_what_the_script_raises_is_not_hidden(path: str) -> None:
    def says(t: float) -> Said:
        if t:
            raise ZeroDivisionError
        return STATUS

    clock = Clock()
    playback = await FakePluto(path, says, clock).__aenter__()
    clock.now = 1
    await moment()
    with pytest.raises(ZeroDivisionError):
        await playback.__aexit__(None, None, None)


@contextmanager
def connected(path: str, question: bytes) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        if question:
            client.send(question)
        client.settimeout(0)
        yield client


async def test_another_message_than_the_basic_one_is_refused(path: str) -> None:
    async with FakePluto(path, lambda _: STATUS, Clock()):
        with connected(path, b"x" * 64) as client:
            said = await asyncio.get_running_loop().sock_recv(client, 4096)
    assert said.startswith(b"030 ignoring message from whack with bad magic")


@pytest.mark.parametrize("question", [b"", b"x" * 64], ids=["asks nothing", "doesn't read"])
async def test_who_dawdles_holds_up_the_next_one_only_for_a_while(
    path: str, monkeypatch: pytest.MonkeyPatch, question: bytes
) -> None:
    monkeypatch.setattr(playback_module, "PATIENCE", 0.1)
    monkeypatch.setattr(playback_module, "_BAD_MAGIC", "x" * 10_000_000)
    async with no_harm(), FakePluto(path, lambda _: STATUS, Clock()):
        with connected(path, question):
            assert (await PlutoClient(path, timeout=5).ask()).text == STATUS


# --- Real recordings -------------------------------------------------------------------------


def said_in(answer: recording.RecordedAnswer) -> Said:
    """Return what pluto answered when this was recorded, or why there was no answer."""
    if answer.timed_out:
        return Silence.HANGING
    if answer.stdout:
        return answer.stdout
    return Silence.KILLED if "refused" in answer.stderr else Silence.STOPPED


def gist(report: Report) -> object:
    """Return the values of a report on which line prefixes have no influence."""
    connections = [
        (c.name, c.instance, c.topologies, c.policy, c.newest_child) for c in report.connections
    ]
    return report.version, connections, report.states, report.totals


@pytest.mark.parametrize("release", ["3.20", "3.32", "4.10", "5.2", "5.4"])
async def test_a_recorded_pluto_tells_what_it_told_then(path: str, release: str) -> None:
    recorded = statuses(ROOT / release / "site.jsonl.gz")
    clock = Clock()
    said = Timeline((a.at, said_in(a)) for a in recorded)
    async with no_harm(), FakePluto(path, said, clock, packets=release == "5.4"):
        asker = PlutoClient(path)
        for answer in recorded[::7]:
            clock.now = answer.at
            report = parse((await asker.ask()).text)
            assert report.complete
            assert gist(report) == gist(parse(answer.stdout))


@pytest.mark.parametrize("release", ["4.10", "5.4"])
async def test_a_recorded_restart_crash_hang_and_stop_are_felt(path: str, release: str) -> None:
    recorded = statuses(ROOT / release / "daemon.jsonl.gz")
    clock = Clock()
    clock.now = recorded[0].at
    said = Timeline((a.at, said_in(a)) for a in recorded)
    felt: list[Trouble | bool] = []
    async with no_harm(), FakePluto(path, said, clock, packets=release == "5.4"):
        asker = PlutoClient(path, timeout=0.1)
        for answer in recorded:
            clock.now = answer.at
            await moment()
            try:
                felt.append((await asker.ask(Command.STATUS)).text != "")
            except AskError as e:
                felt.append(e.trouble)
        await asker.close(0)
    expected = {Silence.HANGING: Trouble.UNREACHABLE}
    silent = [expected.get(s, Trouble.STOPPED) if isinstance(s, Silence) else True
              for s in map(said_in, recorded)]  # fmt: skip
    assert felt == silent
    assert {True, Trouble.STOPPED, Trouble.UNREACHABLE} == set(felt)
