# SPDX-License-Identifier: MIT
"""``ipsecwatch demo``: runs the real service, agent and monitor with recorded tunnels.

They run in this process, on a private bus. pluto is replaced by a FakePluto, which plays a
recording on a control socket. Journal entries are printed, and not sent. The demo needs neither
root nor libreswan, and leaves no files behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO, cast

from ipsecwatch import client, recording
from ipsecwatch.agent import session
from ipsecwatch.agent.notifications import plain
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.failure import EXIT_OK, EXIT_USAGE, Failure
from ipsecwatch.cli.parser import verb
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.config import AgentSettings, Settings
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.recording.fake_pluto import FakePluto, Timeline
from ipsecwatch.report import LogLine
from ipsecwatch.sanitize import clean
from ipsecwatch.service.daemon import Service
from ipsecwatch.service.journald import Sender
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator

    from ipsecwatch.agent.notifications import Notification

RECORDING: Final = Path(recording.__file__).parent / "demo/four-tunnels.jsonl.gz"


BUS: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

BUS_LIMIT: Final = 10.0
"""Seconds that dbus-daemon may take until it listens."""
_TRY_BUS: Final = "Try it: dbus-daemon --session --nofork --print-address"

EXAMPLES: Final = (
    ("ipsecwatch demo", "takes some 20 seconds"),
    ("ipsecwatch demo --speed 1", "as fast as it happened: 81 seconds"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "demo", VERBS["demo"], run, EXAMPLES)
    parser.add_argument(
        "--speed", type=float, default=4.0, metavar="N",
        help="play N times as fast as it happened, from 0.5 to 20 (default: 4)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    if not 0.5 <= args.speed <= 20:
        raise Failure("--speed must be from 0.5 to 20", "4 is the default", EXIT_USAGE)
    if shutil.which("dbus-daemon") is None:
        raise Failure("dbus-daemon is not installed", "Debian, Ubuntu: apt install dbus-daemon")
    # The demo's output is on stdout; a missing desktop needs no warning.
    logging.getLogger("ipsecwatch").addHandler(logging.NullHandler())
    logging.getLogger("ipsecwatch").propagate = False
    return asyncio.run(_play(args.speed))


@dataclass(frozen=True, slots=True)
class _Played:
    """The answers to ``status`` and the log lines of a recording.

    The time of each is in seconds since the recording's first entry.
    """

    status: Timeline
    log: list[tuple[float, LogLine]]
    length: float
    """Seconds from the recording's first entry to its last answer to ``status``."""

    @classmethod
    def load(cls, path: Path) -> _Played:
        """Read a recording from a file. Raise RecordingError if it can't be read."""
        statuses: list[tuple[float, str]] = []
        log: list[tuple[float, LogLine]] = []
        start: float | None = None
        for entry in recording.settled(recording.read(path)[1]):
            start = entry.at if start is None else start
            if isinstance(entry, LogLine):
                log.append((entry.at - start, entry))
            elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
                statuses.append((entry.at - start, entry.stdout))
        return cls(Timeline(statuses), log, statuses[-1][0])


async def _play(speed: float) -> int:
    """Start a private bus and a FakePluto, run the demo with them, and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="ipsecwatch-demo-") as name:
        folder = Path(name)
        played = _Played.load(RECORDING)
        output = _Output(speed, terminal.Paint(terminal.colour_wanted()))
        async with private_bus(folder):
            control = str(folder / "pluto.ctl")
            async with FakePluto(control, played.status, output.second):
                return await _run_all(output, played, control)


async def _run_all(output: _Output, played: _Played, control: str) -> int:
    """Run service, monitor and agent until the recording ends, or SIGINT or SIGTERM comes.

    ``control`` is the path of FakePluto's control socket. Return EXIT_OK. If one of the three ends
    with an error, end the others, and raise that error.
    """
    speed = output.speed
    service = Service(
        Settings(
            control_socket=control,
            interval=1.0 / speed,
            fast_interval=1.0 / speed,
            stuck_after=30.0 / speed,
            unit="ipsecwatch-demo.service",
        ),
        Sender(None, cast("TextIO", _Entries(output))),
    )
    stop = asyncio.Event()
    output.open(played)
    world = session.World(
        watches=(), shown=output.shown, unshown=output.unshown, name="", speed=speed
    )
    tasks = [
        asyncio.create_task(service.run(), name="service"),
        asyncio.create_task(_play_log(output, played, service), name="log"),
        asyncio.create_task(_monitor(output), name="monitor"),
        asyncio.create_task(session.work(AgentSettings(), world), name="agent"),
        asyncio.create_task(asyncio.sleep(played.length / speed + 1.0), name="end"),
        asyncio.create_task(stop.wait(), name="interrupted"),
    ]
    await asyncio.sleep(0)  # service and agent set their own handlers first; then ours replace them
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        done, _ = await asyncio.wait(
            [t for t in tasks if t.get_name() != "log"], return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
    finally:
        for task in reversed(tasks):
            task.cancel()
        await asyncio.wait(tasks)
    output.close()
    return EXIT_OK


@dataclass(slots=True)
class _Entries:
    """A stream for the service's journal entries: they are printed, and not sent to the journal."""

    output: _Output

    def write(self, text: str) -> int:
        """Print each line of ``text`` as a journal entry. Return the length of ``text``."""
        for line in text.splitlines():
            self.output.wrote(line)
        return len(text)

    def flush(self) -> None:
        """Return at once: write() has printed everything."""


async def _play_log(output: _Output, played: _Played, service: Service) -> None:
    """Pass pluto's recorded log lines to the service, each when its time in the recording comes."""
    for second, line in played.log:
        await asyncio.sleep((second - output.second()) / output.speed)
        service.on_log_line(line)


async def _monitor(output: _Output) -> None:
    """Follow the service over the bus, until cancelled: print its tunnels and all transitions."""
    async with contextlib.aclosing(client.follow()) as events:
        async for event in events:
            if isinstance(event, client.Snapshot):
                output.first(event)
            elif isinstance(event, client.Change):
                output.changed(event)


@contextlib.asynccontextmanager
async def private_bus(folder: Path) -> AsyncIterator[None]:
    """Run a dbus-daemon while the context lasts, and use it as this process's system bus.

    It is also the session bus if the environment names none. Its files are in ``folder``. Raise
    Failure if dbus-daemon ends before it listens, or doesn't listen within BUS_LIMIT seconds.
    """
    socket, settings, errors = folder / "bus", folder / "bus.conf", folder / "errors"
    settings.write_text(BUS.format(path=socket))
    with errors.open("wb") as stderr:
        # In a session of its own, it doesn't get Ctrl-C; it is ended after everything else.
        daemon = await asyncio.create_subprocess_exec(
            "dbus-daemon", f"--config-file={settings}", "--nofork", "--nopidfile", "--nosyslog",
            start_new_session=True, stdout=asyncio.subprocess.DEVNULL, stderr=stderr,
        )  # fmt: skip
    give_up = time.monotonic() + BUS_LIMIT
    try:
        while not socket.exists():
            if daemon.returncode is not None:
                raise Failure(f"dbus-daemon ended at once{_why(errors)}", _TRY_BUS)
            if time.monotonic() > give_up:
                raise Failure(f"dbus-daemon doesn't listen{_why(errors)}", _TRY_BUS)
            await asyncio.sleep(0.02)
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={socket}"
        os.environ.setdefault("DBUS_SESSION_BUS_ADDRESS", f"unix:path={socket}")
        yield
    finally:
        if daemon.returncode is None:
            daemon.kill()
        await daemon.wait()


def _why(errors: Path) -> str:
    """Return what dbus-daemon has written to this file: a colon and the last line, or ""."""
    lines = errors.read_text(errors="replace").split("\n")
    return next((f": {clean(line)}" for line in reversed(lines) if line.strip()), "")


@dataclass(slots=True)
class _Output:
    """Prints transitions, journal entries and notifications of the demo, and counts them.

    Transitions have the minute and second of the recording in front. What belongs to them is
    printed below.
    """

    speed: float
    """How many times as fast as it was recorded everything happens."""
    paint: terminal.Paint
    began: float = field(default_factory=time.monotonic)
    """When the playing began, by time.monotonic()."""
    signals: int = 0
    """The number of transitions that came over the bus."""
    entries: int = 0
    """The number of journal entries that the service wrote."""
    on_desktop: int = 0
    """The number of notifications that a notification server showed."""
    not_shown: int = 0
    """The number of notifications that are only printed, as no notification server showed them."""
    wide: int = field(default_factory=terminal.columns)

    def second(self) -> float:
        """Return the present time in the recording, in seconds since its first entry."""
        return (time.monotonic() - self.began) * self.speed

    def open(self, played: _Played) -> None:
        """Begin to count the recording's seconds, and print what the demo is about to show."""
        self.began = time.monotonic()
        length = played.length
        self._paragraph(
            f"Four recorded tunnels: {length:.0f} s, played in {length / self.speed:.0f} s. "
            "libreswan's texts, the service, D-Bus, the journal entries and the agent are real. "
            "Only libreswan itself is replaced, by a player. Ctrl-C ends the demo.\n"
        )

    def first(self, seen: client.Snapshot) -> None:
        """Print the names of the tunnels that the service watches, from its Snapshot."""
        names = ", ".join(sorted(v.name for v in seen.tunnels.values())) or "nothing yet"
        self._say(self.paint.dim(f"the service watches {names}"))

    def changed(self, change: client.Change) -> None:
        """Print a transition that came over the bus, and its D-Bus signal.

        For TunnelDown and TunnelStuck, also print the reason's sentence and advice.
        """
        self.signals += 1
        told = f"Tunnel{change.told.capitalize()}" if change.told else "TunnelStateChanged"
        old = terminal.pad(change.old.value, 10)
        new = self.paint.state(change.new, terminal.pad(change.new.value, 10))
        sign = self.paint.state(change.new, terminal.mark(change.new))
        arrow = terminal.arrow()
        line = f"{sign} {terminal.pad(change.name, 9)} {old} {arrow} {new}"
        signal_ = f"{told} #{change.serial}"
        # On a narrow terminal, the signal has a line of its own.
        if len("0:00  ● ") + 9 + 1 + 10 + 2 + len(arrow) + 10 + 1 + len(signal_) <= self.wide:
            self._say(f"{line} {self.paint.dim(signal_)}")
        else:
            self._say(line.rstrip())
            self._more("signal", signal_)
        if change.reason is not Reason.NONE and change.told in ("down", "stuck"):
            words = REASON_TEXTS[change.reason]
            self._more("why", words.sentence)
            if words.advice:
                self._more("", words.advice)

    def wrote(self, entry: str) -> None:
        """Print a journal entry, without the priority (``<5>``) in front."""
        self.entries += 1
        self._more("journal", entry[3:] if entry.startswith("<") else entry)

    def shown(self, notification: Notification) -> None:
        """Print a notification that a notification server shows, too."""
        self.on_desktop += 1
        self._more("desktop", plain(notification))

    def unshown(self, notification: Notification) -> None:
        """Print a notification that no notification server shows."""
        self.not_shown += 1
        self._more("desktop", plain(notification))

    def close(self) -> None:
        """Print the numbers of transitions, journal entries and notifications of the demo."""
        shown = f"{self.on_desktop} notifications were shown on the desktop"
        printed = f"{self.not_shown} notifications would have been shown on a desktop"
        told = " and ".join(
            text for n, text in ((self.on_desktop, shown), (self.not_shown, printed)) if n
        )
        self._paragraph(
            f"\n{self.signals} transitions came over D-Bus, {self.entries} journal entries were "
            f"printed, {told or 'no notifications were shown'}."
        )

    def _paragraph(self, text: str) -> None:
        print("\n".join(p for line in text.split("\n") for p in terminal.wrap(line, self.wide)))

    def _say(self, text: str) -> None:
        second = max(0, int(self.second()))
        print(f"{self.paint.dim(f'{second // 60}:{second % 60:02}')}  {text}", flush=True)

    def _more(self, kind: str, text: str) -> None:
        """Print a paragraph below a transition. ``kind`` is its label, such as ``journal``.

        ``kind`` "": it continues the paragraph above it.
        """
        label = f"        {self.paint.dim(terminal.pad(kind, 8))} "
        for piece in terminal.wrap(text, self.wide - 17):
            print(f"{label}{piece}", flush=True)
            label = " " * 17
