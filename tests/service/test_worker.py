# SPDX-License-Identifier: MIT
"""Tests that thousands of tunnels don't block the service's event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.libreswan.status import Reader
from ipsecwatch.pluto.query import Answer, Command, Via
from ipsecwatch.report import LogLine, Poll
from ipsecwatch.service.worker import MANY, Worker
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason
from tests.bench import gateway
from tests.support.bus_service import asks_for_details, calling
from tests.support.reports import START, child, connection, ike, poll
from tests.support.service_process import ServiceProcess
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from ipsecwatch.tunnel import Transition

TUNNELS = 3000


def work(text: str) -> float:
    """Return how many seconds of processor time it takes to read a status and track its tunnels."""
    began = time.process_time()
    Tracker().observe(Poll(0.0, 0.0, Reader().read(text, "status")))
    return time.process_time() - began


@pytest.mark.slow
@asks_for_details
@pytest.mark.usefixtures("system_bus")
async def test_thousands_of_tunnels_keep_the_loop_from_nobody(tmp_path: Path) -> None:
    up, down = gateway.status(TUNNELS), gateway.status(TUNNELS, up=False)
    busy = []
    with ServiceProcess(tmp_path, up, interval=3600.0) as service:
        async with calling(listen=True) as client:
            await until(lambda: len(client.heard) >= TUNNELS, within=60.0)
            busy.append((await service.figures()).busy)
            for text in (down, up):
                client.heard.clear()
                service.say(text)
                await client.connection.call(*REFRESH, within=60.0)
                await until(lambda: len(client.heard) >= 3 * TUNNELS, within=60.0)
                busy.append((await service.figures()).busy)
            await client.connection.call(*REFRESH, within=60.0)
            busy.append((await service.figures()).busy)
            reply = await client.connection.call(*DETAILS, within=60.0)
            assert len(reply.body[0]) == TUNNELS
            busy.append((await service.figures()).busy)
    # In a single step it would take three times that; on an idle machine it takes a twentieth of
    # that.
    assert max(busy) < work(up) / 3, busy


MANAGER = ("org.ipsecwatch1", "/org/ipsecwatch1", "org.ipsecwatch1.Manager")
REFRESH = (*MANAGER, "Refresh")
DETAILS: tuple[Any, ...] = (*MANAGER, "GetDetails", "asa{sv}", ([], {}))


class Slow(Tracker):
    """A tracker that waits as long as a test wants, and records in which threads it works."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()
        self.threads: list[threading.Thread] = []
        self.heard = 0

    def observe(self, poll: Poll) -> list[Transition]:
        self.threads.append(threading.current_thread())
        heard = self.heard
        assert self.threads[-1] is threading.main_thread() or self.may_go_on.wait(30.0)
        assert self.heard == heard, "a line came while it worked"
        return super().observe(poll)

    def add_log_line(self, line: LogLine) -> None:
        self.heard += 1
        super().add_log_line(line)


def large(second: float) -> Poll:
    return poll(second, [connection(f"c{n}") for n in range(MANY + 1)])


LINE = LogLine(START, '"c1" #1: initiating IKEv2 connection')


async def test_few_tunnels_are_looked_through_on_the_spot() -> None:
    tracker = Slow()
    await Worker(tracker).observe(poll(0, [connection("site")]))
    assert tracker.threads == [threading.main_thread()]


async def test_lines_of_the_log_are_kept_until_many_tunnels_have_been_looked_through() -> None:
    tracker = Slow()
    study = Worker(tracker)
    observing = asyncio.create_task(study.observe(large(0)))
    await until(lambda: tracker.threads, within=30.0)
    study.add_log_line(LINE)
    saving = asyncio.create_task(study.save())
    await asyncio.sleep(0)
    assert (tracker.heard, saving.done()) == (0, False)
    tracker.may_go_on.set()
    assert len(await observing) == MANY + 1
    assert len((await saving)["tunnels"]) == MANY + 1
    assert tracker.heard == 1
    study.add_log_line(LINE)
    assert tracker.heard == 2
    assert tracker.threads != [threading.main_thread()]


async def test_what_fails_in_a_thread_fails_here_and_no_line_is_lost() -> None:
    tracker = Slow()
    study = Worker(tracker)
    observing = asyncio.create_task(study.observe(Poll(0.0, 0.0, large(0).report)))
    tracker.observe = None  # type: ignore[assignment,method-assign]
    study.add_log_line(LINE)
    with pytest.raises(TypeError):
        await observing
    assert tracker.heard == 1


@pytest.mark.parametrize("count", [1, 3 * MANY])
async def test_an_answer_is_read_whatever_its_size(count: int) -> None:
    study = Worker(Tracker())
    text = gateway.status(count)
    report = await study.read(Answer(Command.STATUS, text, 0.1, 0.0, Via.SOCKET))
    assert (report.complete, len(report.connections)) == (True, count)
    states = "".join(line + "\n" for line in text.split("\n") if line.startswith("000 #"))
    cheap = await study.read(Answer(Command.STATES, states, 0.1, 0.0, Via.WHACK))
    assert len(cheap.states) == 2 * count
    again = await study.read(Answer(Command.STATUS, text, 0.1, 0.0, Via.SOCKET))
    assert again.connections[0] is report.connections[0], "the cheap answer made it forget"


# --- The same report again ---------------------------------------------------------------------


def at(second: float, p: Poll) -> Poll:
    return Poll(START + second, second, p.report, pid=p.pid)


def test_of_an_old_report_only_time_goes_on() -> None:
    tracker = Tracker(stuck_after=30)
    first = poll(
        0, [connection("a", policy="UP"), connection("b")], [ike(1, "b"), child(2, "b", 1)]
    )
    tracker.observe(first)
    before = tracker.tunnels["b"]
    assert tracker.observe(at(29, first)) == []
    assert tracker.tunnels["b"] is before
    (stuck,) = tracker.observe(at(30, first))
    assert (stuck.tunnel.name, stuck.new) == ("a", "stuck")


def test_with_a_line_of_the_log_an_old_report_is_looked_at_again() -> None:
    tracker = Tracker(stuck_after=30)
    first = poll(0, [connection("a", policy="UP")])
    history = [tracker.observe(first), tracker.observe(at(30, first))]
    assert [c.reason for changes in history for c in changes] == [Reason.NONE, Reason.OTHER]
    refused = "IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED"
    tracker.add_log_line(LogLine(START, f'"a" #1: {refused}'))
    tracker.observe(at(31, first))
    assert tracker.tunnels["a"].reason is Reason.AUTHENTICATION


def test_who_is_missed_in_an_old_report_goes_when_the_time_of_loading_is_over() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [connection("a"), connection("b")], pid=1))
    started = poll(1, [connection("a")], pid=2)
    assert tracker.observe(started)[-1:] == []
    gone = [c.tunnel.name for t in (3, 5, 7) for c in tracker.observe(at(t, started)) if not c.new]
    assert gone == ["b"]


def test_after_doubt_an_old_report_is_news() -> None:
    tracker = Tracker()
    first = poll(0, [connection("a")])
    tracker.observe(first)
    assert [c.new for c in tracker.observe(Poll(START + 1, 1.0))] == ["unknown"]
    assert [c.new for c in tracker.observe(at(2, first))] == ["down"]
