# SPDX-License-Identifier: MIT
"""The whole service in a process of its own, on a pluto in another, with its loop's steps measured.

A test, or a benchmark, says what pluto answers and logs, and hears how long the loop was kept from
others.
"""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from ipsecwatch.config import Settings
from ipsecwatch.report import LogLine
from ipsecwatch.service.daemon import Service
from ipsecwatch.service.journald import Sender
from ipsecwatch.service.state_file import StateFile
from ipsecwatch.service.worker import share_the_processor
from tests.support.bad_pluto import FakePluto
from tests.support.bus_process import Gauge

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figures:
    """How it was since the last time it was asked, in seconds."""

    busy: float
    """The longest step of the loop, in processor time."""
    blocked: float
    """The same with all that it had to wait for."""
    polls: int
    """All of them so far."""
    serial: int


class Watched:
    """Runs while its context lasts, on the bus that this process takes for the system bus."""

    def __init__(
        self,
        folder: Path,
        text: str,
        cost: float = 0.0,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self._said = folder / "said"
        self.say(text)
        control = folder / "pluto.ctl"
        self._pluto = FakePluto(control, "read_aloud", text=str(self._said), pause=cost)
        made = Settings(control_socket=str(control), unit="no-such.service", **settings)
        fork = multiprocessing.get_context("fork")
        self._pipe, theirs = fork.Pipe()
        args = (self._pipe, theirs, made, folder)
        self._process = fork.Process(target=_live, args=args, daemon=True)

    def say(self, text: str) -> None:
        """Have pluto answer so from now on."""
        new = self._said.with_suffix(".new")
        new.write_text(text)
        new.replace(self._said)

    def __enter__(self) -> Self:
        self._pluto.__enter__()
        self._process.start()
        self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()
        self._process.close()
        self._pluto.__exit__()

    def log(self, text: str) -> None:
        """Have pluto log a line, which arrives at once."""
        self._pipe.send(LogLine(time.time(), text))

    async def figures(self) -> Figures:
        """Ask how it was since the last time."""
        self._pipe.send(None)
        figures: Figures = await asyncio.to_thread(self._pipe.recv)
        return figures


def _live(parents_end: Connection, pipe: Connection, settings: Settings, folder: Path) -> None:
    parents_end.close()
    share_the_processor()
    asyncio.run(_serve(pipe, settings, folder))


async def _serve(pipe: Connection, settings: Settings, folder: Path) -> None:
    gauge = Gauge()
    service = Service(settings, Sender(None, io.StringIO()), kept=StateFile(folder))

    def answer() -> None:
        try:
            what = pipe.recv()
        except EOFError:
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            service.stop()
            return
        if isinstance(what, LogLine):
            service.hear(what)
            service.followups.logged()
            return
        poller = service._poller
        pipe.send(Figures(gauge.busy, gauge.blocked, poller.polls, service._serial))
        gauge.blocked = gauge.busy = 0.0

    asyncio.get_running_loop().add_reader(pipe.fileno(), answer)
    pipe.send(None)
    await service.run()
