# SPDX-License-Identifier: MIT
"""The daemon: polls pluto, tracks its tunnels, and announces changes on the bus and in the journal.

The parts are connected here, and systemd is sent the service's status. One task publishes the
outcome of each poll, in order: the signals first, then the journal entries, since a journal that
hangs must not delay signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch import config
from ipsecwatch.config import ConfigError, Settings
from ipsecwatch.libreswan.log_lines import is_evidence
from ipsecwatch.libreswan.status import daemon_info
from ipsecwatch.pluto.followups import Followups
from ipsecwatch.pluto.poller import Poller, PollerEndedError
from ipsecwatch.pluto.probe import Probe
from ipsecwatch.pluto.query import Answer, AskError, Command, PlutoClient
from ipsecwatch.pluto.wakers.inotify import SocketWatch
from ipsecwatch.pluto.wakers.pluto_logs import PlutoLogs
from ipsecwatch.pluto.wakers.systemd import SystemdWatch
from ipsecwatch.pluto.wakers.xfrm import XfrmWatch
from ipsecwatch.reasons import LOG_TEXTS
from ipsecwatch.report import JOURNALD, LogState, PlutoState, Poll, Report
from ipsecwatch.service.bus import Bus, RefusedError
from ipsecwatch.service.journal import Journal
from ipsecwatch.service.log_source import LogSource
from ipsecwatch.service.object_tree import Publication
from ipsecwatch.service.optional import OptionalPart
from ipsecwatch.service.poll_entries import PollEntries
from ipsecwatch.service.poll_outcome import PollOutcome
from ipsecwatch.service.state_file import Saved, StateFile
from ipsecwatch.service.systemd_notify import notify, status_line, watchdog
from ipsecwatch.service.worker import Worker
from ipsecwatch.tracking.late_reasons import is_unexplained
from ipsecwatch.tracking.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.pluto.wakers.waker import Waker
    from ipsecwatch.report import LogLine
    from ipsecwatch.service.journald import Sender
    from ipsecwatch.tunnel import Transition

logger = logging.getLogger(__name__)

FIRST_LOOK: Final = 4.5
"""Seconds to wait at most for the outcome of the first poll. After that, the service goes on the
bus without it, and says that pluto doesn't answer."""

FAREWELL: Final = 5.0
"""Seconds that the service may take, while it stops, to publish and save the outcomes of polls that
are queued."""

SAVE_EVERY: Final = 30.0
"""Seconds after which the state file is written again even without transitions. Until then, polls
without transitions only renew its modification time."""

SYSTEMD_PATIENCE: Final = 1.0
"""Seconds for which the outcome of a first poll, or of a poll without an answer, is held back at
most until systemd has said how pluto's unit is: the advice for people depends on that."""

LOG_LAG: Final = 0.05
"""Seconds that an unexplained loss waits for pluto's log, before it is announced."""


class Service:
    """The service: connects all parts, and runs them in run() until SIGTERM, SIGINT or stop().

    ``sender`` sends its journal entries. ``settings_path`` is the file of settings that is read
    again on SIGHUP. ``kept`` is the state file; None: no state is kept over a restart.
    ``instance`` is the service's name among several instances; "": it has none.
    """

    def __init__(
        self,
        settings: Settings,
        sender: Sender,
        settings_path: Path = config.SERVICE_FILE,
        kept: StateFile | None = None,
        instance: str = "",
    ) -> None:
        self._settings = settings
        self._settings_path = settings_path
        self.run_id: Final = uuid.uuid4().hex
        self._serial = 0
        self._tracker = Tracker(settings.stuck_after, settings.stopped_after)
        self._worker = Worker(self._tracker)
        self._kept = kept or StateFile(None)
        self._journal = Journal(sender, self.run_id, instance)
        self._entries = PollEntries(self._journal, self._kept)
        self._bus = Bus(self.run_id, self._refresh, instance, settings.control_socket)
        self._bus.on_blocked = self._journal.blocked
        self._pluto_client = PlutoClient.of(settings)
        self._probe = Probe(self._pluto_client, settings.interval)
        self._poller = Poller(
            self._ask,
            self._polled,
            interval=settings.interval,
            fast_interval=settings.fast_interval,
            timeout=settings.timeout,
        )
        self._pluto_client.on_recovered = self._poller.wake
        self.followups = Followups(self._poller.wake)
        self._logs = PlutoLogs(settings, self.on_log_line, self.followups.logged)
        self._log_source = LogSource()
        self._log_state: LogState | None = None
        """What our own log has said last about where pluto's log is read from, so that it says so
        only when that changes; None: nothing yet."""
        self._log_trouble = ""
        self._socket = SocketWatch(Path(settings.control_socket), self.followups.wake)
        self._system = SystemdWatch(settings.unit, self.followups.wake)
        self._kernel = XfrmWatch(self.followups.wake)
        self._previous = Saved(None, 0.0)
        """The state that a previous run of the service has saved, if it was restored; else an
        empty one."""
        self._log_since: float | None = None
        """The time (wall clock) from which on pluto's log is read at the start: that of the
        restored state, since there may have been losses after it. None: no state was restored, and
        only lines that are logged from now on are read."""
        self._parts = [
            _part("reading pluto's log", self._logs.journal, self._open_log),
            _part("following pluto's log file", self._logs.file, self._logs.open_file),
            _part("watching pluto's socket", self._socket),
            _part("watching pluto's unit", self._system),
            _part("listening to XFRM", self._kernel),
        ]
        self._whole: Report | None = None
        self._last_poll = 0.0
        self._answered_at = float("-inf")
        self._last_report = Report()
        self._saved_at = float("-inf")
        self._unsaved = False
        self._outbox: asyncio.Queue[PollOutcome] = asyncio.Queue()
        self._started = asyncio.Event()
        """Set once the outcome of the first poll was published, even if there is no bus."""
        self._stop = asyncio.Event()

    def on_log_line(self, line: LogLine, *, from_file: bool = False) -> bool:
        """Pass a log line to the tracker. Return whether pluto should be polled because of it.

        That is so for each line of systemd about pluto's unit, and for those lines of pluto that
        show that something happened to a connection or to pluto (is_evidence()). It isn't so for
        journald's lines that say that it dropped lines of pluto. ``from_file``: the line was read
        from pluto's log file, else from the journal.
        """
        logger.debug("log line of %s: %s", line.identifier, line.text)
        if line.identifier == "systemd":
            self._worker.add_log_line(line)
            return True
        if line.identifier == JOURNALD:
            self._log_source.cut(line.at)
            self._worker.add_log_line(line)
            return False
        self._log_source.count_line(from_file=from_file)
        self._worker.add_log_line(line)
        return is_evidence(line.text)

    def stop(self) -> None:
        """Make run() return."""
        self._stop.set()

    async def run(self) -> None:
        """Run the service until SIGTERM, SIGINT or stop(). Read the settings again on SIGHUP.

        Before returning, publish and save what is queued (FAREWELL), close all parts, and write to
        the journal that watching ended, if it had begun. Raise bus.RefusedError if the service
        can't get its bus name at the start, and CoreEndedError if a task that it needs has ended.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._log_since = self._remember()
        if self._log_since is not None:
            self._logs.file.since = self._log_since
        for part in self._parts:
            part.start()
        poller = asyncio.create_task(self._poller.run(), name="poller")
        publisher = asyncio.create_task(self._publish(), name="publisher")
        guard = asyncio.create_task(watchdog(self._is_alive), name="watchdog")
        keeper = asyncio.create_task(self._keep_bus(), name="bus keeper")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        tasks: list[asyncio.Task[Any]] = [poller, publisher, guard, keeper, stop]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                _end_with(task)
        finally:
            notify("STOPPING=1")
            poller.cancel()
            await asyncio.wait([poller])
            if not publisher.done():
                # Else the next run would publish again what was published in part.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FAREWELL):
                        await self._outbox.join()
            await self._close(tasks)
            if self._started.is_set():
                self._journal.ended(time.time())

    async def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
        """Cancel the service's tasks, close all wakers, and leave pluto's socket and the bus."""
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for part in self._parts:
            part.stop()
        self._logs.close()
        self._socket.close()
        self._kernel.close()
        self._system.close()
        await self._system.wait_closed()
        self.followups.close()
        await self._pluto_client.close()
        await self._bus.stop()

    def _open_log(self) -> None:
        journal = self._logs.journal
        journal.open(journal.last or self._log_since)

    def _remember(self) -> float | None:
        """Restore the state that the previous run has saved, if the state file is fresh and good.

        Return when pluto was asked for that state (wall clock). None: nothing was restored. A bad
        file is renamed.
        """
        saved = self._kept.read()
        if saved is None:
            return None
        try:
            self._tracker.restore(saved.data)
        except ValueError as e:
            self._kept.put_aside(str(e))
            return None
        self._previous = saved
        return saved.at

    # --- polls --------------------------------------------------------------------------

    async def _ask(self) -> Answer:
        return await self._probe.ask(time.monotonic())

    async def _polled(self, answer: Answer | AskError, at: float, mono: float) -> bool:
        """Pass the outcome of a poll (an answer or an error) to the tracker, and queue the result.

        The result is published later, by _publish().

        Return whether any tunnel is being tried, so that the next poll should come soon. ``at`` and
        ``mono`` are when the answer or error came, on the wall clock and the monotonic clock.
        """
        asked = at - (answer.took if isinstance(answer, Answer) else 0.0)
        if isinstance(answer, Answer):
            self._note_answering(answer, mono)
        await self._logs.catch_up(asked)
        if isinstance(answer, AskError) or not self._started.is_set():
            await self._system.known(SYSTEMD_PATIENCE)
        if isinstance(answer, AskError):
            self._probe.whole()
            inactive = self._system.was_inactive(self._answered_at)
            why = str(answer)
            poll = Poll(at, mono, None, answer.pluto, why=why, unit_inactive=inactive, boot=_boot())
        else:
            self._last_poll, self._answered_at = at, mono - answer.took
            poll = await self._answered(answer, at, mono)
        changes = await self._worker.observe(poll)
        if self._logs.count and any(is_unexplained(c) for c in changes):
            # pluto logs before it answers, but journald may deliver the lines later.
            await asyncio.sleep(LOG_LAG)
            await self._logs.catch_up(asked)
            changes = await self._worker.explain(changes)
        if any(c.announced for c in changes):
            self.followups.seen()
        self._outbox.put_nowait(self._outcome(poll, changes, asked))
        self.followups.set_alarm(self._tracker.due)
        return self._tracker.connecting

    def _note_answering(self, answer: Answer, mono: float) -> None:
        """Record which process has answered: its log lines are believed, and its unit is looked up.

        ``mono``: when the answer came.
        """
        self._system.answered(mono - answer.took, self._logs.answered(answer))

    async def _answered(self, answer: Answer, at: float, mono: float) -> Poll:
        """Return the Poll for pluto's answer, with its report.

        If the answer is only the list of SAs, the Poll has the report of the last whole status. If
        the list shows a change since then, also trigger a poll of the whole status.
        """
        report = await self._worker.read(answer)
        if not self._probe.learn(answer, report, mono):
            self._poller.wake()  # an SA changed: the whole status is needed
        if answer.command is Command.STATUS:
            self._whole = report
            self._log_source.compare(report)
            await self._logs.follow(answer, daemon_info.log_file(report), at)
            return Poll(at, mono, self._whole, pid=answer.pid, boot=_boot())
        # No SA has changed, or it isn't known yet what that means: the last report still holds.
        return Poll(at, mono, self._whole, boot=_boot())

    def _outcome(self, poll: Poll, changes: list[Transition], asked: float) -> PollOutcome:
        """Return what is to be published after a poll: all tunnels, and the transitions.

        Each transition that subscribers get a signal about gets the next serial here. ``asked``:
        when pluto was asked (wall clock).
        """
        numbered = []
        for change in changes:
            if change.announced:
                self._serial += 1
                numbered.append((self._serial, change))
        silent = tuple(c for c in changes if not c.announced)
        if poll.report is not None:
            self._last_report = poll.report
        complete = poll.report is not None and poll.report.complete
        news = Publication(
            tunnels=tuple(self._tracker.tunnels.values()),
            transitions=tuple(numbered),
            pluto=self._tracker.pluto,
            pluto_version=self._tracker.version,
            complete=complete,
            unrecognised=self._last_report.unrecognised_count,
            missed=self._tracker.missed,
            log=self._where_log_is(poll.at),
            unit=self._system.unit,
            last_poll=self._last_poll,
            sa_times=self._tracker.sa_times,
        )
        shared = tuple(self._tracker.take_shared_identities())
        known = complete or self._tracker.gone
        return PollOutcome(news, poll, asked, known=known, shared=shared, silent=silent)

    def _where_log_is(self, now: float) -> LogState:
        """Return where pluto's log is read from, at the time ``now`` (wall clock).

        Write it to our own log if it isn't what was written there last, except CUT. In the same
        way, write there why pluto's log file can't be read.
        """
        source, file = self._log_source, self._logs.file
        state = source.state(now, journal=self._logs.journal.reads, file=file.follows)
        if file.trouble and file.trouble != self._log_trouble:
            logger.warning("pluto's log file: %s", file.trouble)
        if state not in (self._log_state, LogState.CUT):
            level = logging.WARNING if state is LogState.NONE else logging.INFO
            logger.log(level, "%s", LOG_TEXTS[state])
            self._log_state = state
        self._log_trouble = file.trouble
        return state

    async def _refresh(self) -> None:
        """Poll pluto for its whole status, and wait until the outcome was published.

        The poll begins after this call, as soon as the budget allows. It may end without an answer.
        """
        self._probe.whole()
        try:
            await self._poller.refresh()
        except PollerEndedError as e:  # the service ends: callers get no answer any more
            raise asyncio.CancelledError from e
        await self._outbox.join()

    # --- telling ------------------------------------------------------------------------

    async def _first_look(self) -> PollOutcome:
        """Return the outcome of the first poll. Wait FIRST_LOOK seconds for it at most.

        After that time, return one that says that pluto is unreachable. Without this wait, clients
        would first see an empty list of tunnels.
        """
        try:
            async with asyncio.timeout(FIRST_LOOK):
                return await self._outbox.get()
        except TimeoutError:
            at, mono = time.time(), time.monotonic()
            why = f"pluto has not answered for {FIRST_LOOK:g} s"
            poll = Poll(at, mono, None, PlutoState.UNREACHABLE, why=why, boot=_boot())
            changes = await self._worker.observe(poll)
            self._outbox.put_nowait(self._outcome(poll, changes, at))
            return await self._outbox.get()

    async def _keep_bus(self) -> None:
        await self._started.wait()
        await self._bus.keep()

    async def _publish(self) -> None:
        """Publish the outcomes of polls in order, and save the state after each. Never return.

        Each is published on the bus, then in the journal, then to systemd as a status line. The
        first one makes the service go on the bus, and tell systemd that it is ready. Raise
        bus.RefusedError if the service can't get its bus name then.
        """
        first = True
        while True:
            if first:
                outcome = await self._first_look()
                await self._bus.start(outcome.news)
                self._started.set()
                notify("READY=1")
                self._journal.unit = outcome.news.unit
                await self._entries.write_began(outcome, self._previous)
            else:
                outcome = await self._outbox.get()
                await self._bus.publish(outcome.news)
                self._journal.unit = outcome.news.unit
            first = False
            await self._entries.write(outcome)
            notify(f"STATUS={status_line(outcome.news)}")
            await self._keep(outcome)
            self._outbox.task_done()

    async def _keep(self, outcome: PollOutcome) -> None:
        """Write the state file, if there were transitions since it was written.

        Also write it if that was more than SAVE_EVERY seconds ago; else only renew its modification
        time. Do nothing if the outcome doesn't show the state of the tunnels (``known``). Write
        nothing while a later outcome waits to be published, since the state would include that one.
        """
        self._unsaved = self._unsaved or bool(outcome.news.transitions or outcome.silent)
        if not outcome.known:
            return
        # Between two transitions only the serials of SAs change, and may be a little old.
        if not self._unsaved and outcome.poll.mono - self._saved_at <= SAVE_EVERY:
            self._kept.touch()
            return
        saved = await self._worker.save()
        if self._outbox.empty():  # else the state would include what isn't published yet
            self._saved_at, self._unsaved = outcome.poll.mono, False
            await asyncio.to_thread(self._kept.write, saved, outcome.asked, self.run_id)

    def _is_alive(self) -> bool:
        """Return whether the service works, for systemd's watchdog.

        It does if the poller polls in time, and the bus isn't stuck (Bus.stuck).
        """
        return self._poller.moving and not self._bus.stuck

    # --- settings -----------------------------------------------------------------------

    def _reload(self) -> None:
        """Read the settings again, and apply them. If they have an error, log it and keep the old.

        systemd is sent messages at the beginning and the end of this.
        """
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            self._apply(config.load_service(self._settings_path))
        except ConfigError as e:
            logger.error("the new settings can't be used, the old ones stay: %s", e)
        finally:  # else systemd would wait for the end of the reload for ever
            notify("READY=1")

    def _apply(self, new: Settings) -> None:
        """Apply new settings. Log which of the changed ones have an effect only after a restart."""
        self._poller.interval = self._probe.interval = new.interval
        self._poller.fast_interval = new.fast_interval
        self._poller.wake()
        self._tracker.stuck_after = new.stuck_after
        self._tracker.stopped_after = new.stopped_after
        fixed = [n for n in _FIXED if getattr(new, n) != getattr(self._settings, n)]
        if fixed:
            logger.warning("these settings change only after a restart: %s", ", ".join(fixed))
        self._settings = new
        logger.info("the settings were read again")


class CoreEndedError(Exception):
    """A task that the service needs, such as the poller, has ended. Our log has the traceback."""


def _end_with(task: asyncio.Task[Any]) -> None:
    """Raise an error because one of the service's main tasks has ended, which none of them should.

    If it ended with a RefusedError, raise that; else log the task's error, and raise
    CoreEndedError. The process ends with it, and systemd starts the service again.
    """
    error = None if task.cancelled() else task.exception()
    if isinstance(error, RefusedError):
        raise error
    logger.critical("the %s ended unexpectedly", task.get_name(), exc_info=error)
    raise CoreEndedError(task.get_name())


def _part(name: str, waker: Waker, open_: Callable[[], object] | None = None) -> OptionalPart:
    """Return an OptionalPart that opens a waker, and opens it again some time after an error.

    It calls ``open_``, or the waker's open() if that is None. ``name`` is for our own log.
    """
    part = OptionalPart(name, open_ or waker.open)
    waker.on_error = part.failed
    return part


_FIXED: Final = (
    "control_socket", "whack", "unit", "log_file", "journal_match", "timeout", "max_answer",
)  # fmt: skip


def _boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
