# SPDX-License-Identifier: MIT
"""Tests of the whole daemon: with a fake pluto, a real bus, and systemd's notifications."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import client
from ipsecwatch.config import Settings
from ipsecwatch.dbus.names import MANAGER, PROPERTIES
from ipsecwatch.history.message_ids import BEGAN, ENDED, FIRST_LOOK
from ipsecwatch.libreswan.status import parse
from ipsecwatch.pluto.followups import Followups
from ipsecwatch.pluto.query import Answer, AskError, Command, Trouble, Via
from ipsecwatch.recording.fake_pluto import FakePluto, Said, Silence
from ipsecwatch.report import PlutoState, Poll
from ipsecwatch.service import optional
from ipsecwatch.service.daemon import CoreEndedError, Service
from ipsecwatch.service.journald import Sender
from ipsecwatch.service.optional import OptionalPart
from ipsecwatch.service.state_file import StateFile
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import TunnelState
from tests.support.bus_service import calling
from tests.support.recordings import ROOT, statuses
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from ipsecwatch.service.bus import Publication
    from tests.support.dbus_daemon import PrivateBus

SAMPLES = statuses(ROOT / "4.10/site.jsonl.gz")
DOWN, UP = SAMPLES[0].stdout, SAMPLES[10].stdout
TRIED = statuses(ROOT / "5.4/wrongpsk.jsonl.gz")[20].stdout
NO_TUNNELS = "".join(
    line + "\n" for line in DOWN.splitlines() if '"site"' not in line and "Total IPsec" not in line
)


@dataclass
class World:
    """What is around the service: pluto's answer, a client's events, and the journal entries."""

    folder: Path
    says: Said = DOWN
    told: list[client.Event] = field(default_factory=list)
    entries: io.StringIO = field(default_factory=io.StringIO)

    @property
    def control(self) -> str:
        return str(self.folder / "pluto.ctl")

    @property
    def changes(self) -> list[str]:
        return [f"{e.old}>{e.new}" for e in self.told if isinstance(e, client.Change)]

    def settings(self) -> Settings:
        return Settings(control_socket=self.control, interval=0.2, fast_interval=0.1, timeout=1.0)


@pytest.fixture
async def world(tmp_path: Path, system_bus: PrivateBus) -> AsyncIterator[World]:
    """Run a service in this process, with a fake pluto and a client that follows it."""
    world = World(tmp_path)
    service = Service(world.settings(), Sender(None, world.entries))
    async with FakePluto(world.control, lambda _: world.says, lambda: 0.0):
        running = asyncio.create_task(service.run())
        following = asyncio.create_task(follow(world))
        try:
            await until(lambda: any(isinstance(e, client.Snapshot) for e in world.told))
            yield world
        finally:
            following.cancel()
            service.stop()
            await running


async def follow(world: World) -> None:
    async with contextlib.aclosing(client.follow()) as events:
        async for event in events:
            world.told.append(event)


async def test_a_tunnel_comes_up_and_goes_down_over_the_bus(world: World) -> None:
    await until(lambda: tunnels(world) == {"site": "down"})
    world.says = UP
    await until(lambda: world.changes == ["down>up"])
    world.says = DOWN
    await until(lambda: world.changes == ["down>up", "up>down"])
    told = [e for e in world.told if isinstance(e, client.Change)]
    assert [(e.told, e.serial) for e in told] == [("up", 1), ("down", 2)]
    await until(lambda: world.entries.getvalue().count("\n") == 4)
    assert world.entries.getvalue().splitlines() == [
        "<6>Watching began: 1 tunnel, 1 down.",
        "<6>Tunnel site is down at its first poll.",
        "<5>Tunnel site is up.",
        # Its policy no longer has UP: somebody took it down.
        "<6>Tunnel site is down: It was taken down on this machine.",
    ]


async def test_sas_that_came_and_went_between_two_polls_are_counted(world: World) -> None:
    world.says = UP
    await until(lambda: tunnels(world) == {"site": "up"})
    world.says = re.sub(r"#2\b", "#9", UP)
    async with calling() as caller:
        missed = 0
        while missed == 0:
            missed = await caller.call("Get", "ss", MANAGER, "Missed", interface=PROPERTIES)
    assert missed == 6
    assert world.changes == ["down>up"]


def tunnels(world: World) -> dict[str, str]:
    """Return the state of each tunnel, as the client knows it from all its events."""
    seen: dict[str, str] = {}
    for event in world.told:
        if isinstance(event, client.Snapshot):
            seen = {v.name: v.state.value for v in event.tunnels.values()}
        elif isinstance(event, client.Change) or (
            isinstance(event, client.Update) and event.view is not None
        ):
            assert event.view is not None
            seen[event.view.name] = event.view.state.value
    return seen


BAD: dict[str, Said] = {
    "half an answer": UP[: len(UP) // 2],
    "an answer that contradicts itself": UP.replace("IPsec SAs: total(1)", "IPsec SAs: total(3)"),
    "garbage": "\x00\x1b[31m\xff\n" * 50,
    "another answer": "006 #2: \"site\", type=ESP, add_time=1, inBytes=0, outBytes=0, id='@east'\n",
    "a hanging pluto": Silence.HANGING,
    "a pluto that is gone": Silence.STOPPED,
    "a killed pluto": Silence.KILLED,
}


@pytest.mark.parametrize("case", BAD)
async def test_what_is_no_answer_makes_tunnels_unknown_and_never_down(
    world: World, case: str, capfd: pytest.CaptureFixture[str]
) -> None:
    world.says = UP
    await until(lambda: tunnels(world) == {"site": "up"})
    before = len(world.changes)
    world.says = BAD[case]
    await until(lambda: world.changes[before:] == ["up>unknown"])
    world.says = UP
    back = ["up>unknown", "unknown>up"]
    if BAD[case] in (Silence.STOPPED, Silence.KILLED):
        back = ["up>unknown", "unknown>down", "down>up"]  # another pluto, other SAs
    await until(lambda: world.changes[before:] == back)
    assert "Traceback" not in capfd.readouterr().err


async def test_a_machine_without_libreswan_is_stopped_and_has_no_tunnels(world: World) -> None:
    world.says = Silence.STOPPED
    await until(lambda: any(isinstance(e, client.Pluto) for e in world.told))
    last = [e for e in world.told if isinstance(e, client.Pluto)][-1]
    assert last.state is PlutoState.STOPPED
    await until(lambda: "The IPsec service is not running" in world.entries.getvalue())


async def test_refresh_answers_when_its_poll_has_been_announced(world: World) -> None:
    await until(lambda: tunnels(world) == {"site": "down"})
    world.says = UP
    serial = await client.refresh()
    assert serial == 1
    seen = await client.snapshot()
    assert [v.state for v in seen.tunnels.values()] == [TunnelState.UP]


async def test_refresh_says_that_pluto_cannot_be_asked(world: World) -> None:
    world.says = Silence.STOPPED
    with pytest.raises(client.PlutoUnavailableError):
        await client.refresh()


async def test_a_bus_that_comes_back_finds_the_same_service(
    world: World, system_bus: PrivateBus
) -> None:
    await until(lambda: tunnels(world) == {"site": "down"})
    first = next(e for e in world.told if isinstance(e, client.Snapshot))
    system_bus.stop()
    world.says = UP
    await until(lambda: any(isinstance(e, client.Lost) for e in world.told))
    await until(lambda: "site is up" in world.entries.getvalue())
    system_bus.start()
    await until(lambda: isinstance(world.told[-1], client.Snapshot), within=20)
    again = world.told[-1]
    assert isinstance(again, client.Snapshot)
    assert again.run_id == first.run_id
    assert [v.state for v in again.tunnels.values()] == [TunnelState.UP]


# --- as a process ---------------------------------------------------------------------------


class Systemd:
    """A fake systemd: it receives what a service tells systemd."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(self.path)
        self._said: list[str] = []

    def close(self) -> None:
        self._socket.close()

    def said(self) -> list[str]:
        """Return all lines that it has received."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._said += self._socket.recv(4096).decode().split("\n")
        return self._said


@dataclass
class Daemon:
    """A process of ``ipsecwatch daemon``, run as systemd runs it."""

    process: asyncio.subprocess.Process
    systemd: Systemd
    settings: Path


@pytest.fixture
async def daemon(tmp_path: Path, system_bus: PrivateBus) -> AsyncIterator[Daemon]:
    settings = tmp_path / "ipsecwatch.toml"
    settings.write_text(f'control_socket = "{tmp_path}/pluto.ctl"\ninterval = 1.0\n')
    systemd = Systemd(tmp_path)
    environment = {**os.environ, "NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "600000"}
    arguments = ["-m", "ipsecwatch", "daemon", "--config", str(settings)]
    async with FakePluto(f"{tmp_path}/pluto.ctl", lambda _: UP, lambda: 0.0):
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=environment, stderr=asyncio.subprocess.PIPE
        )
        try:
            await until(lambda: "READY=1" in systemd.said())
            yield Daemon(process, systemd, settings)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            systemd.close()


async def test_systemd_is_told_that_it_is_ready_and_how_it_goes(daemon: Daemon) -> None:
    await until(lambda: "STATUS=libreswan 4.10: 1 up" in daemon.systemd.said())
    beats = daemon.systemd.said().count("WATCHDOG=1")
    await until(lambda: daemon.systemd.said().count("WATCHDOG=1") >= beats + 2)


async def test_sigterm_ends_it_cleanly(daemon: Daemon) -> None:
    daemon.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(daemon.process.wait(), 10) == 0
    assert daemon.systemd.said()[-1] == "STOPPING=1"
    assert daemon.process.stderr is not None
    assert b"Traceback" not in await daemon.process.stderr.read()


def loads(daemon: Daemon) -> list[str]:
    return [word for word in daemon.systemd.said() if word in ("RELOADING=1", "READY=1")]


async def test_sighup_reads_the_settings_again_and_survives_bad_ones(daemon: Daemon) -> None:
    for text, word in (("interval = 2.0\n", "read again"), ("intervall = 2\n", "can't be used")):
        daemon.settings.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        assert daemon.process.stderr is not None
        line = ""
        while word not in line:
            line = (await asyncio.wait_for(daemon.process.stderr.readline(), 10)).decode()
            assert line
        # systemd takes the unit for reloading until it hears that it is ready again.
        await until(lambda: loads(daemon)[-1] == "READY=1")
    assert "ipsecwatch.toml:1: unknown setting 'intervall'" in line
    assert loads(daemon) == ["READY=1", "RELOADING=1", "READY=1", "RELOADING=1", "READY=1"]
    assert daemon.process.returncode is None


async def test_a_second_daemon_leaves_with_a_hint(daemon: Daemon) -> None:
    arguments = ["-m", "ipsecwatch", "daemon", "--config", str(daemon.settings)]
    second = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, err = await asyncio.wait_for(second.communicate(), 20)
    assert second.returncode == 3
    assert (
        err.decode()
        .splitlines()[-1]
        .startswith("ipsecwatch: another program has the name org.ipsecwatch1")
    )


async def test_bad_settings_are_a_one_line_error(tmp_path: Path) -> None:
    settings = tmp_path / "ipsecwatch.toml"
    settings.write_text("interval = 'often'\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ipsecwatch", "daemon", "--config", settings,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 2
    assert err.decode().count("\n") == 1
    assert "ipsecwatch.toml:1: interval must be a number" in err.decode()


async def test_a_restarted_service_tells_what_happened_meanwhile_and_nothing_twice(
    tmp_path: Path, system_bus: PrivateBus
) -> None:
    world = World(tmp_path, says=UP)
    kept = StateFile(tmp_path)

    async def serve() -> asyncio.Task[None]:
        service = Service(world.settings(), Sender(None, world.entries), kept=kept)
        running = asyncio.create_task(service.run())
        await until(lambda: len(list(tmp_path.glob("state.json"))))
        await asyncio.sleep(0.5)
        service.stop()
        await running
        return running

    async with FakePluto(world.control, lambda _: world.says, lambda: 0.0):
        await serve()
        await serve()
        began, ended = "<6>Watching began: 1 tunnel, 1 up.", "<6>Watching ended."
        found = "<6>Tunnel site is up at its first poll."
        assert world.entries.getvalue().splitlines() == [began, found, ended, began, ended]
        world.says = DOWN
        await serve()
        assert world.entries.getvalue().splitlines()[5:] == [
            "<6>Watching began: 1 tunnel, 1 down.",
            "<6>Tunnel site is down: It was taken down on this machine.",
            ended,
        ]


async def test_what_the_last_entry_may_tell_otherwise_is_written_at_the_first_look(
    tmp_path: Path, system_bus: PrivateBus
) -> None:
    world = World(tmp_path, says=UP)
    sent: list[Mapping[str, str]] = []

    class Sink(Sender):
        def send(self, fields: Mapping[str, str], *, later: bool = False) -> None:
            sent.append(fields)

    async def serve(wait: float = 0.0) -> str:
        sent.clear()
        service = Service(world.settings(), Sink(), kept=StateFile(tmp_path))
        running = asyncio.create_task(service.run())
        await until(lambda: sent)
        await until(lambda: wait or not (tmp_path / "state.behind").exists())
        await asyncio.sleep(wait)
        service.stop()
        await running
        return service.run_id

    def written() -> list[tuple[str, str]]:
        return [(e["MESSAGE_ID"], e.get("IPSECWATCH_STATE", "")) for e in sent]

    async with FakePluto(world.control, lambda _: world.says, lambda: 0.0):
        first = await serve()
        assert written() == [(BEGAN, ""), (FIRST_LOOK, "up"), (ENDED, "")]
        second = await serve()
        assert written() == [(BEGAN, ""), (ENDED, "")]
        assert sent[0]["IPSECWATCH_PREVIOUS_RUN_ID"] == first
        world.says = UP[: len(UP) // 2]
        third = await serve(wait=0.5)
        assert (FIRST_LOOK, "unknown") in written()
        assert sent[0]["IPSECWATCH_PREVIOUS_RUN_ID"] == second != third
        # The state file of the second run says "up", and the last journal entry says something
        # else.
        world.says = UP
        await serve()
        assert written() == [(BEGAN, ""), (FIRST_LOOK, "up"), (ENDED, "")]
        assert sent[0]["IPSECWATCH_PREVIOUS_RUN_ID"] == second


async def test_a_restarted_service_never_knows_what_nobody_was_told_yet(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    service = Service(Settings(), Sender(None, io.StringIO()), kept=StateFile(tmp_path))
    first, second = (
        service._outcome(look, service._tracker.observe(look), look.at)
        for look in (Poll(0.0, 0.0, parse(DOWN)), Poll(1.0, 1.0, parse(UP)))
    )
    service._outbox.put_nowait(second)
    await service._keep(first)
    assert not state.exists()
    assert service._outbox.get_nowait() is second
    await service._keep(second)
    assert state.exists()


@pytest.mark.parametrize("inactive", [True, False])
async def test_a_unit_that_was_inactive_for_a_moment_has_its_tunnels_down(
    *, inactive: bool, tmp_path: Path
) -> None:
    service = Service(Settings(), Sender(None, io.StringIO()), kept=StateFile(tmp_path))
    mono = asyncio.get_running_loop().time()
    up = Answer(Command.STATUS, UP, 0.001, 0.0, Via.SOCKET, 1)
    await service._polled(up, time.time(), mono)
    if inactive:
        service._system._note("inactive")
    service._system._note("activating")
    await service._polled(AskError(Trouble.STOPPED, "nobody listens"), time.time(), mono + 1)
    (tunnel,) = service._tracker.tunnels.values()
    assert tunnel.state is (TunnelState.DOWN if inactive else TunnelState.UNKNOWN)
    # That it is down is known, and is saved. That nothing is known isn't saved.
    assert service._outbox.get_nowait().known
    assert service._outbox.get_nowait().known is inactive


async def test_it_looks_at_the_moment_at_which_a_tunnel_gets_stuck() -> None:
    service = Service(Settings(stuck_after=1.0), Sender(None, io.StringIO()))
    wakes: list[float] = []
    service.followups = Followups(lambda: wakes.append(time.monotonic()))

    async def polled() -> None:
        answer = Answer(Command.STATUS, TRIED, 0.001, 0.0, Via.SOCKET, 1)
        await service._polled(answer, time.time(), time.monotonic())

    await polled()
    begun = time.monotonic()
    await until(lambda: wakes)
    assert wakes[0] - begun == pytest.approx(1.0, abs=0.3)
    await polled()
    assert [t.state for t in service._tracker.tunnels.values()] == [TunnelState.STUCK]


async def test_a_service_that_is_stopped_tells_and_keeps_the_rest_first(
    tmp_path: Path, system_bus: PrivateBus
) -> None:
    world = World(tmp_path)
    kept = StateFile(tmp_path)
    service = Service(world.settings(), Sender(None, world.entries), kept=kept)
    publish = service._bus.publish
    telling, may_tell = asyncio.Event(), asyncio.Event()

    async def slowly(news: Publication) -> None:
        if news.transitions:
            telling.set()
            await may_tell.wait()
        await publish(news)

    service._bus.publish = slowly  # type: ignore[method-assign]
    async with FakePluto(world.control, lambda _: world.says, lambda: 0.0):
        running = asyncio.create_task(service.run())
        await until(lambda: service._tracker.tunnels, within=30.0)
        world.says = UP
        await asyncio.wait_for(telling.wait(), 30.0)
        service.stop()
        await asyncio.sleep(0.05)
        may_tell.set()
        await asyncio.wait_for(running, 30.0)
    assert world.entries.getvalue().splitlines()[2:] == [
        "<5>Tunnel site is up.",
        "<6>Watching ended.",
    ]
    tracker = Tracker()
    saved = kept.read()
    assert saved is not None
    tracker.restore(saved.data)
    assert [t.state for t in tracker.tunnels.values()] == [TunnelState.UP]


# --- Tasks of two kinds -----------------------------------------------------------------------

CORE = {
    "poller": "_worker.observe",
    "publisher": "_entries.write",
    "bus keeper": "_bus.keep",
}


@pytest.mark.parametrize("task", CORE)
async def test_a_core_task_that_ends_is_logged_once_and_ends_the_service(
    task: str,
    tmp_path: Path,
    system_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(tmp_path)
    service = Service(world.settings(), Sender(None, world.entries))
    owner, _, name = CORE[task].partition(".")

    async def broken(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(getattr(service, owner), name, broken)
    async with FakePluto(world.control, lambda _: world.says, lambda: 0.0):
        with pytest.raises(CoreEndedError, match=task):
            await asyncio.wait_for(service.run(), 20)
    (record,) = [r for r in caplog.records if r.levelname == "CRITICAL"]
    assert record.getMessage() == f"the {task} ended unexpectedly"
    assert record.exc_info is not None
    assert "a fault of ours" in str(record.exc_info[1])


WAKERS = ("_logs.journal", "_logs.file", "_socket", "_system", "_kernel")


@pytest.mark.parametrize("waker", WAKERS)
async def test_a_waker_that_fails_is_logged_and_opened_again_and_ends_nothing(
    waker: str,
    tmp_path: Path,
    system_bus: PrivateBus,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(optional, "PAUSES", (0.1,))
    world = World(tmp_path)
    service = Service(world.settings(), Sender(None, world.entries))
    part = attrgetter(waker)(service)
    opened: list[float] = []

    def open_() -> None:
        opened.append(time.monotonic())

    service._parts = [OptionalPart("this part", open_)]
    part.on_error = service._parts[0].failed
    async with FakePluto(world.control, lambda _: world.says, lambda: 0.0):
        running = asyncio.create_task(service.run())
        await until(lambda: opened)
        before = len(opened)
        part.guard(_raise)
        await until(lambda: len(opened) > before)
        assert not running.done()
        assert (await client.snapshot()).tunnels
        service.stop()
        await running
    assert any("failed; trying again" in m for m in caplog.messages)


def _raise() -> None:
    raise RuntimeError("what nobody expected")
