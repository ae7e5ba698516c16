# SPDX-License-Identifier: MIT
"""``ipsecwatch record``: what pluto says and logs, second by second, for a bug report or a test."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipsecwatch import config, recording
from ipsecwatch.cli.common import EXIT_OK, EXIT_USAGE, Failure, load_settings, verb
from ipsecwatch.libreswan.status import parse
from ipsecwatch.pluto.poller import BUDGET
from ipsecwatch.pluto.query import Answer, AskError, Command, PlutoClient, Trouble, Via
from ipsecwatch.pluto.wakers.journal import PlutoLog
from ipsecwatch.recording.redaction import Redactor
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    import argparse

    from ipsecwatch.report import LogLine

HELP = "record what pluto says and logs, until interrupted"


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "record", HELP, run)
    parser.add_argument("out", type=Path, metavar="OUT", help="a new file; *.gz is compressed")
    parser.add_argument(
        "--config",
        type=Path,
        default=config.SERVICE_FILE,
        metavar="F",
        help="the service's settings",
    )
    parser.add_argument("--redact", action="store_true", help="hide addresses, names, identities")
    parser.add_argument("--interval", type=float, default=1.0, metavar="S", help="default: 1")
    parser.add_argument("--duration", type=float, metavar="S", help="end after so many seconds")


def run(args: argparse.Namespace) -> int:
    if not 0.2 <= args.interval <= 3600:
        raise Failure("--interval must be from 0.2 to 3600", "1 is a good one", EXIT_USAGE)
    settings = load_settings(lambda: config.load_service(args.config))
    try:
        out = recording.Writer(args.out)
    except OSError as e:
        raise Failure(
            f"cannot write {clean(str(args.out))}: {e.strerror}", "Give a new file", EXIT_USAGE
        ) from e
    with out:
        recorder = _Recorder(out, settings, args.interval, Redactor() if args.redact else None)
        asyncio.run(recorder.run(args.duration))
    print(f"{recorder.answers} answers and {recorder.lines} log lines in {clean(str(args.out))}")
    return EXIT_OK


class _Recorder:
    def __init__(
        self,
        out: recording.Writer,
        settings: config.Settings,
        interval: float,
        redactor: Redactor | None,
    ) -> None:
        self._out = out
        self._settings = settings
        self._interval = interval
        self._redactor = redactor
        self._log = PlutoLog(settings.unit, self._heard, lambda: None)
        self._pluto_client = PlutoClient.of(settings)
        self._version: str | None = None
        self.answers = 0
        self.lines = 0

    async def run(self, duration: float | None) -> None:
        """Record until the time is over, or a signal comes."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        first = await self._ask(Command.STATUS)
        self._head()
        self._write(first)
        if not self._log.open():
            print("The journal cannot be read: there will be no log lines.", file=sys.stderr)
        end = float("inf") if duration is None else loop.time() + duration
        rest = self._rest(first)
        try:
            while not stop.is_set() and loop.time() < end:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(rest, end - loop.time())):
                        await stop.wait()
                    return
                rest = await self._round()
        finally:
            await self._log.settle(float("inf"))
            self._log.close()
            await self._pluto_client.close()

    async def _round(self) -> float:
        """Ask what there is to ask; answers how long to leave pluto alone."""
        status = await self._ask(Command.STATUS)
        self._write(status)
        traffic = await self._ask(Command.TRAFFIC)
        if traffic is not None:
            self._write(traffic)
        return max(self._interval, self._rest(status) + self._rest(traffic))

    def _rest(self, entry: dict[str, Any] | None) -> float:
        return BUDGET * float(entry["took"]) if entry else 0.0

    async def _ask(self, command: Command) -> dict[str, Any] | None:
        """Ask once; answers an entry of the recording, or None where this can't be asked."""
        at, mono = time.time(), time.monotonic()
        entry: dict[str, Any] = {"at": round(at, 3), "mono": round(mono, 3), "command": command}
        try:
            answer = await self._pluto_client.ask(command, self._version)
        except AskError as e:
            if e.trouble is Trouble.UNAVAILABLE:
                return None
            took = round(time.monotonic() - mono, 3)
            entry |= {"exit": None, "stdout": e.partial, "stderr": "", "took": took}
            entry |= {"via": e.via, "error": str(e)}
            if e.trouble is Trouble.UNREACHABLE and "within" in str(e):
                entry["timed_out"] = True
            return entry
        if command is Command.STATUS:
            self._version = parse(answer.text).version or self._version
        return entry | self._fields(answer)

    def _fields(self, answer: Answer) -> dict[str, Any]:
        return {
            "exit": answer.exit if answer.via is Via.WHACK else None,
            "stdout": answer.text,
            "stderr": answer.stderr,
            "took": round(answer.took, 4),
            "via": answer.via,
        }

    def _heard(self, line: LogLine) -> None:
        self.lines += 1
        text = self._redactor.text(line.text) if self._redactor else line.text
        self._out.write(
            {
                "at": round(line.at, 3),
                "journal": text,
                "identifier": line.identifier,
                "unit": self._settings.unit,
            }
        )

    def _head(self) -> None:
        self._out.head(self._version, self._interval, redacted=self._redactor is not None)

    def _write(self, entry: dict[str, Any] | None) -> None:
        if entry is None:
            return
        self.answers += 1
        if self._redactor is not None:
            entry["stdout"] = self._redactor.text(entry["stdout"])
            if "error" in entry:
                entry["error"] = self._redactor.text(entry["error"])
        self._out.write(entry)
