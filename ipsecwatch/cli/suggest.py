# SPDX-License-Identifier: MIT
"""Finds what a misspelt word may mean: a verb, an option, a tunnel, or a word of ``explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.failure import EXIT_USAGE, Failure
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_MOST: Final = 3
"""The number of suggestions for one word, at most."""
_CLOSE: Final = 0.7
"""The similarity from which on a word is suggested: from 0 to 1 (equal), as difflib measures it."""
_FEW: Final = 10
"""If no tunnel's name is similar, and there are at most this many tunnels, all names are listed."""
_LONGEST: Final = 256
"""Only this many characters of a word are compared; no name that is shown has more."""


def similar(word: str, known: Mapping[str, str]) -> list[str]:
    """Return up to _MOST values of ``known`` whose keys are similar to ``word``, the nearest first.

    If no key is similar, return values whose keys begin with ``word``; if there are none, [].
    Characters are compared as they are: the caller changes ``word`` and the keys to lower case if
    the case shouldn't matter.
    """
    import difflib  # takes 5 ms, and only a mistake needs it

    word = word[:_LONGEST]
    close = difflib.get_close_matches(word, known, n=_MOST, cutoff=_CLOSE)
    begun = [key for key in known if word and key.startswith(word)]
    return [known[key] for key in close or begun[:_MOST]]


def did_you_mean(word: str, known: Collection[str]) -> str:
    """Return ``Did you mean a, b or c?`` with the words of ``known`` that are similar to ``word``.

    Return "" if similar() finds none. Upper and lower case don't matter.
    """
    return question(similar(word.lower(), {each.lower(): each for each in known}))


def question(words: Collection[str]) -> str:
    """Return ``Did you mean a, b or c?`` with the given words, or "" if there are none."""
    *others, last = words or [""]
    listed = f"{', '.join(others)} or {last}" if others else last
    return f"Did you mean {listed}?" if listed else ""


def no_such_verb(verb: str) -> Failure:
    """Return the Failure for a verb that doesn't exist. Its hint names similar verbs, or --help."""
    hint = did_you_mean(verb, VERBS) or "List all verbs: ipsecwatch --help"
    return Failure(f"no such verb: {clean(verb, 80)}", hint, EXIT_USAGE)


def no_such_option(option: str, known: Collection[str]) -> str:
    """Return ``Did you mean --a or --b?`` with the options in ``known`` similar to ``option``.

    Return "" if none is similar. ``option`` may be written with one dash, or in capitals.
    """
    return question(similar(f"--{option.strip('-').lower()}", {each: each for each in known}))


def no_such_tunnel(name: str, names: Collection[str], title: str = "") -> Failure:
    """Return the Failure for ``name``, which isn't among ``names``, the names of all tunnels.

    Its hint has the similar names. If none is similar, the hint lists all names if there are at
    most _FEW, else it names the verb that lists them. ``title``: the name to print instead of
    ``name``; "": print ``name``.
    """
    hint = did_you_mean(name, names)
    if not hint and len(names) <= _FEW:
        hint = f"There are: {', '.join(sorted(names)) or 'none'}"
    hint = hint or f"List all {len(names):,} tunnels: ipsecwatch status"
    return Failure(f"no such tunnel: {title or clean(name)}", hint)
