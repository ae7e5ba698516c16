# SPDX-License-Identifier: MIT
"""Tests of failed attempts that a peer began: what they say about a tunnel, and what not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch.report import LogLine, Role, Stage
from ipsecwatch.tracking.incoming import MAX_NAMES, MAX_OURS
from ipsecwatch.tracking.log_evidence import LogEvidence
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.reports import START, child, connection, ike, poll

if TYPE_CHECKING:
    from ipsecwatch.report import Connection
    from ipsecwatch.tunnel import Tunnel

SITE = connection("site")
WANTED = connection("site", policy="IKEv2+UP")
ON_DEMAND = connection("site", routing="routed-ondemand")
BEGUN = ike(1, "site", stage=Stage.HALF_OPEN, role=Role.INITIATOR)

OURS = '"site" #1: initiating IKEv2 connection to 192.0.2.1 using UDP'
KNOCKS = (
    '"site" #7: no local proposal matches remote proposals 1:IKE:ENCR=3DES',
    '"site" #7: responding to IKE_SA_INIT with unencrypted notification NO_PROPOSAL_CHOSEN',
    '"site" #7: authentication failed: computed hash does not match received hash from ID_FQDN',
    '"site"[3] 192.0.2.9 #7: authentication failed: computed hash does not match received hash',
)
PROVED = '"site" #7: CHILD SA encountered fatal error: TS_UNACCEPTABLE'
CLEAR = (
    '"site" #1: dropping unexpected IKE_AUTH message containing AUTHENTICATION_FAILED notification'
)
REFUSED = '"site" #1: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED'


def after(c: Connection, *lines: str, tried: bool = True) -> Tunnel:
    """Return a tunnel that doesn't change, after these lines were logged about it.

    ``tried``: pluto has an attempt for it under way.
    """
    states = [BEGUN] if tried else []
    tracker = Tracker()
    tracker.observe(poll(0, [SITE]))
    tracker.observe(poll(5, [c], states))
    for line in lines:
        tracker.add_log_line(LogLine(START + 7, line))
    changes = tracker.observe(poll(10, [c], states))
    assert not changes, "a reason alone is no transition"
    (tunnel,) = tracker.tunnels.values()
    return tunnel


@pytest.mark.parametrize("line", KNOCKS)
@pytest.mark.parametrize("tried", [False, True])
def test_what_anybody_can_cause_is_kept_apart(line: str, *, tried: bool) -> None:
    tunnel = after(WANTED if tried else SITE, OURS, line, tried=tried)
    assert (tunnel.reason, tunnel.incoming) == (Reason.NONE, (START + 7, line))


def test_a_refusal_in_the_clear_that_pluto_ignores_is_kept_apart() -> None:
    tunnel = after(WANTED, OURS, CLEAR)
    assert (tunnel.reason, tunnel.incoming) == (Reason.NONE, (START + 7, CLEAR))


@pytest.mark.parametrize("line", [*KNOCKS, PROVED])
def test_while_we_try_only_our_own_failures_count(line: str) -> None:
    assert after(WANTED, OURS, line).reason is Reason.NONE
    assert after(WANTED, OURS, REFUSED, line).reason is Reason.AUTHENTICATION
    assert after(WANTED, OURS, line, REFUSED).reason is Reason.AUTHENTICATION


def test_a_template_keeps_the_last_client_that_failed() -> None:
    """Its instance has gone by the next poll, and nothing else shows a wrong password."""
    line = '"rw"[3] 192.0.2.9 #7: XAUTH: User paula: Authentication Failed: Incorrect Username or'
    line += " Password"
    template = connection("rw", peer="%any")
    tracker = Tracker()
    tracker.observe(poll(0, [template]))
    ended = '"rw"[3] 192.0.2.9 #7: received Delete SA payload: self-deleting ISAKMP State #7'
    tracker.add_log_line(LogLine(START + 4, line))
    tracker.add_log_line(LogLine(START + 4, ended))
    assert tracker.observe(poll(5, [template])) == []
    (tunnel,) = tracker.tunnels.values()
    assert (tunnel.reason, tunnel.incoming) == (Reason.NONE, (START + 4, line))


def test_a_template_keeps_the_line_that_says_why_and_not_what_the_client_was_told() -> None:
    """The pool is this machine's, and the refusal one that anybody's packet can cause."""
    template = connection("rw", peer="%any")
    tracker = Tracker()
    tracker.observe(poll(0, [template]))
    lines = [
        f'"rw"[3] 192.0.2.9 #7: {text}'
        for text in (
            "leasing IPv4 address failed: address pool exhausted",
            "responding to IKE_AUTH message with encrypted notification INTERNAL_ADDRESS_FAILURE",
        )
    ]
    for line in lines:
        tracker.add_log_line(LogLine(START + 4, line))
    tracker.observe(poll(5, [template]))
    assert tracker.tunnels["rw"].incoming == (START + 4, lines[0])


def test_a_client_that_leaves_is_none_that_failed() -> None:
    left = '"rw"[3] 192.0.2.9 #7: received Delete SA payload: self-deleting ISAKMP State #7'
    template = connection("rw", peer="%any")
    tracker = Tracker()
    tracker.observe(poll(0, [template]))
    tracker.add_log_line(LogLine(START + 4, left))
    tracker.observe(poll(5, [template]))
    assert tracker.tunnels["rw"].incoming is None


def test_our_own_failure_in_the_same_words_counts() -> None:
    line = KNOCKS[2].replace("#7", "#1")
    tunnel = after(WANTED, OURS, line)
    assert (tunnel.reason, tunnel.incoming) == (Reason.AUTHENTICATION, None)


@pytest.mark.parametrize("c", [SITE, ON_DEMAND])
def test_where_nobody_here_tries_the_peers_own_attempt_is_the_reason(c: Connection) -> None:
    tunnel = after(c, PROVED, tried=False)
    assert (tunnel.reason, tunnel.detail, tunnel.incoming) == (
        Reason.TRAFFIC_SELECTORS, PROVED, None,
    )  # fmt: skip


def test_the_peers_own_attempt_is_the_reason_in_the_transition_that_shows_it() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE]))
    tracker.add_log_line(LogLine(START + 1, PROVED))
    (change,) = tracker.observe(poll(5, [SITE], [ike(6, "site", role=Role.RESPONDER)]))
    assert (change.new, change.reason) == (TunnelState.CONNECTING, Reason.TRAFFIC_SELECTORS)


REFUSED_HERE = '"site" #2: local policy requires Transport Mode but peer requires required Tunnel'
ESTABLISHED = '"site" #1: initiator established IKE SA; authenticated peer using authby=secret'


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ((OURS, ESTABLISHED), Reason.PROPOSAL),
        ((OURS,), Reason.NONE),  # there is no IKE SA, so it isn't a Child SA that we negotiate
        ((OURS, ESTABLISHED.replace("#1", "#3")), Reason.NONE),  # the peer began that one
        ((OURS, ESTABLISHED, PROVED.replace("#7", "#2")), Reason.PROPOSAL),
        # Our Child SA of IKE_AUTH is established: another one fails, which the peer began.
        ((OURS, ESTABLISHED, '"site" #3: initiator established Child SA using #1'), Reason.NONE),
        ((OURS, ESTABLISHED, OURS.replace("#1", "#3")), Reason.NONE),
    ],
)
def test_the_child_that_we_negotiate_with_an_ike_sa_is_ours(
    before: tuple[str, ...], reason: Reason
) -> None:
    line = REFUSED_HERE.replace("#2", "#4") if "#3" in before[-1] else REFUSED_HERE
    assert after(WANTED, *before, line).reason is reason


REJECTED = '"site" #2: X509: Certificate rejected for this connection'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        # 3.32: IKE_AUTH is logged by the serial of the Child SA.
        (
            '"site" #2: STATE_PARENT_I2: sent v2I2, expected v2R2',
            Reason.AUTHENTICATION,
        ),
        ('"site" #2: STATE_PARENT_R1: received v2I1, sent v2R1', Reason.NONE),
    ],
)
def test_a_state_in_the_log_tells_who_began(line: str, reason: Reason) -> None:
    assert after(WANTED, OURS, line, REJECTED).reason is reason


def test_what_nobody_has_proved_is_no_child_of_ours() -> None:
    assert after(WANTED, OURS, ESTABLISHED, KNOCKS[2]).reason is Reason.NONE


def test_a_tunnel_that_is_up_needs_no_reason() -> None:
    tracker = Tracker()
    up = [ike(1, "site"), child(2, "site", 1)]
    tracker.observe(poll(0, [SITE], up))
    tracker.add_log_line(LogLine(START + 1, PROVED))
    tracker.observe(poll(5, [SITE], up))
    assert tracker.tunnels["site"].reason is Reason.NONE
    (change,) = tracker.observe(poll(10, [SITE]))
    assert change.reason is Reason.OTHER


def test_what_the_peer_failed_by_is_forgotten_once_it_is_up() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE]))
    tracker.add_log_line(LogLine(START + 1, PROVED))
    tracker.observe(poll(5, [SITE]))
    assert tracker.tunnels["site"].detail == PROVED
    tracker.observe(poll(10, [SITE], [ike(8, "site"), child(9, "site", 8)]))
    assert tracker.tunnels["site"].reason is Reason.NONE


def test_a_template_for_anybody_has_what_somebody_tried_and_no_reason() -> None:
    template = connection("rw", peer="%any")
    tracker = Tracker()
    tracker.observe(poll(0, [template]))
    for line in (KNOCKS[3].replace("site", "rw"), PROVED.replace('"site"', '"rw"[3] 192.0.2.9')):
        tracker.add_log_line(LogLine(START + 1, line))
    tracker.observe(poll(5, [template]))
    tunnel = tracker.tunnels["rw"]
    assert (tunnel.reason, tunnel.incoming is not None) == (Reason.NONE, True)


def test_who_knocks_cannot_fill_the_memory() -> None:
    log = LogEvidence()
    for n in range(MAX_NAMES + 100):
        log.add_log_line(LogLine(START, KNOCKS[3].replace("[3]", f"[{n}]")))
        log.add_log_line(LogLine(START, OURS.replace("#1", f"#{n}")))
    assert len(log.incoming._news) <= MAX_NAMES
    assert len(log.incoming._ours) <= MAX_OURS
    assert "site" in log.incoming.take()
    assert not log.incoming.take()
