# SPDX-License-Identifier: MIT
"""The daemon: polls pluto, follows its tunnels, and tells bus and journal what happens.

Here the parts are wired together, and systemd is told how it goes. What a poll brings is published
by one task, in order: the signal first, then the journal entry, since a journal that hangs must not
keep the news back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch import config
from ipsecwatch.config import ConfigError, Settings
from ipsecwatch.libreswan.log_lines import is_evidence
from ipsecwatch.libreswan.status import daemon_info
from ipsecwatch.libsystemd.binding import NoLibraryError, notify
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
from ipsecwatch.service.state_file import Saved, StateFile
from ipsecwatch.service.worker import Worker
from ipsecwatch.tracking.late_reasons import is_unexplained
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.pluto.wakers.waker import Waker
    from ipsecwatch.report import LogLine
    from ipsecwatch.service.journald import Sender
    from ipsecwatch.tracking.shared_identity import SharedIdentity
    from ipsecwatch.tunnel import Transition

logger = logging.getLogger(__name__)

BATCH: Final = 100
"""Journal entries that are written before others get their turn."""

FIRST_LOOK: Final = 4.5
"""Seconds within which the first answer is waited for, before the bus name is taken without."""

FAREWELL: Final = 5.0
"""Seconds in which a service that is stopped tells and keeps what it has found out."""

SAVE_EVERY: Final = 30.0
"""Seconds between two writings of what a restarted service should know, if nothing happens."""

SYSTEMD_PATIENCE: Final = 1.0
"""Seconds that the first look, and the word of a pluto that can't be asked, wait for what systemd
says of its unit: advice depends on that."""

MAX_STRANGE: Final = 1000
"""Kinds of unrecognised lines that are told of; more is no release of libreswan's."""

LOG_LAG: Final = 0.05
"""Seconds that a loss without a cause waits for the log, before it is told of as it is."""


@dataclass(frozen=True, slots=True)
class _Told:
    """One poll's news, on its way to bus and journal."""

    news: Publication
    poll: Poll
    asked: float
    """When the question was asked, on the wall clock."""
    known: bool
    """How things are then is known, and worth keeping."""
    shared: tuple[SharedIdentity, ...] = ()
    """Devices that seem to share an identity."""
    silent: tuple[Transition, ...] = ()
    """What nobody is told of: first looks, and tunnels that were down and are no longer listed."""


class Service:
    """Runs until it is told to stop."""

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
        self._logs = PlutoLogs(settings, self.hear, self.followups.logged)
        self._log_source = LogSource()
        self._log_state: LogState | None = None
        """Where it was said that the log is heard."""
        self._log_trouble = ""
        self._socket = SocketWatch(Path(settings.control_socket), self.followups.wake)
        self._system = SystemdWatch(settings.unit, self.followups.wake)
        self._kernel = XfrmWatch(self.followups.wake)
        self._previous = Saved(None, 0.0)
        """What the service before us kept, if that was taken up."""
        self._log_since: float | None = None
        """The log is read from then on (wall clock): it tells the reason of what was lost."""
        self._parts = [
            _part("reading pluto's log", self._logs.journal, self._open_log),
            _part("following pluto's log file", self._logs.file, self._logs.open_file),
            _part("watching pluto's socket", self._socket),
            _part("watching pluto's unit", self._system),
            _part("listening to XFRM", self._kernel),
        ]
        self._whole: Report | None = None
        self._last_poll = 0.0
        self._heard_at = float("-inf")
        self._last_report = Report()
        self._pluto: PlutoState | None = None
        self._strange: set[str] = set()
        self._saved_at = float("-inf")
        self._unsaved = False
        self._outbox: asyncio.Queue[_Told] = asyncio.Queue()
        self._started = asyncio.Event()
        """We are on the bus, or know why we aren't."""
        self._stop = asyncio.Event()

    def hear(self, line: LogLine, *, from_file: bool = False) -> bool:
        """Take note of a line of the log; say whether it is worth a look at pluto."""
        logger.debug("heard from %s: %s", line.identifier, line.text)
        if line.identifier == "systemd":
            self._worker.hear(line)
            return True
        if line.identifier == JOURNALD:
            self._log_source.cut(line.at)
            self._worker.hear(line)
            return False
        self._log_source.hear(from_file=from_file)
        self._worker.hear(line)
        return is_evidence(line.text)

    def stop(self) -> None:
        """Have run() end."""
        self._stop.set()

    async def run(self) -> None:
        """Do everything, until SIGTERM, SIGINT or stop(). Raises bus.RefusedError."""
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
        watchdog = asyncio.create_task(self._watchdog(), name="watchdog")
        keeper = asyncio.create_task(self._keep_bus(), name="bus keeper")
        stop = asyncio.create_task(self._stop.wait(), name="stop")
        tasks: list[asyncio.Task[Any]] = [poller, publisher, watchdog, keeper, stop]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                _end_with(task)
        finally:
            _notify("STOPPING=1")
            poller.cancel()
            await asyncio.wait([poller])
            if not publisher.done():
                # What was told in part would be told again by the service after us.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FAREWELL):
                        await self._outbox.join()
            await self._close(tasks)
            if self._started.is_set():
                self._journal.ended(time.time())

    async def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
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
        """Take up what the service before us knew, if it went just now; answers of when that is."""
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
        """Take what a poll brought; says whether the next one should come soon."""
        asked = at - (answer.took if isinstance(answer, Answer) else 0.0)
        if isinstance(answer, Answer):
            self._note_answering(answer, mono)
        await self._logs.settle(asked)
        if isinstance(answer, AskError) or not self._started.is_set():
            await self._system.known(SYSTEMD_PATIENCE)
        if isinstance(answer, AskError):
            self._probe.whole()
            inactive = self._system.was_inactive(self._heard_at)
            why = str(answer)
            poll = Poll(at, mono, None, answer.pluto, why=why, unit_inactive=inactive, boot=_boot())
        else:
            self._last_poll, self._heard_at = at, mono - answer.took
            poll = await self._answered(answer, at, mono)
        changes = await self._worker.observe(poll)
        if self._logs.count and any(is_unexplained(c) for c in changes):
            # pluto logs before it answers, and journald passes it on in its own time.
            await asyncio.sleep(LOG_LAG)
            await self._logs.settle(asked)
            changes = await self._worker.explain(changes)
        if any(c.announced for c in changes):
            self.followups.seen()
        self._outbox.put_nowait(self._told(poll, changes, asked))
        self.followups.set_alarm(self._tracker.due)
        return self._tracker.connecting

    def _note_answering(self, answer: Answer, mono: float) -> None:
        """Learn who it is that has answered: whose log, and whose unit, tell of our tunnels."""
        self._system.answered(mono - answer.took, self._logs.answered(answer))

    async def _answered(self, answer: Answer, at: float, mono: float) -> Poll:
        report = await self._worker.read(answer)
        if not self._probe.learn(answer, report, mono):
            self._poller.wake()  # something moved: the whole status tells what
        if answer.command is Command.STATUS:
            self._whole = report
            self._log_source.compare(report)
            await self._logs.follow(answer, daemon_info.log_file(report), at)
            return Poll(at, mono, self._whole, pid=answer.pid, boot=_boot())
        # No SA has moved, or it is not known yet what that means: all is as it was.
        return Poll(at, mono, self._whole, boot=_boot())

    def _told(self, poll: Poll, changes: list[Transition], asked: float) -> _Told:
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
        return _Told(news, poll, asked, known=known, shared=shared, silent=silent)

    def _where_log_is(self, now: float) -> LogState:
        """Find out where the log is heard, and say so once."""
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
        self._probe.whole()
        try:
            await self._poller.refresh()
        except PollerEndedError as e:  # we end: nobody is answered any more
            raise asyncio.CancelledError from e
        await self._outbox.join()

    # --- telling ------------------------------------------------------------------------

    async def _first_look(self) -> _Told:
        """Wait for the first poll, so that nobody is told "no tunnels" before it is known.

        A pluto that doesn't answer for long counts as unreachable, until it does.
        """
        try:
            async with asyncio.timeout(FIRST_LOOK):
                return await self._outbox.get()
        except TimeoutError:
            at, mono = time.time(), time.monotonic()
            why = f"pluto has not answered for {FIRST_LOOK:g} s"
            poll = Poll(at, mono, None, PlutoState.UNREACHABLE, why=why, boot=_boot())
            changes = await self._worker.observe(poll)
            self._outbox.put_nowait(self._told(poll, changes, at))
            return await self._outbox.get()

    async def _keep_bus(self) -> None:
        await self._started.wait()
        await self._bus.keep()

    async def _publish(self) -> None:
        """Publish what polls bring, one after the other. Raise bus.RefusedError."""
        first = True
        while True:
            if first:
                told = await self._first_look()
                await self._bus.start(told.news)
                self._started.set()
                _notify("READY=1")
                self._journal.unit = told.news.unit
                await self._write_began(told)
            else:
                told = await self._outbox.get()
                await self._bus.publish(told.news)
                self._journal.unit = told.news.unit
            first = False
            await self._write(told)
            _notify(f"STATUS={status_line(told.news)}")
            await self._keep(told)
            self._outbox.task_done()

    async def _keep(self, told: _Told) -> None:
        self._unsaved = self._unsaved or bool(told.news.transitions or told.silent)
        if not told.known:
            return  # what we don't know just now is nothing to remember
        # Between two transitions only serials change, and those may be a little old.
        if not self._unsaved and told.poll.mono - self._saved_at <= SAVE_EVERY:
            self._kept.touch()
            return
        saved = await self._worker.save()
        if self._outbox.empty():  # or it would hold what nobody was told yet
            self._saved_at, self._unsaved = told.poll.mono, False
            await asyncio.to_thread(self._kept.write, saved, told.asked, self.run_id)

    async def _write_began(self, told: _Told) -> None:
        """Write that watching began, and of which tunnels the last entry may tell otherwise."""
        news = told.news
        self._kept.mark_behind()
        self._journal.began(news.tunnels, news.pluto, told.poll.at, self._previous.run_id)
        if self._previous.behind:
            written = {c.tunnel.key for c in (*told.silent, *(c for _, c in news.transitions))}
            for n, tunnel in enumerate((t for t in news.tunnels if t.key not in written), 1):
                self._journal.found(tunnel, told.poll.at)
                await _let_others(n)

    async def _write(self, told: _Told) -> None:
        if told.silent or told.news.transitions:
            self._kept.mark_behind()
        for n, change in enumerate(told.silent, 1):
            self._write_silent(change)
            await _let_others(n)
        logger.debug("%d transitions", len(told.news.transitions))
        for n, (serial, change) in enumerate(told.news.transitions, 1):
            self._journal.announce(change, serial)
            await _let_others(n)
        self._write_pluto(told)
        for shared in told.shared:
            self._journal.shared_identity(shared)
        report = told.poll.report
        if report is not None:
            # The same unknown line comes with every poll; each kind is news once.
            new = [u for u in report.unrecognised if _shape(u.text) not in self._strange]
            self._strange.update(_shape(u.text) for u in new[:MAX_STRANGE])
            if new and len(self._strange) <= MAX_STRANGE:
                self._journal.unrecognised(len(new), new[0].text, report.version)

    def _write_silent(self, change: Transition) -> None:
        if change.new is None:
            self._journal.unlisted(change)
        else:
            self._journal.found(change.tunnel, change.at)

    def _write_pluto(self, told: _Told) -> None:
        pluto, was = told.news.pluto, self._pluto
        ill = _ILL.get(pluto)
        if ill is not None and pluto is not was:
            self._journal.pluto_lost(pluto, ill, told.poll.why or "")
        elif pluto is PlutoState.RUNNING and was in _ILL:
            self._journal.pluto_back(told.news.pluto_version)
        if pluto is not PlutoState.STARTING:
            self._pluto = pluto

    async def _watchdog(self) -> None:
        """Tell systemd that we are well: that polls still come, not only that a loop turns."""
        limit = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
        if not limit or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            await asyncio.Event().wait()
        while True:
            if self._poller.moving and not self._bus.stuck:
                _notify("WATCHDOG=1")
            await asyncio.sleep(limit / 3)

    # --- settings -----------------------------------------------------------------------

    def _reload(self) -> None:
        """Read the settings again; the old ones stay where the new ones can't be used."""
        _notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            self._apply(config.load_service(self._settings_path))
        except ConfigError as e:
            logger.error("settings not read again, the old ones stay: %s", e)
        finally:  # or systemd would wait for the end of a reload for ever
            _notify("READY=1")

    def _apply(self, new: Settings) -> None:
        """Take new settings; what can't change while we run stays."""
        self._poller.interval = self._probe.interval = new.interval
        self._poller.fast_interval = new.fast_interval
        self._poller.wake()
        self._tracker.stuck_after = new.stuck_after
        self._tracker.stopped_after = new.stopped_after
        fixed = [n for n in _FIXED if getattr(new, n) != getattr(self._settings, n)]
        if fixed:
            logger.warning("takes a restart to change: %s", ", ".join(fixed))
        self._settings = new
        logger.info("settings read again")


class CoreEndedError(Exception):
    """A task ended that the service can't do without. It was logged, with its traceback."""


def _end_with(task: asyncio.Task[Any]) -> None:
    """Raise what a core task ended with, which was not to end. Raise RefusedError, CoreEndedError.

    systemd starts the service anew.
    """
    error = None if task.cancelled() else task.exception()
    if isinstance(error, RefusedError):
        raise error
    logger.critical("the %s ended unexpectedly", task.get_name(), exc_info=error)
    raise CoreEndedError(task.get_name())


async def _let_others(n: int) -> None:
    """Give others their turn, after each so many entries."""
    if n % BATCH == 0:
        await asyncio.sleep(0)


def _part(name: str, waker: Waker, open_: Callable[[], object] | None = None) -> OptionalPart:
    """Make an optional part of a waker."""
    part = OptionalPart(name, open_ or waker.open)
    waker.on_error = part.failed
    return part


_ILL: Final = {
    PlutoState.STOPPED: Reason.PLUTO_STOPPED,
    PlutoState.UNREACHABLE: Reason.PLUTO_UNREACHABLE,
}

_FIXED: Final = (
    "control_socket", "whack", "unit", "log_file", "journal_match", "timeout", "max_answer",
)  # fmt: skip


def status_line(news: Publication) -> str:
    """Say in a line for `systemctl status` how it goes."""
    if news.pluto is not PlutoState.RUNNING:
        return f"pluto is {news.pluto}"
    counts = Counter([t.state for t in news.tunnels])
    told = ", ".join(f"{counts[s]} {s}" for s in TunnelState if counts[s]) or "no tunnels"
    return f"libreswan {news.pluto_version or '?'}: {told}"


def _shape(line: str) -> str:
    """Reduce a line to its kind: no numbers, and only as much as a release's wording takes."""
    return re.sub(r"[\d\"'].*", "", line)[:60]


def _notify(message: str) -> None:
    """Tell systemd; that nobody is there to be told is no reason to end."""
    try:
        notify(message)
    except (OSError, NoLibraryError) as e:
        logger.debug("systemd can't be told %s: %s", message, e)


def _boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
