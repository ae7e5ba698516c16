# SPDX-License-Identifier: MIT
"""Random histories of a model pluto against the tracker: nothing invented, nothing lost."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.report import PlutoState
from ipsecwatch.tracking.pluto_run import LOADING_GRACE, START_GRACE
from ipsecwatch.tracking.tracker import HOLD, Tracker
from ipsecwatch.tunnel import TunnelState
from tests.support.model_pluto import ModelPluto
from tests.support.reports import cut, no_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.tunnel import Transition

HISTORIES = 10_000
STEPS = 25
TICK = 5.0


class History:
    """One pluto, watched; what subscribers are told is checked against what is true."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.pluto = ModelPluto(self.rng, tells_pid=self.rng.random() < 0.5)
        self.tracker = Tracker()
        self.now = 0.0
        self.started = float("-inf")
        self.told: dict[str, str] = {}
        """What a subscriber believes of each tunnel."""
        self.log: list[str] = []

    def happen(self) -> None:
        """Let something happen to a tunnel, or to pluto."""
        rng, pluto = self.rng, self.pluto
        what = rng.random()
        if what < 0.04:
            self.restart()
        elif what < 0.07:
            pluto.load(f"n{rng.randint(0, 99)}")
        elif what < 0.10 and pluto.tunnels:
            pluto.unload(rng.choice(list(pluto.tunnels)))
        elif pluto.tunnels:
            c = rng.choice(rng.choice(list(pluto.tunnels.values())))
            actions: list[Callable[[], None]] = [
                lambda: pluto.initiate(c, wanted=rng.random() < 0.7),
                lambda: pluto.answer(c, child_too=True),
                lambda: pluto.answer(c, child_too=rng.random() < 0.5),
                lambda: pluto.refuse(c),
                lambda: pluto.rekey_child(c, overlap=rng.random() < 0.5),
                lambda: pluto.rekey_ike(c),
                lambda: pluto.take_down(c, all_of_it=rng.random() < 0.5),
                lambda: pluto.lose_peer(c),
            ]
            rng.choice(actions)()

    def restart(self) -> None:
        """Restart pluto. A watcher sees that by pid, by serials, or by nobody being there."""
        self.pluto.restart(autostart=self.rng.random() < 0.5)
        self.pluto.log.clear()
        self.observe(self.tracker.observe(no_answer(self.now)))
        self.now += 1.0
        if not self.told:
            self.pluto.found()
        self.started = self.now
        self.observe(self.tracker.observe(self.pluto.report(self.now)))
        self.now += START_GRACE

    def poll(self) -> None:
        """Ask, perhaps in vain, and check all that is said."""
        self.now += TICK
        for line in self.pluto.log:
            self.tracker.hear(line)
        self.pluto.log.clear()
        fate = self.rng.random()
        if fate < 0.06:
            lost = [no_answer(self.now, PlutoState.UNREACHABLE), cut(self.pluto.report(self.now))]
            self.observe(self.tracker.observe(self.rng.choice(lost)))
            for tunnel in self.tracker.tunnels.values():
                assert tunnel.state is TunnelState.UNKNOWN, self.log
            return
        if not self.told:
            self.pluto.found()
        self.observe(self.tracker.observe(self.pluto.report(self.now)))
        missing = self.tracker.tunnels.keys() - self.pluto.tunnels.keys()
        if missing:  # perhaps it is only added again: if it wasn't up, it is waited for
            assert not any(self.tracker.tunnels[key].state.carries for key in missing)
            self.now += HOLD
            self.observe(self.tracker.observe(self.pluto.report(self.now)))
        # What isn't listed soon after a start may still be loaded: that one is waited for.
        loading = self.now - self.started < LOADING_GRACE
        seen = {
            t.name: t.state.value
            for t in self.tracker.tunnels.values()
            if t.name in self.pluto.tunnels or not loading
        }
        true = {name: self.pluto.truth(name) for name in self.pluto.tunnels}
        assert {n: s.replace("stuck", "connecting") for n, s in seen.items()} == true, self.log
        assert {n: s for n, s in self.told.items() if n in seen} == seen, self.log

    def observe(self, changes: list[Transition]) -> None:
        """Believe what is announced, and see that it fits what was believed before."""
        for c in changes:
            name = c.tunnel.name
            self.log.append(f"{self.now:g} {name} {c.old} > {c.new} {c.reason}")
            before = self.told.get(name, "gone")
            assert before == (c.old.value if c.old else "gone"), self.log
            assert c.new is not c.old or c.sticks, self.log
            if c.silent:
                assert not c.announced
            self.told[name] = c.new.value if c.new else "gone"
            if c.goes_up or c.goes_down:
                assert c.announced or c.silent, self.log


def run(seed: int) -> History:
    history = History(seed)
    history.poll()
    for _ in range(STEPS):
        for _ in range(history.rng.choice([0, 1, 1, 2, 4])):
            history.happen()
        history.poll()
    return history


@pytest.mark.slow
def test_ten_thousand_random_histories_are_told_as_they_were() -> None:
    transitions = 0
    for seed in range(HISTORIES):
        try:
            transitions += len(run(seed).log)
        except AssertionError as e:
            raise AssertionError(f"history {seed}: {e}") from e
    assert transitions > 10 * HISTORIES
