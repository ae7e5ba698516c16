# SPDX-License-Identifier: MIT
"""Runs the whole service in a process of its own, with a fake pluto in another process.

A test or a benchmark sets what pluto answers and logs. It gets figures about the steps of the
service's event loop.
"""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ipsecwatch.config import Settings
from ipsecwatch.report import LogLine
from ipsecwatch.service.daemon import Service
from ipsecwatch.service.journald import Sender
from ipsecwatch.service.state_file import StateFile
from ipsecwatch.service.worker import share_the_processor
from tests.support.bad_pluto import BadPluto
from tests.support.forked import ForkedProcess
from tests.support.loop_gauge import Gauge

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.forked import Requests


@dataclass(frozen=True, slots=True)
class Figures:
    """What the process measured; the times are those since the last request for figures."""

    busy: float
    """How long the longest step of the event loop took, in seconds of processor time."""
    blocked: float
    """How long the longest step of the event loop took, in seconds of real time."""
    polls: int
    """The number of polls since the start."""
    serial: int
    """The serial number of the last transition."""


class ServiceProcess(ForkedProcess):
    """A process with the service, which runs while its context lasts, on the test's system bus.

    ``text`` is pluto's first answer, and ``cost`` the seconds that pluto takes for an answer.
    ``folder`` has the files of both, and ``settings`` are further settings of the service.
    """

    def __init__(
        self,
        folder: Path,
        text: str,
        cost: float = 0.0,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        self._folder = folder
        self._said = folder / "said"
        self.say(text)
        control = folder / "pluto.ctl"
        self._pluto = BadPluto(control, "read_aloud", text=str(self._said), pause=cost)
        self._settings = Settings(control_socket=str(control), unit="no-such.service", **settings)

    def say(self, text: str) -> None:
        """Set the text that pluto answers from now on."""
        new = self._said.with_suffix(".new")
        new.write_text(text)
        new.replace(self._said)

    def start(self) -> None:
        self._pluto.__enter__()
        super().start()

    def end(self) -> None:
        super().end()
        self._pluto.__exit__()

    def log(self, text: str) -> None:
        """Pass a log line of pluto to the service now."""
        self.tell("log", LogLine(time.time(), text))

    async def figures(self) -> Figures:
        """Return the figures, and begin to measure anew."""
        figures: Figures = await self.ask("figures")
        return figures

    def live(self, requests: Requests) -> None:
        share_the_processor()
        asyncio.run(_serve(requests, self._settings, self._folder))


async def _serve(requests: Requests, settings: Settings, folder: Path) -> None:
    """Run the service; pass log lines to it, and answer requests for figures."""
    gauge = Gauge()
    service = Service(settings, Sender(None, io.StringIO()), kept=StateFile(folder))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(service.run())
        async for what, *how in requests:
            if what == "log":
                service.on_log_line(*how)
                service.followups.logged()
            else:
                poller = service._poller
                requests.answer(Figures(gauge.busy, gauge.blocked, poller.polls, service._serial))
                gauge.blocked = gauge.busy = 0.0
        service.stop()
