# SPDX-License-Identifier: MIT
"""One answer of pluto's, line by line: which line is what.

Reading an answer is a function of its text alone. What a Reader remembers of the last answer only
saves work: a connection of which the text is the same is not read again, and what stands in front
of the states not at all while it is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import (
    blocks,
    completeness,
    connections,
    consistency,
    sections,
    states,
)
from ipsecwatch.libreswan.status.consistency import Sifted
from ipsecwatch.libreswan.status.knowledge import knowledge
from ipsecwatch.libreswan.status.partial_report import PartialReport
from ipsecwatch.libreswan.status.traffic import traffic
from ipsecwatch.report import Report, Unrecognised

if TYPE_CHECKING:
    from ipsecwatch.libreswan.status.blocks import Block
    from ipsecwatch.report import Connection, Pending, SaState

_HEADS: Final = (
    sections.STATUS_HEAD, sections.CONNECTION_LIST, sections.CONNECTION_TOTAL,
    sections.STATE_INFORMATION, sections.IKE_TOTAL, sections.IPSEC_TOTAL, sections.SHUNT_LIST,
    sections.BRIEF_TOTAL,
)  # fmt: skip

_MAX_DULL: Final = 20_000
"""Lines of connections that are remembered as saying nothing of a tunnel's state."""


def parse(text: str | bytes, command: str | None = None) -> Report:
    """Read one answer; ``command`` is what was asked (None: tell by the text).

    Never raises: an answer that is cut, doubled, empty, or another command's is a Report with
    ``complete`` False and ``why``.
    """
    return Reader().read(text, command)


@dataclass(slots=True)
class _Prefix:
    """The part of an answer in front of its states, which most polls have in common."""

    text: str
    """An answer, up to ``end`` or longer."""
    end: int
    """Where the states begin in it."""
    number: int
    """The number of the line that begins there."""
    answer: PartialReport
    """What was read up to there."""

    def begins(self, text: str) -> bool:
        """Return whether another answer begins with the same."""
        if len(self.text) > self.end:  # not cut to size before it is asked for: most are large
            self.text = self.text[: self.end]
        return bool(self.end) and text.startswith(self.text)


def _plain(line: str) -> str:
    """Return a line without its prefix."""
    return line[4:] if len(line) > 2 and line[:3].isdigit() and line[3:4] in (" ", "") else line


class Reader:
    """Reads one answer after the other, and remembers what need not be read again."""

    def __init__(self) -> None:
        self._listed: dict[str, Connection] = {}
        self._odd: dict[str, tuple[int, connections.Odd]] = {}
        self._dull: set[str] = set()
        self._past = _Prefix("", 0, 0, PartialReport())

    def read(self, text: str | bytes, command: str | None = None) -> Report:
        """Return a text as a report, as parse() does."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        if len(self._dull) > _MAX_DULL:
            self._dull.clear()
        past = self._past
        if past.begins(text):
            answer = past.answer.copy()
            self._after(text, past, answer)
        else:
            answer = self._gather(text)
        if not answer.tangled:
            return self._report(Sifted(text), answer, command)
        sifted = consistency.sift_connections(text)
        if sifted.strangers:
            answer = self._gather(sifted.text)
        answer.doubt = sifted.doubt or answer.doubt
        return self._report(sifted, answer, command)

    # --- gathering ------------------------------------------------------------------------

    def _gather(self, text: str) -> PartialReport:
        """Read every line."""
        answer = PartialReport()
        early: list[tuple[int, str]] = []
        at, number, length = 0, 1, 0
        while (end := text.find("\n", at)) >= 0:
            block = blocks.take(text, at, end, length)
            if block is not None:
                if not self._connection(block, number, answer):  # other lines are among its own
                    block = blocks.take(text, at, end) or block
                    self._connection(block, number, answer)
                length = len(block.text)
                at += length + 1
                number += len(block.lines)
                continue
            line = text[at:end]
            if self._line(number, line, answer):
                early.append((number, line))
            at = end + 1
            number += 1
            if sections.IPSEC_TOTAL in answer.heads:
                # In a status the states stand behind this line; what looks like one before is none.
                answer = self._without_states(answer, early)
                self._settle(text[:at] if answer.tangled else "", answer)
                self._past = past = _Prefix(text, at, number, answer.copy())
                self._after(text, past, answer)
                return answer
        self._settle(text, answer)
        return answer

    def _after(self, text: str, past: _Prefix, answer: PartialReport) -> None:
        """Read what stands behind the totals: the states, and the shunts."""
        at, number = past.end, past.number
        while (end := text.find("\n", at)) >= 0:  # what stands behind the last one was cut
            found = states.usual(text, at)
            if found is None:
                self._line(number, text[at:end], answer)
                at, number = end + 1, number + 1
                continue
            state, at = found
            answer.states.append(state)
            answer.numbers.append(number)
            number += 1
            if "\n" in state.text:
                number += 1
                if answer.tainted is None and states.USERNAME in state.text:
                    answer.tainted = len(answer.states)

    def _without_states(self, answer: PartialReport, early: list[tuple[int, str]]) -> PartialReport:
        """Drop what was read about SAs."""
        kept = PartialReport(
            answer.listed, answer.odd, answer.tangled, shunts=answer.shunts, other=answer.other,
            heads=answer.heads, version=answer.version, error=answer.error,
            doubled=answer.doubled, strange=answer.strange, strange_count=answer.strange_count,
        )  # fmt: skip
        for number, line in early:
            kept.unrecognised(number, line)
        return kept

    def _connection(self, block: Block, number: int, answer: PartialReport) -> bool:
        """Add the lines of one connection; they aren't parsed if they are those of the last answer.

        False: there are other lines among them.
        """
        key = block.key
        connection = self._listed.get(key)
        if connection is not None and connection.text == block.text:
            odd = self._odd[key][1] if key in self._odd else None
        else:
            read = connections.read(block, self._dull)
            if read is None:
                return False
            connection, odd = read
            if odd is not None and odd.strange and not consistency.is_own(block):
                for i, line in enumerate(block.lines):
                    answer.unrecognised(number + i, key + line)
                return True
        if key in answer.listed:
            answer.tangled = True
        answer.listed[key] = connection
        if odd is not None:
            answer.odd[key] = number, odd
        return True

    def _line(self, number: int, line: str, answer: PartialReport) -> bool:
        """Read any other line. Return whether it is about an SA."""
        line = _plain(line)
        first = line[:1]
        is_sa = first == "#" and line[1:2].isdigit()  # not "#current.", "# Total IPsec"
        if is_sa or (first.isdigit() and ": pending " in line[:24]):
            if self._sa(number, line, answer):
                return True
            answer.unrecognised(number, line)
        elif line and not line.isspace():
            self._other(number, line, answer)
        return False

    def _sa(self, number: int, line: str, answer: PartialReport) -> bool:
        """Read a line about an SA. Return False if it isn't one, or isn't where it should be."""
        if states.TRAFFIC in line:
            if self._spis(line, answer):
                return True
        elif (state := states.state(line)) is not None:
            answer.states.append(state)
            answer.numbers.append(number)
            return True
        counted = traffic(line)
        if counted is not None and self._may_stand(line, answer):
            answer.doubled = answer.doubled or counted.serial in answer.traffic
            answer.traffic.setdefault(counted.serial, counted)
            return True
        wish = states.pending(line)
        if wish is None or not self._may_wish(wish, answer):
            return False
        answer.pending.append(wish)
        answer.behind.append(len(answer.states))
        return True

    def _may_wish(self, wish: Pending, answer: PartialReport) -> bool:
        """Return whether a wish stands where one can: behind the IKE SA that it waits for.

        So it does in every release, and never behind a user name, which only a Child has.
        """
        last = answer.states[-1] if answer.states else None
        return last is None or (last.serial == wish.serial and states.USERNAME not in last.text)

    def _spis(self, line: str, answer: PartialReport) -> bool:
        """Read an SA's SPIs and counters, which follow its state line in every release."""
        if not answer.states:
            return False
        last = answer.states[-1]
        if "\n" in last.text or not line.startswith(f'#{last.serial}: "'):
            return False
        states.add_sa(last, line)
        if answer.tainted is None and states.USERNAME in line:
            answer.tainted = len(answer.states)
        return True

    def _may_stand(self, line: str, answer: PartialReport) -> bool:
        """Return whether a line that is no state and no wish may stand where it does.

        Behind the totals of a status nothing else follows but its last section, which has shunts
        alone; behind a user name, which is the peer's text, it is held to that.
        """
        heads = answer.heads
        if line.startswith(sections.BRIEF_TOTAL):  # of another command
            return sections.STATUS_HEAD not in heads
        if answer.tainted is None or sections.IPSEC_TOTAL not in heads or line.startswith(_HEADS):
            return True
        of_a_list = line[0] == "#" or sections.shunt(line) is not None
        return of_a_list and sections.SHUNT_LIST in heads

    def _other(self, number: int, line: str, answer: PartialReport) -> None:
        """Read a line that is about no connection and no SA."""
        if sections.IPSEC_TOTAL in answer.heads and consistency.is_listed(line):
            answer.tangled = True
        if not self._may_stand(line, answer):
            answer.unrecognised(number, line)
        elif sections.error(line):
            answer.error = answer.error or line
        elif (shunt := sections.shunt(line)) is not None:
            answer.shunts.append(shunt)
        elif sections.known(line):
            answer.other.append(line)
            for head in _HEADS:
                if line.startswith(head):
                    answer.doubled = answer.doubled or head in answer.heads
                    answer.heads[head] = line
            if answer.version is None and "pluto_version=" in line[:2000]:
                answer.version = sections.version(line)
        elif not sections.note(line):
            answer.unrecognised(number, line)

    # --- judging --------------------------------------------------------------------------

    def _settle(self, text: str, answer: PartialReport) -> None:
        """Build the connections from their lines, and read the totals.

        The text, up to these, matters only where the lines of some connection are scattered.
        """
        heads = answer.heads
        answer.totals = sections.totals(
            heads.get(sections.CONNECTION_TOTAL) or heads.get(sections.BRIEF_TOTAL),
            heads.get(sections.STATE_INFORMATION),
            heads.get(sections.IKE_TOTAL), heads.get(sections.IPSEC_TOTAL),
        )  # fmt: skip
        if answer.tangled:
            answer.listed, answer.odd = consistency.merged(text)
        loaded = answer.totals.loaded if sections.CONNECTION_TOTAL in heads else None
        answer.doubt = consistency.disagreement(answer.listed, answer.odd, loaded)
        for key, (number, odd) in answer.odd.items():
            lines = answer.listed[key].lines
            for i in odd.strange:
                answer.unrecognised(number + i, key + lines[i])
        self._listed, self._odd = answer.listed, answer.odd
        answer.connections = tuple(answer.listed.values())

    def _report(self, sifted: Sifted, answer: PartialReport, command: str | None) -> Report:
        told = completeness.command(answer, command)
        asked = command or told
        found = self._states(sifted.text, answer, told)
        if sifted.strangers:
            self._number(sifted, answer)
        why = completeness.incomplete(asked, answer, found, sifted.text)
        known = knowledge(asked, answer, found, complete=why is None)
        return Report(
            asked, answer.version, why is None, why, answer.connections, found,
            tuple(answer.pending), tuple(answer.traffic.values()), tuple(answer.shunts),
            answer.totals, tuple(answer.other),
            tuple(sorted(answer.strange, key=lambda u: u.line)), answer.strange_count, known,
        )  # fmt: skip

    def _number(self, sifted: Sifted, answer: PartialReport) -> None:
        """Renumber unrecognised lines as in the whole text, and add those that were cut out."""
        answer.strange = [Unrecognised(sifted.numbers[u.line - 1], u.text) for u in answer.strange]
        for number, line in sifted.strangers:
            plain = _plain(line)
            if plain and not plain.isspace():
                answer.unrecognised(number, plain)

    def _states(self, text: str, answer: PartialReport, told: str | None) -> tuple[SaState, ...]:
        """Build the states, and leave out those that aren't believed."""
        found = answer.states
        if told != "status":
            answer.doubled = answer.doubled or len({s.serial for s in found}) < len(found)
            return tuple(found)
        sifted = consistency.sift_states(found, answer.totals, answer.connections, answer.tainted)
        answer.doubt = answer.doubt or sifted.doubt
        if sifted.strangers:
            believed = set(range(len(found))) - set(sifted.strangers)
            answer.pending = [
                wish
                for wish, behind in zip(answer.pending, answer.behind, strict=True)
                if behind == 0 or behind - 1 in believed
            ]
            lines = text.split("\n")
            for number in (answer.numbers[i] for i in sifted.strangers):
                answer.unrecognised(number, lines[number - 1])
        return tuple(sifted.states)
