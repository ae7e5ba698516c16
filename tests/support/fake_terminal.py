# SPDX-License-Identifier: MIT
"""A fake terminal on a real pty: it shows what a program writes, and sends it keys.

It carries out the control sequences that our programs write, and raises AssertionError for any
other one. So a sequence in a peer's text would make the test fail.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING, Final, Self

from ipsecwatch.cli.display.terminal import width

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN: Final = re.compile(
    r"\x1b\[(?P<private>\??)(?P<numbers>[0-9;]*)(?P<what>[A-Za-z])|(?P<control>[\x00-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f])",
    re.DOTALL,
)


class FakeTerminal:
    """Runs ``ipsecwatch`` with these arguments on a terminal of this size, while the context lasts.

    ``shell`` is a bash script that is run instead, with job control; "$@" in it is the command.
    ``user`` is the id of the user as whom it runs. ``more`` are environment variables.
    """

    def __init__(
        self,
        *arguments: str,
        columns: int = 80,
        lines: int = 24,
        shell: str = "",
        user: int | None = None,
        **more: str,
    ) -> None:
        self._user = user
        self._command = [sys.executable, "-m", "ipsecwatch", *arguments]
        if shell:
            self._command = ["bash", "-mc", shell, "bash", *self._command]
        self._environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "TZ": "UTC", **more}
        self.columns, self.lines = columns, lines
        self.sent = ""
        """Everything that the program has written so far."""
        self._on_other_screen = False
        self._clear()
        self._scrolled: list[str] = []
        self._at = 0
        self.wrapped = 0
        """How many times a character didn't fit on its line, and went to the beginning of the next
        one."""

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(theirs)
        self._set_size(theirs)
        self._process = subprocess.Popen(
            self._command,
            stdin=theirs, stdout=theirs, stderr=theirs, env=self._environment,
            user=self._user, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        self._theirs = theirs
        os.set_blocking(self._ours, False)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def pid(self) -> int:
        return self._process.pid

    def press(self, keys: str) -> None:
        """Send these keys to the program, as if the user pressed them."""
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        """Set a new size, clear the screen, and send the program SIGWINCH."""
        self.columns, self.lines = columns, lines
        self._set_size(self._ours)
        self._clear()
        os.kill(self.pid, signal.SIGWINCH)

    async def until(self, true: Callable[[], object], within: float = 20.0) -> None:
        """Wait until the condition ``true`` holds; read what the program writes meanwhile.

        Raise TimeoutError, with the lines that the terminal shows, after ``within`` seconds.
        """
        try:
            async with asyncio.timeout(within):
                while not self._shows(true):  # noqa: ASYNC110 - a terminal sets no Event
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(f"there is only:\n{self.picture}") from None

    def _shows(self, true: Callable[[], object]) -> bool:
        self._read()
        return bool(true())

    async def ended(self, within: float = 20.0) -> int:
        """Wait until the program has ended; return its exit code.

        Raise TimeoutError as until() does.
        """
        await self.until(lambda: self._process.poll() is not None, within)
        self._read()
        assert self._process.returncode is not None
        return self._process.returncode

    def settings_are_as_before(self) -> bool:
        """Return whether the terminal's settings are the same as before the program started."""
        return termios.tcgetattr(self._theirs) == self.before

    def shows_other_screen(self) -> bool:
        """Return whether the program uses the alternate screen now."""
        return self._on_other_screen

    @property
    def rows(self) -> list[str]:
        """The lines on the screen, without blanks at their ends."""
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def picture(self) -> str:
        """The text of all lines: those that have scrolled off the top, then those on the screen."""
        return "\n".join([*self._scrolled, *self.rows]).rstrip()

    def _set_size(self, fd: int) -> None:
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", self.lines, self.columns, 0, 0))

    def _clear(self) -> None:
        self._cells = [[" "] * self.columns for _ in range(self.lines)]
        self._row = self._column = 0

    def _read(self) -> None:
        """Read what the program has written, and show it.

        Raise AssertionError at an unknown sequence.
        """
        try:
            while data := os.read(self._ours, 1 << 16):
                self.sent += data.decode("utf-8", "replace")
        except (BlockingIOError, OSError):
            pass
        while self._at < len(self.sent):
            m = _TOKEN.match(self.sent, self._at)
            if m is None:
                if len(self.sent) - self._at < 20:
                    return  # the rest of the sequence comes later
                raise AssertionError(f"unknown sequence: {self.sent[self._at :][:20]!r}")
            self._at = m.end()
            self._take(m)

    def _take(self, m: re.Match[str]) -> None:
        """Show one character, or carry out one control character or control sequence."""
        if m["text"]:
            self._put(m["text"])
        elif m["control"]:
            self._control(m["control"])
        elif m["private"]:
            self._switch(m["numbers"], on=m["what"] == "h")
        elif m["what"] == "H":
            numbers = [int(n) for n in m["numbers"].split(";") if n] or [1, 1]
            self._row, self._column = min(numbers[0], self.lines) - 1, numbers[1] - 1
        elif m["what"] == "J":
            assert m["numbers"] == "2"
            row, column = self._row, self._column
            self._clear()
            self._row, self._column = row, column
        elif m["what"] == "K":
            assert self._column < self.columns, "the last character would be erased"
            erased = self._cells[self._row]
            erased[self._column :] = [" "] * (self.columns - self._column)
        else:
            assert m["what"] == "m", m[0]

    def _switch(self, number: str, *, on: bool) -> None:
        assert number in ("1049", "25", "7"), number
        if number == "1049":
            self._on_other_screen = on
            if not on:
                self._clear()

    def _control(self, control: str) -> None:
        if control == "\n":
            self._feed()
        elif control == "\r":
            self._column = 0
        else:
            assert control == "\x18", repr(control)

    def _feed(self) -> None:
        self._row += 1
        if self._row == self.lines:
            self._scrolled.append("".join(self._cells.pop(0)).rstrip())
            self._cells.append([" "] * self.columns)
            self._row -= 1

    def _put(self, text: str) -> None:
        """Write a character at the cursor, or on the next line if it doesn't fit on this one."""
        cells = width(text)
        if self._column + cells > self.columns:
            self.wrapped += 1
            self._column = 0
            self._feed()
        if cells:
            row = self._cells[self._row]
            row[self._column : self._column + cells] = [text, *[""] * (cells - 1)]
        self._column += cells
