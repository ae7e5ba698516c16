# SPDX-License-Identifier: MIT
"""The agent in the user's session: follow the service and the machine, and show notifications.

It has several tasks, none of which waits for another. Events go to the policy, which decides which
notifications should be on the screen. The delivery shows these, or prints them if there is no
desktop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import signal
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ipsecwatch import __version__
from ipsecwatch.agent import mutes, notifications, terminal_window, upgrade
from ipsecwatch.agent.all_services import follow_as_one
from ipsecwatch.agent.delivery import Delivery, print_notification, to_terminal
from ipsecwatch.agent.machine import Network, Sleep
from ipsecwatch.agent.memory import Memory, MemoryFile
from ipsecwatch.agent.mutes import MutesError, Until
from ipsecwatch.agent.named_tunnels import NamedTunnels
from ipsecwatch.agent.policy import NotificationPolicy
from ipsecwatch.agent.route_watch import watch_routes
from ipsecwatch.agent.rules import Button
from ipsecwatch.agent.settings_watch import SETTLE, FileWatch, SettingsFile
from ipsecwatch.agent.system_watch import watch_system
from ipsecwatch.backoff import Backoff
from ipsecwatch.client.events import Lost
from ipsecwatch.client.views import Snapshot
from ipsecwatch.dbus.connection import BusConnection, connect
from ipsecwatch.dbus.errors import BusError
from ipsecwatch.dbus.names import request_name
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
    from pathlib import Path

    from ipsecwatch.agent.desktop import NotificationServer
    from ipsecwatch.agent.machine import MachineEvent
    from ipsecwatch.agent.notifications import Notification
    from ipsecwatch.client.events import Event
    from ipsecwatch.config import AgentSettings

logger = logging.getLogger(__name__)

NAME: Final = "org.ipsecwatch1.Agent"
"""The name that the agent owns on the session's bus, so that only one agent runs in a session."""
RETRY: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between attempts to connect to the session's bus. The last one is repeated."""
STARTED: Final = 5.0
"""Seconds after the start at which memory that only the start needed is given back to the
kernel."""


async def _report_routes(tell: Callable[[MachineEvent], object]) -> None:
    """Call ``tell`` with a Network event now, and whenever what it says has changed, for ever."""
    await watch_routes(lambda online: tell(Network(online)))


WATCHES: Final = (watch_system, _report_routes)
"""Functions that report events of the machine. Each gets the function to call with an event, and
runs for ever, or returns if it can't watch."""
_MUTES: Final = {
    Button.MUTE_HOUR: Until.HOUR,
    Button.MUTE_LOGIN: Until.LOGIN,
    Button.MUTE_EVER: Until.EVER,
}


@dataclass(frozen=True, slots=True)
class World:
    """Where the agent's events come from, and where its output goes.

    The demo and tests replace it.
    """

    follow: Callable[[], AsyncGenerator[Event]] = follow_as_one
    watches: Sequence[Callable[[Callable[[MachineEvent], object]], Awaitable[None]]] = WATCHES
    shown: Callable[[Notification], object] = lambda _: None
    """Called with each notification that a notification server accepted."""
    unshown: Callable[[Notification], object] = print_notification
    """Called with each notification that can't be shown on a desktop."""
    write: Callable[[str], None] = to_terminal
    name: str = NAME
    """The bus name that the agent owns. If "", other agents may run at the same time, nothing is
    saved, and tunnels can't be muted."""
    speed: float = 1.0
    """How many times faster than in real time the agent's waiting times pass."""


_WORLD: Final = World()


async def run(file: Path, world: World = _WORLD) -> int:
    """Show notifications until SIGTERM or SIGINT ends the agent. Return the exit code.

    ``file`` is the settings file. It is read again when it changes, and on SIGHUP. The agent also
    ends if another one already runs in this session (the exit code is 0), and if a newer version
    was installed, which upgrade.restart() starts.
    """
    loop = asyncio.get_running_loop()
    stop, hup = asyncio.Event(), asyncio.Event()
    settings = SettingsFile(file)
    settings.load()
    agent = Agent(settings.settings, world)
    agent.configure(settings)
    handlers = {signal.SIGTERM: stop.set, signal.SIGINT: stop.set, signal.SIGHUP: hup.set}
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    at_work = asyncio.ensure_future(agent.work())
    others = [
        asyncio.ensure_future(stop.wait()),
        asyncio.ensure_future(settings.watch(lambda: agent.configure(settings), hup)),
    ]
    try:
        await asyncio.wait([at_work, *others], return_when=asyncio.FIRST_COMPLETED)
        if at_work.done():
            at_work.result()
        elif others[1].done():
            others[1].result()
        else:
            await agent.end()
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
        for task in (at_work, *others):
            task.cancel()
        await asyncio.wait([at_work, *others])
    return upgrade.restart() if agent.is_outdated else 0


async def work(settings: AgentSettings, world: World = _WORLD) -> None:
    """Show notifications like run(), with settings that don't change, and without handling signals.

    Return only if another agent runs in this session, or a newer version was installed. If this is
    cancelled, the notifications are removed from the screen first.
    """
    await Agent(settings, world).work()


class _SecondAgent(Exception):  # noqa: N818 - nothing is wrong
    """Another agent already runs in this session."""


class _Outdated(Exception):  # noqa: N818 - nothing is wrong
    """A newer version of the agent was installed than the one that runs."""


@dataclass(slots=True)
class _Session:
    """What belongs to the session's bus: the notification server, and the saved memory."""

    display: NotificationServer | None = None
    file: MemoryFile | None = None
    memory: Memory = field(default_factory=Memory)


class Agent:
    """The agent: its tasks, and the state that they share."""

    def __init__(self, settings: AgentSettings, world: World) -> None:
        self._world = world
        self._loop = asyncio.get_running_loop()
        self._policy = NotificationPolicy(settings, self._now())
        self._delivery = Delivery(world.shown, world.unshown, self._remember)
        self._wakeup = asyncio.Event()
        """Set when _decide() must ask the policy again."""
        self._session = _Session()
        self._settled = asyncio.Event()
        """Set once it is known whether there is a session bus, and whether another agent is on
        it."""
        self.is_outdated = False
        """Whether this agent ended because a newer version was installed."""
        self._mutes = mutes.mutes_file() if world.name else None

    def _now(self) -> float:
        """Return the time for the policy: monotonic seconds, multiplied by ``speed``."""
        return self._loop.time() * self._world.speed

    def configure(self, file: SettingsFile) -> None:
        """Use the file's last settings without a mistake. Report the mistake that it has now."""
        self._policy.configure(file.settings, self._now(), file.mistake)
        self._wakeup.set()

    async def work(self) -> None:
        """Run all tasks.

        Return if another agent already runs, or if a newer version was installed.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._keep_session())
                await self._settled.wait()
                tasks.create_task(self._follow_service())
                for watch in self._world.watches:
                    tasks.create_task(_forever(watch, self._handle))
                tasks.create_task(self._decide())
                tasks.create_task(self._delivery.run())
                if self._mutes is not None:
                    tasks.create_task(self._watch_mutes(self._mutes))
                tasks.create_task(_give_back_memory())
        except* _SecondAgent:
            self._world.write(
                "ipsecwatch: another agent already runs in this session, so this one ends"
            )
        except* _Outdated:
            logger.debug("a newer agent replaces this one")

    async def end(self) -> None:
        """Remove all notifications from the screen, within a second, and save the memory."""
        await self._delivery.end()
        self._remember()

    # --- Events, and what follows from them ---------------------------------------------------

    def _handle(self, event: Event | MachineEvent) -> None:
        """Pass an event to the policy. After the machine has slept, read the file of mutes again.

        The loop's clock stands still during sleep, while the hour of a mute passes.
        """
        self._policy.record(event, self._now())
        if isinstance(event, Sleep) and not event.asleep:
            self._apply_mutes()  # the hour of a mute passes while the machine sleeps
        self._wakeup.set()

    async def _follow_service(self) -> None:
        """Pass the service's events to the policy, for ever, with NetworkManager's names in them.

        Raise _Outdated if a Snapshot shows that a newer version was installed.
        """
        listening = False
        names = NamedTunnels(self._handle)
        async with aclosing(names), aclosing(self._world.follow()) as events:
            async for event in events:
                if isinstance(event, Lost):
                    level = logging.INFO if listening else logging.WARNING
                    logger.log(level, "%s", ". ".join(filter(None, (event.why, event.hint))))
                else:
                    listening = True
                if isinstance(event, Snapshot):
                    self._compare_versions(event.version)
                self._handle(names.named(event))

    async def _decide(self) -> None:
        """Pass the wanted notifications to the delivery, after each event and when one is due."""
        while True:
            due = self._policy.due
            at = None if due is None else due / self._world.speed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(at):
                    await self._wakeup.wait()
            self._wakeup.clear()
            self._delivery.want(self._policy.wanted(self._now()), self._policy.held)

    def _expired(self, slot: str) -> None:
        """Record that the notification server removed the notification in a slot by itself."""
        self._delivery.closed(slot)
        self._remember()

    def _closed(self, slot: str) -> None:
        """Record that the user closed the notification in a slot."""
        key = self._delivery.closed(slot)
        if key is not None:
            self._policy.close(key)
            self._wakeup.set()
        self._remember()

    # --- Buttons, and what is muted -----------------------------------------------------------

    def _pressed(self, slot: str, button: Button) -> None:
        """Carry out the action of a button that was pressed in a slot's notification.

        Show the notification that answers it, if there is one. The one with the button counts as
        closed by the user.
        """
        key = self._delivery.closed(slot)
        notification = None if key is None else self._policy.press(key, button)
        if notification is not None:
            answer = self._carry_out(button, notification)
            if answer is not None:
                self._policy.answer(answer, self._now())
        self._wakeup.set()
        self._remember()

    def _carry_out(self, button: Button, notification: Notification) -> Notification | None:
        """Carry out the action of a button.

        Return the notification to show as an answer; None: there is none.
        """
        match button:
            case Button.DETAILS:
                has_terminal = bool(terminal_window.find_terminal())
                return notifications.details_of(notification, terminal=has_terminal)
            case Button.TERMINAL:
                terminal_window.open_terminal(notification.path, notification.name)
                return None
            case Button.UNMUTE:
                return self._change_mutes(notification, None)
        return self._change_mutes(notification, button)

    def _change_mutes(self, notification: Notification, how: Button | None) -> Notification | None:
        """Mute a notification's tunnel as the button ``how`` says; None: unmute it.

        Return the notification to show as an answer; None: there is none.
        """
        if self._mutes is None:
            return None
        try:
            if how is None:
                mutes.unmute(self._mutes, notification.name, time.time())
            else:
                mutes.mute(self._mutes, notification.name, _MUTES[how], time.time())
        except MutesError as e:
            logger.warning("%s", e)
            return notifications.not_changed(notification, str(e))
        self._apply_mutes()
        return None if how is None else notifications.muted(notification, how)

    def _apply_mutes(self) -> None:
        """Read the file of mutes, and use what is in it. If it can't be read, nothing changes."""
        if self._mutes is None:
            return
        wall, now = time.time(), self._now()
        try:
            found = mutes.load(self._mutes, wall)
        except MutesError as e:
            logger.warning("%s. Muted tunnels stay as they were before", e)
            return
        self._policy.mute({m.name: now + m.left(wall) for m in found}, now)
        self._wakeup.set()

    async def _watch_mutes(self, path: Path) -> None:
        """Read the file of mutes, now and whenever it changes, for ever."""
        changed = asyncio.Event()
        while True:
            changed.clear()
            with FileWatch(path, changed):
                self._apply_mutes()
                await changed.wait()
                await asyncio.sleep(SETTLE)

    def _begin_login(self) -> None:
        """Remove from the file the mutes that last until the next login, since this is it."""
        if self._mutes is not None:
            try:
                mutes.begin_login(self._mutes, time.time())
            except MutesError as e:
                logger.debug("%s", e)

    def _compare_versions(self, on_the_bus: str) -> None:
        """Raise _Outdated if a newer version was installed, but only once for each such version.

        That version is saved before. If it can't be saved, nothing is raised, because the agent
        might then restart again and again. ``on_the_bus`` is the version of the service.
        """
        newer = upgrade.newer_version(on_the_bus)
        memory, file = self._session.memory, self._session.file
        if not newer or file is None or memory.restarted_for == newer:
            return
        memory.restarted_for = newer
        if self._remember():  # otherwise it might restart without end
            logger.warning("ipsecwatch %s is installed, this is %s", newer, __version__)
            self.is_outdated = True
            raise _Outdated

    # --- The session's bus --------------------------------------------------------------------

    async def _keep_session(self) -> None:
        """Show notifications over the session's bus, for ever. Connect again whenever it is lost.

        Raise _SecondAgent if another agent already runs in this session.
        """
        backoff, said = Backoff(RETRY), ""
        while True:
            try:
                logger.info("the session's bus was lost: %s", await self._show_until_lost())
                said = ""
                backoff.reset()
            except BusError as e:
                if str(e) != said:
                    said = str(e)
                    why = ". ".join(filter(None, (clean(said), e.hint)))
                    logger.warning("no notifications on the desktop: %s", why)
            self._settled.set()
            await asyncio.sleep(backoff.next())

    async def _show_until_lost(self) -> str:
        """Show notifications over the session's bus until that is lost. Return why it was lost.

        Raise _SecondAgent if another agent already runs in this session, and BusError if the bus
        can't be used. If this is cancelled, remove the notifications first, unless a newer version
        of the agent takes them over.
        """
        connection = await connect("session")
        try:
            if self._world.name and not await request_name(connection, self._world.name):
                raise _SecondAgent
            await self._open_display(connection)
            self._settled.set()
            return await connection.lost()
        except asyncio.CancelledError:
            if not self.is_outdated:  # the next agent takes over what is on the screen
                await self.end()
            raise
        finally:
            self._session.display = None
            self._delivery.use(None)
            await connection.close()

    async def _open_display(self, connection: BusConnection) -> None:
        """Find the notification server, and take over what an earlier agent has saved.

        The slots are taken over only if the same server still runs. Two things are done only when
        the agent starts: the notifications that the user closed are taken over, so that they aren't
        shown again; and if this agent is the first one of a login, the mutes that last until then
        are removed. Raise BusError if the bus fails.
        """
        session = self._session
        if self._world.name:
            bus_id = str((await connection.call_bus("GetId", "")).body[0])
            session.file = MemoryFile(bus_id)
        memory = Memory() if session.file is None else session.file.load()
        session.display = self._display(connection)
        if session.display is not None:
            await session.display.listen()
            self._delivery.use(session.display)
            if memory.server and memory.server == await session.display.owner():
                session.display.adopt(memory.server, memory.numbers)
                self._delivery.adopt(memory.slots)
        if not self._settled.is_set():
            there = [slot.key for slot in self._delivery.slots.values() if slot.there]
            self._policy.restore(memory.closed, there)
            if session.file is not None and session.file.is_new_login:
                self._begin_login()
        session.memory = memory
        self._remember()  # the next agent sees that this login isn't new

    def _display(self, connection: BusConnection) -> NotificationServer | None:
        """Return the notification server; None if desktop-notifier can't be imported."""
        try:
            # Imported here, as it is an optional extra, and takes 0.15 s and 14 MB. AttributeError:
            # version 6.2 uses parts of asyncio that Python 3.16 will no longer have.
            from ipsecwatch.agent.desktop import NotificationServer
        except (ImportError, AttributeError) as e:
            logger.warning(
                "no notifications on the desktop: %s. "
                "Install the package ipsecwatch-agent, or: pip install 'ipsecwatch[agent]'",
                e,
            )
            return None
        return NotificationServer(
            connection, self._delivery.server_changed, self._expired, self._closed, self._pressed
        )

    def _remember(self) -> bool:
        """Save what is on the screen and what the user closed, for the next agent of this session.

        Return whether that was possible.
        """
        session = self._session
        if session.file is None:
            return False
        memory = session.memory
        memory.closed, memory.slots = self._policy.closed(), self._delivery.slots
        if session.display is not None:
            memory.server, memory.numbers = session.display.server, session.display.numbers
        return session.file.save(memory)


async def _give_back_memory() -> None:
    """After the start, give memory back to the kernel that only the start needed: 1 MB of 30 MB."""
    await asyncio.sleep(STARTED)
    with contextlib.suppress(AttributeError, OSError):  # another libc than glibc
        ctypes.CDLL(None).malloc_trim(0)


async def _forever(
    watch: Callable[[Callable[[MachineEvent], object]], Awaitable[None]],
    tell: Callable[[MachineEvent], object],
) -> None:
    """Await one of WATCHES. A task needs a coroutine, and these may return any awaitable."""
    await watch(tell)
