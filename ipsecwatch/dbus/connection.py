# SPDX-License-Identifier: MIT
"""Connect to a message bus, send and receive messages there, with dbus-fast underneath.

Private names of the library that are used: ``MessageBus._writer`` with its ``sock``, ``messages``
and ``schedule_write``, ``MessageBus._create_socket_for_transport`` and ``._loop``
(throttled_bus.py), ``Message._marshall`` (messages.py), and its marshaller (marshal.py). Hence the
pinned major version.

What the library (5.2) lacks, and what is done about it here:

* It treats a full socket as a lost bus: some 280 queued signals while the bus daemon is busy are
  enough (https://github.com/altdesktop/python-dbus-next/issues/153). It gets a socket whose send()
  returns 0 where the real one would block (throttled_socket.py); the library's own code for a
  partial write then waits until there is room.
* It reads as long as there is something to read, and messages as large as the bus passes. That
  socket returns limited portions, and removes the bodies of messages that aren't needed.
* The queue in front of that socket has no bound. Ours counts its bytes, and refuses a message for
  which the bus would disconnect us (send_queue.py). Past a limit the connection is dropped, and
  clients read the whole state again.
* A call that timed out leaves its handler behind, and the library's table of calls is private.
  Replies are therefore matched here, in a message handler that runs before the library's.
* It doesn't reconnect. Neither does BusConnection: a caller opens a new one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from dbus_fast import Message, MessageFlag, MessageType

from ipsecwatch.dbus.errors import ErrorReplyError, LostError, NoReplyError, UnreachableError
from ipsecwatch.dbus.frames import by_size
from ipsecwatch.dbus.marshal import METHOD_RETURN, SIGNAL, header_fields, signal_fields
from ipsecwatch.dbus.messages import Call, MarshalledMessage, Reply, Signal, read_call, read_signal
from ipsecwatch.dbus.send_queue import MAX_MESSAGE, ROOM, QueueFullError, SendQueue
from ipsecwatch.dbus.throttled_bus import ThrottledBus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ipsecwatch.dbus.frames import Handling, Header
    from ipsecwatch.dbus.throttled_socket import ThrottledSocket

logger = logging.getLogger(__name__)

BUS: Final = "org.freedesktop.DBus"
"""The bus's own name, which is also the name of its interface."""
BUS_PATH: Final = "/org/freedesktop/DBus"

_SOON: Final = 0.01
"""Seconds between two checks of how much the bus has read."""

BusKind = Literal["system", "session"]


def address(kind: BusKind) -> str:
    """Return the address of the system bus or the session bus, in D-Bus's form (``unix:path=…``).

    It is the one in the environment (``DBUS_…_BUS_ADDRESS``), or else the bus's usual place.
    dbus-fast itself doesn't know the session bus's usual place.
    """
    if kind == "system":
        given = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
        return given or "unix:path=/run/dbus/system_bus_socket"
    if given := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return given
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return "unix:path=" + quote(f"{runtime}/bus").replace("~", "%7E")


async def connect(
    kind: BusKind, *, within: float = 10.0, judge: Callable[[Header], Handling] | None = None
) -> BusConnection:
    """Connect to a bus, log in, and return the connection.

    Raise UnreachableError if the bus isn't there, refuses us, or hasn't answered after ``within``
    seconds.

    ``judge`` is called with the header of each incoming message, and returns how much of the
    message is passed on to the library. None: a body of more than MAX_MESSAGE bytes is removed from
    its message, and all else is passed on.
    """
    where = f"the {kind} bus"
    try:
        bus = ThrottledBus(address(kind), within, judge or by_size(MAX_MESSAGE))
        async with asyncio.timeout(within):
            await bus.connect()
    except TimeoutError as e:
        raise UnreachableError(f"{where} doesn't answer", "Is dbus-daemon stopped?") from e
    except OSError as e:
        reason = e.strerror or str(e)
        raise UnreachableError(f"{where} can't be reached: {reason}", _HINTS[kind]) from e
    except Exception as e:  # whatever the library makes of an answer that it doesn't expect
        reason = str(e) or "it hung up"
        raise UnreachableError(f"{where} turned us away: {reason}", _HINTS[kind]) from e
    # The library takes whatever answers Hello for our name: an error (too many connections, say),
    # or nonsense.
    if not str(bus.unique_name).startswith(":"):
        bus.disconnect()
        raise UnreachableError(f"{where} turned us away: {bus.unique_name!r:.200}", _HINTS[kind])
    return BusConnection(bus, where)


_HINTS: Final = {
    "system": "Is dbus running? (systemctl status dbus)",
    "session": "Is this a desktop session? DBUS_SESSION_BUS_ADDRESS says where its bus is",
}


class BusConnection:
    """A connection to a bus, from connect() until it is lost or closed.

    ``on_call`` is called with each incoming method call, ``on_signal`` with each incoming signal,
    in the order in which the messages come. Both must not raise, and must not take long: nothing
    else is read meanwhile. Without ``on_call``, calls are left to the library; without
    ``on_signal``, signals are ignored.
    """

    def __init__(self, bus: ThrottledBus, where: str) -> None:
        self.unique_name: Final = bus.unique_name or ""
        self.on_call: Callable[[BusConnection, Call], None] | None = None
        self.on_signal: Callable[[Signal], None] | None = None
        self.on_sent: Callable[[str, int], None] | None = None
        """Called after each message to a single receiver was queued for sending: with the name of
        the receiver, and the size of the message in bytes. Not called for signals to all
        subscribers."""
        self._bus = bus
        self._reading = bus.reading
        self._pending: dict[int, tuple[asyncio.Future[Reply], Callable[[Reply], None] | None]] = {}
        self._last: asyncio.Future[None] | None = None
        self._where = where
        self._why = f"{where} hung up"
        writer: Any = bus._writer  # noqa: SLF001 - see the head of this file
        self._socket: ThrottledSocket = writer.sock
        self._queue = SendQueue(self._socket)
        self.received = 0
        """The number of bytes that were received on this connection so far, whoever sent them. The
        bytes of messages that weren't passed on are counted, too."""
        self._enough = 0
        self._came_in = asyncio.Event()
        self._socket.received = self._note_received
        writer.messages = self._queue
        self._schedule: Callable[[Message | MarshalledMessage, asyncio.Future[None]], None]
        self._schedule = writer.schedule_write
        bus.add_message_handler(self._receive)
        end = bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        self._end: asyncio.Future[None] = asyncio.ensure_future(end)
        self._end.add_done_callback(self._ended)

    @property
    def alive(self) -> bool:
        """Whether the connection is open. False once we have closed it or noticed its loss."""
        return bool(self._bus.connected)

    @property
    def backlog(self) -> int:
        """The number of bytes to be sent that wait in our queue, not yet accepted by the kernel."""
        return self._queue.size

    @property
    def in_flight(self) -> int:
        """The number of bytes from us that the bus hasn't read, in our queue and in the kernel."""
        return self._queue.in_flight

    def stalled(self) -> float:
        """Return for how many seconds the bus has read nothing although bytes from us wait for it.

        0.0: nothing waits, or the bus has read something since the last call of this method. Call
        it regularly: it only compares with what was unread at its last call.
        """
        return self._queue.stalled()

    @property
    def ready(self) -> int:
        """The number of bytes that the bus has sent and that we haven't read from the kernel."""
        return self._socket.unread

    async def room(self, most: int = ROOM) -> None:
        """Wait until the bus has at most ``most`` bytes unread from us.

        Raise LostError if the connection is lost or closed before that.
        """
        await self._queue.room.wait()
        while self.alive and self.in_flight > most:  # noqa: ASYNC110 - the kernel doesn't tell
            await asyncio.sleep(_SOON)
        if not self.alive:
            raise LostError(self._why)

    def _note_received(self, size: int) -> None:
        self.received += size
        if self.received >= self._enough:
            self._came_in.set()

    async def receives(self, size: int) -> None:
        """Wait until ``size`` more bytes than now have been received.

        Only one caller may wait at a time. Raise LostError if the connection is lost or closed
        before that.
        """
        self._enough = self.received + size
        self._came_in.clear()
        if self.alive:
            await self._came_in.wait()
        if not self.alive:
            raise LostError(self._why)

    def pause(self) -> None:
        """Stop reading from the bus until resume().

        Messages, and even the loss of the connection, are noticed only after that.
        """
        self._reading.pause()

    def resume(self) -> None:
        """Read from the bus again after pause(). Do nothing if reading isn't paused."""
        if self.alive:
            self._reading.resume()

    async def flush(self, within: float) -> None:
        """Wait until the kernel has accepted all messages that were queued before this call.

        Wait at most ``within`` seconds, and return without an error then, too, or if the connection
        gets lost. The bus may not have read yet what the kernel has accepted.
        """
        if self._last is not None:
            await asyncio.wait([self._last], timeout=within)

    async def lost(self) -> str:
        """Wait until the connection is lost or closed. Return why it was, in one line for people.

        If it was lost or closed before this call, return at once.
        """
        await asyncio.wait([self._end])
        return self._why

    def drop(self, why: str) -> None:
        """Close the connection without sending what waits in our queue.

        lost() then returns ``why``. Do nothing if the connection is lost or closed already.
        """
        if self.alive:
            self._why = why
            self._reading.resume()  # the library reads the end of it
            self._bus.disconnect()

    async def close(self) -> None:
        """Close the connection, and wait until its socket is closed.

        What waits in our queue isn't sent.
        """
        self.drop("closed")
        await self.lost()

    async def call(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[Any] = (),
        *,
        within: float | None = 5.0,
        arrived: Callable[[Reply], None] | None = None,
        starts: bool = False,
        interactive: bool = False,
    ) -> Reply:
        """Call a method of a program on the bus, wait for its reply, and return the reply.

        ``body`` has the arguments, of the types in ``signature``. ``arrived`` is called with the
        reply before any later message is handled, so that it takes effect before signals that come
        after the reply; it isn't called with an error. ``starts``: if ``destination`` has no owner,
        the bus may start a service for it. ``interactive``: the called program may ask a person
        for a password.

        Raise ErrorReplyError if the reply is an error, NoReplyError if there is no reply after
        ``within`` seconds (None: no time limit), LostError if the connection is or gets lost, and
        TooLargeError.
        """
        if not self.alive:
            raise LostError(self._why)
        logger.debug("calling %s.%s of %s", interface, member, destination)
        flags = MessageFlag(0) if starts else MessageFlag.NO_AUTOSTART
        if interactive:
            flags |= MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION
        message = Message(
            destination=destination,
            path=path,
            interface=interface,
            member=member,
            signature=signature,
            body=list(body),
            flags=flags,
            serial=self._bus.next_serial(),
        )
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._pending[message.serial] = future, arrived
        try:
            self._send(message)
            async with asyncio.timeout(within):
                return await future
        except TimeoutError as e:
            raise NoReplyError(f"{destination} didn't answer {member} in {within} s") from e
        finally:
            self._pending.pop(message.serial, None)
            # Its error's traceback refers to this frame, and the frame to it: each failed call
            # would leave a reference cycle for the garbage collector.
            del future

    async def call_bus(self, member: str, signature: str, *body: Any) -> Reply:  # noqa: ANN401
        """Call a method of the bus itself with the arguments ``body``, and return its reply.

        Raise the same errors as call(), NoReplyError after 5 seconds.
        """
        return await self.call(BUS, BUS_PATH, BUS, member, signature, body)

    def tell(
        self,
        destination: str,
        path: str,
        interface: str,
        member: str,
        signature: str,
        body: list[Any],
    ) -> None:
        """Call a method, ask for no reply, and don't wait. The bus starts no service for the call.

        Do nothing if the connection is lost or closed. Raise TooLargeError.
        """
        self._send(
            Message(
                destination=destination,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=body,
                flags=MessageFlag.NO_REPLY_EXPECTED | MessageFlag.NO_AUTOSTART,
            )
        )

    def signal(
        self, path: str, interface: str, member: str, signature: str, body: list[Any] | bytes
    ) -> None:
        """Send a signal to all subscribers. Do nothing if the connection is lost or closed.

        ``body``: the list of the signal's arguments, or these marshalled already (marshal.py).
        Raise TooLargeError.
        """
        if isinstance(body, list):
            self._send(Message.new_signal(path, interface, member, signature, body))
        else:
            fields = signal_fields(
                path=path, interface=interface, member=member, signature=signature
            )
            self._send(MarshalledMessage(SIGNAL, fields, body))

    def reply(self, call: Call, signature: str, body: list[Any] | bytes) -> None:
        """Send the reply to a call that we received, unless its caller wants no reply.

        ``body``: the list of the returned values, or these marshalled already (marshal.py). Do
        nothing if the connection is lost or closed. Raise TooLargeError.
        """
        if not call.wants_reply:
            return
        if isinstance(body, bytes):
            fields = header_fields(
                destination=call.sender, reply_serial=call.serial, signature=signature
            )
            self._send(MarshalledMessage(METHOD_RETURN, fields, body, destination=call.sender))
        else:
            self._send(
                Message(
                    message_type=MessageType.METHOD_RETURN,
                    destination=call.sender,
                    reply_serial=call.serial,
                    signature=signature,
                    body=body,
                )
            )

    def error(self, call: Call, name: str, text: str) -> None:
        """Send an error as the reply to a call that we received, unless its caller wants no reply.

        ``name``: the error's D-Bus name. ``text`` is for people. Do nothing if the connection is
        lost or closed. Raise TooLargeError.
        """
        if call.wants_reply:
            self._send(
                Message(
                    message_type=MessageType.ERROR,
                    destination=call.sender,
                    reply_serial=call.serial,
                    error_name=name,
                    signature="s",
                    body=[text],
                )
            )

    def _send(self, message: Message | MarshalledMessage) -> None:
        """Queue a message for sending. Do nothing if the connection is lost or closed.

        Drop the connection if more than MAX_BACKLOG bytes would wait in the queue then. Raise
        TooLargeError if the message is larger than MAX_MESSAGE.
        """
        if not self.alive:
            return
        message.serial = message.serial or self._bus.next_serial()
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            # As bus.send() does, but with a future of ours, which is known after an error, too.
            self._schedule(message, sent)
            self._last = sent
            self._report_sent(message)
        except QueueFullError as e:
            self.drop(f"{self._where} {e}")
        except OSError:
            # The library has closed the connection: _ended() is called for that.
            logger.debug("%s was lost in the middle of a message", self._where)
        # The library sets the loss as the future's error; asyncio logs errors that nobody reads.
        if sent.done():
            _retrieve_error(sent)
        else:
            sent.add_done_callback(_retrieve_error)

    def _report_sent(self, message: Message | MarshalledMessage) -> None:
        if self.on_sent is not None and message.destination:
            self.on_sent(message.destination, self._queue.last)

    def _receive(self, message: Message) -> bool:
        """Handle an incoming message before the library does. Return True if it is done with.

        False: the library has to handle the message. So it is for a call while there is no
        ``on_call``, and for a reply that no call of ours waits for.
        """
        kind = message.message_type
        if kind is MessageType.METHOD_CALL:
            if self.on_call is None:  # we offer nothing; the library answers for Peer
                return False
            self.on_call(self, read_call(message))
        elif kind is MessageType.SIGNAL:
            if self.on_signal is not None:
                self.on_signal(read_signal(message))
        else:
            return self._replied(message)
        return True

    def _replied(self, message: Message) -> bool:
        """Pass a reply, or an error, to the call() that waits for it. Return False if none does."""
        if (waiting := self._pending.get(message.reply_serial or 0)) is None:
            return False
        future, arrived = waiting
        if future.done():
            return True
        if message.message_type is MessageType.ERROR:
            # The body may have been left out (frames.py).
            text = message.body[0] if message.body and message.signature.startswith("s") else ""
            error = ErrorReplyError(message.error_name or "", text, message.sender or "")
            future.set_exception(error)
            return True
        reply = Reply(message.sender or "", message.signature, message.body)
        if arrived is not None:
            arrived(reply)
        future.set_result(reply)
        return True

    def _ended(self, end: asyncio.Future[None]) -> None:
        """Handle the end of the connection: record why it was lost, and end all waiting.

        call(), room() and receives() raise LostError then.
        """
        error = None if end.cancelled() else end.exception()
        if isinstance(error, OSError):
            self._why = f"{self._where} was lost: {error.strerror or error}"
        elif error is not None and not isinstance(error, EOFError):
            self._why = f"{self._where} made no sense: {error}"
        for future, _ in self._pending.values():
            if not future.done():
                future.set_exception(LostError(self._why))
        self._queue.room.set()
        self._came_in.set()


def _retrieve_error(sent: asyncio.Future[Any]) -> None:
    if not sent.cancelled():
        sent.exception()
