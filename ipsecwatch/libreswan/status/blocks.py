# SPDX-License-Identifier: MIT
"""Find blocks in a status text: runs of lines that begin with the same connection's name.

Each line about the connection ``rw[3]`` begins with ``"rw"[3]:``, perhaps with ``000 `` before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import grammar

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = grammar.name(without="\n")
_BEGIN: Final = re.compile(f'{grammar.PREFIX}"({_NAME})"({grammar.instances()}):', re.ASCII)


@dataclass(slots=True)
class Block:
    """Lines of a text that follow each other and begin with the same connection's name."""

    begin: str
    """The beginning of each line: ``000 "rw"[3]:``, or without the prefix ``"rw"[3]:``."""
    name: str
    instance: str
    """The instance numbers as printed (``[3]``), or "" if there are none."""
    text: str
    """All lines as printed, with line feeds between them, and none at the end."""
    lines: list[str]
    """The lines without ``begin``.

    One that contains a line feed is a line of the connection and foreign lines behind it.
    """
    at: int
    """The index in the whole text where the block begins."""

    @property
    def key(self) -> str:
        """``begin`` without the prefix of three digits, as ``"rw"[3]:``.

        It identifies a connection within an answer.
        """
        return self.begin if self.begin[0] == '"' else self.begin[4:]

    @property
    def end(self) -> int:
        """The index in the whole text where the first line behind the block begins."""
        return self.at + len(self.text) + 1


def take(text: str, at: int, end: int, likely: int = 0) -> Block | None:
    """Return the block that begins at the index ``at``, or None if no connection's line is there.

    ``end`` is the index of the first line's line feed. With ``likely`` 0, the block ends before
    the first line that begins differently. Otherwise ``likely`` is a guess of the block's length:
    the end is then searched in steps of that length, which is faster, but foreign lines between
    two lines of the connection become part of the block. A last line without a line feed is left
    out, because it was cut off.
    """
    m = _BEGIN.match(text, at)
    if m is None:
        return None
    begin, name, instance = m.group(0, 1, 2)
    again = "\n" + begin
    leap = max(likely, len(again))
    while text.startswith(again, end):
        last = text.rfind(again, end, end + leap)
        ends = text.find("\n", last + 1)
        if ends < 0:  # that one was cut
            end = last
            break
        end = ends
    block = text[at:end]
    lines = block.split(again)
    lines[0] = lines[0][len(begin) :]
    return Block(begin, name, instance, block, lines, at)


def split(text: str) -> Iterator[Block]:
    """Yield all blocks of a text, in order. Lines that aren't a connection's are skipped.

    A line at the end that has no line feed is skipped, too: it was cut off.
    """
    at = 0
    while (end := text.find("\n", at)) >= 0:
        run = take(text, at, end)
        if run is None:
            at = end + 1
        else:
            yield run
            at = run.end
