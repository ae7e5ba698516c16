# SPDX-License-Identifier: MIT
"""Find out which command a text answers, and whether the answer is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import address_pools, sections
from ipsecwatch.report import SaKind, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.libreswan.status.partial_report import PartialReport
    from ipsecwatch.report import SaState

_MAY_BE_EMPTY: Final = frozenset({"trafficstatus", "showstates", "addresspoolstatus"})
"""Commands whose complete answer may be empty: there are no SAs, or no address pool is in use."""

_NEEDS: Final = {
    "status": (
        sections.STATUS_HEAD, sections.CONNECTION_LIST, sections.STATE_INFORMATION,
        sections.IKE_TOTAL, sections.IPSEC_TOTAL,
    ),
    "shuntstatus": (sections.SHUNT_LIST,),
    "briefstatus": (
        sections.STATE_INFORMATION, sections.IKE_TOTAL, sections.IPSEC_TOTAL,
    ),
}  # fmt: skip
"""By command: the heads and totals that its complete answer has in every release."""

_LAST_COUNTER: Final = (
    "total.ikev2.recv.notifies.status.other=",  # from 3.25 on
    "total.ikev2.recv.notifies.error.AUTHORIZATION_FAILED=",  # 3.22
)
"""How the last line of an answer to ``globalstatus`` begins, from 3.22 on."""

_NOT_OURS: Final = "not a status text of libreswan's"


def command(answer: PartialReport, asked: str | None = None) -> str | None:
    """Return the command whose answer a text is, found out from its lines, or None if none shows.

    ``asked`` is the command that was sent, if that is known. It matters only for a connection list
    without anything else, in the form that releases before 5.0 print: that is an answer to
    ``connectionstatus`` if it was asked, otherwise a part of a ``status``.
    """
    heads = answer.heads
    if sections.STATUS_HEAD in heads or (answer.listed and sections.STATE_INFORMATION in heads):
        return "status"
    if sections.CONNECTION_LIST in heads or answer.listed:
        return "connectionstatus" if _is_list_alone(answer, asked) else "status"
    if answer.traffic:
        return "trafficstatus"
    if sections.STATE_INFORMATION in heads:
        whole = sections.SHUNT_LIST in heads or answer.states or answer.traffic
        return "status" if whole else "briefstatus"
    if sections.CONNECTION_TOTAL in heads:
        return "status"
    if answer.states or answer.pending:
        return "showstates"
    if sections.SHUNT_LIST in heads or answer.shunts:
        return "shuntstatus"
    return next(filter(None, map(sections.command, answer.other)), None)


def _is_list_alone(answer: PartialReport, asked: str | None) -> bool:
    """Return whether a text with a connection list answers ``connectionstatus``, not ``status``.

    It is, if there are no SAs, and no lines besides the connections, their head and their total.
    A list in the form of a release before 5.0 is a status that was cut, unless ``asked`` is
    ``connectionstatus``.
    """
    heads = (sections.CONNECTION_LIST, sections.CONNECTION_TOTAL)
    if answer.states or not all(x.startswith(heads) for x in answer.other):
        return False
    if asked == "connectionstatus":
        return True
    return not any("   newest I" in c.text for c in answer.listed.values())


# A cut at the very end of a line can't be seen where an answer is a list without a total and
# without an end: trafficstatus (but for 3.18's), showstates behind an IKE SA or a whole Child SA,
# shuntstatus behind a shunt, globalstatus up to 3.21, addresspoolstatus behind a pool,
# processstatus, briefconnectionstatus (whose total is missing where a name was asked for), the last
# lines of connectionstatus with a name, and its head alone, which is all where nothing is loaded.
# All that is read from such an answer exists, but there may be more. A status has totals of its
# connections and SAs, and ends with a list's head.
def incomplete(
    asked: str | None, answer: PartialReport, states: Sequence[SaState], text: str
) -> str | None:
    """Return why a text isn't the complete answer to the command ``asked``, or None if it is.

    The reason is a phrase: ``cut off within a line``, ``more than one answer``, or pluto's error
    message. It is ``answer.doubt`` if everything is there, but contradicts itself. ``asked`` is
    None if no command was given, and the text doesn't show one. ``text`` is the whole answer, and
    ``states`` are the SAs in it that are believed.
    """
    if answer.error is not None:
        return f"pluto did not answer: {answer.error[:200]}"
    if text and not text.endswith("\n"):
        return "cut off within a line"
    told = command(answer, asked)
    if told is None and not answer.other:
        if answer.strange_count:
            return _NOT_OURS
        return None if asked in _MAY_BE_EMPTY else "empty"
    if answer.doubled:
        return "more than one answer"
    if asked is None:
        return _NOT_OURS
    if told is not None and told != asked:
        return f"the answer to {told}, not to {asked}"
    return _missing(asked, answer, states, text) or answer.doubt


def _missing(asked: str, answer: PartialReport, states: Sequence[SaState], text: str) -> str | None:
    """Return which part of an answer is missing, in words, or None if all its sections are there.

    Examples: ``the beginning is missing``, ``cut off within the connection list``.
    """
    for head in _NEEDS.get(asked, ()):
        if head not in answer.heads:
            begins = head in (sections.STATUS_HEAD, sections.SHUNT_LIST)
            return "the beginning is missing" if begins else f"cut off before “{head}”"
    last = text[text.rfind("\n", 0, -1) + 1 : -1]
    ends_blank = _is_blank(last)
    if asked in ("status", "connectionstatus") and _cut_connections(answer, ends_blank=ends_blank):
        return "cut off within the connection list"
    if asked in ("status", "showstates") and _cut_states(states):
        return "cut off within the states"
    if asked == "status" and sections.SHUNT_LIST not in answer.heads:
        return _without_shunts(answer, ends_blank=ends_blank)
    if asked in ("status", "shuntstatus") and not (ends_blank or _is_shunt(last)):
        return f"cut off behind “{sections.SHUNT_LIST}”"
    if asked == "trafficstatus" and _is_blank(text[: text.find("\n")]) and not ends_blank:
        return "cut off within the list"  # 3.18 puts it between two blank lines
    if asked == "addresspoolstatus" and not address_pools.is_whole(answer.other):
        return "cut off within the leases"
    if asked == "globalstatus" and not answer.other[0].startswith(("~", "#")):  # from 3.22 on
        is_last = answer.other[-1].startswith(_LAST_COUNTER)
        return None if is_last else "cut off within the counters"
    return None


def _is_blank(line: str) -> bool:
    """Return whether a line has nothing but blanks, or nothing but a prefix of three digits."""
    words = line.split()
    return not words or (len(words) == 1 and len(words[0]) == 3 and words[0].isdigit())


def _is_shunt(line: str) -> bool:
    return sections.shunt(line[4:] if line[:3].isdigit() else line) is not None


def _cut_connections(answer: PartialReport, *, ends_blank: bool) -> bool:
    """Return whether the connection list was cut off.

    It ends with a total. If nothing is loaded, it is only a head and a blank line. An answer to
    ``connectionstatus NAME`` has neither head nor total: it counts as cut off if the last
    connection's serial is missing, which is printed near the connection's end. ``ends_blank`` says
    whether the last line of the answer is blank.
    """
    if sections.CONNECTION_TOTAL in answer.heads:
        return False
    if sections.CONNECTION_LIST not in answer.heads:
        return not answer.connections or answer.connections[-1].conn_serial is None
    return bool(answer.connections) or not (
        ends_blank or sections.STATE_INFORMATION in answer.heads
    )


def _cut_states(states: Sequence[SaState]) -> bool:
    """Return whether the last SA lacks its second line, the one with SPIs and counters.

    Only an established Child SA is sure to have that line, so False for any other SA, for one
    whose state was guessed, and if there are no SAs.
    """
    if not states:
        return False
    last = states[-1]
    child = last.kind is SaKind.CHILD and last.stage is Stage.ESTABLISHED
    return child and last.sa is None and not last.guessed


def _without_shunts(answer: PartialReport, *, ends_blank: bool) -> str | None:
    """Return where a status without a shunt list was cut off, in words, or None if it wasn't.

    A shunt list may be missing only from 3.18 to 3.23, and then a blank line ends the status.
    """
    if not ends_blank:
        return "cut off within the states"
    if tuple((answer.version or "3").split(".")[:2]) not in _NO_SHUNTS:
        return f"cut off before “{sections.SHUNT_LIST}”"
    return None


_NO_SHUNTS: Final = {("3",), *(("3", str(n)) for n in range(18, 24))}
"""Releases of which some builds print no shunt list, as (major, minor). ("3",): not printed."""
