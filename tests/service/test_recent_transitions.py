# SPDX-License-Identifier: MIT
from __future__ import annotations

import gc
from dataclasses import replace

from ipsecwatch.service.recent_transitions import KEPT, LATELY, RecentTransitions
from ipsecwatch.tunnel import TunnelState
from tests.support.tunnels import transition

DOWN, UP = TunnelState.DOWN, TunnelState.UP


def test_the_last_ones_are_kept_in_order() -> None:
    recent = RecentTransitions()
    for serial in range(KEPT + 3):
        recent.note([(serial, transition(DOWN, UP))], {"site"})
    assert [t.serial for t in recent.of("site")] == list(range(3, KEPT + 3))
    assert recent.of("office") == ()


def test_a_tunnel_that_is_gone_is_forgotten() -> None:
    recent = RecentTransitions()
    recent.note([(1, transition(DOWN, UP)), (2, transition(DOWN, UP, name="rw[1]"))], {"site"})
    assert recent.of("rw[1]") == ()
    assert len(recent.of("site")) == 1


def test_losses_count_for_an_hour() -> None:
    recent = RecentTransitions()
    loss = transition(UP, DOWN)
    changes = [transition(DOWN, UP), loss, replace(loss, at=loss.at + LATELY)]
    recent.note(enumerate(changes), {"site"})
    assert recent.losses("site", loss.at + 10) == 2
    assert recent.losses("site", loss.at + LATELY + 10) == 1
    assert recent.losses("office", loss.at) == 0


def test_of_a_tunnel_none_of_plutos_lines_is_kept() -> None:
    """If they were kept, ten answers about each of thousands of tunnels would stay in memory."""
    recent = RecentTransitions()
    change = transition(DOWN, UP)
    recent.note([(1, change)], {"site"})
    (kept,) = recent.of("site")
    assert change.tunnel not in gc.get_referents(kept)
    assert (kept.serial, kept.at, kept.old, kept.new) == (1, change.at, DOWN, UP)
