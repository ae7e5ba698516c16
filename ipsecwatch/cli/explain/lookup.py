# SPDX-License-Identifier: MIT
"""``ipsecwatch explain WORD``: explains one word of pluto's, of IKE's or of ipsecwatch's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli import suggest
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.explain.own_words import STATE_MEANINGS, OwnWord, own_words
from ipsecwatch.libreswan import glossary
from ipsecwatch.libreswan.notifications import ERROR_WORDS, NOTIFICATION_TABLE, notifications
from ipsecwatch.libreswan.releases import MAIN
from ipsecwatch.libreswan.state_table import STATE_TABLE, StateInfo, Wording
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.sa_states import Role, SaKind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_PREFIXES: Final = ("STATE_", "V2_")
"""What may be missing in front of a state's name, in this order."""

_PRINTED: Final = re.compile(r"(\w{1,60}) \((.{0,200})\)", re.ASCII)


def states(word: str) -> list[StateInfo]:
    """Return the SA states that have this name; where none has, those that have this story.

    A state's story is the text in brackets that a status prints after its name, as in
    ``STATE_MAIN_I1 (sent MI1, expecting MR1)``. If ``word`` has this form, only the name in it is
    compared. STATE_ and V2_ in front of a name may be missing. Upper and lower case are the
    same. Return [] for any other word.
    """
    printed = _PRINTED.fullmatch(word)
    word = printed[1] if printed else word
    plain = _plain(word)
    by_name = [s for s in STATE_TABLE if any(_plain(w.text) == plain for w in s.names)]
    if by_name or not plain:
        return by_name
    return [s for s in STATE_TABLE if any(w.text.lower() == word.lower() for w in s.stories)]


def other(word: str) -> list[tuple[str, str, str]]:
    """Return the meanings of a word of a status that is no SA's state; [] where it has none.

    Each item is the kind of word (``routing``, ``policy``, ``mark``, ``shunt`` or ``timer``), the
    word as pluto prints it, and its meaning. A timer is returned as it was given. Upper and lower
    case are the same.
    """
    found = []
    for kind, words in _TABLES:
        found += [(kind, w, told) for w, told in words.items() if w.lower() == word.lower()]
    meaning = glossary.timer(word) or glossary.timer(word.upper())
    return [*found, ("timer", word, meaning)] if meaning else found


_TABLES: Final = (
    ("routing", glossary.ROUTING), ("policy", glossary.POLICY), ("mark", glossary.MARKS),
    ("shunt", glossary.SHUNTS),
)  # fmt: skip


def known_words() -> dict[str, str]:
    """Return all words that can be explained, as they are printed, each in one spelling.

    The keys are these words in the form in which two words are compared: in lower case, SA states
    shortened by _plain(). Names of tunnels aren't among them.
    """
    known = {_plain(w.text): w.text for s in STATE_TABLE for w in (*s.names, *s.stories) if w.text}
    known |= {w.lower(): w for _, words in _TABLES for w in words}
    known |= {w.lower(): w for w in glossary.TIMERS}
    known |= {n.name.lower(): n.name for n in (*NOTIFICATION_TABLE, *ERROR_WORDS)}
    known |= {w.value: w.value for w in (*STATE_MEANINGS, *REASON_TEXTS)}
    return known


def similar(word: str, names: Collection[str] = ()) -> list[str]:
    """Return known words, and ``names`` of tunnels, that are similar to a mistyped word.

    At most three are returned, the most similar first. Where none is similar, return those that
    begin with the word.
    """
    known = known_words()
    known |= {name.lower(): name for name in names}
    return suggest.similar(_plain(word), known)


_TOKEN: Final = re.compile(r"\b[A-Z][A-Z0-9]{0,40}(?:_[A-Z0-9]{1,40}){1,8}\b", re.ASCII)


def words_in(text: str) -> list[str]:
    """Return the words in a text that can be explained, and are written like NO_PROPOSAL_CHOSEN.

    That is in capital letters, with an underscore. At most _FEW are returned, in the text's order,
    each once. Only the first _LONGEST characters of the text are searched.
    """
    found = dict.fromkeys(m[0] for m in _TOKEN.finditer(text[:_LONGEST]))
    return [w for w in found if states(w) or notifications(w) or other(w)][:_FEW]


_LONGEST: Final = 20_000
_FEW: Final = 4


def _plain(word: str) -> str:
    """Return a word in the form in which two words are compared.

    That is in lower case, without STATE_ and V2_ at its beginning.
    """
    word = word.upper()
    for prefix in _PREFIXES:
        word = word.removeprefix(prefix)
    return word.lower()


def explanation(word: str, paint: terminal.Paint, wide: int) -> str:
    """Return the explanation of a word as text for people; "" where it isn't known.

    A word with several meanings has a paragraph for each, with a blank line between them.
    """
    parts = [_state(s, paint, wide) for s in states(word)]
    parts += [
        _paragraph(x.word, x.kind, [("means", x.meaning), ("what to do", x.advice)], paint, wide)
        for x in (*_errors(word), *own_words(word))
    ]
    for kind, printed, meaning in other(word):
        parts.append(_paragraph(printed, kind, [("means", meaning)], paint, wide))
    return "\n\n".join(parts)


def _paragraph(
    word: str, kind: str, rows: list[tuple[str, str]], paint: terminal.Paint, wide: int
) -> str:
    title = f"{paint.bold(word)}   {paint.dim(kind)}"
    return "\n".join([title, *terminal.facts(rows, paint, wide)])


def _errors(word: str) -> list[OwnWord]:
    """Return what is known about an error of this name; [] where there is none.

    These are IKE's error notifications, of both versions of IKE, and some errors of the network and
    of NSS (ERROR_WORDS).
    """
    return [
        OwnWord(
            f"error that one side tells the other (IKEv{n.version}, {n.number})"
            if n.number is not None
            else "error",
            n.name,
            n.meaning,
            n.advice,
        )
        for n in notifications(word)
    ]


def _state(s: StateInfo, paint: terminal.Paint, wide: int) -> str:
    """Return the explanation of an SA's state, as text of several lines.

    It has the names and stories that the releases of libreswan print for the state, its meaning,
    and what is likely wrong if an SA stays in it.
    """
    names = s.names or s.stories
    rows = [
        ("name", _wordings(s.names)),
        ("story", _wordings(s.stories)),
        ("means", s.meaning),
        ("if it stays", s.sticks),
    ]
    title = f"{paint.bold(names[-1].text)}   {paint.dim(_class(s))}"
    return "\n".join([title, *terminal.facts(rows, paint, wide)])


def _class(s: StateInfo) -> str:
    """Return what kind of state it is, such as ``IKEv2, IKE SA, we began, half open``.

    That is the IKE version, the kind of SA, the side that began, and the stage, as far as they
    apply.
    """
    version = f"IKEv{s.ike_version}" if s.ike_version else ""
    kind = {SaKind.IKE: "IKE SA", SaKind.CHILD: "Child SA", None: ""}[s.kind]
    role = {Role.INITIATOR: "we began", Role.RESPONDER: "the peer began", None: ""}[s.role]
    return ", ".join(filter(None, (version, kind, role, s.stage.value.replace("-", " "))))


def _wordings(wordings: Sequence[Wording]) -> str:
    """Return a text with a line for each wording: the releases that print it, then the wording.

    The wordings stand below each other in one column.
    """
    spans = [_span(w) for w in wordings]
    widest = max(map(terminal.width, spans), default=0)
    return "\n".join(
        f"{terminal.pad(x, widest)}   {w.text}" for x, w in zip(spans, wordings, strict=True)
    )


def _span(w: Wording) -> str:
    """Return the releases of libreswan that print a text: ``3.18 to 3.32``, ``from 4.0 on``."""
    if w.last == MAIN:
        return f"from {w.first} on"
    return w.first if w.first == w.last else f"{w.first} to {w.last}"


def as_json(word: str) -> list[dict[str, Any]]:
    """Return the meanings of a word, each as an object for JSON; [] where it isn't known."""
    found: list[dict[str, Any]] = [
        {
            "kind": "state",
            "names": [[w.text, w.first, w.last] for w in s.names],
            "stories": [[w.text, w.first, w.last] for w in s.stories],
            "ike_version": s.ike_version,
            "role": s.role,
            "sa": s.kind,
            "stage": s.stage,
            "meaning": s.meaning,
            "sticks": s.sticks or None,
        }
        for s in states(word)
    ]
    found += [
        {"kind": x.kind, "word": x.word, "meaning": x.meaning, "advice": x.advice or None}
        for x in (*_errors(word), *own_words(word))
    ]
    return found + [
        {"kind": kind, "word": printed, "meaning": meaning}
        for kind, printed, meaning in other(word)
    ]
