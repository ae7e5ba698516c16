# SPDX-License-Identifier: MIT
"""Find runs of lines in a text that begin with the same connection's name."""

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
    """Lines that follow each other and begin with the same connection's name."""

    begin: str
    """What each line begins with: perhaps a prefix, name and instance, a colon."""
    name: str
    instance: str
    """As printed."""
    text: str
    """The lines."""
    lines: list[str]
    """The lines without their beginning. One that contains a newline has other lines in it."""
    at: int
    """The index in the text where they begin."""

    @property
    def key(self) -> str:
        """``begin`` without a prefix, as ``"rw"[3]:``. Each connection of an answer has its own."""
        return self.begin if self.begin[0] == '"' else self.begin[4:]

    @property
    def end(self) -> int:
        """The index in the text where the line behind the block begins."""
        return self.at + len(self.text) + 1


def take(text: str, at: int, end: int, likely: int = 0) -> Block | None:
    """Return the block of a connection's lines that begins at ``at``, or None if none does.

    ``end`` is where the first line ends. ``likely`` is the block's likely length, as that of the
    last one: it is then searched in steps of that length, which is faster, but other lines may be
    among those of the connection. With 0 it ends at the first line that begins differently.
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
    """Yield all blocks of a text, in order. Other lines, and a cut one at the end, are left out."""
    at = 0
    while (end := text.find("\n", at)) >= 0:
        run = take(text, at, end)
        if run is None:
            at = end + 1
        else:
            yield run
            at = run.end
