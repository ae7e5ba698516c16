# SPDX-License-Identifier: MIT
"""Send entries to journald without ever waiting for it.

They are sent in journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) over a non-blocking
socket. systemd-python's journal.send() can't be used: while journald doesn't read (because it is
stopped, or waits for a slow disk) and the socket's queue is full, that function blocks with the
interpreter lock held, so that not even SIGTERM is handled. Here, entries wait in a bounded queue
until journald reads again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "ipsecwatch"

MAX_WAITING: Final = 8 << 20
"""Bytes of entries that may wait for journald: as many as the entries of ten thousand transitions
have."""
MAX_VALUE: Final = 32 << 10
"""Characters of one field that are sent at most; the rest is cut off. A datagram holds some 200
KiB, and longer entries would need a memfd."""
PER_TURN: Final = 100
"""Entries that are sent at most before other tasks of the event loop get their turn."""

_LEVELS: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class _Entry(NamedTuple):
    data: bytes
    priority: str
    message: str


class Sender:
    """Sends entries to journald without waiting. If no journald is there, prints them to stderr.

    ``path``: journald's socket; None: always print. ``stream`` is printed to instead of stderr.
    Entries that journald doesn't accept now wait: if an event loop runs, they are sent when
    journald reads again, else with the next entry or by flush().
    """

    def __init__(self, path: str | None = SOCKET, stream: TextIO | None = None) -> None:
        self._path = path
        self._stream = stream
        self._socket: socket.socket | None = None
        self._waiting: deque[_Entry] = deque()
        self._size = 0
        self._watched: tuple[asyncio.AbstractEventLoop, int] | None = None
        self._told = path is None
        self._lost = 0

    @property
    def waiting(self) -> int:
        """The number of entries that wait for journald."""
        return len(self._waiting)

    def send(self, fields: Mapping[str, str], *, later: bool = False) -> None:
        """Send an entry, after those that wait already, or let it wait as well.

        ``fields`` must have MESSAGE and PRIORITY. ``later``: don't send it now but in a later turn
        of the event loop, if one runs; this is for entries that may come by thousands. If too much
        waits (MAX_WAITING), the entry is lost; a later entry says how many were.
        """
        self._report_lost()
        if not self._append(fields):
            self._lost += 1
        elif not (later and self._watch()):
            self._work()

    def flush(self) -> None:
        """Send the entries that wait, until journald accepts no more of them or none is left."""
        while self._step():
            pass

    def close(self) -> None:
        """Send the waiting entries that journald accepts now. Drop the others, and disconnect."""
        self.flush()
        self._waiting.clear()
        self._size = 0
        self._disconnect()

    def _work(self) -> None:
        """Send up to PER_TURN entries. If any are left, make the event loop call this again."""
        for _ in range(PER_TURN):
            if not self._step():
                break
        if self._waiting:
            self._watch()
        else:
            self._unwatch()

    def _append(self, fields: Mapping[str, str]) -> bool:
        """Append an entry to the queue. Return False if more than MAX_WAITING bytes would wait."""
        data = encode({**fields, "SYSLOG_IDENTIFIER": IDENTIFIER})
        if self._size + len(data) > MAX_WAITING:
            return False
        self._waiting.append(_Entry(data, fields["PRIORITY"], fields["MESSAGE"]))
        self._size += len(data)
        return True

    def _report_lost(self) -> None:
        """If entries were lost and there is room in the queue now, append one with their number."""
        text = f"{self._lost} entries were lost while journald did not read."
        if self._lost and self._append({"MESSAGE": text, "PRIORITY": "4"}):
            self._lost = 0

    def _step(self) -> bool:
        """Send or print the first entry of the queue, and remove it from the queue.

        Return False, and remove nothing, if the queue is empty, or the entry has to wait because
        journald doesn't read.
        """
        self._report_lost()
        if not self._waiting or not self._deliver(self._waiting[0]):
            return False
        self._size -= len(self._waiting.popleft().data)
        return True

    def _deliver(self, entry: _Entry) -> bool:
        """Send one entry to journald, or print it if there is no journald or sending fails.

        Return False, without printing, if the entry has to wait because journald doesn't read.
        """
        for _ in range(2):
            sock = self._connected()
            if sock is None:
                break
            try:
                sock.send(entry.data)
            except BlockingIOError:
                return False
            except OSError:
                # This journald is gone. There may be another one, with another socket.
                self._disconnect()
            else:
                return True
        self._print(entry)
        return True

    def _connected(self) -> socket.socket | None:
        """Return a socket that is connected to journald. Connect one if there is none.

        None: there is no journald to connect to, or ``path`` is None.
        """
        if self._socket is None and self._path is not None:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                # Only on a connected socket can the loop see when the receiver's queue has room.
                sock.connect(self._path)
            except OSError:
                sock.close()
            else:
                self._socket = sock
        return self._socket

    def _disconnect(self) -> None:
        self._unwatch()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _watch(self) -> bool:
        """Make the event loop call _work() whenever journald accepts entries.

        Return False if no event loop runs, or there is no journald.
        """
        if self._watched is not None and not self._watched[0].is_closed():
            return True
        sock = self._connected()
        if sock is None:
            return False
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        loop.add_writer(sock, self._work)
        self._watched = loop, sock.fileno()
        return True

    def _unwatch(self) -> None:
        if self._watched is not None and not self._watched[0].is_closed():
            self._watched[0].remove_writer(self._watched[1])
        self._watched = None

    def _print(self, entry: _Entry) -> None:
        """Print an entry's message to stderr, each line with its priority in front (``<4>``).

        sd-daemon(3) has this form. Before the first one, print that there is no journal, unless
        that was intended. Errors are ignored.
        """
        # sys.stderr of this moment: tests and daemons replace it.
        stream = self._stream or sys.stderr
        lines = [f"<{entry.priority}>{line}" for line in harmless(entry.message).split("\n")]
        if not self._told:
            self._told = True
            lines[:0] = [f"<4>There is no journal at {self._path}: entries go to stderr."]
        with suppress(OSError, ValueError):
            stream.write("\n".join(lines) + "\n")
            stream.flush()


def encode(fields: Mapping[str, str]) -> bytes:
    """Return an entry in journald's native format, as bytes for one datagram.

    Values are cut to MAX_VALUE characters.
    """
    parts = []
    for name, value in fields.items():
        data = value[:MAX_VALUE].encode("utf-8", "backslashreplace")
        if b"\n" in data:
            parts.append(b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data))
        else:
            parts.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(parts)


def harmless(text: str) -> str:
    r"""Return a text with all unprintable characters escaped (``\x1b``), except newlines and tabs.

    A terminal could take unprintable characters as commands.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


class LogHandler(logging.Handler):
    """Sends the service's own log lines to journald, each as one entry, with harmless() text."""

    def __init__(self, sender: Sender) -> None:
        super().__init__()
        self._sender = sender

    def emit(self, record: logging.LogRecord) -> None:
        """Send one log line, after those that wait. An error of sending isn't raised here."""
        try:
            level = next((p for floor, p in _LEVELS if record.levelno >= floor), 7)
            entry = {
                "MESSAGE": harmless(self.format(record)),
                "PRIORITY": str(level),
                "LOGGER": record.name,
                "CODE_FILE": record.pathname,
                "CODE_LINE": str(record.lineno),
                "CODE_FUNC": record.funcName or "",
            }
            self._sender.send(entry)
        except Exception:  # an error in logging must not reach the code that logs
            self.handleError(record)


def log_to(sender: Sender, level: int = logging.INFO) -> None:
    """Set up Python's logging for the service.

    If stderr goes to the journal, log lines are sent to journald through ``sender`` instead: under
    systemd stderr is a stream to journald, which blocks while journald doesn't read. Else they are
    printed to stderr. ``level``: the least level that is logged.
    """
    handler = LogHandler(sender if stderr_is_journal() else Sender(None))
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def stderr_is_journal() -> bool:
    """Return whether stderr is a stream to the journal.

    systemd puts the stream's device and inode into the environment, as JOURNAL_STREAM.
    """
    try:
        stat = os.fstat(2)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{stat.st_dev}:{stat.st_ino}"
