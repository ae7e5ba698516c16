# SPDX-License-Identifier: MIT
"""Small recordings of real tunnels for which a wrong reason was once given, with the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch.cli.replay import transitions
from tests.support.recordings import ROOT

if TYPE_CHECKING:
    from ipsecwatch.tunnel import Transition

RIGHT: Final[dict[tuple[str, str], list[str]]] = {
    # main; taken down by hand, and the peer doesn't answer the Delete for half a minute.
    ("terminate-unanswered-main", "h1"): ["34 up > down operator"],
    ("terminate-unanswered-main", "h2"): ["18 up > down operator"],
    ("terminate-unanswered-main", "h6"): ["45 up > down operator"],
    # ... while it was tried still
    ("terminate-unanswered-main", "h3"): ["17 connecting > down operator"],
    # 4.10; by hand just after other tunnels' dead peers, or after an interface went.
    ("burst-peerdead-operator", "z-hand"): ["3 up > waiting operator"],
    ("burst-peerdead-operator", "d-restart"): ["3 up > connecting peer-dead"],
    ("burst-peerdead-operator", "d-clear"): ["2 up > connecting peer-dead"],
    ("burst-operator", "x-alias1"): ["2 up > waiting operator"],
    ("burst-operator", "x-alias2"): ["2 up > waiting operator"],
    ("burst-operator", "n-4in6"): ["1 up > connecting unreachable"],
    ("address-gone", "n-4in6"): ["1 up > connecting unreachable"],
    # main; the same client comes from two addresses in turn, many times a second.
    ("replaced-unloaded", "rw[2]"): ["2 up > gone replaced"],
    # main, IKEv1, rekey=no.
    ("v1-expiry-peer-deleted", "v-saexp"): [
        "2 down > up",
        "27 up > down expired",
        "27 down > up",
        "52 up > connecting expired",
    ],
    # main, the responder; the peer doesn't believe who we are, in an exchange that it began.
    ("v1-badid-ts", "v-badid"): [
        "2 down > connecting authentication",
        "33 connecting > stuck authentication",
    ],
    # 5.0; by hand between two tries, of which no state and no line is left.
    ("stuck-by-hand-5.0", "c-wrongid"): [
        "3 down > connecting authentication",
        "32 connecting > stuck authentication",
        "43 stuck > down operator",
    ],
    ("stuck-by-hand-5.0", "c-ok"): ["3 down > up", "41 up > down operator"],
}


def line(change: Transition, start: float) -> str:
    """Return a transition as ``second old > new reason``."""
    reason = "" if change.reason == "none" else f" {change.reason}"
    return f"{change.at - start:.0f} {change.old} > {change.new or 'gone'}{reason}"


@pytest.mark.parametrize(("name", "tunnel"), RIGHT)
def test_a_small_recording_has_the_right_reason(name: str, tunnel: str) -> None:
    told = list(transitions(ROOT / "minimal" / f"{name}.jsonl.gz"))
    start = told[0].at
    found = [line(c, start) for c in told if c.tunnel.name == tunnel and c.old is not None]
    assert found == RIGHT[name, tunnel]
