# SPDX-License-Identifier: MIT
"""Tests of pluto's lines in a real journal: which are believed, and what a flood of lines does.

All tests are run with both bindings to libsystemd.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import io
import os
import re
import time
from collections import deque
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import client
from ipsecwatch.config import Settings
from ipsecwatch.libsystemd.binding import binding
from ipsecwatch.pluto.wakers.journal import DROPPED, MAX_DAMAGED, PlutoLog
from ipsecwatch.report import JOURNALD
from ipsecwatch.service.daemon import Service
from ipsecwatch.service.journald import Sender
from ipsecwatch.service.state_file import StateFile
from ipsecwatch.tunnel import Reason
from tests.support import journald
from tests.support.bad_pluto import BadPluto
from tests.support.bindings import BINDINGS, choose
from tests.support.journald import PrivateJournald
from tests.support.loop_gauge import Gauge
from tests.support.loop_watch import descriptors
from tests.support.recordings import ROOT, statuses
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
    from pathlib import Path

    from ipsecwatch.libsystemd.journal_reader import JournalReader
    from ipsecwatch.report import LogLine
    from tests.support.dbus_daemon import PrivateBus

    Say = Callable[[Sequence[str]], None]

why = journald.unable_to_be_units()
pytestmark = pytest.mark.skipif(why is not None, reason=str(why))

UNIT = f"ipsecwatch-test-{os.getpid()}.service"
OTHER = f"ipsecwatch-test-{os.getpid()}-other.service"
SAMPLES = statuses(ROOT / "4.10/site.jsonl.gz")
DOWN, UP = SAMPLES[0].stdout, SAMPLES[10].stdout


@pytest.fixture(params=BINDINGS, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    yield from choose(request.param, monkeypatch)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateJournald]:
    with PrivateJournald(tmp_path_factory.mktemp("journal") / "run") as made:
        with made.unit(UNIT) as log:
            log(["is it told whose this is?"])
            found = made.wait_for(1, "MESSAGE=is it told whose this is?")
        if not found or found[0].get("_SYSTEMD_UNIT") != UNIT:
            pytest.skip("journald doesn't see control groups here")
        yield made


@pytest.fixture
def say(logs: PrivateJournald) -> Iterator[Say]:
    with logs.unit(UNIT) as log:
        yield log


WATCHED = re.compile("^<6>Watching (began|ended)|at its first poll")
"""Entries about the begin and end of a run, which are there beside transitions."""


class Listener:
    """Keeps the lines that the reader of the log passes on, and counts the wakes."""

    def __init__(self) -> None:
        self.lines: list[LogLine] = []
        self.woken = 0
        self.worth = True

    def hear(self, line: LogLine) -> bool:
        self.lines.append(line)
        return self.worth

    def wake(self) -> None:
        self.woken += 1

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]


@asynccontextmanager
async def listening(logs: PrivateJournald) -> AsyncGenerator[tuple[Listener, PlutoLog]]:
    listener = Listener()
    log = PlutoLog(UNIT, listener.hear, listener.wake, logs.logs)
    assert log.open()
    try:
        yield listener, log
    finally:
        log.close()


def listen_to(service: Service, logs: PrivateJournald) -> None:
    """Make a service read this journal instead of the system's."""
    pluto_logs = service._logs
    wake = service.followups.logged
    pluto_logs.journal = PlutoLog(UNIT, pluto_logs.on_journal_line, wake, logs.logs)


@pytest.fixture
def own(tmp_path: Path, logs: PrivateJournald) -> Iterator[tuple[PrivateJournald, Say]]:
    """A journald for one test, which may damage its files.

    ``logs`` skips the test if none can run.
    """
    with PrivateJournald(tmp_path / "run") as made, made.unit(UNIT) as log:
        yield made, log


def patch(logs: PrivateJournald, change: Callable[[bytearray], None]) -> None:
    """Change the journal's file in place, as a bad disk or a crash does."""
    (path,) = logs.logs.glob("*.journal")
    with path.open("r+b") as f:
        content = bytearray(f.read())
        change(content)
        f.seek(0)
        f.write(content)


def field_name(field: bytes) -> Callable[[bytearray], None]:
    """Return a change that makes a field's name invalid UTF-8; its entry has no message then."""

    def change(content: bytearray) -> None:
        content[content.index(field) + 1] = 0xFF

    return change


def all_names(content: bytearray) -> None:
    """Make the name of every MESSAGE field invalid UTF-8."""
    content[:] = content.replace(b"MESSAGE=line ", b"M\xffSSAGE=line ")


def equals_sign(field: bytes) -> Callable[[bytearray], None]:
    """Return a change that overwrites a field, so that no "=" is left in it."""

    def change(content: bytearray) -> None:
        at = content.index(field)
        content[at : at + len(field)] = b"x" * len(field)

    return change


def all_fields(field: bytes) -> Callable[[bytearray], None]:
    """Return a change that makes all references to fields invalid, in the entry with this field."""

    def change(content: bytearray) -> None:
        begin, entry = content.index(field), 3
        while content[begin] != entry:  # the entry follows its last data
            begin += 8 - begin % 8
        size = int.from_bytes(content[begin + 8 : begin + 16], "little")
        content[begin + 64 : begin + size] = b"\xff" * (size - 64)

    return change


def read_plainly(logs: PrivateJournald) -> None:
    """Read the MESSAGE of all entries of the unit, without our handling of errors."""
    with closing(binding().reader(logs.logs)) as reader:
        reader.add_match(_SYSTEMD_UNIT=UNIT)
        while reader.next():
            reader.field("MESSAGE")


@pytest.fixture
def gauge() -> Iterator[Gauge]:
    gc.collect()
    gc.freeze()  # objects of other tests aren't the service's
    made = Gauge()
    yield made
    made.remove()
    gc.unfreeze()


async def test_the_lines_of_the_unit_are_heard_and_nobody_elses(
    logs: PrivateJournald, say: Say
) -> None:
    say(["before"])
    await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=before")
    async with listening(logs) as (listener, log):
        forger = Sender(logs.socket)
        for fields in ({}, {"_SYSTEMD_UNIT": UNIT, "_UID": "0"}, {"UNIT": UNIT}):
            forger.send({"MESSAGE": "forged", "PRIORITY": "5", **fields})
        forger.close()
        with logs.unit(OTHER) as other:
            other(["of another unit"])
            await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=of another unit")
        say(["one", "two"])
        await until(lambda: listener.texts == ["one", "two"], within=30.0)
        assert {line.identifier for line in listener.lines} == {"pluto"}
        assert abs(listener.lines[0].at - time.time()) < 60
        assert listener.woken > 0
        assert log.count == 2


def test_a_moment_is_told_by_either_clock_and_with_its_boot(
    logs: PrivateJournald, say: Say
) -> None:
    before = time.time(), time.monotonic()
    say(["when?"])
    logs.wait_for(1, "MESSAGE=when?")
    with closing(binding().reader(logs.logs)) as reader:
        reader.add_match(MESSAGE="when?")
        reader.seek_tail()
        assert reader.previous()
        mono, boot = reader.monotonic()
        assert 0 <= reader.realtime() / 1e6 - before[0] < 30
        assert 0 <= mono / 1e6 - before[1] < 30
        assert boot == reader.field("_BOOT_ID").decode()


def test_a_moment_without_a_fraction_is_one_in_seconds_too(logs: PrivateJournald, say: Say) -> None:
    say(["a moment ago"])
    logs.wait_for(1, "MESSAGE=a moment ago")
    with closing(binding().reader(logs.logs)) as reader:
        reader.add_match(MESSAGE="a moment ago")
        for offset, found in ((-60, True), (60, False)):
            reader.seek_realtime(int(time.time()) + offset)
            assert reader.next() is found


async def test_a_line_ends_at_a_nul(logs: PrivateJournald, say: Say) -> None:
    async with listening(logs) as (listener, _):
        say(["before\0behind", "after"])
        await until(lambda: listener.texts == ["before", "after"], within=30.0)


async def test_what_is_there_already_can_be_waited_for(logs: PrivateJournald, say: Say) -> None:
    async with listening(logs) as (listener, log):
        lines = [f"line {n}" for n in range(1000)]
        say(lines)
        await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=line 999")
        while listener.texts[-1:] != ["line 999"]:
            await log.catch_up(since=float("inf"))
        assert listener.texts == lines


async def test_what_settling_leaves_is_read_after_it(
    logs: PrivateJournald, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ipsecwatch.pluto.wakers.log_waker.TURN", 0.0)  # a line at a time
    monkeypatch.setattr("ipsecwatch.pluto.wakers.log_waker.PATIENCE", 0.0)
    async with listening(logs) as (listener, log):
        asyncio.get_running_loop().remove_reader(log._reader.fileno())  # type: ignore[union-attr]
        lines = [f"left {n}" for n in range(20)]
        say(lines)
        await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=left 19")
        await log.catch_up(since=float("inf"))
        assert listener.texts == lines[:1]
        await until(lambda: listener.texts == lines, within=30.0)


async def test_what_was_logged_after_an_answer_wakes_and_what_was_before_does_not(
    logs: PrivateJournald, say: Say
) -> None:
    async with listening(logs) as (listener, log):
        asyncio.get_running_loop().remove_reader(log._reader.fileno())  # type: ignore[union-attr]
        for since, woken in ((float("inf"), 0), (0.0, 1)):
            say([f"since {since}"])
            await asyncio.to_thread(logs.wait_for, 1, f"MESSAGE=since {since}")
            while listener.texts[-1:] != [f"since {since}"]:
                await log.catch_up(since)
            assert listener.woken == woken


async def test_what_was_logged_since_some_moment_is_heard_where_that_is_asked_for(
    logs: PrivateJournald, say: Say
) -> None:
    say(["long ago"])
    await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=long ago")
    moment = time.time()
    say(["since then"])
    await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=since then")
    listener = Listener()
    log = PlutoLog(UNIT, listener.hear, listener.wake, logs.logs)
    assert log.open(since=moment)
    say(["now"])
    await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=now")
    await until(lambda: listener.texts == ["since then", "now"], within=30.0)
    log.close()


@pytest.mark.parametrize("damaged", [False, True])
async def test_a_service_tells_the_reason_of_what_was_lost_while_there_was_none(
    own: tuple[PrivateJournald, Say], tmp_path: Path, system_bus: PrivateBus, *, damaged: bool
) -> None:
    logs, say = own
    said, written = tmp_path / "said", io.StringIO()
    said.write_text(UP)
    with BadPluto(tmp_path / "pluto.ctl", "read_aloud", text=str(said), pause=0.0) as pluto:

        async def serve(until_what: Callable[[], object]) -> None:
            kept = StateFile(tmp_path)
            settings = Settings(control_socket=pluto.path, interval=0.2)
            service = Service(settings, Sender(None, written), kept=kept)
            listen_to(service, logs)
            running = asyncio.create_task(service.run())
            await until(until_what, within=30.0)
            service.stop()
            await running

        await serve((tmp_path / "state.json").exists)
        others = [f"something else {n}" for n in range(3)]
        say([*others, CAUSE])
        await asyncio.to_thread(logs.wait_for, 1, f"MESSAGE={CAUSE}")
        if damaged:
            for other in others:
                patch(logs, field_name(f"MESSAGE={other}".encode()))
        said.write_text(DOWN)
        await serve(lambda: "is down" in written.getvalue())
    told = [line for line in written.getvalue().splitlines() if not WATCHED.search(line)]
    assert told == ["<6>Tunnel site is down: It was taken down on this machine."]


async def test_where_there_is_no_journal_there_is_no_log(tmp_path: Path) -> None:
    log = PlutoLog(UNIT, lambda _: True, lambda: None, tmp_path / "none")
    assert not log.open()
    await log.catch_up(0.0)
    log.close()


async def test_a_journal_that_comes_later_is_read_then(
    logs: PrivateJournald, say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ipsecwatch.pluto.wakers.journal.REOPEN", (0.05,))
    later, listener = tmp_path / "later", Listener()
    log = PlutoLog(UNIT, listener.hear, listener.wake, later)
    assert not log.open()
    later.symlink_to(logs.logs)

    for _ in range(100):
        say(["it is here"])
        await asyncio.sleep(0.2)
        if listener.texts:
            break
    assert set(listener.texts) == {"it is here"}
    log.close()


# --- A journal that is damaged ----------------------------------------------------------------


@pytest.mark.parametrize("damage", [field_name, equals_sign, all_fields])
async def test_a_damaged_entry_is_skipped_and_what_is_behind_it_is_heard(
    damage: Callable[[bytes], Callable[[bytearray], None]],
    own: tuple[PrivateJournald, Say],
    caplog: pytest.LogCaptureFixture,
) -> None:
    logs, say = own
    caplog.set_level("INFO")
    begin = time.time()
    say(["one", "a damaged line", "two", "three"])
    await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=three")
    patch(logs, damage(b"MESSAGE=a damaged line"))
    with pytest.raises(KeyError, match="MESSAGE"):
        read_plainly(logs)
    listener = Listener()
    log = PlutoLog(UNIT, listener.hear, listener.wake, logs.logs)
    assert log.open(since=begin)
    await log.catch_up(0.0)
    assert listener.texts == ["one", "two", "three"]
    say(["four"])
    await until(lambda: listener.texts[3:] == ["four"], within=30.0)
    log.close()
    assert len(caplog.records) == 1


async def test_a_log_whose_last_entry_is_damaged_is_read_from_there_on(
    own: tuple[PrivateJournald, Say],
) -> None:
    logs, say = own
    say(["one", "a damaged line"])
    await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=a damaged line")
    patch(logs, field_name(b"MESSAGE=a damaged line"))
    async with listening(logs) as (listener, _):
        say(["two"])
        await until(lambda: listener.texts == ["two"], within=30.0)


class Faults:
    """Makes the methods ``what`` fail in all journal readers; counts calls and failures."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.what: tuple[str, ...] = ()
        self.failed = self.made = self.asked = 0
        for name in ("__init__", "next", "process", "seek_tail", "realtime"):
            self._wrap(patch, name, getattr(binding().reader, name))

    def _wrap(self, patch: pytest.MonkeyPatch, name: str, do: Callable[..., object]) -> None:
        def wrapped(reader: object, *args: object, **more: object) -> object:
            self.made += name == "__init__"
            self.asked += name == "next"
            if name in self.what:
                self.failed += 1
                raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG))
            return do(reader, *args, **more)

        patch.setattr(binding().reader, name, wrapped)


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    monkeypatch.setattr("ipsecwatch.pluto.wakers.journal.REOPEN", (0.1, 0.2))
    return Faults(monkeypatch)


async def test_a_journal_full_of_damaged_entries_is_read_once_and_in_turns(
    own: tuple[PrivateJournald, Say],
    gauge: Gauge,
    faults: Faults,
    caplog: pytest.LogCaptureFixture,
) -> None:
    logs, say = own
    caplog.set_level("INFO")
    begin, count = time.time(), MAX_DAMAGED - 100
    say([f"line {n}" for n in range(count)])
    await asyncio.to_thread(logs.wait_for, 1, f"MESSAGE=line {count - 1}")
    patch(logs, all_names)
    listener = Listener()
    log = PlutoLog(UNIT, listener.hear, listener.wake, logs.logs)
    faults.asked, gauge.busy = 0, 0.0
    assert log.open(since=begin)
    await until(lambda: faults.asked >= count, within=30.0)
    say(["good"])
    await until(lambda: listener.texts == ["good"], within=30.0)
    log.close()
    assert faults.asked < count + 50
    assert gauge.busy < 0.05
    assert [r.levelname for r in caplog.records] == ["INFO"]


@pytest.mark.parametrize("what", ["next", "process", "next seek_tail", "process seek_tail"])
async def test_a_reader_that_does_not_get_on_is_made_anew_after_pauses_until_it_does(
    what: str,
    logs: PrivateJournald,
    say: Say,
    faults: Faults,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    before = descriptors()
    async with listening(logs) as (listener, log):
        faults.what = tuple(what.split())
        say([f"lost {what}"])
        await until(lambda: faults.failed, within=30.0)
        end = asyncio.get_running_loop().time() + 0.7
        while asyncio.get_running_loop().time() < end:
            await log.catch_up(0.0)
            await asyncio.sleep(0.02)
        assert 2 < faults.made < 12
        assert faults.failed < 12 * MAX_DAMAGED
        faults.what = ()
        await asyncio.sleep(0.3)
        say([f"heard {what}"])
        await until(lambda: listener.texts[-1:] == [f"heard {what}"], within=30.0)
    assert descriptors() == before
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1


async def test_an_entry_without_a_moment_is_skipped(
    logs: PrivateJournald, say: Say, faults: Faults
) -> None:
    async with listening(logs) as (listener, _):
        faults.what = ("realtime",)
        say(["no moment"])
        await until(lambda: faults.failed, within=30.0)
        faults.what = ()
        say(["a moment"])
        await until(lambda: listener.texts == ["a moment"], within=30.0)


async def test_a_log_that_is_closed_while_it_waits_is_not_opened_again(
    logs: PrivateJournald, say: Say, faults: Faults
) -> None:
    async with listening(logs):
        faults.what = ("process",)
        say(["lost"])
        await until(lambda: faults.failed, within=30.0)
        faults.made = 0
    await asyncio.sleep(0.3)
    assert faults.made == 0


# --- A storm ---------------------------------------------------------------------------------

SECONDS = 3
RATE = 1000
SLICE = 0.02
REFUSED = "no local proposal matches remote proposals"
CAUSE = '"site": terminating SAs using this connection'


async def storm(say: Say) -> None:
    """Log a thousand lines a second about ever new instances."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for n in range(int(SECONDS / SLICE)):
        serials = range(n * int(RATE * SLICE), (n + 1) * int(RATE * SLICE))
        say([f'"rw"[{s}] 192.0.2.7 #{s + 100}: {REFUSED}' for s in serials])
        await asyncio.sleep(begin + (n + 1) * SLICE - loop.time())


@pytest.mark.slow
async def test_a_journal_that_pours_neither_chases_pluto_nor_hides_the_reason(
    logs: PrivateJournald, say: Say, gauge: Gauge, tmp_path: Path, system_bus: PrivateBus
) -> None:
    said = tmp_path / "said"
    said.write_text(UP)
    polls, told = deque[float](), list[client.Event]()
    with BadPluto(tmp_path / "pluto.ctl", "read_aloud", text=str(said), pause=0.0) as pluto:
        service = Service(Settings(control_socket=pluto.path), Sender(None, io.StringIO()))
        listen_to(service, logs)
        ask = service._poller._ask

        async def noted() -> object:
            polls.append(asyncio.get_running_loop().time())
            return await ask()

        service._poller._ask = noted  # type: ignore[assignment]
        tasks = [asyncio.create_task(service.run()), asyncio.create_task(follow(told))]
        await until(lambda: any(isinstance(e, client.Snapshot) for e in told), within=30.0)
        gauge.busy = 0.0
        polls.clear()
        pouring = asyncio.create_task(storm(say))
        await asyncio.sleep(SECONDS / 2)
        say([CAUSE])
        await asyncio.to_thread(logs.wait_for, 1, f"MESSAGE={CAUSE}")
        said.write_text(DOWN)
        await pouring
        await until(lambda: changes(told), within=30.0)
        # All lines have been read, also the last one.
        await until(lambda: service._logs.count == SECONDS * RATE + 1, within=30.0)
        tasks[1].cancel()
        service.stop()
        await asyncio.wait(tasks)
    ((old, new, reason),) = changes(told)
    assert (old, new, reason) == ("up", "down", Reason.OPERATOR)
    for begin in polls:
        assert sum(begin <= t < begin + 0.999 for t in polls) <= 5 + 1  # one may be a regular poll
    assert len(polls) > 1
    assert gauge.busy < 0.05


# --- What is no reason to look at pluto --------------------------------------------------------

OWN_QUESTION = ("| *received whack message", "| FOR_EACH_CONNECTION[sort]... in show_connections")
KNOCK = "packet from 192.0.2.7:500: initial Main Mode message received on 192.0.2.1:500 but no {}"
CHATTER: dict[str, tuple[float, Sequence[str]]] = {
    "our own question": (0.25, OWN_QUESTION),
    "a stranger's packets": (0.25, (KNOCK.format("connection has been authorized"),)),
    "plutodebug=all": (0.02, [f"| processing payload {n} of packet" for n in range(60)]),
}
"""By name: how many seconds are between two bursts, and the lines of a burst."""


@pytest.mark.slow
@pytest.mark.parametrize("what", CHATTER)
async def test_what_tells_nothing_of_a_connection_wakes_nobody_and_a_loss_is_told_meanwhile(
    what: str, own: tuple[PrivateJournald, Say], tmp_path: Path, system_bus: PrivateBus
) -> None:
    logs, say = own
    said, told = tmp_path / "said", list[client.Event]()
    said.write_text(UP)
    pause, lines = CHATTER[what]

    async def chatter() -> None:
        while True:
            say(lines)
            await asyncio.sleep(pause)

    with BadPluto(tmp_path / "pluto.ctl", "read_aloud", text=str(said), pause=0.0) as pluto:
        # Each poll but the first was caused by a line.
        settings = Settings(control_socket=pluto.path, interval=60.0)
        service = Service(settings, Sender(None, io.StringIO()))
        listen_to(service, logs)
        tasks = [asyncio.create_task(work) for work in (service.run(), follow(told), chatter())]
        await until(lambda: any(isinstance(e, client.Snapshot) for e in told), within=30.0)
        await asyncio.sleep(2.0)
        assert service._poller.polls == 1
        said.write_text(DOWN)
        say([CAUSE])
        await until(lambda: changes(told), within=10.0)
        assert service._poller.polls < 6
        for task in tasks[1:]:
            task.cancel()
        service.stop()
        await asyncio.wait(tasks)
    assert changes(told) == [("up", "down", Reason.OPERATOR)]


STAMP = "Nov 28 18:29:31.123456: "
"""How the lines of a pluto begin that logs to standard error."""


async def test_lines_for_developers_are_given_up_and_others_wake_if_they_are_worth_it(
    logs: PrivateJournald, say: Say
) -> None:
    async with listening(logs) as (listener, log):
        listener.worth = False
        say(["| for developers", f"{STAMP}nothing much", f"{STAMP}| more of it", "the end"])
        await until(lambda: listener.texts == ["nothing much", "the end"], within=30.0)
        assert log.count == 2
        assert not listener.woken
        listener.worth = True
        say(["now"])
        await until(lambda: listener.woken == 1, within=30.0)


async def test_that_journald_dropped_lines_of_plutos_is_noted_and_nobody_elses_word_for_it(
    tmp_path: Path,
) -> None:
    limit = tmp_path / "run/systemd/journald.conf.d/limit.conf"
    limit.parent.mkdir(parents=True)
    limit.write_text("[Journal]\nRateLimitIntervalSec=500ms\nRateLimitBurst=50\n")
    with PrivateJournald(tmp_path / "run") as made:
        with made.unit(UNIT) as says, made.unit(OTHER) as other_says:
            async with listening(made) as (listener, _):

                def cuts() -> list[LogLine]:
                    return [x for x in listener.lines if x.identifier == JOURNALD]

                forger = Sender(made.socket)
                fields = {
                    "MESSAGE_ID": DROPPED,
                    "OBJECT_SYSTEMD_UNIT": UNIT,
                    "_TRANSPORT": "driver",
                }
                forger.send(
                    {"MESSAGE": f"Suppressed 9 messages from {UNIT}", "PRIORITY": "4", **fields}
                )
                forger.close()
                other_says([f"other {n}" for n in range(2000)])
                await asyncio.sleep(0.8)
                other_says(["of another unit"])
                await asyncio.to_thread(made.wait_for, 1, "MESSAGE=of another unit")
                say_many = [f"line {n}" for n in range(2000)]
                says(say_many)
                await until(lambda: listener.lines, within=10.0)
                assert cuts() == []
                await asyncio.sleep(0.8)
                says(["the next interval"])
                await until(cuts, within=10.0)
                await until(lambda: listener.texts[-1] == "the next interval", within=10.0)
        (cut,) = cuts()
        assert re.fullmatch(rf"Suppressed \d+ messages from {UNIT}", cut.text)
        assert abs(cut.at - time.time()) < 60
        assert 50 <= len(listener.texts) < 1000
        assert len(made.entries(f"MESSAGE_ID={DROPPED}", "_TRANSPORT=driver")) == 2


async def test_a_log_that_is_longer_than_it_can_be_read_takes_a_share_of_the_time_and_is_left_out(
    own: tuple[PrivateJournald, Say], monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, say = own
    begin, asked = time.time(), 0
    say([f"| line {n}" for n in range(3000)])
    await asyncio.to_thread(logs.wait_for, 1, "MESSAGE=| line 2999")
    go_on = binding().reader.next

    def slowly(reader: JournalReader) -> bool:
        nonlocal asked
        asked += 1
        time.sleep(0.001)
        return go_on(reader)

    monkeypatch.setattr(binding().reader, "next", slowly)
    monkeypatch.setattr("ipsecwatch.pluto.wakers.journal.BEHIND", 1.0)
    listener = Listener()
    log = PlutoLog(UNIT, listener.hear, listener.wake, logs.logs)
    assert log.open(since=begin)
    await asyncio.sleep(0.9)
    assert 0 < asked < 450  # at most half of the time, although a quarter is the limit
    await asyncio.sleep(0.5)
    say(["now"])
    await until(lambda: listener.texts == ["now"], within=5.0)
    assert asked < 1500
    log.close()


def changes(told: list[client.Event]) -> list[tuple[str, str, Reason]]:
    return [(e.old, e.new, e.reason) for e in told if isinstance(e, client.Change)]


async def follow(told: list[client.Event]) -> None:
    async for event in client.follow():
        told.append(event)  # noqa: PERF401 - it is looked at meanwhile
