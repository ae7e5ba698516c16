# SPDX-License-Identifier: MIT
"""Fake plutos: one that answers as a healthy pluto does, and several that misbehave.

Each is a process of its own, so that a test can stop it with SIGSTOP, and so that its processor
time isn't counted as the test's. The process runs this file as a script.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LINE = '000 "site": 192.0.2.1...192.0.2.2; unrouted; eroute owner: #0\n'

PIECE = 64 << 10
"""How many bytes read_aloud() sends at a time."""

STATUS = (
    "000 using kernel interface: xfrm\n"
    "000  \n"
    '000 "site": 192.0.2.1...192.0.2.2; unrouted; eroute owner: #0\n'
    "000 Total IPsec connections: loaded 1, active 0\n"
    "000  \n"
    "000 Bare Shunt list:\n"
    "000  \n"
)


class BadPluto:
    """A fake pluto, which runs in a process of its own while the context lasts.

    ``path`` is its control socket. ``how`` is the name of one of this module's functions, which
    answers each connection, such as "slow"; with "deaf" no connection is ever accepted. ``text`` is
    the answer. With ``packets`` the socket is a SOCK_SEQPACKET, and each line of the answer is a
    packet. ``pause`` (seconds) and ``size`` (bytes) are used by some of the functions.
    """

    def __init__(
        self,
        path: Path,
        how: str = "answer",
        *,
        text: str = STATUS,
        packets: bool = False,
        pause: float = 1.0,
        size: int = 0,
    ) -> None:
        self.path = str(path)
        self._options = {
            "path": self.path,
            "how": how,
            "text": text,
            "packets": packets,
            "pause": pause,
            "size": size,
        }

    def __enter__(self) -> BadPluto:
        self._process = subprocess.Popen(
            [sys.executable, "-SE", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(self._options) + "\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "listening\n"
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def hang(self) -> None:
        """Stop the process with SIGSTOP, and return when it has stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        # It has stopped only when the kernel says so.
        os.waitpid(self.pid, os.WUNTRACED)

    def go_on(self) -> None:
        """Continue the process after hang()."""
        os.kill(self.pid, signal.SIGCONT)

    def end(self) -> list[dict[str, Any]]:
        """End the process, and return a dictionary about each accepted connection.

        ``question`` is what the client sent, in hexadecimal, ``sent`` the number of bytes that were
        sent to it, and ``error`` the class name of the error that ended the connection, or "".
        """
        self.go_on()
        out, _ = self._process.communicate("", timeout=10)
        return [json.loads(line) for line in out.splitlines()]


# --- The script ------------------------------------------------------------------------------


class Served:
    """One accepted connection, which a thread serves, so that one that stalls doesn't delay others.

    ``number`` counts the connections from 0.
    """

    def __init__(self, client: socket.socket, options: dict[str, Any], number: int) -> None:
        self.client = client
        self.text: bytes = options["text"].encode("utf-8", "surrogateescape")
        self.packets: bool = options["packets"]
        self.pause: float = options["pause"]
        self.size: int = options["size"]
        self.number = number
        self.sent = 0

    def send(self, data: bytes) -> None:
        pieces = data.splitlines(keepends=True) if self.packets else [data]
        for piece in pieces:
            self.client.sendall(piece)
            self.sent += len(piece)


def answer(s: Served) -> None:
    """Send the whole text, as a healthy pluto does, and close the connection."""
    s.send(s.text)


def read_aloud(s: Served) -> None:
    """Send a file's present content, spread over about ``pause`` seconds; ``text`` is its path."""
    with open(s.text, "rb") as f:
        said = f.read()
    for begin in range(0, len(said), PIECE):
        s.send(said[begin : begin + PIECE])
        time.sleep(s.pause * PIECE / len(said))


def slow(s: Served) -> None:
    """Wait for ``pause`` seconds, then send the whole text, and close the connection."""
    time.sleep(s.pause)
    s.send(s.text)


def stall(s: Served) -> None:
    """Send some lines of the text, then nothing more; leave the connection open.

    The first connection gets no line, the second one line, the third two lines, and so on.
    """
    for line in s.text.splitlines(keepends=True)[: s.number]:
        s.send(line)
    threading.Event().wait()


def trickle(s: Served) -> None:
    """Send the text byte by byte, with a pause of ``pause`` seconds after each byte."""
    for i in range(len(s.text)):
        s.send(s.text[i : i + 1])
        time.sleep(s.pause)


def leave_open(s: Served) -> None:
    """Send the whole text, and never close the connection."""
    s.send(s.text)
    threading.Event().wait()


def reset(s: Served) -> None:
    """Send ``size`` bytes of the text, then reset the connection.

    The kernel resets a connection if it is closed while the client's message is still unread.
    Therefore _serve() doesn't read the message for this function.
    """
    s.send(s.text[: s.size])


def half(s: Served) -> None:
    """Send ``size`` bytes of the text, then close the connection."""
    s.send(s.text[: s.size])


def recover(s: Served) -> None:
    """Send half of the text on the first connection, and the whole text on each later one."""
    s.send(s.text[: len(s.text) // 2] if s.number == 0 else s.text)


def pour(s: Served) -> None:
    """Send lines as fast as the client reads them, until at least ``size`` bytes are sent."""
    block = (LINE * 1000).encode()
    while s.sent < s.size:
        s.send(block)


def close(s: Served) -> None:
    """Close the connection without sending anything."""


def _serve(s: Served, how: Callable[[Served], None], lock: threading.Lock) -> None:
    """Serve one connection with ``how``, then print the line of JSON for BadPluto.end()."""
    error = ""
    question = s.client.recv(4096, socket.MSG_PEEK)
    if how is not reset:
        s.client.recv(4096)
    try:
        with s.client:
            how(s)
    except OSError as e:
        error = type(e).__name__
    with lock:
        print(json.dumps({"question": question.hex(), "sent": s.sent, "error": error}), flush=True)


def main() -> None:
    """Run a fake pluto with the options that stdin has as JSON, until stdin is closed."""
    options = json.loads(sys.stdin.readline())
    how = globals()[options["how"]] if options["how"] != "deaf" else None
    kind = socket.SOCK_SEQPACKET if options["packets"] else socket.SOCK_STREAM
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(options["path"])
    listener.listen(5)
    print("listening", flush=True)
    lock = threading.Lock()
    serving: list[threading.Thread] = []

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            served = Served(client, options, len(serving))
            serving.append(threading.Thread(target=_serve, args=(served, how, lock), daemon=True))
            serving[-1].start()

    if how is not None:  # "deaf" listens and accepts nobody
        threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
    for thread in serving:
        thread.join(2)  # it may have sent everything, and not printed its line of JSON yet
    os._exit(0)


if __name__ == "__main__":
    main()
