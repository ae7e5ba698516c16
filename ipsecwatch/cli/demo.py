# SPDX-License-Identifier: MIT
"""``ipsecwatch demo``: the whole way on a private bus, with recordings of real tunnels.

Everything is real but pluto, who is played from recordings: control socket, poller, parser,
tracker, service, D-Bus, journal entries, agent. No root, no libreswan; nothing is left behind.
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
from ipsecwatch.cli.common import EXIT_OK, EXIT_USAGE, Failure, verb
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.config import AgentSettings, Settings
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.recording.fake_pluto import FakePluto, Timeline
from ipsecwatch.report import LogLine
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

EXAMPLES: Final = (
    ("ipsecwatch demo", "some 30 seconds"),
    ("ipsecwatch demo --speed 1", "as it happened"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "demo", VERBS["demo"], run, EXAMPLES)
    parser.add_argument(
        "--speed", type=float, default=4.0, metavar="N",
        help="how many times as fast as it happened (default: 4)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    if not 0.5 <= args.speed <= 20:
        raise Failure("--speed must be from 0.5 to 20", "4 is a good one", EXIT_USAGE)
    if shutil.which("dbus-daemon") is None:
        raise Failure("dbus-daemon is not installed", "Debian, Ubuntu: apt install dbus-daemon")
    # What is to be seen is on stdout; that there is no desktop here is no news.
    logging.getLogger("ipsecwatch").addHandler(logging.NullHandler())
    logging.getLogger("ipsecwatch").propagate = False
    return asyncio.run(_play(args.speed))


@dataclass(frozen=True, slots=True)
class _Played:
    """What is played, by seconds since its start."""

    status: Timeline
    log: list[tuple[float, LogLine]]
    length: float

    @classmethod
    def load(cls, path: Path) -> _Played:
        """Read a recording. Raise recording.RecordingError."""
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
    with tempfile.TemporaryDirectory(prefix="ipsecwatch-demo-") as name:
        folder = Path(name)
        played = _Played.load(RECORDING)
        stage = _Stage(speed, terminal.Paint(terminal.colour_wanted()))
        async with _bus(folder):
            control = str(folder / "pluto.ctl")
            async with FakePluto(control, played.status, stage.second):
                return await _perform(stage, played, control)


async def _perform(stage: _Stage, played: _Played, control: str) -> int:
    speed = stage.speed
    service = Service(
        Settings(
            control_socket=control,
            interval=1.0 / speed,
            fast_interval=1.0 / speed,
            stuck_after=30.0 / speed,
            unit="ipsecwatch-demo.service",
        ),
        Sender(None, cast("TextIO", _Entries(stage))),
    )
    stop = asyncio.Event()
    stage.open(played)
    world = session.World(
        watches=(), shown=stage.shown, unshown=stage.unshown, name="", speed=speed
    )
    tasks = [
        asyncio.create_task(service.run(), name="service"),
        asyncio.create_task(_speak(stage, played, service), name="log"),
        asyncio.create_task(_monitor(stage), name="monitor"),
        asyncio.create_task(session.work(AgentSettings(), world), name="agent"),
        asyncio.create_task(asyncio.sleep(played.length / speed + 1.0), name="end"),
        asyncio.create_task(stop.wait(), name="interrupted"),
    ]
    await asyncio.sleep(0)  # service and agent take the signals for themselves; here they are ours
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
    stage.close()
    return EXIT_OK


@dataclass(slots=True)
class _Entries:
    """What takes the journal's entries where there is no journal: a stream of lines."""

    stage: _Stage

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self.stage.wrote(line)
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


async def _speak(stage: _Stage, played: _Played, service: Service) -> None:
    """Hand the service what pluto logged, as the journal would."""
    for second, line in played.log:
        await asyncio.sleep((second - stage.second()) / stage.speed)
        service.hear(line)


async def _monitor(stage: _Stage) -> None:
    async with contextlib.aclosing(client.follow()) as events:
        async for event in events:
            if isinstance(event, client.Snapshot):
                stage.first(event)
            elif isinstance(event, client.Change):
                stage.changed(event)


@contextlib.asynccontextmanager
async def _bus(folder: Path) -> AsyncIterator[None]:
    """Run a bus of our own, which this process takes for the system's, and the session's too."""
    socket, settings = folder / "bus", folder / "bus.conf"
    settings.write_text(BUS.format(path=socket))
    # A session of its own: Ctrl-C is for us, and we end it when all else has ended.
    daemon = await asyncio.create_subprocess_exec(
        "dbus-daemon", f"--config-file={settings}", "--nofork", "--nopidfile", "--nosyslog",
        start_new_session=True, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(10):
            while not socket.exists():
                if daemon.returncode is not None:
                    raise Failure(
                        "dbus-daemon ended at once", f"Try it: dbus-daemon --config-file={settings}"
                    )
                await asyncio.sleep(0.02)
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={socket}"
        os.environ.setdefault("DBUS_SESSION_BUS_ADDRESS", f"unix:path={socket}")
        yield
    finally:
        if daemon.returncode is None:
            daemon.kill()
        await daemon.wait()


@dataclass(slots=True)
class _Stage:
    """Where it all is shown, by the clock of the recordings."""

    speed: float
    paint: terminal.Paint
    began: float = field(default_factory=time.monotonic)
    signals: int = 0
    entries: int = 0
    on_desktop: int = 0
    """Notices that a notification server took."""
    notices: int = 0
    """Notices that there was no server for."""
    wide: int = field(default_factory=terminal.columns)

    def second(self) -> float:
        """Tell the time, in seconds of the recordings."""
        return (time.monotonic() - self.began) * self.speed

    def open(self, played: _Played) -> None:
        """Begin, and say what is to be seen."""
        self.began = time.monotonic()
        length = played.length
        self._paragraph(
            f"Four recorded tunnels, {length:.0f} s of them in "
            f"{length / self.speed:.0f} s. Real: libreswan's texts, the service, D-Bus, journal "
            "entries and the agent. Played: libreswan itself. Ctrl-C ends it.\n"
        )

    def first(self, seen: client.Snapshot) -> None:
        """Show what there is."""
        names = ", ".join(sorted(v.name for v in seen.tunnels.values())) or "nothing yet"
        self._say(self.paint.dim(f"the service watches {names}"))

    def changed(self, change: client.Change) -> None:
        """Show a transition as it came over the bus."""
        self.signals += 1
        told = f"Tunnel{change.told.capitalize()}" if change.told else "TunnelStateChanged"
        old = terminal.pad(change.old.value, 10)
        new = self.paint.state(change.new, terminal.pad(change.new.value, 10))
        sign = self.paint.state(change.new, terminal.mark(change.new))
        line = f"{sign} {terminal.pad(change.name, 9)} {old} → {new}"
        signal_ = f"{told} #{change.serial}"
        # Where it is narrow, the signal has a line of its own.
        if len("0:00  ● ") + 9 + 1 + 10 + 3 + 10 + 1 + len(signal_) <= self.wide:
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
        """Show a journal entry."""
        self.entries += 1
        self._more("journal", entry[3:] if entry.startswith("<") else entry)

    def shown(self, notice: Notification) -> None:
        """Show a notification that the desktop shows, too."""
        self.on_desktop += 1
        self._more("notice", plain(notice))

    def unshown(self, notice: Notification) -> None:
        """Show a notification that there is no desktop for."""
        self.notices += 1
        self._more("notice", plain(notice))

    def close(self) -> None:
        """Say what there was."""
        shown = f"{self.on_desktop} notices were shown on the desktop"
        printed = f"{self.notices} notices would have been shown on a desktop"
        notices = " and ".join(
            text for n, text in ((self.on_desktop, shown), (self.notices, printed)) if n
        )
        self._paragraph(
            f"\n{self.signals} transitions came over D-Bus, {self.entries} entries went to the "
            f"journal, {notices or 'no notices were shown'}."
        )

    def _paragraph(self, text: str) -> None:
        print("\n".join(p for line in text.split("\n") for p in terminal.wrap(line, self.wide)))

    def _say(self, text: str) -> None:
        second = max(0, int(self.second()))
        print(f"{self.paint.dim(f'{second // 60}:{second % 60:02}')}  {text}", flush=True)

    def _more(self, kind: str, text: str) -> None:
        """Print a labelled paragraph; one without a label goes on with the one before."""
        label = f"        {self.paint.dim(terminal.pad(kind, 8))} "
        for piece in terminal.wrap(text, self.wide - 17):
            print(f"{label}{piece}", flush=True)
            label = " " * 17
