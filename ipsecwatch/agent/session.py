# SPDX-License-Identifier: MIT
"""The agent in the user's session: follows the service and tells what a person wants to know.

Three loops that don't wait for one another: what the service says goes to the herald, what the
herald has to say goes to the outbox, and the outbox shows it on whatever screen there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from ipsecwatch import client
from ipsecwatch.agent.delivery import Delivery, to_terminal
from ipsecwatch.agent.policy import NotificationPolicy
from ipsecwatch.backoff import Backoff
from ipsecwatch.client.events import Lost
from ipsecwatch.dbus.connection import BusConnection, BusError, connect
from ipsecwatch.dbus.names import request_name
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from ipsecwatch.agent.delivery import Display
    from ipsecwatch.client.events import Event
    from ipsecwatch.config import AgentSettings

logger = logging.getLogger(__name__)

NAME: Final = "org.ipsecwatch1.Agent"
"""Owned on the session's bus: one agent a session is enough."""
RETRY: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between attempts to reach the session's bus; the last one for ever."""


async def run(
    settings: AgentSettings,
    *,
    follow: Callable[[], AsyncGenerator[Event]] = client.follow,
    write: Callable[[str], None] = to_terminal,
) -> int:
    """Tell the user what ``follow`` says, until a signal ends it; answers the exit code.

    ``write`` gets each line that has no screen to be shown on.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    at_work = asyncio.ensure_future(work(settings, follow=follow, write=write))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([at_work, stopped], return_when=asyncio.FIRST_COMPLETED)
        if at_work.done():
            at_work.result()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        for task in (at_work, stopped):
            task.cancel()
        await asyncio.wait([at_work, stopped])
    return 0


async def work(
    settings: AgentSettings,
    *,
    follow: Callable[[], AsyncGenerator[Event]] = client.follow,
    write: Callable[[str], None] = to_terminal,
    name: str = NAME,
) -> None:
    """Do as run() does, but leave the signals alone; returns if there is another agent.

    With an empty ``name``, others don't matter.
    """
    await _Agent(settings, follow, write, name).work()


class _SecondAgent(Exception):  # noqa: N818 - nothing is wrong
    """There is an agent in this session already."""


class _Agent:
    def __init__(
        self,
        settings: AgentSettings,
        follow: Callable[[], AsyncGenerator[Event]],
        write: Callable[[str], None],
        name: str,
    ) -> None:
        self._follow = follow
        self._write = write
        self._name = name
        self._policy = NotificationPolicy(settings)
        self._heard = asyncio.Event()
        self._delivery = Delivery(write)
        self._settled = asyncio.Event()
        """Whether there is a bus, and another agent on it, is known."""

    async def work(self) -> None:
        """Do all there is to do, until another agent turns out to do it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_session())
                await self._settled.wait()
                tasks.create_task(self._hear())
                tasks.create_task(self._tell())
                tasks.create_task(self._delivery.run())
        except* _SecondAgent:
            self._write("ipsecwatch: another agent runs in this session; leaving it to that one")

    async def _hear(self) -> None:
        clock = asyncio.get_running_loop().time
        listening = False
        async with aclosing(self._follow()) as events:
            async for event in events:
                if isinstance(event, Lost):
                    # Before the first snapshot there is nothing to miss: no notice then.
                    level = logging.INFO if listening else logging.WARNING
                    logger.log(level, "%s", ". ".join(filter(None, (event.why, event.hint))))
                else:
                    listening = True
                self._policy.hear(event, clock())
                self._heard.set()

    async def _tell(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._policy.due):
                    await self._heard.wait()
            self._heard.clear()
            for what in self._policy.tell(clock()):
                self._delivery.put(what)

    async def _keep_session(self) -> None:
        """Stay on the session's bus, whenever there is one. Raises _SecondAgent."""
        backoff, said = Backoff(RETRY), ""
        while True:
            try:
                logger.info("the session's bus was lost: %s", await self._attend())
                said = ""
                backoff.reset()
            except BusError as e:
                if str(e) != said:
                    said = str(e)
                    why = ". ".join(filter(None, (clean(said), e.hint)))
                    logger.warning("no notifications on the desktop: %s", why)
            self._settled.set()
            await asyncio.sleep(backoff.next())

    async def _attend(self) -> str:
        """Show notices over the session's bus until it is lost; answers why it was.

        Raises _SecondAgent, BusError.
        """
        connection = await connect("session")
        try:
            if self._name and not await request_name(connection, self._name):
                raise _SecondAgent
            self._delivery.use(_display(connection))
            self._settled.set()
            return await connection.lost()
        finally:
            self._delivery.use(None)
            await connection.close()


def _display(connection: BusConnection) -> Display | None:
    """Make the screen; None where the library for it isn't installed."""
    try:
        # Here, as it is an extra, and takes 0.15 s and 14 MB. AttributeError: version 6.2 asks
        # asyncio for what Python 3.16 will no longer have.
        from ipsecwatch.agent.desktop import NotificationServer
    except (ImportError, AttributeError) as e:
        logger.warning(
            "no notifications on the desktop: %s. "
            "Install the package ipsecwatch-agent, or: pip install 'ipsecwatch[agent]'",
            e,
        )
        return None
    return NotificationServer(connection)
