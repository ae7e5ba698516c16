# SPDX-License-Identifier: MIT
"""Ask pluto one question within a time limit, over its control socket or through whack.

pluto is one thread. It takes questions from a queue of six places, reads them and writes its
answers with calls that block, without a limit of time. So a client that asks and does not read
stops every tunnel of the machine (https://github.com/libreswan/libreswan/issues/1859). A client
that leaves early does harm as well: pluto logs a "Broken pipe" for every line that is left, 3,000
of them for 200 connections (4.10). Therefore

- the question is sent right after connect(), without a turn of the event loop in between;
- every answer is read to its end, even when nobody wants it any more: one that takes too long is
  read on in the background, and no other question is asked before it has ended or LATE has passed;
- there is one question at a time.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto import whack
from ipsecwatch.pluto.bounded_reader import ENDLESS, BoundedReader
from ipsecwatch.pluto.whack import Versions
from ipsecwatch.reasons import IPSEC, advice_about_pluto
from ipsecwatch.sanitize import clean
from ipsecwatch.states import PlutoState, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.config import Settings

CONTROL_SOCKET: Final = whack.CONTROL_SOCKET
MAX_ANSWER: Final = 64 << 20

QUESTION: Final = struct.pack("=IB59x", 0x77686B19, 1)
"""whack's "basic" message that asks for the status. All releases since 2.6.37 understand it."""

LATE: Final = 600.0
"""Seconds after which the answer to a question isn't waited for any more, and pluto may be asked
again."""
QUEUE: Final = 0.1
"""Seconds between two attempts to get a place in pluto's queue."""
WHACK_REST: Final = 600.0
"""After the socket and whack have both failed, whack isn't tried again for so many seconds."""

_START: Final = advice_about_pluto(Reason.PLUTO_STOPPED, IPSEC)
_HANGS: Final = advice_about_pluto(Reason.PLUTO_UNREACHABLE, IPSEC)
_ABOUT_PLUTO: Final = {_START: Reason.PLUTO_STOPPED, _HANGS: Reason.PLUTO_UNREACHABLE}
_ROOT: Final = "Only root may ask pluto."
_STRANGER: Final = "Another program may pretend to be pluto: check who created that socket"
_AGAIN: Final = "It may be restarting: try again."


class Command(StrEnum):
    """What pluto can be asked for: STATUS over socket or whack, the others only through whack."""

    STATUS = "status"
    TRAFFIC = "trafficstatus"
    STATES = "showstates"


class Via(StrEnum):
    """How an answer came: over the control socket, or through whack."""

    SOCKET = "socket"
    WHACK = "whack"


class Trouble(StrEnum):
    """The kinds of reasons why pluto gave no answer."""

    STOPPED = "stopped"
    """pluto isn't running: there is no socket, or nobody listens on it."""
    UNREACHABLE = "unreachable"
    """No answer came in time, pluto doesn't admit us, the listener isn't root's, or asking failed
    in another way."""
    CUT = "cut"
    """pluto broke off its answer, or closed the connection before it."""
    TOO_LONG = "too-long"
    """The answer is longer than ``max_answer``."""
    UNAVAILABLE = "unavailable"
    """There is no whack for this question, or none that is safe. Nothing is known about pluto."""


@dataclass(frozen=True, slots=True)
class Answer:
    """pluto's answer to one question. From the socket, each line begins with a number (``000``)."""

    command: Command
    text: str
    """The answer. Undecodable bytes are surrogate escapes."""
    took: float
    """Seconds from the question to the last byte."""
    waited: float
    """Of the seconds in ``took``, those before the first byte, in which pluto may have been busy
    with something else."""
    via: Via
    pid: int | None = None
    """The id of the process that began to listen on the socket. It is pluto's own, unless pluto has
    gone into the background since. None: the answer came through whack, or the process is in
    another PID namespace."""
    exit: int | None = None
    """whack's exit code; None: the answer came over the socket. Up to 3.23 whack exits with other
    codes than 0 even after good answers."""
    stderr: str = ""


class AskError(Exception):
    """pluto gave no answer. The text says why, in one line; ``hint`` says what to do, or is ""."""

    def __init__(
        self,
        trouble: Trouble,
        message: str,
        hint: str = "",
        *,
        partial: str = "",
        busy: float = 0.0,
        via: Via = Via.SOCKET,
    ) -> None:
        super().__init__(message)
        self.trouble = trouble
        self.hint = hint
        self.partial = partial
        """The part of the answer that came; "": none, or it isn't known."""
        self.busy = busy
        """Seconds that pluto spent on the answer; 0 if that isn't known."""
        self.via = via

    def hint_for(self, unit: str) -> str:
        """Return ``hint``. If it advises to start or check pluto's unit, it names ``unit``.

        ``unit`` is the systemd unit that runs pluto; "": it isn't known, and the advice names none.
        """
        about = _ABOUT_PLUTO.get(self.hint)
        return self.hint if about is None else advice_about_pluto(about, unit)

    @property
    def forbidden(self) -> bool:
        """Whether we lack the rights to ask pluto, so that it is no use to wait."""
        return self.hint == _ROOT

    @property
    def pluto(self) -> PlutoState:
        """The state of pluto that this error shows.

        It is STOPPED for Trouble.STOPPED; RUNNING for CUT and TOO_LONG; UNREACHABLE for the others.
        """
        return {
            Trouble.STOPPED: PlutoState.STOPPED,
            Trouble.CUT: PlutoState.RUNNING,
            Trouble.TOO_LONG: PlutoState.RUNNING,
        }.get(self.trouble, PlutoState.UNREACHABLE)


class _NoSocketError(AskError):
    """The control socket can't be used, but whack may still reach pluto."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question that was sent over the socket, and whose answer is being read."""

    sock: socket.socket
    reader: BoundedReader
    pid: int | None
    at: float

    def close(self) -> None:
        """Close the connection, even if the answer hasn't ended, without a call of ``on_end``."""
        self.reader.on_end = None
        self.reader.close()
        self.sock.close()


class PlutoClient:
    """Asks one pluto, over its control socket, or through whack where that socket can't be used.

    ``whack`` is its path; "": one of the usual paths. ``timeout``: seconds from a question to the
    end of its answer. ``max_answer``: bytes; a longer answer is an error.
    """

    def __init__(
        self,
        control_socket: str = CONTROL_SOCKET,
        *,
        whack: str = "",
        timeout: float = 10.0,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        self._path = control_socket
        self._whack = whack
        self._timeout = timeout
        self._max = max_answer
        self._kinds = [socket.SOCK_STREAM, socket.SOCK_SEQPACKET]
        self._turn = asyncio.Lock()
        self._late: _Asked | None = None
        self._versions = Versions()
        self._whack_rests_until = float("-inf")
        self.on_recovered: Callable[[], None] | None = None
        """Called when a late answer has ended, so that pluto can be asked again; None: nothing
        is."""

    @classmethod
    def of(cls, settings: Settings) -> PlutoClient:
        """Return a client for the pluto that the settings name, with their limits."""
        return cls(
            settings.control_socket,
            whack=settings.whack,
            timeout=settings.timeout,
            max_answer=settings.max_answer,
        )

    async def ask(self, command: Command = Command.STATUS, version: str | None = None) -> Answer:
        """Ask pluto a question and return its answer. Raise AskError if there is none in time.

        Callers wait for each other, so that pluto has one question of ours at a time. A command
        other than STATUS is asked only through a whack of the running pluto's ``version``: pluto
        would read the message of another whack by a different layout, and might shut down. None:
        its version isn't known, so that only STATUS can be asked for. Raise AskError as well while
        an earlier answer is late.
        """
        async with self._turn:
            self._refuse_while_late()
            deadline = asyncio.get_running_loop().time() + self._timeout
            if command is not Command.STATUS:
                return await self._ask_whack(command, version, deadline)
            try:
                answer = await self._ask_socket(deadline)
            except _NoSocketError as e:
                return await self._ask_whack_instead(e, deadline)
            self._whack_rests_until = float("-inf")
            return answer

    async def close(self, grace: float = 1.0) -> None:
        """Close the connection of a late answer, if there is one.

        Wait at most ``grace`` seconds before, so that the answer may end.
        """
        late = self._late
        if late is not None:
            late.reader.on_end = None
            await late.reader.wait(asyncio.get_running_loop().time() + grace)
            late.close()
            self._late = None

    # --- The control socket -----------------------------------------------------------------

    async def _ask_socket(self, deadline: float) -> Answer:
        """Ask for the status over the control socket, and return the answer. Raise AskError.

        If the answer is late, or this is cancelled, the rest is read in the background.
        """
        asked = await self._connect(deadline)
        try:
            await asked.reader.wait(deadline)
        finally:
            if asked.reader.ended:
                asked.close()
            else:
                self._read_on(asked)
        return self._judge(asked)

    async def _connect(self, deadline: float) -> _Asked:
        """Connect to the socket, send the question, and return it as an _Asked.

        While pluto's queue is full, try again. Raise AskError if connecting fails, or if the queue
        is still full at ``deadline`` (loop's clock).
        """
        loop = asyncio.get_running_loop()
        while True:
            try:
                return self._try_connect()
            except BlockingIOError:
                # The queue is full. The kernel doesn't report when a place becomes free (AF_UNIX
                # has no EINPROGRESS), and waiting in connect() would block the event loop.
                if loop.time() + QUEUE > deadline:
                    raise AskError(
                        Trouble.UNREACHABLE,
                        "too many other programs wait for pluto's answer",
                        _HANGS,
                    ) from None
            except OSError as e:
                raise self._explain(e) from e
            await asyncio.sleep(QUEUE)

    def _try_connect(self) -> _Asked:
        """Connect to the socket and send the question, without waiting. Return it as an _Asked.

        The socket may be of type SOCK_STREAM or SOCK_SEQPACKET. The type that worked last is tried
        first. Raise BlockingIOError if pluto's queue is full, AskError if the listener isn't
        believed, OSError for any other failure.
        """
        for kind in tuple(self._kinds):
            sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
            try:
                sock.connect(self._path)
                pid = self._believed_peer(sock)
                # From now on pluto waits for the question: send it without a turn of the loop.
                sock.send(QUESTION)
            except OSError as e:
                sock.close()
                if e.errno == errno.EPROTOTYPE and kind is self._kinds[0]:
                    continue
                raise
            except AskError:
                sock.close()
                raise
            if kind is not self._kinds[0]:
                self._kinds.reverse()
            return self._begin(sock, pid)
        raise AssertionError("unreachable: the last kind returns or raises")

    def _believed_peer(self, sock: socket.socket) -> int | None:
        """Return the process id of the socket's listener. Raise AskError unless it is root's.

        None: the process is in another PID namespace. If the settings name the socket, the listener
        may also be of the user who owns the socket's folder, because only that user can create a
        socket there. In a container's user namespace, that is the container's root. Both user ids
        are as we see them.
        """
        creds = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
        pid, uid, _ = struct.unpack("iII", creds)
        if uid != 0 and (self._path == CONTROL_SOCKET or uid != _owner_of_folder(self._path)):
            text = f"not root but user {uid} listens on {self._path}"
            raise AskError(Trouble.UNREACHABLE, text, _STRANGER)
        return pid or None  # 0: the process is in another PID namespace

    def _begin(self, sock: socket.socket, pid: int | None) -> _Asked:
        reader = BoundedReader(sock.fileno(), sock.recv_into, self._max, self._max * ENDLESS)
        return _Asked(sock, reader, pid, asyncio.get_running_loop().time())

    def _explain(self, e: OSError) -> AskError:
        """Return the AskError for an error of connect() or send().

        Its trouble is STOPPED if nobody listens, CUT if pluto hung up, else UNREACHABLE. It is a
        _NoSocketError if whack may still reach pluto.
        """
        if e.errno == errno.ENOENT:
            text = f"pluto is not running: there is no {self._path}"
            return _NoSocketError(Trouble.STOPPED, text, _START)
        if e.errno == errno.ECONNREFUSED:
            text = f"pluto is not running: nobody listens on {self._path}"
            return AskError(Trouble.STOPPED, text, _START)
        if e.errno in (errno.EACCES, errno.EPERM):
            text = f"not allowed to ask pluto: {self._path}"
            return _NoSocketError(Trouble.UNREACHABLE, text, _ROOT)
        if e.errno in (errno.EPIPE, errno.ECONNRESET):
            return AskError(Trouble.CUT, "pluto hung up before it was asked", _AGAIN)
        text = f"pluto cannot be asked over {self._path}: {e.strerror or e}"
        return _NoSocketError(Trouble.UNREACHABLE, text, _HANGS)

    def _judge(self, asked: _Asked) -> Answer:
        """Return the answer that was read. Raise AskError if it is late, too long or broken off."""
        reader, took = asked.reader, asyncio.get_running_loop().time() - asked.at
        waited = took if reader.first is None else reader.first - asked.at
        if not reader.ended:
            what = "has not answered" if reader.first is None else "has not finished its answer"
            text = f"pluto {what} within {self._timeout:g} s"
            raise AskError(Trouble.UNREACHABLE, text, _HANGS)
        if reader.overflowed:
            raise self._too_long(took - waited, Via.SOCKET)
        text = reader.text
        if reader.error is not None or not text.endswith("\n"):
            what = "broke off its answer" if text else "hung up without an answer"
            raise AskError(Trouble.CUT, f"pluto {what}", _AGAIN, partial=text, busy=took - waited)
        return Answer(Command.STATUS, text, took, waited, Via.SOCKET, asked.pid)

    def _too_long(self, busy: float, via: Via) -> AskError:
        text = f"pluto's answer is longer than {self._max >> 10} KiB"
        hint = "If it has so many connections, raise max_answer in the settings."
        return AskError(Trouble.TOO_LONG, text, hint, busy=busy, via=via)

    def _read_on(self, asked: _Asked) -> None:
        """Read the rest of a late answer in the background, without keeping any of it."""
        asked.reader.forget()
        asked.reader.on_end = self._late_ended
        self._late = asked

    def _late_ended(self) -> None:
        """Close the connection of the late answer, which has ended, and call ``on_recovered``."""
        if self._late is not None:
            self._late.close()
            self._late = None
        if self.on_recovered is not None:
            self.on_recovered()

    def _refuse_while_late(self) -> None:
        """Raise AskError while an earlier answer is late.

        If its question was asked LATE seconds ago, close its connection, and don't raise.
        """
        if self._late is None:
            return
        age = asyncio.get_running_loop().time() - self._late.at
        if age < LATE:
            text = f"pluto has not answered for {age:.0f} s"
            raise AskError(Trouble.UNREACHABLE, text, _HANGS)
        self._late.close()
        self._late = None

    # --- whack ------------------------------------------------------------------------------

    async def _ask_whack_instead(self, e: AskError, deadline: float) -> Answer:
        """Ask for the status through whack, because the socket failed with ``e``.

        Return the answer. Raise ``e`` if whack fails too, and then also for the next WHACK_REST
        seconds, without trying whack. Raise ``e`` as well if there is no whack to use.
        """
        loop = asyncio.get_running_loop()
        if not self._whacks() or loop.time() < self._whack_rests_until:
            raise e
        try:
            return await self._ask_whack(Command.STATUS, None, deadline)
        except AskError:
            self._whack_rests_until = loop.time() + WHACK_REST
            raise e from None

    def _whacks(self) -> list[str]:
        """Return the paths of the whacks that may be asked for the status; empty: there is none."""
        # A whack that the settings don't name may be too old for --ctlsocket.
        if not self._whack and self._path != CONTROL_SOCKET:
            return []
        return whack.find(self._whack)

    async def _whack_of(self, version: str | None, deadline: float) -> str:
        """Return the path of a whack of the running pluto's ``version`` that reaches its socket.

        Raise AskError if there is none, or if ``version`` is None (not known).
        """
        tools = {path: await self._versions.of(path, deadline) for path in whack.find(self._whack)}
        for path, tool in tools.items():
            if tool is not None and tool == version and whack.reaches(tool, self._path):
                return path
        if not tools:
            raise _no_whack()
        told = " and ".join(sorted({tool or "of an unknown version" for tool in tools.values()}))
        text = f"whack is {told}, pluto {version or 'of an unknown version'}"
        hint = "After an upgrade, restart libreswan, so that both are of one release."
        raise AskError(Trouble.UNAVAILABLE, clean(text), hint, via=Via.WHACK)

    async def _ask_whack(self, command: Command, version: str | None, deadline: float) -> Answer:
        """Ask pluto through whack, and return the answer. Raise AskError.

        ``version`` is the running pluto's; it isn't needed for STATUS.
        """
        if command is not Command.STATUS:
            path = await self._whack_of(version, deadline)
        elif found := self._whacks():  # --status is safe with any
            path = found[0]
        else:
            raise _no_whack()
        try:
            argv = whack.command(path, command, self._path)
            run = await whack.run(argv, deadline=deadline, keep=self._max)
        except OSError as e:
            text = f"{path} cannot be run: {e.strerror or e}"
            raise AskError(Trouble.UNAVAILABLE, text, via=Via.WHACK) from e
        if run.overflowed:
            raise self._too_long(run.took - run.waited, Via.WHACK)
        return judge(command, run)


def _owner_of_folder(path: str) -> int | None:
    """Return the user id of the owner of a file's folder; None: it can't be found out."""
    try:
        return os.stat(os.path.dirname(path)).st_uid
    except OSError:
        return None


def _no_whack() -> AskError:
    hint = "Is libreswan installed? Elsewhere: set whack in the settings."
    return AskError(Trouble.UNAVAILABLE, "whack was not found", hint, via=Via.WHACK)


def judge(command: Command, run: whack.Run) -> Answer:
    """Return the answer in the output of whack. Raise AskError if the output shows no answer.

    The words decide more than the exit code, which differs by release. Up to 3.23, whack exits with
    1 or 3 after a good answer. From 3.25 on, it exits with 33 if pluto isn't running, is starting
    or stopping, or doesn't admit us.
    """
    err, busy = run.stderr, run.took - run.waited
    if run.exit is None:
        text = f"whack has not finished within {run.took:.0f} s"
        raise AskError(Trouble.UNREACHABLE, text, _HANGS, via=Via.WHACK)
    broken = "read() failed" in err or "unterminated" in err or "Connection reset" in err
    good = run.exit == 0 or (run.stdout != "" and run.exit > 0)
    empty = command is Command.STATUS and not run.stdout
    if good and not broken and not empty:
        return Answer(command, run.stdout, run.took, run.waited, Via.WHACK, None, run.exit, err)
    if broken or run.stdout or run.exit == 0:
        text = "pluto broke off its answer"
        raise AskError(Trouble.CUT, text, _AGAIN, partial=run.stdout, busy=busy, via=Via.WHACK)
    said = clean(err.strip().partition("\n")[0]) or f"whack failed with exit code {run.exit}"
    if "not running" in err or "onnection refused" in err:
        raise AskError(Trouble.STOPPED, said, _START, via=Via.WHACK)
    hint = _ROOT if "no right to" in err or "ermission denied" in err else _HANGS
    raise AskError(Trouble.UNREACHABLE, said, hint, via=Via.WHACK)
