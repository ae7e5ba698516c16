# SPDX-License-Identifier: MIT
from __future__ import annotations

import gc
import json
import random
import statistics
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import recording
from ipsecwatch.libreswan.log_lines import LogEvent, interpret, parse_line
from ipsecwatch.report import LogLine, Report
from ipsecwatch.tracking.attempt_log import MAX_EVIDENCE, MAX_NAMES, MAX_PIECES
from ipsecwatch.tracking.evidence import MAX_EACH, MAX_FINDINGS
from ipsecwatch.tracking.held_sas import HeldSas
from ipsecwatch.tracking.known_sas import MAX_SERIALS
from ipsecwatch.tracking.log_evidence import MAX_HOSTS, LogEvidence
from ipsecwatch.tunnel import Reason
from tests.support.recordings import ROOT
from tests.support.reports import child, connection, ike

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ipsecwatch.report import Connection, SaState

AT = 1_700_000_000.0
GIVEN_UP = "60 second timeout exceeded after 7 retransmits."
SILENCE = "No response (or no acceptable response) to our first IKEv2 message"
CLOSED = (
    "ERROR: asynchronous network error report on eth1 (192.0.2.1:500), complainant 192.0.2.7: "
    "Connection refused [errno 111, origin ICMP type 3 code 3 (not authenticated)]"
)


def told(*lines: str, at: float = AT, log: LogEvidence | None = None) -> LogEvidence:
    """Return a LogEvidence that has got these lines; a first # or : stands for ``"site"``."""
    log = log or LogEvidence()
    for line in lines:
        short = {"#": '"site" ', ":": '"site"'}.get(line[:1], "")
        log.add_log_line(LogLine(at, short + line))
    return log


def held(*serials: int, name: str = "site", born: int = 0, ikev1: bool = False) -> HeldSas:
    """Return the SAs that a tunnel has."""
    sas = frozenset(serials)
    v1 = sas if ikev1 else frozenset[int]()
    return HeldSas(frozenset({name}), sas, sas, born=born, seen=AT, ikev1=v1)


def loss(log: LogEvidence, serials: Iterable[int] = (1, 2), born: int = 0) -> Reason:
    return log.loss(held(*serials, born=born))[0]


V2_UP = (
    "#1: initiator established IKE SA; authenticated peer using authby=secret and ID_FQDN '@east'",
    "#2: initiator established Child SA using #1; IPsec tunnel [10.0.0.0/8===10.1.0.0/16]",
)
V1_UP = (
    "#1: IKE SA established {auth=PRESHARED_KEY cipher=AES_CBC_256}",
    "#2: IPsec SA established tunnel mode {ESP=>0x44a449fc <0x26cbd42a}",
)

# How SAs end, by release: what pluto logs from the cause to the last trace.
ENDS: dict[str, tuple[Reason, tuple[str, ...]]] = {
    "3.20 by hand": (
        Reason.OPERATOR,
        (
            ": terminating SAs using this connection",
            "#2: deleting state (STATE_V2_IPSEC_I)",
            "#2: ESP traffic information: in=840B out=840B",
            "#1: deleting state (STATE_PARENT_I3)",
        ),
    ),
    "4.10 by hand": (
        Reason.OPERATOR,
        (
            ": terminating SAs using this connection",
            "#1: deleting state (STATE_V2_ESTABLISHED_IKE_SA) aged 25.3s and sending notification",
            "#2: ESP traffic information: in=840B out=840B",
        ),
    ),
    "5.4 by hand": (
        Reason.OPERATOR,
        (
            ": initiating delete of connection's IKE SA #1 (and Child SA #2)",
            "#1: sent INFORMATIONAL request to delete IKE SA",
            "#2: ESP traffic information: in=840B out=840B",
            "#1: deleting IKE SA (established IKE SA)",
        ),
    ),
    "5.2 by hand, the Child alone": (
        Reason.OPERATOR,
        (
            ": initiating delete of connection's Child SA #2 using IKE SA #1",
            "#2: sent INFORMATIONAL request to delete established Child SA using IKE SA #1",
            "#2: ESP traffic information: in=840B out=840B",
        ),
    ),
    "5.4 by hand, IKEv1": (
        Reason.OPERATOR,
        (
            ": initiating delete of connection's IPsec SA #2 and ISAKMP SA #1",
            "#2: deleting IPsec SA (QUICK_I2) aged 1s and sending notification using ISAKMP SA #1",
            "#2: ESP traffic information: in=840B out=840B",
            "#1: deleting ISAKMP SA (MAIN_I4) aged 18.7s and sending notification",
        ),
    ),
    "3.20 replaced": (
        Reason.OPERATOR,
        (
            ": deleting connection",
            "#2: deleting state (STATE_QUICK_R2)",
            "#1: deleting state (STATE_MAIN_I4)",
        ),
    ),
    "5.4 by hand, --down-child": (
        Reason.OPERATOR,
        (
            "#2: sent INFORMATIONAL request to delete established Child SA using IKE SA #1",
            "#2: ESP traffic information: in=0B out=0B",
        ),
    ),
    "5.4 by hand, --down-ike": (
        Reason.OPERATOR,
        (
            "#1: sent INFORMATIONAL request to delete IKE SA",
            "#2: ESP traffic information: in=0B out=0B",
            "#1: deleting IKE SA (established IKE SA)",
        ),
    ),
    "4.10 by hand, the IKE SA shared": (
        Reason.OPERATOR,
        (
            ": terminating SAs using this connection",
            ": IKE SA is shared - only terminating IPsec SA",
            "#2: deleting state (STATE_V2_ESTABLISHED_CHILD_SA) aged 3s and sending notification",
            "#2: ESP traffic information: in=84B out=84B",
        ),
    ),
    "3.25 DPD": (
        Reason.PEER_DEAD,
        (
            "#2: IKEv1 DPD: action - clearing connection kind CK_PERMANENT",
            "#2: deleting state (STATE_QUICK_I2) and sending notification",
            "#2: ESP traffic information: in=84B out=168B",
            "#1: deleting state (STATE_MAIN_I4) and sending notification",
        ),
    ),
    "4.10 liveness": (
        Reason.PEER_DEAD,
        (
            "#1: STATE_V2_ESTABLISHED_IKE_SA: 15 second timeout exceeded after 5 retransmits.  No",
            "#1: liveness action - restarting all connections that share this peer",
            ": terminating SAs using this connection",
            "#1: deleting state (STATE_V2_ESTABLISHED_IKE_SA) aged 37.8s and sending notification",
            "#2: ESP traffic information: in=840B out=840B",
        ),
    ),
    "5.4 liveness": (
        Reason.PEER_DEAD,
        (
            "#1: ESTABLISHED_IKE_SA: 15 second timeout exceeded after 5 retransmits.  No response",
            "#2: connection is supposed to remain up; revival attempt 1 scheduled in 0 seconds",
            "#2: ESP traffic information: in=840B out=840B",
            "#1: deleting IKE SA (established IKE SA)",
        ),
    ),
    "3.20 DPD": (
        Reason.PEER_DEAD,
        (
            "#1: DPD: No response from peer - declaring peer dead",
            "#1: DPD: Clearing Connection",
            "#2: deleting state (STATE_QUICK_R2)",
            "#1: deleting state (STATE_MAIN_R3)",
        ),
    ),
    "4.x DPD": (
        Reason.PEER_DEAD,
        (
            "#1: DPD action - restarting all connections that share this peer",
            ": terminating SAs using this connection",
            "#2: deleting state (STATE_QUICK_R2) aged 450.0s and sending notification",
            "#2: ESP traffic information: in=64MB out=7MB",
        ),
    ),
    "4.10 the peer": (
        Reason.PEER_DELETED,
        (
            "#1: deleting state (STATE_V2_ESTABLISHED_IKE_SA) aged 9s and NOT sending notification",
            "#2: ESP traffic information: in=840B out=840B",
        ),
    ),
    "5.4 the peer": (
        Reason.PEER_DELETED,
        (
            "#2: ESP traffic information: in=840B out=840B",
            "#1: deleting IKE SA (established IKE SA)",
        ),
    ),
    "5.2 the peer, the Child alone": (
        Reason.PEER_DELETED,
        ("#2: ESP traffic information: in=84B out=84B",),
    ),
    "3.32 the peer, the Child alone": (
        Reason.PEER_DELETED,
        (
            "#1: received Delete SA payload: delete IPSEC State #2 now",
            "#2: deleting state (STATE_V2_IPSEC_I) aged 4.1s and NOT sending notification",
        ),
    ),
    "4.10 the peer, the Child alone, wanted": (
        Reason.PEER_DELETED,
        ("#1: received Delete SA payload: replace CHILD SA #2 now",),
    ),
    "3.23 the peer, IKEv1": (
        Reason.PEER_DELETED,
        (
            "#1: received Delete SA payload: replace IPSEC State #2 now",
            "#1: received and ignored empty informational notification payload",
            "#2: deleting state (STATE_QUICK_R2) and sending notification",
            "#2: ESP traffic information: in=2KB out=80B",
            "#1: received Delete SA payload: self-deleting ISAKMP State #1",
            "#1: deleting state (STATE_MAIN_I4) and sending notification",
        ),
    ),
    "5.2 the peer, IKEv1": (
        Reason.PEER_DELETED,
        (
            "#2: received Delete SA payload via #1",
            "#2: deleting IPsec SA (QUICK_R2) aged 9.9s and NOT sending notification",
            "#2: ESP traffic information: in=0B out=0B",
        ),
    ),
    "4.10 the lifetime": (
        Reason.EXPIRED,
        (
            "#2: CHILD SA expired (LATEST!)",
            "#2: deleting established Child SA using IKE SA #1",
            "#2: ESP traffic information: in=0B out=0B",
        ),
    ),
    "4.10 pluto stops": (
        Reason.PLUTO_STOPPED,
        (
            "shutting down",
            "Pluto is shutting down",
            ": terminating SAs using this connection",
            "#1: deleting state (STATE_V2_ESTABLISHED_IKE_SA) aged 9s and sending notification",
        ),
    ),
    "nothing": (Reason.OTHER, ("#2: retransmitting in response to duplicate packet",)),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_end_has_its_cause(end: str) -> None:
    reason, lines = ENDS[end]
    up = V1_UP if "IKEv1" in end or "DPD" in end else V2_UP
    assert loss(told(*up, *lines)) is reason


@pytest.mark.parametrize("end", [end for end in ENDS if "pluto stops" not in end])
def test_a_cause_of_before_the_sas_were_up_is_none(end: str) -> None:
    _, lines = ENDS[end]
    again = ("#4: initiator established Child SA using #3; IPsec tunnel [10.0.0.0/8===x]",)
    log = told(*V2_UP, *lines, *again, "#4: ESP traffic information: in=0B out=0B")
    assert loss(log, (3, 4)) is Reason.PEER_DELETED


def test_the_line_of_a_cause_is_the_one_that_says_most() -> None:
    log = told(*V2_UP, *ENDS["5.4 the peer"][1])
    assert log.loss(held(1, 2)) == (
        Reason.PEER_DELETED,
        '"site" #1: deleting IKE SA (established IKE SA)',
    )


def test_what_was_said_of_a_connection_before_its_sas_came_is_no_cause() -> None:
    log = told(": terminating SAs using this connection")
    assert loss(log, born=log.order) is Reason.OTHER
    told(*V2_UP, log=log)
    assert loss(log) is Reason.OTHER


def test_systemd_tells_of_a_stop_of_pluto_and_other_units_do_not_count() -> None:
    for text, reason in {
        "Stopping ipsec.service - Internet Key Exchange (IKE) Protocol Daemon for IPsec...": True,
        "Stopped Internet Key Exchange (IKE) Protocol Daemon for IPsec.": True,
        "ipsec.service: Sent signal SIGKILL to main process 1449 (pluto) on client request.": True,
        "ipsec.service: Main process exited, code=killed, status=9/KILL": True,
        "Stopped target graphical.target - Graphical Interface.": False,
        "Stopping cups.service - CUPS Scheduler...": False,
        "ipsec.service: Sent signal SIGCONT to main process 15 (pluto) on client request.": False,
        "Started ipsec.service - Internet Key Exchange (IKE) Protocol Daemon for IPsec.": False,
    }.items():
        log = told(*V2_UP)
        log.add_log_line(LogLine(AT, text, "systemd"))
        assert (loss(log) is Reason.PLUTO_STOPPED) == reason, text


def test_pluto_cannot_be_stopped_by_what_a_connection_logs() -> None:
    log = told(*V2_UP, "#1: Pluto is shutting down", ": shutting down")
    assert loss(log) is Reason.OTHER


def report(*connections: Connection, states: Iterable[SaState] = ()) -> Report:
    return Report(connections=connections, states=tuple(states))


def between(local: str, remote: str, name: str = "site", *serials: int) -> HeldSas:
    """Return the SAs of a tunnel between two addresses."""
    sas = frozenset(serials or (1, 2))
    hosts = frozenset({(local, remote)})
    return HeldSas(frozenset({name}), sas, sas, hosts=hosts, seen=AT)


HAND = ": terminating SAs using this connection"
GONE = "shutting down interface eth1 {}"
RESTART = '"other" #9: liveness action - restarting all connections that share this peer'


@pytest.mark.parametrize(
    ("shown", "ours"),
    [
        ("192.0.2.1:500", "192.0.2.1"),
        ("[2001:db8::1]:4500", "2001:db8::1"),
        ("2001:db8::1:500", "2001:db8::1"),  # 3.x prints no brackets
    ],
)
def test_an_interface_takes_with_it_what_has_its_address(shown: str, ours: str) -> None:
    log = told(*V2_UP, GONE.format(shown), HAND)
    assert log.loss(between(ours, "198.51.100.1"))[0] is Reason.UNREACHABLE
    assert log.loss(between("192.0.2.77", "198.51.100.1"))[0] is Reason.OPERATOR


def test_a_state_on_an_interface_that_went_has_ended_with_it() -> None:
    log = told(*V2_UP, "deleting lasting state #2 on interface (eth1) which is shutting down")
    assert loss(log) is Reason.UNREACHABLE


def test_a_name_that_does_not_resolve_is_kept_for_whoever_has_that_peer() -> None:
    line = "failed to convert 'gate.example' at load time: not a numeric IPv4 address"
    log = told(line)
    assert log.unresolved("gate.example") == line
    assert log.unresolved("other.example") is None
    told(*(f"failed to convert 'h{n}.example' at load time" for n in range(MAX_HOSTS)), log=log)
    assert log.unresolved("gate.example") is None


def test_a_dead_peer_takes_with_it_what_shares_both_ends() -> None:
    log = LogEvidence()
    log.compare(report(connection("other", peer="198.51.100.1")), AT)
    told(RESTART, HAND, log=log)
    assert log.loss(between("10.0.0.1", "198.51.100.1"))[0] is Reason.PEER_DEAD
    assert log.loss(between("10.0.0.2", "198.51.100.1"))[0] is Reason.OPERATOR
    assert log.loss(between("10.0.0.1", "198.51.100.2"))[0] is Reason.OPERATOR


@pytest.mark.parametrize("action", ["clearing connection kind CK_PERMANENT", "putting connection"])
def test_other_actions_for_a_dead_peer_concern_nobody_else(action: str) -> None:
    log = LogEvidence()
    log.compare(report(connection("other", peer="198.51.100.1")), AT)
    told(f'"other" #9: liveness action - {action}', HAND, log=log)
    assert log.loss(between("10.0.0.1", "198.51.100.1"))[0] is Reason.OPERATOR


@pytest.mark.parametrize("line", [GONE.format("10.0.0.1:500"), RESTART])
def test_what_outlives_the_end_of_others_was_not_ended_by_it(line: str) -> None:
    log = LogEvidence()
    log.compare(report(connection("other", peer="198.51.100.1")), AT)
    told(line, log=log)
    told(HAND, at=AT + 60, log=log)
    survivor = replace(between("10.0.0.1", "198.51.100.1"), seen=AT + 58)
    assert log.loss(survivor)[0] is Reason.OPERATOR


@pytest.mark.parametrize(
    "hand",
    [
        ": terminating SAs using this connection",  # 5.0, 5.1
        ": initiating delete of connection's IKE SA #1 (and Child SA #2)",
    ],
)
def test_a_deletion_that_the_peer_does_not_answer_is_by_hand_half_a_minute_later(
    hand: str,
) -> None:
    up = report(connection("site"), states=(ike(1, "site"), child(2, "site", 1)))
    log = told(*V2_UP)
    log.compare(up, AT)
    told(hand, at=AT + 1, log=log)
    for second in range(2, 40):
        log.compare(up, AT + second)
    told(
        "#1: ESTABLISHED_IKE_SA: 15 second timeout exceeded after 5 retransmits.  No response",
        "#2: ESP traffic information: in=0B out=0B",
        at=AT + 39,
        log=log,
    )
    assert log.loss(replace(held(1, 2), seen=AT + 39))[0] is Reason.OPERATOR


def test_what_has_gone_is_forgotten_once_nobody_can_ask_for_it() -> None:
    log = told(*V2_UP, HAND, "#2: ESP traffic information: in=0B out=0B")
    log.compare(report(states=(ike(1, "site"), child(2, "site", 1))), AT + 5)
    log.compare(report(), AT + 10)
    assert loss(log) is Reason.OPERATOR
    log.compare(report(), AT + 15)
    assert not log._findings


def test_findings_are_bounded_and_the_first_of_each_stays() -> None:
    log = told("#1: liveness action - clearing connection kind CK_PERMANENT")
    for n in range(100):
        told(f"#1: received whack to delete {n}", log=log)
    # That is MAX_EACH about the SA, and one about the connection.
    assert len(log._findings) == MAX_EACH + 1
    for n in range(3, 2 * MAX_FINDINGS):
        told(f'"rw"[{n}] 192.0.2.7 #{n}: ESP traffic information: in=0B out=0B', log=log)
    assert len(log._findings) == MAX_FINDINGS
    assert log.loss(held(2 * MAX_FINDINGS - 1))[0] is Reason.PEER_DELETED
    assert log.loss(held(3))[0] is Reason.OTHER


def test_the_lifetime_is_the_reason_if_it_ran_out_and_nobody_deleted() -> None:
    dropped = "#2: deleting IPsec SA (QUICK_I2) aged 25.0s and NOT sending notification"
    by_peer = "#2: received Delete SA payload via #1"
    by_us = "#2: sent INFORMATIONAL request to delete established Child SA using IKE SA #1"
    gone = "#2: ESP traffic information: in=0B out=0B"

    def why(*lines: str, off: float, ikev1: bool) -> Reason:
        timed = replace(held(1, 2, ikev1=ikev1), expiries={2: AT + off})
        return told(*(V1_UP if ikev1 else V2_UP), *lines).loss(timed)[0]

    for off in (-2.1, -1.9, 1.9, 2.1):
        ran_out = Reason.EXPIRED if abs(off) < 2 else None
        assert why(dropped, gone, off=off, ikev1=True) is (ran_out or Reason.OTHER)
        assert why(by_us, gone, off=off, ikev1=False) is (ran_out or Reason.OPERATOR)
        assert why(by_peer, dropped, gone, off=off, ikev1=True) is Reason.PEER_DELETED
        assert why(gone, off=off, ikev1=False) is Reason.PEER_DELETED  # IKEv2 logs no more


def test_a_child_that_was_to_be_rekeyed_ran_out_if_no_timer_shows_its_end() -> None:
    """Its timers are removed when its rekey begins; but the rekey may have to wait."""
    rekey = "#3: initiating rekey to replace Child SA #2"
    for line in (
        "#2: deleting established Child SA using IKE SA #1",  # 4.10
        "#2: sent INFORMATIONAL request to delete established Child SA using IKE SA #1",  # 5.2
    ):
        assert loss(told(*V2_UP, rekey, line)) is Reason.EXPIRED
        assert loss(told(*V2_UP, line)) is Reason.OPERATOR
        assert loss(told(*V2_UP, rekey, HAND, line)) is Reason.OPERATOR


def test_up_to_3_32_only_the_identity_tells_of_a_client_that_was_replaced() -> None:
    dropped = told(*V2_UP, "#2: deleting state (STATE_V2_IPSEC_R) aged 4.1s and NOT sending")
    assert dropped.loss(held(1, 2))[0] is Reason.PEER_DELETED
    assert dropped.loss(replace(held(1, 2), successor=True))[0] is Reason.REPLACED
    assert told(*V2_UP, HAND).loss(replace(held(1, 2), successor=True))[0] is Reason.OPERATOR


def test_evidence_outlives_a_restart_of_ours_and_none_of_plutos() -> None:
    log = told(*V2_UP, ": initiating delete of connection's IKE SA #1 (and Child SA #2)")
    again = LogEvidence()
    again.load(json.loads(json.dumps(log.dump())))
    told("#1: liveness action - clearing connection kind CK_PERMANENT", log=again)
    assert loss(again) is Reason.OPERATOR
    again.forget(AT)
    assert loss(again) is Reason.OTHER


def test_a_client_that_comes_anew_from_elsewhere_is_not_taken_down_by_hand() -> None:
    log = told(
        '"rw"[1] 192.0.2.7 #2: responder established Child SA using #1; IPsec tunnel',
        '"rw"[2] 192.0.2.8 #3: responder established IKE SA; authenticated peer',
        '"rw"[1] 192.0.2.7: terminating SAs using this connection',
        '"rw"[1] 192.0.2.7 #2: ESP traffic information: in=0B out=0B',
        '"rw"[1] 192.0.2.7: deleting connection instance with peer 192.0.2.7',
    )
    assert log.loss(held(1, 2, name="rw[1]"))[0] is Reason.REPLACED


def test_an_instance_taken_down_by_hand_is() -> None:
    log = told(
        '"rw"[1] 192.0.2.7 #1: responder established IKE SA; authenticated peer',
        '"rw"[1] 192.0.2.7 #2: responder established Child SA using #1; IPsec tunnel',
        '"rw"[1] 192.0.2.7: terminating SAs using this connection',
    )
    assert log.loss(held(1, 2, name="rw[1]"))[0] is Reason.OPERATOR


def test_the_sa_of_another_connection_counts_by_its_serial() -> None:
    log = told(
        '"multi/2x2" #1: ESTABLISHED_IKE_SA: 15 second timeout exceeded after 5 retransmits.  No',
        '"multi/1x1" #2: ESP traffic information: in=0B out=0B',
    )
    assert log.loss(held(1, 2, name="multi/1x1"))[0] is Reason.PEER_DEAD
    assert log.loss(held(2, name="multi/1x1"))[0] is Reason.PEER_DELETED


# These mustn't look like a loss: the new Child SA comes first, whatever SA ends then.
SUCCESSIONS: dict[str, tuple[tuple[str, ...], frozenset[int], frozenset[int]]] = {
    "4.10 rekeyed by us": (
        (
            "#3: initiator rekeyed Child SA #2 using #1; IPsec tunnel",
            "#2: deleting established Child SA using IKE SA #1",
            "#2: ESP traffic information: in=0B out=0B",
        ),
        frozenset({1, 2}),
        frozenset({1, 3}),
    ),
    "5.4 rekeyed by the peer, the IKE SA too": (
        (
            "#4: responder rekeyed IKE SA #1 {cipher=AES_GCM_16_256}",
            "#1: deleting IKE SA (established IKE SA)",
            "#3: responder rekeyed Child SA #2 using #4; IPsec tunnel",
            "#2: ESP traffic information: in=0B out=0B",
        ),
        frozenset({1, 2}),
        frozenset({3, 4}),
    ),
    "4.10 IKEv1 rekeyed, phase 1 too": (
        (
            "#4: IKE SA established {auth=PRESHARED_KEY}",
            "#1: deleting state (STATE_MAIN_I4) aged 60.0s and sending notification",
            "#1: IKE SA expired (--dontrekey)",
            "#5: IPsec SA established tunnel mode {ESP=>0x1}",
            "#4: received Delete SA(0x31264f76) payload: deleting IPsec State #2",
            "#2: deleting state (STATE_QUICK_I2) aged 40.0s and sending notification",
        ),
        frozenset({1, 2}),
        frozenset({4, 5}),
    ),
    "3.20 set up anew": (
        (
            "#3: initiating v2 parent SA to replace #2",
            "#4: negotiated connection [10.0.0.0,10.255.255.255:0-65535 0] -> [10.1.0.0]",
            "#4: STATE_V2_IPSEC_I: IPsec SA established tunnel mode {ESP=>0x26ef3d04}",
            "#1: received Delete SA payload: expire IPSEC State #2 now",
            "#2: deleting state (STATE_V2_IPSEC_I)",
            "#1: deleting state (STATE_IKESA_DEL)",
        ),
        frozenset({1, 2}),
        frozenset({3, 4}),
    ),
    "5.2 the peer came anew (INITIAL_CONTACT)": (
        (
            "#3: responder established IKE SA; authenticated peer using authby=secret",
            "#2: ESP traffic information: in=0B out=0B",
            "#1: deleting IKE SA (established IKE SA)",
            "#4: responder established Child SA using #3; IPsec tunnel",
        ),
        frozenset({1, 2}),
        frozenset({3, 4}),
    ),
    "5.2 crossing streams": (
        (
            "#3: responder established IKE SA; authenticated peer using authby=secret",
            "#4: responder established Child SA using #3; IPsec tunnel",
            "#1: deleting IKE SA (established IKE SA)",
            "#2: ESP traffic information: in=0B out=0B",
        ),
        frozenset({1, 2}),
        frozenset({3, 4}),
    ),
}


@pytest.mark.parametrize("case", SUCCESSIONS)
def test_a_succession_is_no_loss(case: str) -> None:
    lines, before, after = SUCCESSIONS[case]
    log = told(*(V1_UP if "IKEv1" in case else V2_UP))
    told(*lines, log=log)
    assert not log.lost_between(held(*before), after - before)
    told(": initiating delete of connection's IKE SA", log=log)
    assert loss(log, before | after) is Reason.OPERATOR


BREAKS = {
    "by hand": (
        ": terminating SAs using this connection",
        "#3: initiating IKEv2 connection",
        "#4: initiator established Child SA using #3; IPsec tunnel",
    ),
    "5.4 the peer closes the Child, and it is set up anew": (
        "#2: ESP traffic information: in=0B out=0B",
        "#3: initiating Child SA using IKE SA #1",
        "#3: initiator established Child SA using #1; IPsec tunnel",
    ),
    "5.4 reauthentication": (
        "#1: sent INFORMATIONAL request to delete IKE SA",
        "#2: ESP traffic information: in=0B out=0B",
        "#1: deleting IKE SA (established IKE SA)",
        "#3: initiator established IKE SA; authenticated peer using authby=secret",
        "#4: initiator established Child SA using #3; IPsec tunnel",
    ),
}


@pytest.mark.parametrize("case", BREAKS)
def test_a_break_between_two_polls_is_a_loss(case: str) -> None:
    log = told(*V2_UP, *BREAKS[case])
    assert log.lost_between(held(1, 2), {3, 4})


TWO = HeldSas(
    names=frozenset({"site"}), children=frozenset({15, 16}), serials=frozenset({12, 13, 15, 16}),
    parents={15: 13, 16: 12}, seen=AT,
)  # fmt: skip
"""The SAs that a tunnel has when both sides have begun at the same time."""
OLDER_GOES = (
    "#13: received Delete SA payload: delete IPsec State #15 now",
    "#15: deleting other state #15 (STATE_V2_IPSEC_R) aged 27.227s and NOT sending notification",
)
NEWER_GOES = ("#16: ESP traffic information: in=0B out=0B",)
ANOTHER = ("#42: STATE_V2_IPSEC_I: IPsec SA established tunnel mode {ESP=>0x1 <0x2}",)


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        ((*OLDER_GOES, *ANOTHER, *NEWER_GOES), False),  # 3.32
        (("#13: deleting IKE SA (established IKE SA)", *OLDER_GOES, *ANOTHER), False),
        ((*OLDER_GOES, *NEWER_GOES, *ANOTHER), True),
        ((*NEWER_GOES, *ANOTHER), True),
        ((*OLDER_GOES, "#12: deleting IKE SA (established IKE SA)", *ANOTHER), True),
        ((": terminating SAs using this connection", *ANOTHER), True),
    ],
)
def test_a_newer_child_that_outlives_another_is_no_break(
    lines: tuple[str, ...], *, lost: bool
) -> None:
    assert told(*lines).lost_between(TWO, {42}) is lost


def failure(*lines: str, names: Iterable[str] = ("site",)) -> Reason:
    return told(*lines).attempts.failure(frozenset(names), 0)[0]


# Attempts about which several lines are logged, and the reason that counts.
ATTEMPTS: dict[str, tuple[Reason, tuple[str, ...]]] = {
    "4.10 no algorithm in common": (
        Reason.PROPOSAL,
        (
            "#1: initiating IKEv2 connection",
            "#1: dropping unexpected IKE_SA_INIT message containing NO_PROPOSAL_CHOSEN notificati",
            f"#1: STATE_V2_PARENT_I1: {GIVEN_UP}  {SILENCE}",
        ),
    ),
    "4.10 port closed": (
        Reason.UNREACHABLE,
        (
            "#1: initiating IKEv2 connection",
            f"#1: {CLOSED}",
            f"#1: STATE_V2_PARENT_I1: {GIVEN_UP}  {SILENCE}",
        ),
    ),
    "4.10 port 4500 closed, IKEv1": (
        Reason.UNREACHABLE,
        (
            "#1: initiating IKEv1 Main Mode connection",
            f"#1: {CLOSED}",
            f"#1: STATE_MAIN_I3: {GIVEN_UP}  Possible authentication failure: no acceptable res",
        ),
    ),
    "4.10 another secret, IKEv1, we begin": (
        Reason.AUTHENTICATION,
        (
            "#1: initiating IKEv1 Main Mode connection",
            "#1: sent Main Mode I3",
            "#1: STATE_MAIN_I3: retransmission; will wait 0.5 seconds for response",
            f"#1: STATE_MAIN_I3: {GIVEN_UP}  Possible authentication failure: no acceptable res",
        ),
    ),
    "4.10 subnets, IKEv1": (
        Reason.TRAFFIC_SELECTORS,
        (
            "#1: initiating IKEv1 Main Mode connection",
            "#1: IKE SA established {auth=PRESHARED_KEY}",
            "#2: initiating Quick Mode IKEv1+PSK {using isakmp#1 msgid:f4c8ab88}",
            "#1: ignoring informational payload INVALID_ID_INFORMATION, msgid=1, length=12",
            f"#2: STATE_QUICK_I1: {GIVEN_UP}  No acceptable response to our first Quick Mode me",
        ),
    ),
    "5.2 identity, IKEv1": (
        Reason.AUTHENTICATION,
        (
            "#1: initiating IKEv1 Main Mode connection",
            "#1: ignoring secured informational payload INVALID_ID_INFORMATION, msgid=1, length=8",
        ),
    ),
    "5.2 phase 2 without an answer": (
        Reason.CHILD_MISSING,
        (
            "#1: initiating IKEv1 Main Mode connection",
            "#1: ISAKMP SA established {auth=PRESHARED_KEY}",
            "#2: initiating Quick Mode IKEv1+PSK {using isakmp#1 msgid:f4c8ab88}",
            f"#2: STATE_QUICK_I1: {GIVEN_UP}  No acceptable response to our first Quick Mode me",
        ),
    ),
    "5.2 password, IKEv1": (
        Reason.CREDENTIALS,
        (
            "#1: initiating IKEv1 Main Mode connection",
            "#1: ISAKMP SA established {auth=PRESHARED_KEY}",
            "#1: XAUTH: Answering XAUTH challenge with user='paula'",
            "#1: Received Cisco XAUTH status: FAIL",
            "#1: XAUTH: aborting entire IKE Exchange",
            "#1: encountered fatal error in state STATE_XAUTH_I1",
            "#1: deleting ISAKMP SA (XAUTH_I1) and sending notification",
        ),
    ),
    "5.2 a certificate that expired": (
        Reason.AUTHENTICATION,
        (
            "#1: initiating IKEv2 connection to 192.0.2.7 using UDP",
            "#1: NSS: ERROR: IPsec certificate CN=east invalid: SEC_ERROR_EXPIRED_CERTIFICATE: x",
            "#1: X509: certificate payload rejected for this connection",
            "#1: encountered fatal error in state IKE_AUTH_I",
        ),
    ),
    "4.10 our own kernel": (
        Reason.OTHER,
        (
            "#1: initiating IKEv2 connection",
            "#2: ERROR: netlink response for Add SA esp.1@192.0.2.7 included errno 93: Protocol n",
            "#2: CHILD SA failed: NO_PROPOSAL_CHOSEN",
        ),
    ),
    "the last attempt counts": (
        Reason.NO_ANSWER,
        (
            "#1: initiating IKEv2 connection",
            "#1: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED",
            "#3: initiating IKEv2 connection",
            f"#3: STATE_V2_PARENT_I1: {GIVEN_UP}  {SILENCE}",
        ),
    ),
    "until the next attempt fails the last one does": (
        Reason.AUTHENTICATION,
        (
            "#1: initiating IKEv2 connection",
            "#1: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED",
            "#3: initiating IKEv2 connection",
        ),
    ),
    "nothing yet": (Reason.NONE, ("#1: initiating IKEv2 connection",)),
}


@pytest.mark.parametrize("case", ATTEMPTS)
def test_of_an_attempt_the_line_counts_that_explains_most(case: str) -> None:
    reason, lines = ATTEMPTS[case]
    assert failure(*lines) is reason


def test_the_detail_is_the_explanation_and_not_its_echo() -> None:
    log = told(
        "#1: initiating IKEv1 Main Mode connection",
        "#1: X509: authentication failed; peer certificate subjectAltName extension does not match",
        "#1: sending encrypted notification INVALID_ID_INFORMATION to 192.0.2.7:500",
    )
    _, line = log.attempts.failure({"site"}, 0)
    assert line is not None
    assert "subjectAltName" in line


BUSY = 'cannot install kernel policy 10.1.2.0/24===10.2.2.0/24; in use by connection "other" with x'
NOT_NOW = "CREATE_CHILD_SA failed with error notification TEMPORARY_FAILURE"


def test_the_connection_that_is_in_the_way_is_named_while_only_the_child_is_missing() -> None:
    first = ("#1: initiating Child SA using IKE SA #1", f"#2: {BUSY}")
    again = ("#3: initiating Child SA using IKE SA #1", f"#3: {NOT_NOW}")
    reason, line = told(*first, *again).attempts.failure({"site"}, 0)
    assert reason is Reason.CHILD_MISSING
    assert line is not None
    assert '"other"' in line


def test_it_is_no_longer_named_when_something_else_was_wrong_since() -> None:
    refused = "#2: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED"
    log = told(f"#1: {BUSY}", "#2: initiating IKEv2 connection", refused)
    assert log.attempts.failure({"site"}, 0) == (Reason.AUTHENTICATION, f'"site" {refused}')
    log = told("#3: initiating Child SA using IKE SA #2", f"#3: {NOT_NOW}", log=log)
    assert log.attempts.failure({"site"}, 0) == (Reason.CHILD_MISSING, f'"site" #3: {NOT_NOW}')


def test_the_failure_of_an_instance_that_went_is_its_templates() -> None:
    line = '"cp"[1] 192.0.2.7 #1: IKE SA authentication request rejected by peer: AUTHENTICATION_F'
    log = told('"cp"[1] 192.0.2.7 #1: initiating IKEv2 connection', line)
    assert log.attempts.failure({"cp"}, 0) == (Reason.AUTHENTICATION, line)
    assert log.attempts.failure({"cp", "cp[1]"}, 0) == (Reason.AUTHENTICATION, line)
    assert log.attempts.count({"cp"}, 0) == log.attempts.count({"cp", "cp[1]"}, 0) == 1
    assert log.attempts.failure({"c"}, 0) == (Reason.NONE, None)


@pytest.mark.parametrize("tries", [1, 3, 200])
def test_attempts_are_counted_however_many(tries: int) -> None:
    log = told("#1: initiating IKEv2 connection")
    begun = log.order
    assert log.attempts.count({"site"}, begun) == 0
    for n in range(tries):
        serial = 2 * n + 3
        told(
            f"#{serial}: initiating IKEv2 connection",
            f"#{serial}: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED",
            log=log,
        )
    assert log.attempts.count({"site"}, begun) == tries


def test_phase_1_and_its_first_phase_2_are_one_attempt() -> None:
    log = told(
        "#1: initiating IKEv1 Main Mode connection",
        "#2: initiating Quick Mode PSK+UP {using isakmp#1 msgid:1}",
    )
    assert log.attempts.count({"site"}, 0) == 1
    told("#3: initiating Quick Mode PSK+UP to replace #2 {using isakmp#1 msgid:2}", log=log)
    assert log.attempts.count({"site"}, 0) == 2


def test_a_child_tried_again_under_an_ike_sa_is_an_attempt() -> None:
    log = told(
        "#1: initiating IKEv2 connection to 192.0.2.7 using UDP",
        "#2: IKE_AUTH response rejected Child SA with NO_PROPOSAL_CHOSEN",
        "#3: initiating Child SA using IKE SA #1",
        "#4: initiating Child SA using IKE SA #1",
    )
    assert log.attempts.count({"site"}, 0) == 3


def test_several_connections_that_try_together_try_once() -> None:
    log = told(
        '"m/1x1" #1: initiating IKEv2 connection to 192.0.2.7 using UDP',
        '"m/1x2" #3: initiating Child SA using IKE SA #1',
        '"m/2x1" #4: initiating Child SA using IKE SA #1',
    )
    assert log.attempts.count({"m/1x1", "m/1x2", "m/2x1"}, 0) == 1


def test_ike_sas_are_known_as_new_or_rekeyed_until_they_are_gone() -> None:
    log = told(*V2_UP, "#3: initiator rekeyed IKE SA #1 {cipher=AES_GCM_16_256}")
    assert log.sas.origins == {1: 1, 3: 1}
    assert log.sas.carriers == {1}
    log.sas.keep({1})  # a report that was made before #3 came
    assert log.sas.origins == {1: 1, 3: 1}
    log.sas.keep({3})
    assert log.sas.origins == {3: 1}
    assert log.sas.carriers == set()


def test_another_pluto_begins_with_a_clean_sheet_of_serials() -> None:
    log = told(*V2_UP, "#3: initiator rekeyed Child SA #2 using #1; IPsec tunnel")
    log.forget(AT)
    told("#2: ESP traffic information: in=0B out=0B", log=log)
    assert loss(log) is Reason.PEER_DELETED
    assert (log.sas.carriers, log.sas.origins) == (set(), {})


def test_the_stop_of_the_last_pluto_is_no_cause_in_the_next() -> None:
    log = told(*V2_UP, "Pluto is shutting down")
    assert loss(log) is Reason.PLUTO_STOPPED
    log.forget(AT + 1)
    told(*V2_UP, "#1: deleting IKE SA (established IKE SA)", log=log)
    assert loss(log) is Reason.PEER_DELETED


def test_what_is_kept_of_a_connection_is_bounded() -> None:
    log = LogEvidence()
    for n in range(1000):
        told(f"#{n}: initiating IKEv2 connection", f"#{n}: no acceptable Oakley Transform",
             log=log)  # fmt: skip
    assert len(log.attempts._by_name["site"].evidence) == MAX_EVIDENCE


def test_a_failure_said_again_and_again_pushes_nothing_out() -> None:
    log = told("#1: initiating IKEv2 connection", "#1: no acceptable Oakley Transform")
    for _ in range(100):
        told(f"#1: {CLOSED}", log=log)
    assert log.attempts.failure({"site"}, 0)[0] is Reason.PROPOSAL


def flood(log: LogEvidence, lines: int) -> None:
    """Add lines that peers can make pluto log, about ever new instances."""
    rng = random.Random(7)
    for n in range(lines):
        name = f'"rw"[{n // 3}] 192.0.2.7 #{n}'
        text = rng.choice(
            (
                "initiating IKEv2 connection",
                "responder established IKE SA; authenticated peer",
                "responder rekeyed IKE SA #1 {cipher=AES_GCM_16_256}",
                "IKE SA established {auth=PRESHARED_KEY}",
                f"responder established Child SA using #{n}; IPsec tunnel",
                "ESP traffic information: in=0B out=0B",
                "no local proposal matches remote proposals " + "1:IKE:ENCR=AES;" * 500,
            )
        )
        log.add_log_line(LogLine(AT, f"{name}: {text}"))


@pytest.mark.slow
def test_peers_that_make_pluto_log_cannot_fill_the_memory() -> None:
    log = LogEvidence()
    flood(log, 200_000)
    attempts = log.attempts
    kept = [e for past in attempts._by_name.values() for e in past.evidence]
    assert len(kept) == attempts._pieces <= MAX_PIECES
    assert len(attempts._by_name) <= MAX_NAMES
    assert len(log._findings) <= MAX_FINDINGS
    assert len(log.sas._children) <= MAX_SERIALS
    sas = log.sas
    for serials in (sas.carriers, sas.origins, sas._phase1, sas._rekeyed, sas._quick):
        assert len(serials) <= 2 * MAX_SERIALS
    gc.collect()
    assert sum(sys.getsizeof(line) for line in {e.line for e in kept}) < 40 << 20


def recorded(path: Path) -> list[LogLine]:
    """Return all log lines in a recording."""
    return [entry for entry in recording.read(path)[1] if isinstance(entry, LogLine)]


def test_a_line_costs_little() -> None:
    lines = [line for path in sorted(ROOT.glob("*/*.jsonl.gz")) for line in recorded(path)]
    log = LogEvidence()
    costs = []
    for line in lines:
        begin = time.perf_counter_ns()
        log.add_log_line(line)
        costs.append(time.perf_counter_ns() - begin)
    assert statistics.median(costs) < 20_000


@pytest.mark.parametrize("name", ["site", "multi", "rekey", "rekey1", "v1main", "v1aggr", "cp"])
def test_where_all_goes_well_nothing_fails(name: str) -> None:
    for path in ROOT.glob(f"*/{name}.jsonl.gz"):
        for line in recorded(path):
            said = parse_line(line.text)
            found = interpret(said) if said else None
            assert found is None or found.event is not LogEvent.FAILURE, line.text
