# SPDX-License-Identifier: MIT
"""Draws on a terminal's whole screen, and reads the keys that are pressed there.

It uses plain ECMA-48 sequences, which all terminals except dumb ones understand. curses isn't used:
its getch() doesn't fit the event loop, and its screen can't wait for a slow connection. Only lines
that changed are sent. While a slow connection is still sending, newer contents of the screen
replace each other, and only the last is sent.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import signal
import sys
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.common import EXIT_USAGE, Failure
from ipsecwatch.cli.display import keys
from ipsecwatch.cli.display.terminal import width

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J"
"""Switches to the alternate screen, without cursor and wrapping, and clears it."""
_LEAVE: Final = "\x1b[?7h\x1b[0m\x1b[?25h\x1b[?1049l"
_SGR: Final = re.compile(r"\x1b\[[0-9;]*m")
_LONE_ESCAPE: Final = 0.2
"""Seconds after which an escape counts as a key, and not as the beginning of a sequence."""
_RESTORE_LIMIT: Final = 0.5
"""Seconds for which a terminal may take nothing, before restoring it is given up."""


class Screen:
    """The terminal's whole screen, while the context lasts; after it the terminal is as before.

    ``on_key`` is called with each key (keys.py), ``on_resize`` when the size has changed or
    everything must be drawn again, ``on_end`` when a signal asks this process to end, or the
    terminal is gone. Raise Failure where there is no terminal. Only SIGKILL leaves the terminal
    changed.
    """

    def __init__(
        self,
        on_key: Callable[[str], None],
        on_resize: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._on_key, self._on_resize, self._on_end = on_key, on_resize, on_end
        try:
            # A new open file, so that the shell's isn't set to non-blocking as well.
            self._tty = os.open("/dev/tty", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._before = termios.tcgetattr(self._tty)
        except OSError as e:
            raise Failure(f"there is no terminal to draw on: {e.strerror}", _ELSE) from e
        self._shown: list[str] = []
        self._next: Sequence[str] | None = None
        self._unsent = b""
        self._typed = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._escape: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Screen:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._redraw)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            loop.add_signal_handler(number, self._on_end)
        loop.add_reader(self._tty, self._read)
        self._enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._tty)
        if self._escape is not None:
            self._escape.cancel()
        self._leave()
        os.close(self._tty)
        for number in (signal.SIGWINCH, signal.SIGTSTP, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
        loop.remove_signal_handler(signal.SIGQUIT)

    @property
    def size(self) -> tuple[int, int]:
        """The number of columns and lines; 80 and 24 where they aren't known."""
        with suppress(OSError):
            columns, lines = os.get_terminal_size(self._tty)
            if columns and lines:
                return columns, lines
        return 80, 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines, each of which must fit; clear the lines below them.

        While earlier output is still being sent, they wait, and newer lines replace them.
        """
        self._next = lines
        if not self._unsent:
            self._send_next()

    # --- output -----------------------------------------------------------------------------

    def _send_next(self) -> None:
        """Send those lines of the next content that differ from what is shown.

        Without a next content, do nothing.
        """
        if self._next is None:
            return
        columns, height = self.size
        lines = [*self._next[:height], *[""] * (height - len(self._next))]
        shown = self._shown if len(self._shown) == height else [None] * height
        changed = [
            f"\x1b[{n + 1};1H{line}{_erased(line, columns)}"
            for n, (line, old) in enumerate(zip(lines, shown, strict=True))
            if line != old
        ]
        self._shown, self._next = lines, None
        self._send("".join(changed))

    def _send(self, text: str) -> None:
        encoding = sys.stdout.encoding or "utf-8"
        self._unsent += text.encode(encoding, "backslashreplace")
        self._write()

    def _write(self) -> None:
        """Write as much as the terminal accepts now, and the rest as soon as it accepts more.

        Then send the next content, if there is one.
        """
        loop = asyncio.get_running_loop()
        try:
            self._unsent = (
                self._unsent[os.write(self._tty, self._unsent) :] if self._unsent else b""
            )
        except BlockingIOError:
            pass
        except OSError:  # the terminal is gone
            self._unsent = b""
            self._on_end()
        if self._unsent:
            loop.add_writer(self._tty, self._write)
        else:
            loop.remove_writer(self._tty)
            self._send_next()

    # --- input ------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read what was typed; call ``on_end`` where the terminal is gone."""
        try:
            data = os.read(self._tty, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._tty)
            self._on_end()
            return
        self._press(self._typed + self._decoder.decode(data))

    def _press(self, text: str) -> None:
        """Decode typed text, and call ``on_key`` with each key but Ctrl-L, which draws all again.

        An incomplete sequence is kept until its rest is typed, and counts as the key escape after
        _LONE_ESCAPE seconds.
        """
        if self._escape is not None:
            self._escape.cancel()
            self._escape = None
        pressed, self._typed = keys.decode(text)
        if self._typed:
            self._escape = asyncio.get_running_loop().call_later(_LONE_ESCAPE, self._end_escape)
        for key in pressed:
            if key == keys.REDRAW:
                self._redraw()
            else:
                self._on_key(key)

    def _end_escape(self) -> None:
        self._escape, self._typed = None, ""
        self._on_key(keys.ESCAPE)

    # --- entering and leaving ---------------------------------------------------------------

    def _enter(self) -> None:
        """Switch the terminal to single keys without echo, and to an empty screen.

        Ctrl-C and Ctrl-Z still send signals.
        """
        raw = [*self._before]
        raw[3] = raw[3] & ~(termios.ICANON | termios.ECHO)  # signals stay: Ctrl-C, Ctrl-Z
        raw[0] = raw[0] & ~termios.IXON
        termios.tcsetattr(self._tty, termios.TCSADRAIN, raw)
        self._shown = []
        self._send(_ENTER)

    def _leave(self) -> None:
        """Restore the terminal, and drop all output that wasn't sent yet."""
        asyncio.get_running_loop().remove_writer(self._tty)
        self._unsent, self._next = b"", None
        with suppress(OSError, termios.error):
            termios.tcflush(self._tty, termios.TCOFLUSH)
            _write_all(self._tty, f"\x18{_LEAVE}".encode())  # CAN ends a sequence that was cut off
        with suppress(OSError, termios.error):
            termios.tcsetattr(self._tty, termios.TCSANOW, self._before)

    def _redraw(self) -> None:
        """Clear the screen, and call ``on_resize``, so that everything is drawn again.

        The size has changed, or the user asks for it as another program wrote on the terminal.
        """
        self._shown = []
        self._send("\x1b[H\x1b[2J")
        self._on_resize()

    def _suspend(self) -> None:
        """Restore the terminal and stop this process; when it continues, draw everything again."""
        loop = asyncio.get_running_loop()
        self._leave()
        loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGTSTP)
        loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        self._enter()
        self._on_resize()


_ELSE: Final = "For scripts: ipsecwatch monitor"


def require_terminal() -> None:
    """Raise Failure where stdin or stdout isn't a terminal, or TERM is unset or ``dumb``."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Failure("--watch needs a terminal", _ELSE, EXIT_USAGE)
    if os.environ.get("TERM", "dumb") == "dumb":
        raise Failure("--watch needs a terminal that can move its cursor", _ELSE, EXIT_USAGE)


def _erased(line: str, columns: int) -> str:
    """Return the sequence that clears the rest of a line; "" for a line that fills all columns.

    There, the sequence would erase the last character.
    """
    return "\x1b[K" if width(_SGR.sub("", line)) < columns else ""


def _write_all(fd: int, data: bytes) -> None:
    """Write the data, or give up after _RESTORE_LIMIT seconds without progress."""
    import select

    while data:
        _, ready, _ = select.select([], [fd], [], _RESTORE_LIMIT)
        if not ready:
            return
        data = data[os.write(fd, data) :]
