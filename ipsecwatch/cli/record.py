# SPDX-License-Identifier: MIT
"""``ipsecwatch record``: records pluto's answers and log lines, for a bug report or a test."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch import recording
from ipsecwatch.cli import redact
from ipsecwatch.cli.common import (
    EXIT_OK,
    EXIT_USAGE,
    Failure,
    add_instance,
    instance_settings,
    verb,
)
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.libreswan.status import Reader, daemon_info
from ipsecwatch.pluto import whack
from ipsecwatch.pluto.poller import BUDGET, MAX_PEACE, Costs
from ipsecwatch.pluto.query import Answer, AskError, Command, PlutoClient, Trouble, Via
from ipsecwatch.pluto.unit_file import find_unit
from ipsecwatch.pluto.wakers.pluto_logs import PlutoLogs
from ipsecwatch.recording.redaction import Redactor
from ipsecwatch.report import PlutoState, Poll
from ipsecwatch.sanitize import clean
from ipsecwatch.tracking.tracker import Tracker

if TYPE_CHECKING:
    import argparse

    from ipsecwatch.config import Settings
    from ipsecwatch.report import LogLine, Report

EXAMPLES: Final = (
    ("ipsecwatch record site.jsonl.gz", "until Ctrl-C"),
    (
        "ipsecwatch record --redact --duration 600 site.jsonl.gz",
        "ten minutes, without private data",
    ),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "record", VERBS["record"], run, EXAMPLES)
    parser.add_argument("out", type=Path, metavar="OUT", help="a new file; *.gz is compressed")
    parser.add_argument(
        "--config", type=Path, metavar="F", help="read F instead of the service's settings"
    )
    parser.add_argument(
        "--redact", action="store_true", help="hide private data, as the verb redact does"
    )
    add_instance(parser)
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="S", help="ask every S seconds (default: 1)"
    )
    parser.add_argument("--duration", type=float, metavar="S", help="end after S seconds")


def run(args: argparse.Namespace) -> int:
    if not 0.2 <= args.interval <= 3600:
        raise Failure("--interval must be from 0.2 to 3600", "1 is the default", EXIT_USAGE)
    settings = instance_settings(args.instance, args.config)
    out = redact.create(lambda: recording.Writer(args.out), args.out)
    redactor = Redactor() if args.redact else None
    try:
        with out:
            recorder = _Recorder(out, settings, args.interval, redactor)
            asyncio.run(recorder.run(args.duration))
    except Failure:
        args.out.unlink()  # it is empty
        raise
    name = clean(str(args.out))
    print(f"{recorder.answers} answers and {recorder.lines} log lines in {name}")
    if redactor is not None:
        print(redact.summary(redactor.counts()))
    else:
        print(f"Before you show it to anybody, hide private data: ipsecwatch redact {name} NEW")
    return EXIT_OK


class _Recorder:
    """Asks pluto again and again, and writes its answers and log lines to the recording."""

    def __init__(
        self,
        out: recording.Writer,
        settings: Settings,
        interval: float,
        redactor: Redactor | None,
    ) -> None:
        self._out = out
        self._settings = settings
        self._interval = interval
        self._redactor = redactor
        self._logs = PlutoLogs(settings, self._record_line, lambda: None)
        self._pluto_client = PlutoClient.of(settings)
        self._version: str | None = None
        self._costs = {command: Costs() for command in Command}
        self._spent = 0.0
        """Seconds of pluto's time that the questions of this round have taken."""
        self._reader = Reader()
        self._screen = _Screen()
        self._answered: tuple[Answer, Report] | None = None
        """The last answer to a status request, and its report; None: none yet."""
        self._trouble = ""
        """Why pluto's log file can't be read, as it was last printed."""
        self.answers = 0
        self.lines = 0

    async def run(self, duration: float | None) -> None:
        """Record until ``duration`` seconds are over (None: no limit), or a signal comes.

        Raise Failure where this user may not ask pluto, or libreswan isn't installed.
        """
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        end = float("inf") if duration is None else loop.time() + duration
        try:
            first = await self._ask(Command.STATUS, first=True)
            self._head()
            self._write(first)
            in_journal = self._logs.journal.open()
            self._logs.open_file()
            await self._follow()
            if not in_journal and not self._logs.file.follows:
                self._screen.say("pluto's log cannot be read: there will be no log lines.")
            await self._rounds(self._rest(), stop, end)
        finally:
            await self._logs.catch_up(float("inf"))
            self._logs.close()
            await self._pluto_client.close()
            self._screen.close()

    async def _rounds(self, rest: float, stop: asyncio.Event, end: float) -> None:
        """Ask pluto again and again until ``stop`` is set, or until the loop's time ``end``.

        ``rest`` is the first pause, in seconds.
        """
        loop = asyncio.get_running_loop()
        while not stop.is_set() and loop.time() < end:
            self._screen.show(f"{self.answers} answers, {self.lines} log lines")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(rest, end - loop.time())):
                    await stop.wait()
                return
            rest = await self._round()

    async def _round(self) -> float:
        """Ask pluto for status and traffic, and record both.

        Return how many seconds to wait until the next round.
        """
        self._spent = 0.0
        status = await self._ask(Command.STATUS)
        self._write(status)
        await self._follow()
        traffic = await self._ask(Command.TRAFFIC)
        if traffic is not None:
            self._write(traffic)
        return max(self._interval, self._rest())

    def _rest(self) -> float:
        """Return how many seconds pluto is left alone at least after a round.

        They are proportional to the time that the round took from pluto, up to MAX_PEACE, as in
        the service.
        """
        return min(BUDGET * self._spent, MAX_PEACE)

    async def _ask(self, command: Command, *, first: bool = False) -> dict[str, Any] | None:
        """Ask pluto once; return the entry for the recording, of an answer or of a failure.

        Return None where this question can't be asked (Trouble.UNAVAILABLE). ``first``: raise
        Failure where this user may not ask, or libreswan isn't installed.
        """
        at, mono = time.time(), time.monotonic()
        entry: dict[str, Any] = {"at": round(at, 3), "mono": round(mono, 3), "command": command}
        try:
            answer = await self._pluto_client.ask(command, self._version)
        except AskError as e:
            self._spent += e.busy
            if first:
                _refuse(e, self._settings)
            if e.trouble is Trouble.UNAVAILABLE:
                return None
            if command is Command.STATUS:
                self._screen.record(Poll(at, mono, pluto=e.pluto, why=str(e)))
            return entry | _failed(e, round(time.monotonic() - mono, 3))
        self._spent += self._costs[answer.command].of(answer)
        self._logs.answered(answer)
        if command is Command.STATUS:
            report = self._reader.read(answer.text, "status")
            self._answered = answer, report
            self._version = report.version or self._version
            self._screen.record(Poll(at, mono, report))
        return entry | _answered(answer)

    async def _follow(self) -> None:
        """Record the new lines of the file that pluto logs to, if it logs to one.

        Where that file can't be read, print why, once until the reason changes.
        """
        if self._answered is not None:
            answer, report = self._answered
            await self._logs.follow(answer, daemon_info.log_file(report), time.time())
        if (trouble := self._logs.file.trouble) != self._trouble:
            self._trouble = trouble
            if trouble:
                self._screen.say(f"pluto's log file: {trouble}")

    def _record_line(self, line: LogLine, *, from_file: bool) -> bool:
        """Record a log line; return False, since none makes the recorder ask pluto earlier.

        ``from_file``: it is from the file that pluto logs to, and not from the journal.
        """
        self.lines += 1
        entry = {"at": round(line.at, 3), "journal": line.text, "identifier": line.identifier}
        self._put(entry if from_file else {**entry, "unit": self._settings.unit})
        return False

    def _head(self) -> None:
        self._out.head(self._version, self._interval, redacted=self._redactor is not None)

    def _write(self, entry: dict[str, Any] | None) -> None:
        if entry is not None:
            self.answers += 1
            self._put(entry)

    def _put(self, entry: dict[str, Any]) -> None:
        self._out.write(self._redactor.entry(entry) if self._redactor else entry)


def _refuse(e: AskError, settings: Settings) -> None:
    """Raise Failure where an error means that this user may not ask, or there is no libreswan."""
    if e.forbidden:
        raise Failure(str(e), e.hint_for(find_unit(settings.unit)))
    never = not Path(settings.control_socket).parent.exists() and not whack.find(settings.whack)
    if e.trouble is Trouble.STOPPED and never:
        raise Failure(
            "libreswan wasn't found: neither its control socket nor whack is in its place",
            "If they are elsewhere, set control_socket and whack in the settings",
        )


def _failed(e: AskError, took: float) -> dict[str, Any]:
    """Return the fields of a recording's entry for a request that got no whole answer.

    ``took``: how long it took, in seconds.
    """
    fields = {"exit": None, "stdout": e.partial, "stderr": "", "took": took, "via": e.via}
    hangs = e.trouble is Trouble.UNREACHABLE and "within" in str(e)
    return {**fields, "error": str(e), **({"timed_out": True} if hangs else {})}


def _answered(answer: Answer) -> dict[str, Any]:
    """Return the fields of a recording's entry for an answer."""
    return {
        "exit": answer.exit if answer.via is Via.WHACK else None,
        "stdout": answer.text,
        "stderr": answer.stderr,
        "took": round(answer.took, 4),
        "via": answer.via,
    }


class _Screen:
    """Prints the progress of a recording on stderr.

    It prints pluto's state whenever that changes, and on a terminal a line with the counts so far.
    """

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._is_terminal = sys.stderr.isatty()
        self._said = ""

    def record(self, poll: Poll) -> None:
        """Update what is known from a poll, and print pluto's state if that has changed."""
        self._tracker.observe(poll)
        how = _how(self._tracker.pluto if poll.report else poll.pluto, poll)
        if how != self._said and (how or self._said):
            self.say(how or "pluto answers.")
        self._said = how

    def say(self, text: str) -> None:
        """Print one line, in place of the counts."""
        self.close()
        print(clean(text), file=sys.stderr, flush=True)

    def show(self, counts: str) -> None:
        """Print the counts, if stderr is a terminal, in place of those printed before."""
        if self._is_terminal:
            rows = [terminal.Row.of_tunnel(t) for t in self._tracker.tunnels.values()]
            tunnels = terminal.count(rows) if rows else "no tunnels"
            line = f"{counts}; {tunnels}. Ctrl-C ends it."
            wide = max(20, shutil.get_terminal_size().columns - 1)
            print(f"\r\x1b[K{line[:wide]}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Erase the line of counts."""
        if self._is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _how(pluto: PlutoState, poll: Poll) -> str:
    """Return in words why pluto gave no answer, or that it is starting; "": it runs and answers."""
    if pluto is PlutoState.STARTING:
        return "pluto is starting, and this is recorded."
    return f"{poll.why}, and this is recorded." if poll.report is None else ""
