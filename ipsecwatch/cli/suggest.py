# SPDX-License-Identifier: MIT
"""What somebody may have meant by a verb, a tunnel's name or a word that there isn't."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.common import EXIT_USAGE, Failure
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_MOST: Final = 3
_CLOSE: Final = 0.7
"""How much alike two words have to be, from 0 to 1 (difflib)."""
_FEW: Final = 10
"""Names that are listed where none of them is like the one that was given."""
_LONGEST: Final = 256
"""Characters of a word that are compared; a name that is shown isn't longer."""


def similar(word: str, known: Mapping[str, str]) -> list[str]:
    """Return what may have been meant, the likeliest first: values of ``known``.

    Its keys are the same words in the form in which they are compared, as ``word`` is. Where none
    is much alike, those that begin with it count.
    """
    import difflib  # 5 ms that only a mistake costs

    word = word[:_LONGEST]
    close = difflib.get_close_matches(word, known, n=_MOST, cutoff=_CLOSE)
    begun = [key for key in known if word and key.startswith(word)]
    return [known[key] for key in close or begun[:_MOST]]


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return ``Did you mean a, b or c?``, or "" where nothing is alike. Case doesn't count."""
    return question(similar(word.lower(), {each.lower(): each for each in known}))


def question(words: Collection[str]) -> str:
    """Ask whether one of these was meant; "" where there is none."""
    *others, last = words or [""]
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"Did you mean {listed}?" if listed else ""


def no_such_verb(verb: str) -> Failure:
    """Say that there is no such verb."""
    hint = did_you_mean(verb, VERBS) or "There are those of: ipsecwatch --help"
    return Failure(f"no such verb: {clean(verb, 80)}", hint, EXIT_USAGE)


def no_such_tunnel(name: str, names: Collection[str], title: str = "") -> Failure:
    """Say that there is no such tunnel, and which there are; with many, which are alike.

    ``title`` is what people call it, where that isn't its name.
    """
    hint = did_you_mean(name, names)
    if not hint and len(names) <= _FEW:
        hint = f"There are: {', '.join(sorted(names)) or 'none'}"
    hint = hint or f"There are {len(names):,}: ipsecwatch status"
    return Failure(f"no such tunnel: {title or clean(name)}", hint)
