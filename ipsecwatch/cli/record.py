# SPDX-License-Identifier: MIT
"""``ipsecwatch record``: records pluto's answers and log lines, for a bug report or a test.

It asks pluto itself, and doesn't need the service.
"""

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
from ipsecwatch.cli.common import instance_settings
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.failure import EXIT_OK, EXIT_USAGE, Failure
from ipsecwatch.cli.parser import add_instance, verb
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
    parser.add_argument(
        "out", type=Path, metavar="OUT",
        help="the file to write, which must not exist yet; *.gz is compressed",
    )  # fmt: skip
    parser.add_argument(
        "--config", type=Path, metavar="F", help="read F instead of the service's settings"
    )
    parser.add_argument(
        "--redact", action="store_true", help="replace private data, as the verb redact does"
    )
    add_instance(parser)
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="S",
        help="ask pluto every S seconds, or more rarely if it is slow (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--duration", type=float, metavar="S", help="end after S seconds (default: until Ctrl-C)"
    )


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
    """Asks pluto again and again, and writes pluto's answers and log lines to a recording.

    With a ``redactor``, private data are replaced in all that is written.
    """

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
        """Seconds that pluto has spent on the questions of the present round."""
        self._reader = Reader()
        self._screen = _Screen()
        self._answered: tuple[Answer, Report] | None = None
        """pluto's last answer to ``status``, and its report; None: there is no answer yet."""
        self._trouble = ""
        """Why pluto's log file can't be read, as last printed; "": it can be, or there is none."""
        self.answers = 0
        self.lines = 0

    async def run(self, duration: float | None) -> None:
        """Record for ``duration`` seconds (None: without a limit), or until SIGINT or SIGTERM.

        Raise Failure, before anything is written, if this user may not ask pluto, or if libreswan
        isn't installed. If pluto doesn't answer for another reason, that is recorded.
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
        """Run one round after another until ``stop`` is set, or until ``end``.

        ``end`` is a time of the event loop's clock. ``rest`` is the pause before the first round,
        in seconds.
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
        """Ask pluto for its status, and, if it can be asked, for its traffic. Record the outcomes.

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
        """Return for how many seconds pluto must not be asked after this round.

        They are BUDGET times as many as pluto has spent on the round, but at most MAX_PEACE: the
        same rule as in the service.
        """
        return min(BUDGET * self._spent, MAX_PEACE)

    async def _ask(self, command: Command, *, first: bool = False) -> dict[str, Any] | None:
        """Ask pluto one question. Return the recording's entry on its answer, or on its failure.

        Return None if the question can't be asked (Trouble.UNAVAILABLE). ``first``: it is the first
        question, and for some failures recording makes no sense: then raise Failure, as _refuse()
        does.
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
        """Record the new lines of pluto's log file, if pluto logs to a file.

        The file's path is known from the last status, or from the settings. If the file can't be
        read, print why, but not the same reason twice in a row.
        """
        if self._answered is not None:
            answer, report = self._answered
            await self._logs.follow(answer, daemon_info.log_file(report), time.time())
        if (trouble := self._logs.file.trouble) != self._trouble:
            self._trouble = trouble
            if trouble:
                self._screen.say(f"pluto's log file: {trouble}")

    def _record_line(self, line: LogLine, *, from_file: bool) -> bool:
        """Write a log line to the recording.

        ``from_file``: the line is from pluto's log file, and not from the journal. Return False,
        which means for the caller that the line doesn't make the next poll earlier.
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
    """Raise Failure if ``e`` says that this user may not ask pluto.

    Raise it also if pluto isn't running, and neither the folder of its control socket nor a whack
    exists: libreswan isn't installed then. For other errors, do nothing.
    """
    if e.forbidden:
        raise Failure(str(e), e.hint_for(find_unit(settings.unit)))
    never = not Path(settings.control_socket).parent.exists() and not whack.find(settings.whack)
    if e.trouble is Trouble.STOPPED and never:
        raise Failure(
            "libreswan wasn't found: neither its control socket nor whack is in its place",
            "If they are elsewhere, set control_socket and whack in the settings",
        )


def _failed(e: AskError, took: float) -> dict[str, Any]:
    """Return the JSON members of the entry on a question that got no complete answer.

    ``took``: the seconds from the question to the error.
    """
    fields = {"exit": None, "stdout": e.partial, "stderr": "", "took": took, "via": e.via}
    hangs = e.trouble is Trouble.UNREACHABLE and "within" in str(e)
    return {**fields, "error": str(e), **({"timed_out": True} if hangs else {})}


def _answered(answer: Answer) -> dict[str, Any]:
    """Return the JSON members of the entry on an answer, except for its time and command."""
    return {
        "exit": answer.exit if answer.via is Via.WHACK else None,
        "stdout": answer.text,
        "stderr": answer.stderr,
        "took": round(answer.took, 4),
        "via": answer.via,
    }


class _Screen:
    """Prints on stderr how the recording goes.

    If pluto stops answering, starts or answers again, a line says so. On a terminal, the last line
    shows the numbers of answers, log lines and tunnels so far, and is updated.
    """

    def __init__(self) -> None:
        self._tracker = Tracker()
        self._is_terminal = sys.stderr.isatty()
        self._said = ""

    def record(self, poll: Poll) -> None:
        """Pass a poll to the tracker. If pluto's state, or why it is silent, is new, print it."""
        self._tracker.observe(poll)
        how = _how(self._tracker.pluto if poll.report else poll.pluto, poll)
        if how != self._said and (how or self._said):
            self.say(how or "pluto answers.")
        self._said = how

    def say(self, text: str) -> None:
        """Print ``text`` as a line that stays; the line with the numbers is erased."""
        self.close()
        print(clean(text), file=sys.stderr, flush=True)

    def show(self, counts: str) -> None:
        """Show ``counts`` and the numbers of tunnels in the line that is updated.

        Do nothing if stderr isn't a terminal.
        """
        if self._is_terminal:
            rows = [terminal.Row.of_tunnel(t) for t in self._tracker.tunnels.values()]
            tunnels = terminal.count(rows) if rows else "no tunnels"
            line = f"{counts}; {tunnels}. Ctrl-C ends it."
            wide = max(20, shutil.get_terminal_size().columns - 1)
            print(f"\r\x1b[K{line[:wide]}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Erase the line with the numbers, if stderr is a terminal."""
        if self._is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _how(pluto: PlutoState, poll: Poll) -> str:
    """Return a text for the user: pluto is starting, or why this poll has no answer.

    Return "" if pluto has answered, and is running.
    """
    if pluto is PlutoState.STARTING:
        return "pluto is starting, and this is recorded."
    return f"{poll.why}, and this is recorded." if poll.report is None else ""
