# SPDX-License-Identifier: MIT
"""Suggests verbs, options, names of tunnels and words that are like one that doesn't exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.common import EXIT_USAGE, Failure
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_MOST: Final = 3
"""The number of suggestions, at most."""
_CLOSE: Final = 0.7
"""How similar two words must be, from 0 to 1 (difflib)."""
_FEW: Final = 10
"""Up to this number of names, all are listed where none is similar."""
_LONGEST: Final = 256
"""Characters of a word that are compared; no name that is shown is longer."""


def similar(word: str, known: Mapping[str, str]) -> list[str]:
    """Return the values of ``known`` whose keys are similar to a word, the most similar first.

    The keys and ``word`` must be in the form that is compared, in lower case for example. Where no
    key is similar, return the values whose keys begin with ``word``. Return _MOST values at most.
    """
    import difflib  # takes 5 ms, and only a mistake needs it

    word = word[:_LONGEST]
    close = difflib.get_close_matches(word, known, n=_MOST, cutoff=_CLOSE)
    begun = [key for key in known if word and key.startswith(word)]
    return [known[key] for key in close or begun[:_MOST]]


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return ``Did you mean a, b or c?`` with the words in ``known`` that similar() finds.

    Return "" where it finds none. Upper and lower case are the same.
    """
    return question(similar(word.lower(), {each.lower(): each for each in known}))


def question(words: Collection[str]) -> str:
    """Return ``Did you mean a, b or c?`` with these words; "" without words."""
    *others, last = words or [""]
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"Did you mean {listed}?" if listed else ""


def no_such_verb(verb: str) -> Failure:
    """Return the Failure for a verb that doesn't exist."""
    hint = did_you_mean(verb, VERBS) or "List all verbs: ipsecwatch --help"
    return Failure(f"no such verb: {clean(verb, 80)}", hint, EXIT_USAGE)


def no_such_option(option: str, known: Collection[str]) -> str:
    """Return ``Did you mean --a or --b?`` with the known options like ``option``; "": none is."""
    return question(similar(f"--{option.strip('-').lower()}", {each: each for each in known}))


def no_such_tunnel(name: str, names: Collection[str], title: str = "") -> Failure:
    """Return the Failure for a tunnel that doesn't exist, with a hint.

    The hint has those of ``names`` that are similar, else all of them where they are _FEW at most.
    ``title``: the name to print instead of ``name``; "": print ``name``.
    """
    hint = did_you_mean(name, names)
    if not hint and len(names) <= _FEW:
        hint = f"There are: {', '.join(sorted(names)) or 'none'}"
    hint = hint or f"List all {len(names):,} tunnels: ipsecwatch status"
    return Failure(f"no such tunnel: {title or clean(name)}", hint)
