# SPDX-License-Identifier: MIT
"""The service, with a fault built into it, so that tests can see whether the chaos test notices it.

    python -m tests.chaos.broken_service FAULT --config FILE

FAULT is a key of FAULTS; with "" the service is as usual.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli.main import run
from ipsecwatch.service import object_tree
from ipsecwatch.service.journal import Journal
from ipsecwatch.service.object_tree import ObjectTree
from ipsecwatch.tunnel import TunnelState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipsecwatch.service.object_tree import Announcement, Publication
    from ipsecwatch.tunnel import Transition

EACH: Final = 4
"""Every so many signals, transitions or entries, one is broken."""


def _put(where: object, name: str, function: Callable[..., object]) -> None:
    setattr(where, name, function)


def drop_signals() -> None:
    """Make the service leave out some TunnelStateChanged signals."""
    apply, n = ObjectTree.apply, count(1)

    def broken(tree: ObjectTree, news: Publication) -> Iterator[Announcement]:
        for each in apply(tree, news):
            if each.member != "TunnelStateChanged" or next(n) % EACH:
                yield each

    _put(ObjectTree, "apply", broken)


def invent_transitions() -> None:
    """Make the service announce some transitions with the wrong new state ("waiting")."""
    happened, n = object_tree._happened, count(1)

    def broken(serial: int, t: Transition) -> Iterator[Announcement]:
        if next(n) % EACH == 0:
            t = replace(t, new=TunnelState.WAITING)
        return happened(serial, t)

    _put(object_tree, "_happened", broken)


def skip_entries() -> None:
    """Make the service leave out some journal entries of transitions."""
    announce, n = Journal.announce, count(1)

    def broken(journal: Journal, *what: Any) -> None:  # noqa: ANN401
        if next(n) % EACH:
            announce(journal, *what)

    _put(Journal, "announce", broken)


FAULTS: Final[dict[str, Callable[[], None]]] = {
    "": lambda: None,
    "drop signals": drop_signals,
    "invent transitions": invent_transitions,
    "skip entries": skip_entries,
}

if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    sys.exit(run(["daemon", *sys.argv[2:]]))
