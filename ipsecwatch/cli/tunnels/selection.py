# SPDX-License-Identifier: MIT
"""Selects and sorts tunnels, by the names, patterns and states on the command line."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ipsecwatch.cli.failure import EXIT_USAGE, Failure
from ipsecwatch.sanitize import clean
from ipsecwatch.states import TunnelState

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from ipsecwatch.cli.display.terminal import Row

T = TypeVar("T")

WORST_FIRST: Final = (
    TunnelState.STUCK, TunnelState.PARTIAL, TunnelState.UNKNOWN, TunnelState.CONNECTING,
    TunnelState.DOWN, TunnelState.WAITING, TunnelState.UP,
)  # fmt: skip

_URGENCY: Final = {state: n for n, state in enumerate(WORST_FIRST)}

NATURAL = re.compile(r"(\d{1,18})", re.ASCII)


def natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key for a name by which numbers in it are compared: gw-2 comes before gw-10."""
    return [(int(p), "") if n % 2 else (-1, p) for n, p in enumerate(NATURAL.split(name))]


_CLIENT: Final = re.compile(r"(.+?)(?:\[\d+\])+", re.DOTALL)


def template_of(name: str) -> str | None:
    """Return the name of the template behind which a client is: ``rw`` for ``rw[3]``.

    Return None if the tunnel's name isn't that of a client: those end in a number in brackets.
    """
    found = _CLIENT.fullmatch(name)
    return found[1] if found else None


def _worst_first(row: Row) -> tuple[int, Any]:
    return _URGENCY[row.state], natural(row.shown)


def _latest_first(row: Row) -> tuple[float, Any]:
    return float("inf") if row.age is None else row.age, natural(row.shown)


def _busiest_first(row: Row) -> tuple[int, Any]:
    return -((row.bytes_in or 0) + (row.bytes_out or 0)), natural(row.shown)


def _by_peer(row: Row) -> tuple[Any, Any]:
    return natural(row.peer or "\U0010ffff"), natural(row.shown)


ORDERS: Final[dict[str, Callable[[Row], Any]]] = {
    "state": _worst_first,
    "name": lambda row: natural(row.shown),
    "since": _latest_first,
    "traffic": _busiest_first,
    "peer": _by_peer,
}
"""For each word that ``--sort`` takes, the function that returns a tunnel's sort key.

First come the tunnels with the worst state, with the latest change of state, or with the most
traffic. Tunnels whose age or peer isn't known come last. Traffic that isn't known counts as 0.
Tunnels with equal keys are sorted by name.
"""


def is_pattern(text: str) -> bool:
    """Return whether a text is a pattern: it has ``*`` or ``?`` in it.

    Brackets don't make a pattern, because names of instances have them: ``rw[3]``.
    """
    return "*" in text or "?" in text


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a function that returns whether a whole name fits a pattern.

    In it ``*`` stands for any characters, or none, and ``?`` for any one. Upper and lower case
    differ. The function is fast even for a pattern with many stars.
    """
    first, *more = [re.escape(part).replace(r"\?", ".") for part in pattern.split("*")]
    # Each part matches at its first place: atomic groups prevent endless backtracking.
    middle = "".join(f"(?>.*?{part})" for part in more[:-1] if part)
    compiled = re.compile(f"{first}{middle}.*{more[-1]}" if more else first, re.DOTALL)
    return lambda name: compiled.fullmatch(name) is not None


def any_of(names: Iterable[str]) -> Callable[[str], bool]:
    """Return a function that returns whether a name is among ``names``, or fits a pattern in it."""
    exact = frozenset(names)
    patterns = [matcher(name) for name in exact if is_pattern(name)]
    return lambda name: name in exact or any(fits(name) for fits in patterns)


def pick(rows: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Return the tunnels that fit one of these names and patterns, each once; without names, all.

    ``names`` are pluto's or NetworkManager's names, or patterns for them. Raise Failure where one
    of them fits no tunnel, or is the name of several NetworkManager connections.
    """
    if not names:
        return list(rows)
    own_names = [own for name in names for own in _own_names(rows, name)]
    return pick_named({row.name: row for row in rows}, own_names)


def _own_names(rows: Sequence[Row], name: str) -> list[str]:
    """Return pluto's names of the tunnels that a given name or pattern fits.

    It is compared with pluto's names and with NetworkManager's. It is returned as it is, alone,
    where it is pluto's name of a tunnel, where it fits none, or where no tunnel has a name from
    NetworkManager. Raise Failure where it is the name of several NetworkManager connections.
    """
    titled = [row for row in rows if row.title]
    if not titled or any(row.name == name for row in rows):
        return [name]
    if is_pattern(name):
        fits = matcher(name)
        return [row.name for row in rows if fits(row.title) or fits(row.name)] or [name]
    found = [row.name for row in titled if row.title == name]
    if len(found) > 1:
        raise ambiguous(name, found)
    return found or [name]


def ambiguous(name: str, uuids: Sequence[str]) -> Failure:
    """Return the Failure for a name that several of NetworkManager's connections have.

    Its hint says to give one of their ``uuids`` instead.
    """
    what = f"{len(uuids)} NetworkManager connections are called {clean(name)}"
    return Failure(what, f"Give the UUID: {' or '.join(sorted(uuids))}")


def distinct(titles: Mapping[str, str]) -> dict[str, str]:
    """Return the names to show to people for tunnels with these names in NetworkManager.

    Both are by pluto's name, which is a UUID. Where several tunnels have the same name, the UUID
    follows: ``Office (UUID)``.
    """
    count = Counter(titles.values())
    return {
        uuid: f"{title} ({uuid})" if count[title] > 1 else title for uuid, title in titles.items()
    }


def pick_named(by_name: Mapping[str, T], names: Sequence[str]) -> list[T]:
    """Return the values of ``by_name`` whose keys fit one of these names and patterns, each once.

    Without ``names``, return all values. Raise Failure where one of ``names`` fits no key.
    """
    if not names:
        return list(by_name.values())
    found: dict[str, T] = {}
    for name in names:
        if name in by_name:
            found[name] = by_name[name]
            continue
        fitting = list(filter(matcher(name), by_name)) if is_pattern(name) else []
        if not fitting:
            raise _fits_none(name, by_name)
        found.update((n, by_name[n]) for n in fitting)
    return list(found.values())


def fits_none(pattern: str) -> Failure:
    """Return the Failure for a pattern that fits no tunnel, with a hint how to list all names."""
    return Failure(f"no tunnel's name fits {clean(pattern)}", "List all names: ipsecwatch status")


def _fits_none(name: str, names: Collection[str]) -> Failure:
    """Return the Failure for a name or pattern that fits none of ``names``.

    For a name, its hint has those of ``names`` that are similar.
    """
    if is_pattern(name):
        return fits_none(name)
    from ipsecwatch.cli import suggest

    return suggest.no_such_tunnel(name, names)


def read_states(text: str | None) -> frozenset[TunnelState] | None:
    """Return the states that ``--state`` names, from a text like ``stuck,down``.

    Upper and lower case are the same. Return None, which means any state, where ``text`` is None or
    has no words. Raise Failure where a word is no state.
    """
    if text is None:
        return None
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in frozenset(TunnelState):
            known = ", ".join(WORST_FIRST)
            raise Failure(f"no such state: {clean(word)}", f"There are: {known}", EXIT_USAGE)
    return frozenset(map(TunnelState, words)) if words else None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tunnels the user wants to see, and in which order."""

    names: tuple[str, ...] = ()
    """Names of tunnels, and patterns for them; (): tunnels of any name."""
    states: frozenset[TunnelState] | None = None
    """The states in which tunnels are selected; None: any state."""
    order: str = "state"
    """The key in ORDERS by which tunnels are sorted."""
    backwards: bool = False
    """Whether the order is reversed, so that the worst tunnels come last, for example."""

    @classmethod
    def of(cls, args: argparse.Namespace) -> Selection:
        """Return the selection that the user made with the options of add_options().

        Raise Failure where ``--state`` has a word that is no state.
        """
        return cls(tuple(args.names), read_states(args.state), args.sort, args.reverse)

    @property
    def names_tunnels(self) -> bool:
        """Whether single tunnels are selected: there are names, and none of them is a pattern."""
        return bool(self.names) and not any(map(is_pattern, self.names))

    @property
    def is_narrow(self) -> bool:
        """Whether names or states are given, so that tunnels may be left out."""
        return bool(self.names) or self.states is not None

    def apply(self, rows: Sequence[Row]) -> list[Row]:
        """Return the selected ones of all tunnels, sorted.

        Raise Failure where a name or pattern fits no tunnel in ``rows``, whatever its state, or
        where a name is that of several NetworkManager connections.
        """
        return self.sort(self.filter(pick(rows, self.names)))

    def filter(self, rows: Iterable[Row]) -> list[Row]:
        """Return the tunnels that are in one of ``states``; names aren't compared."""
        return [r for r in rows if self.states is None or r.state in self.states]

    def sort(self, rows: Iterable[Row]) -> list[Row]:
        """Return all these tunnels in the order of ``order``, reversed if ``backwards``."""
        return sorted(rows, key=ORDERS[self.order], reverse=self.backwards)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add to a verb's parser the arguments that select and sort tunnels.

    They are names, ``--state``, ``--sort`` and ``--reverse``; Selection.of() reads them.
    """
    parser.add_argument(
        "names", nargs="*", metavar="NAME",
        help="show all details of only these tunnels; or, if a NAME has * (any characters) or ? "
        "(any one), a table of those that fit",
    )  # fmt: skip
    parser.add_argument(
        "--state",
        metavar="STATE[,STATE]",
        help=f"only tunnels in these states: {', '.join(WORST_FIRST)}",
    )
    parser.add_argument(
        "--sort", metavar="KEY", choices=ORDERS, default="state",
        help=f"sort by {', '.join(ORDERS)} (default: state, those with problems first)",
    )  # fmt: skip
    parser.add_argument("-r", "--reverse", action="store_true", help="reverse the order")
