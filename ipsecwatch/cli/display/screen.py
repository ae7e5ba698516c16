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

from ipsecwatch.cli.common import PLAIN_SIGNS
from ipsecwatch.cli.display import keys
from ipsecwatch.cli.display.terminal import width
from ipsecwatch.cli.failure import EXIT_USAGE, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[H\x1b[2J"
"""Switches to the alternate screen, without cursor and wrapping, and clears it."""
_LEAVE: Final = "\x1b[?7h\x1b[0m\x1b[?25h\x1b[?1049l"
_SGR: Final = re.compile(r"\x1b\[[0-9;]*m")
_LONE_ESCAPE: Final = 0.2
"""Seconds after which an escape character counts as the key escape, and no longer as the beginning
of another key's sequence."""
_RESTORE_LIMIT: Final = 0.5
"""Seconds for which a terminal may accept no output before restoring it is given up."""


class Screen:
    """The terminal's whole screen, as an async context; after it the terminal is as before.

    ``on_key`` is called with each key that is pressed (keys.py), except Ctrl-L. ``on_resize`` is
    called when everything must be drawn again, for example because the size has changed.
    ``on_end`` is called when a signal asks this process to end, or the terminal is gone. Raise
    Failure where this process has no terminal. If the process is killed (SIGKILL), the terminal
    stays changed.
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
        """The terminal's number of columns and of lines; (80, 24) where they aren't known."""
        with suppress(OSError):
            columns, lines = os.get_terminal_size(self._tty)
            if columns and lines:
                return columns, lines
        return 80, 24

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines from the top of the screen on, and clear the lines below them.

        No line may be wider than the screen. Lines that don't fit at the bottom aren't shown. While
        earlier output is still being sent, these lines wait, and the next call replaces them.
        """
        self._next = lines
        if not self._unsent:
            self._send_next()

    # --- output -----------------------------------------------------------------------------

    def _send_next(self) -> None:
        """Send the lines that wait to be shown, as far as they differ from what is shown now.

        Where no lines wait, do nothing.
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
        self._unsent += text.encode(encoding, PLAIN_SIGNS)
        self._write()

    def _write(self) -> None:
        """Write as much of the unsent output as the terminal accepts now.

        Where some is left, write it as soon as the terminal accepts more. Where none is left, send
        the lines that wait to be shown. Call ``on_end`` where the terminal is gone.
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
        """Read what was typed, and handle its keys; call ``on_end`` where the terminal is gone."""
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
        """Decode typed text, and call ``on_key`` with each key in it.

        Only Ctrl-L is handled here: it draws everything again. An incomplete escape sequence at the
        end of the text is kept until the next text comes; after _LONE_ESCAPE seconds without any,
        it counts as the key escape.
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
        """Switch the terminal to an empty screen, and to input key by key, without echo.

        Ctrl-C and Ctrl-Z still send signals to this process.
        """
        raw = [*self._before]
        raw[3] = raw[3] & ~(termios.ICANON | termios.ECHO)  # signals stay: Ctrl-C, Ctrl-Z
        raw[0] = raw[0] & ~termios.IXON
        termios.tcsetattr(self._tty, termios.TCSADRAIN, raw)
        self._shown = []
        self._send(_ENTER)

    def _leave(self) -> None:
        """Restore the terminal as it was before, and drop all output that wasn't sent yet."""
        asyncio.get_running_loop().remove_writer(self._tty)
        self._unsent, self._next = b"", None
        with suppress(OSError, termios.error):
            termios.tcflush(self._tty, termios.TCOFLUSH)
            _write_all(self._tty, f"\x18{_LEAVE}".encode())  # CAN ends a sequence that was cut off
        with suppress(OSError, termios.error):
            termios.tcsetattr(self._tty, termios.TCSANOW, self._before)

    def _redraw(self) -> None:
        """Clear the screen, and call ``on_resize``, so that everything is drawn again.

        This is called when the size has changed, and when the user presses Ctrl-L because another
        program wrote on the terminal.
        """
        self._shown = []
        self._send("\x1b[H\x1b[2J")
        self._on_resize()

    def _suspend(self) -> None:
        """Restore the terminal, and stop this process, as Ctrl-Z asks for.

        When the process is continued (``fg``), take the terminal again and draw everything.
        """
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
    """Return the sequence to send after a line to clear the rest of that line on the screen.

    Return "" for a line that fills all columns: the sequence would erase its last character.
    """
    return "\x1b[K" if width(_SGR.sub("", line)) < columns else ""


def _write_all(fd: int, data: bytes) -> None:
    """Write all data to a terminal; give up if it accepts none for _RESTORE_LIMIT seconds.

    Raise OSError where the terminal is gone.
    """
    import select

    while data:
        _, ready, _ = select.select([], [fd], [], _RESTORE_LIMIT)
        if not ready:
            return
        data = data[os.write(fd, data) :]
