# SPDX-License-Identifier: MIT
"""Random histories of a simulated pluto: the tracker must invent nothing, and lose nothing."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.report import PlutoState
from ipsecwatch.tracking.pluto_run import LOADING_GRACE, START_GRACE
from ipsecwatch.tracking.tracker import HOLD, Tracker
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.model_pluto import OURS, ROAMING, ModelPluto
from tests.support.reports import cut, no_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.tunnel import Transition

HISTORIES = 2_000
ALL_HISTORIES = 10_000
STEPS = 16
TICK = 5.0


CAUSES = {
    Reason.OPERATOR, Reason.PEER_DELETED, Reason.PEER_DEAD, Reason.EXPIRED, Reason.REPLACED,
    Reason.UNREACHABLE,
}  # fmt: skip
"""The reasons for losses that the simulated pluto can have."""
UNKNOWN_CAUSES = 0.01
"""Which part of the losses may have no known reason."""


class History:
    """A simulated pluto and a tracker; what the tracker announces is compared with the truth."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.pluto = ModelPluto(self.rng, tells_pid=self.rng.random() < 0.5)
        self.tracker = Tracker()
        self.now = 0.0
        self.started = float("-inf")
        self.told: dict[str, str] = {}
        """The state of each tunnel as a subscriber knows it."""
        self.log: list[str] = []
        self.drawn: dict[str, set[str]] = {}
        """The true reasons for each tunnel's losses before the last poll."""
        self.losses: Counter[str] = Counter()
        """How often the tracker gave each reason for a loss."""

    def happen(self) -> None:
        """Make something random happen to a tunnel, to a client or to pluto."""
        rng, pluto = self.rng, self.pluto
        pluto.pass_time(self.now + TICK * rng.random())
        what = rng.random()
        if what < 0.04:
            self.restart()
        elif what < 0.07:
            pluto.load(f"n{rng.randint(0, 99)}")
        elif what < 0.10 and pluto.tunnels:
            pluto.unload(rng.choice(list(pluto.tunnels)))
        elif what < 0.12:
            pluto.lose_address(rng.choice(OURS))
        elif what < 0.30 and pluto.serves:
            self.clients_happen()
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
                lambda: pluto.lose_to_peer(c),
            ]
            rng.choice(actions)()

    def clients_happen(self) -> None:
        """Make a client come, perhaps from a new address, or go."""
        rng, pluto = self.rng, self.pluto
        if not pluto.clients or rng.random() < 0.6:
            pluto.come(rng.choice(("@one", "@two")), rng.choice(ROAMING))
            return
        client = rng.choice(list(pluto.clients.values()))
        rng.choice((pluto.leave, pluto.throw_out))(client)

    def restart(self) -> None:
        """Restart pluto; the tracker gets one poll without an answer, then one with a report."""
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
        """Poll pluto, sometimes without a usable answer, and compare all tunnels with the truth."""
        self.now += TICK
        self.pluto.pass_time(self.now)
        for line in self.pluto.log:
            self.tracker.add_log_line(line)
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
        missing = {t.name for t in self.tracker.tunnels.values()} - self.pluto.names
        if missing:  # the tracker waits whether a tunnel that wasn't up is only loaded again
            held = [t for t in self.tracker.tunnels.values() if t.name in missing]
            assert not any(t.state.carries for t in held)
            self.now += HOLD
            self.observe(self.tracker.observe(self.pluto.report(self.now)))
        # Soon after a start, the tracker waits for tunnels that aren't listed yet.
        loading = self.now - self.started < LOADING_GRACE
        seen = {
            t.name: t.state.value
            for t in self.tracker.tunnels.values()
            if t.name in self.pluto.names or not loading
        }
        true = {name: self.pluto.truth(name) for name in self.pluto.names}
        assert {n: s.replace("stuck", "connecting") for n, s in seen.items()} == true, self.log
        assert {n: s for n, s in self.told.items() if n in seen} == seen, self.log
        for name, why in self.pluto.causes.items():
            self.drawn.setdefault(name, set()).update(why)
        self.pluto.causes.clear()

    def observe(self, changes: list[Transition]) -> None:
        """Check that transitions follow from what a subscriber knew before, and record them."""
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
            if not c.silent:
                self.check_reason(c)

    def check_reason(self, c: Transition) -> None:
        """Check that a transition's reason is a true one, or says nothing."""
        drawn = self.pluto.causes.get(c.tunnel.name, set())
        if c.goes_down or (c.known is TunnelState.UP and c.becomes is TunnelState.PARTIAL):
            self.losses[c.reason] += 1
            if c.old is TunnelState.UNKNOWN or self.now - self.started < LOADING_GRACE:
                # It was lost earlier; the tracker had waited for it.
                drawn = drawn | {Reason.PLUTO_RESTARTED} | self.drawn.get(c.tunnel.name, set())
            assert c.reason in drawn | {Reason.OTHER}, (self.log, drawn)
        elif c.becomes in (TunnelState.DOWN, TunnelState.WAITING):
            before = self.drawn.get(c.tunnel.name, set())
            assert c.reason not in CAUSES - drawn - before, self.log


def run(seed: int) -> History:
    history = History(seed)
    history.poll()
    for _ in range(STEPS):
        for _ in range(history.rng.choice([0, 1, 1, 2, 4])):
            history.happen()
        history.poll()
    return history


@pytest.mark.slow
def test_thousands_of_random_histories_are_told_as_they_were(thorough: bool) -> None:
    histories = ALL_HISTORIES if thorough else HISTORIES
    transitions, losses = 0, Counter[str]()
    for seed in range(histories):
        try:
            history = run(seed)
        except AssertionError as e:
            raise AssertionError(f"history {seed}: {e}") from e
        transitions += len(history.log)
        losses += history.losses
    assert transitions > 10 * histories
    assert losses[Reason.OTHER] <= UNKNOWN_CAUSES * losses.total()
    assert losses.keys() >= CAUSES
