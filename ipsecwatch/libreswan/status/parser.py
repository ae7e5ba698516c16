# SPDX-License-Identifier: MIT
"""Parse one answer of pluto into a Report: decide for each line what it is.

The result depends on the text alone. What a Reader remembers of the last answer only saves work: a
connection whose text is the same isn't parsed again, and the part in front of the SAs is skipped
while it is the same.
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
"""Lines of connections that are remembered because they don't matter for a tunnel's state.

Where there are more, all are forgotten before the next answer is read.
"""


def parse(text: str | bytes, command: str | None = None) -> Report:
    """Return one answer as a Report; ``command`` is what was asked (None: decided by the text).

    Raise nothing: for a text that is cut, doubled, empty, or another command's answer, the Report
    has ``complete`` False, and the reason in ``why``. Only some commands may have an empty answer.
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
        """Return whether another answer begins with the same text."""
        if len(self.text) > self.end:  # cut only when needed, as most answers are large
            self.text = self.text[: self.end]
        return bool(self.end) and text.startswith(self.text)


def _plain(line: str) -> str:
    """Return a line without its prefix of three digits, if it has one."""
    return line[4:] if len(line) > 2 and line[:3].isdigit() and line[3:4] in (" ", "") else line


class Reader:
    """Parses one answer after the other, and remembers parts that need not be parsed again."""

    def __init__(self) -> None:
        self._listed: dict[str, Connection] = {}
        self._odd: dict[str, tuple[int, connections.Odd]] = {}
        self._dull: set[str] = set()
        self._past = _Prefix("", 0, 0, PartialReport())

    def read(self, text: str | bytes, command: str | None = None) -> Report:
        """Return one answer as a Report, as parse() does."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        if len(self._dull) > _MAX_DULL:
            self._dull.clear()
        past = self._past
        if past.begins(text):
            answer = past.answer.copy()
            self._read_states(text, past, answer)
        else:
            answer = self._gather(text)
        if not answer.tangled:
            return self._report(Sifted(text), answer, command)
        sifted = consistency.sift_connections(text)
        if sifted.strangers:
            answer = self._gather(sifted.text)
        answer.doubt = sifted.doubt or answer.doubt
        return self._report(sifted, answer, command)

    # --- reading lines --------------------------------------------------------------------

    def _gather(self, text: str) -> PartialReport:
        """Return what all lines of a text say, read from its beginning.

        The part in front of the states is remembered for the next answer.
        """
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
                # In a status the SAs follow this line; what looks like one before it is none.
                answer = self._without_states(answer, early)
                self._check_connections(text[:at] if answer.tangled else "", answer)
                self._past = past = _Prefix(text, at, number, answer.copy())
                self._read_states(text, past, answer)
                return answer
        self._check_connections(text, answer)
        return answer

    def _read_states(self, text: str, past: _Prefix, answer: PartialReport) -> None:
        """Read the lines that follow the totals: SAs and shunts."""
        at, number = past.end, past.number
        while (end := text.find("\n", at)) >= 0:  # a line without a newline was cut
            found = states.usual(text, at)
            if found is None:
                self._line(number, text[at:end], answer)
                at, number = end + 1, number + 1
                continue
            state, at = found
            answer.states.append(state)
            answer.numbers.append(number)
            number += 1
            if state.sa_text:
                number += 1
                if answer.tainted is None and states.USERNAME in state.sa_text:
                    answer.tainted = len(answer.states)

    def _without_states(self, answer: PartialReport, early: list[tuple[int, str]]) -> PartialReport:
        """Return an answer without its SAs; ``early`` are their lines, which count as strange."""
        kept = PartialReport(
            answer.listed, answer.odd, answer.tangled, shunts=answer.shunts, other=answer.other,
            heads=answer.heads, version=answer.version, error=answer.error,
            doubled=answer.doubled, strange=answer.strange, strange_count=answer.strange_count,
        )  # fmt: skip
        for number, line in early:
            kept.unrecognised(number, line)
        return kept

    def _connection(self, block: Block, number: int, answer: PartialReport) -> bool:
        """Add one connection to an answer. Return False if other lines are among its lines.

        It isn't parsed if its text is the same as in the last answer. ``number`` is the number of
        its first line. Lines that no status has are added as unrecognised.
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
        """Read a line that isn't a connection's. Return whether it is about an SA, and believed."""
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
        """Add a line about an SA: SPIs, state, counters, or pending. Return False if it is none.

        It is none either where its place shows that it isn't pluto's.
        """
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
        if wish is None or not self._may_be_pending(wish, answer):
            return False
        answer.pending.append(wish)
        answer.behind.append(len(answer.states))
        return True

    def _may_be_pending(self, wish: Pending, answer: PartialReport) -> bool:
        """Return whether a pending line may be pluto's: it follows the IKE SA that it waits for.

        It does so in every release, and never follows a user name, which only Child SAs have. True,
        too, where no SA comes before it.
        """
        last = answer.states[-1] if answer.states else None
        return last is None or (last.serial == wish.serial and not states.names_user(last))

    def _spis(self, line: str, answer: PartialReport) -> bool:
        """Add a line with SPIs and counters to its SA. Return False if it doesn't follow that.

        It does so in every release.
        """
        if not answer.states:
            return False
        last = answer.states[-1]
        if last.sa_text or not line.startswith(f'#{last.serial}: "'):
            return False
        states.add_sa(last, line)
        if answer.tainted is None and states.USERNAME in line:
            answer.tainted = len(answer.states)
        return True

    def _may_stand(self, line: str, answer: PartialReport) -> bool:
        """Return whether a line that is no state, SPIs or pending may be pluto's, by its place.

        Before a user name, which is a peer's text, and before the totals of a status, any may.
        After both, these may: heads and totals, and in the last section shunts, and lines that
        begin with ``#``. A total of briefconnectionstatus never may be in a status.
        """
        heads = answer.heads
        if line.startswith(sections.BRIEF_TOTAL):  # of another command
            return sections.STATUS_HEAD not in heads
        if answer.tainted is None or sections.IPSEC_TOTAL not in heads or line.startswith(_HEADS):
            return True
        of_a_list = line[0] == "#" or sections.shunt(line) is not None
        return of_a_list and sections.SHUNT_LIST in heads

    def _other(self, number: int, line: str, answer: PartialReport) -> None:
        """Add a line that is about no connection and no SA: a head, a total, a shunt, an error."""
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

    # --- checking -------------------------------------------------------------------------

    def _check_connections(self, text: str, answer: PartialReport) -> None:
        """Read the totals, and check the connections against them.

        ``text`` is read again only if an answer is tangled: the lines of a connection are in
        several places.
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
        """Return the finished report of an answer, with what is known of its completeness."""
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
        """Set unrecognised lines' numbers to those in the whole text. Add the lines left out."""
        answer.strange = [Unrecognised(sifted.numbers[u.line - 1], u.text) for u in answer.strange]
        for number, line in sifted.strangers:
            plain = _plain(line)
            if plain and not plain.isspace():
                answer.unrecognised(number, plain)

    def _states(self, text: str, answer: PartialReport, told: str | None) -> tuple[SaState, ...]:
        """Return the SAs that are believed. Count the lines of the others as unrecognised.

        Only a status is checked, by its totals. ``told`` is the command that the text answers.
        """
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
