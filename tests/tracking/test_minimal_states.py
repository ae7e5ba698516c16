# SPDX-License-Identifier: MIT
"""Small recordings of real tunnels for which a wrong state was once given, with the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch.cli.replay import transitions
from tests.support.recordings import ROOT

if TYPE_CHECKING:
    from ipsecwatch.tunnel import Transition

RIGHT: Final[dict[tuple[str, str], list[str]]] = {
    # main, IKEv1, both sides began at once: a Child SA is left over when the peer has gone.
    ("stale-child-up", "x3"): ["0 -> down", "2 down > up", "69 up > connecting"],
    # 4.10; the peer's name resolves at last, and another one's never does.
    ("dns-waiting", "dn"): ["6 -> down unreachable"],
    ("dns-waiting", "dn2"): ["48 -> down"],
    ("dns-waiting", "never"): ["48 -> down unreachable"],
}


def line(change: Transition, start: float) -> str:
    """Return a transition as ``second old > new reason``, without the reason of a loss."""
    old = f"{change.old} >" if change.old else "->"
    reason = "" if change.reason == "none" or change.goes_down else f" {change.reason}"
    return f"{change.at - start:.0f} {old} {change.new or 'gone'}{reason}"


@pytest.mark.parametrize(("name", "tunnel"), RIGHT)
def test_a_small_recording_is_told_right(name: str, tunnel: str) -> None:
    told = list(transitions(ROOT / "minimal" / f"{name}.jsonl.gz"))
    start = told[0].at
    assert [line(c, start) for c in told if c.tunnel.name == tunnel] == RIGHT[name, tunnel]


def test_the_reason_of_a_peer_that_does_not_resolve_has_its_name() -> None:
    told = transitions(ROOT / "minimal/dns-waiting.jsonl.gz")
    (never,) = [c for c in told if c.tunnel.name == "never"]
    assert "'never.example'" in (never.detail or "")
