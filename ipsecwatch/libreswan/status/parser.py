# SPDX-License-Identifier: MIT
"""Parse one answer of pluto into a Report: decide for each line what it is.

The Report depends only on this answer. A Reader remembers parts of the last answer, but only to
save work: a connection whose text is the same isn't parsed again, and neither is all that comes
before the list of SAs, while it is the same.
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
"""How many dull lines a Reader may remember: nothing in them is read into a Connection.

If there are more, the Reader forgets all of them before it reads the next answer.
"""


def parse(text: str | bytes, command: str | None = None) -> Report:
    """Return one answer of pluto as a Report.

    ``command`` is the command that was sent (``status``), or None to find it out from the text.
    Nothing is raised: for a text that is cut off, doubled, an error message or the answer to
    another command, ``Report.complete`` is False, and ``why`` says what is wrong. The same holds
    for an empty text, unless the command may have an empty answer (as ``trafficstatus``).
    """
    return Reader().read(text, command)


@dataclass(slots=True)
class _Prefix:
    """The beginning of an answer, up to where its SAs are listed. Most polls have the same."""

    text: str
    """The text of the answer: all of it, or its first ``end`` characters."""
    end: int
    """The index in ``text`` where the list of SAs begins; 0: nothing is remembered yet."""
    number: int
    """The number of the line at ``end``, counted from 1."""
    answer: PartialReport
    """What was read of the text before ``end``."""

    def begins(self, text: str) -> bool:
        """Return whether the text of another answer has the same beginning, up to ``end``."""
        if len(self.text) > self.end:  # cut only when needed, as most answers are large
            self.text = self.text[: self.end]
        return bool(self.end) and text.startswith(self.text)


def _plain(line: str) -> str:
    """Return a line without whack's prefix (``000 ``), or as it is if it has none."""
    return line[4:] if len(line) > 2 and line[:3].isdigit() and line[3:4] in (" ", "") else line


class Reader:
    """Parses the answers of polls, one after the other.

    Parts that are the same as in the last answer aren't parsed again. The Reports are the same as
    those of parse().
    """

    def __init__(self) -> None:
        self._listed: dict[str, Connection] = {}
        self._odd: dict[str, tuple[int, connections.Odd]] = {}
        self._dull: set[str] = set()
        self._past = _Prefix("", 0, 0, PartialReport())

    def read(self, text: str | bytes, command: str | None = None) -> Report:
        """Return one answer of pluto as a Report, and raise nothing: see parse()."""
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
        """Parse a text from its beginning, and return what all its lines say.

        The connections in the result are checked already, the SAs aren't. If the text has the
        totals of SAs, all that was read up to these is remembered for the next answer.
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
        """Add the lines behind ``past.end`` to ``answer``: SAs, and what follows them (shunts).

        A line at the end that has no line feed is skipped.
        """
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
        """Return a copy of an answer without its SAs, pending Child SAs and counters.

        They stand before the totals, where no status has them. So their lines (``early``: numbers
        and texts) are counted as unrecognised instead.
        """
        kept = PartialReport(
            answer.listed, answer.odd, answer.tangled, shunts=answer.shunts, other=answer.other,
            heads=answer.heads, version=answer.version, error=answer.error,
            doubled=answer.doubled, strange=answer.strange, strange_count=answer.strange_count,
        )  # fmt: skip
        for number, line in early:
            kept.unrecognised(number, line)
        return kept

    def _connection(self, block: Block, number: int, answer: PartialReport) -> bool:
        """Add a block's connection to ``answer``. If foreign lines are in it, only return False.

        The connection isn't parsed again if its text is the same as in the last answer. A block
        that has only lines of another kind, as of pluto's log, is no connection: its lines are
        counted as unrecognised. ``number`` is the number of the block's first line.
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
        """Add a line that isn't a connection's to ``answer``, also if it isn't recognised.

        Return True if it was added as a line about an SA (see _sa()).
        """
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
        """Add a line about an SA to ``answer``: a state, SPIs, counters, or a pending Child SA.

        Return False, and add nothing, if the line is none of these, or stands in a place where
        pluto doesn't print it.
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
        """Return whether a line about a pending Child SA may be pluto's, by its place.

        In every release, it follows the IKE SA that the Child SA waits for. So it may be forged if
        the last SA before it is another one, or has a user name, which only Child SAs have. If no
        SA comes before it, nothing speaks against it: True.
        """
        last = answer.states[-1] if answer.states else None
        return last is None or (last.serial == wish.serial and not states.names_user(last))

    def _spis(self, line: str, answer: PartialReport) -> bool:
        """Add a line with SPIs and counters to the last SA of ``answer``.

        Return False, and add nothing, if the line isn't about that SA, or that SA has such a line
        already. In every release, this line comes directly after the state line of its SA.
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
        """Return whether a line of any other kind than SPIs, state or pending may be pluto's here.

        A user name is a peer's text, so lines behind it may be forged. Behind a user name and the
        totals of a status, only heads and totals are believed, and in the last section (the shunt
        list) also shunts and lines that begin with ``#``. In all other places, any line is
        believed, except a total of ``briefconnectionstatus`` in a status.
        """
        heads = answer.heads
        if line.startswith(sections.BRIEF_TOTAL):  # of another command
            return sections.STATUS_HEAD not in heads
        if answer.tainted is None or sections.IPSEC_TOTAL not in heads or line.startswith(_HEADS):
            return True
        of_a_list = line[0] == "#" or sections.shunt(line) is not None
        return of_a_list and sections.SHUNT_LIST in heads

    def _other(self, number: int, line: str, answer: PartialReport) -> None:
        """Add a line about pluto itself to ``answer``: a head, a total, a shunt, an error.

        A note is skipped. Any other line, and one that can't be pluto's in this place, is counted
        as unrecognised.
        """
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
        """Set the totals of ``answer``, and check its connections against them.

        A contradiction is noted in ``answer.doubt``, and strange lines of connections are counted
        as unrecognised. If the answer is tangled, ``text`` is parsed again, so that each connection
        has all its lines. Otherwise ``text`` isn't used.
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
        """Check the SAs of an answer, and whether it is complete, and return its Report.

        ``sifted`` is the text that was parsed. ``command`` is the command that was sent, or None.
        """
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
        """Correct ``answer`` for the lines that were left out of the text before it was parsed.

        Unrecognised lines get their numbers in the original text, and the lines left out are
        counted as unrecognised, too.
        """
        answer.strange = [Unrecognised(sifted.numbers[u.line - 1], u.text) for u in answer.strange]
        for number, line in sifted.strangers:
            plain = _plain(line)
            if plain and not plain.isspace():
                answer.unrecognised(number, plain)

    def _states(self, text: str, answer: PartialReport, told: str | None) -> tuple[SaState, ...]:
        """Return the SAs of ``answer`` that are believed.

        Only a status is checked, by its totals; other answers have none. ``told`` is the command
        whose answer the text is. The state lines of the SAs that aren't believed are counted as
        unrecognised, and pending Child SAs behind them are removed. Contradictions are noted in
        ``answer.doubt`` and ``answer.doubled``.
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
