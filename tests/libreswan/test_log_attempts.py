# SPDX-License-Identifier: MIT
"""Tests of what a log shows about each connection: recorded logs against what really happened."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.libreswan import log_text
from ipsecwatch.libreswan.log_attempts import Outcome, Story, stories
from ipsecwatch.recording.format import read
from ipsecwatch.report import LogLine
from ipsecwatch.tunnel import Reason
from tests.support.recordings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TRUTH = json.loads((ROOT / "truth.json").read_text())


def told(*lines: str) -> dict[str, Story]:
    return {s.name: s for s in stories(log_text.read("\n".join(lines)).lines)}


def office(*texts: str) -> Story:
    """Return what is concluded about the connection ``office`` from lines with these texts."""
    lines = (f'"office"{text if text[0] == ":" else f" {text}"}' for text in texts)
    return told(*lines)["office"]


BEGUN = "#1: initiating IKEv2 connection"
IKE = "#1: initiator established IKE SA; authenticated peer using authby=secret"
CHILD = "#2: initiator established Child SA using #1; IPsec tunnel [x]"
REFUSED = "#1: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED"
SILENT = "#1: STATE_V2_PARENT_I1: 60 second timeout exceeded after 7 retransmits.  No response"
DEAD = "#1: liveness action - restarting all connections that share this peer"
NO_WAY = (
    "#5: ERROR: asynchronous network error report on eth2 (192.0.2.1:500), complainant 192.0.2.1: "
    "No route to host [errno 113, origin ICMP type 3 code 1 (not authenticated)]"
)
BY_HAND = ": terminating SAs using this connection"
GOES = "#1: deleting state (STATE_V2_ESTABLISHED_IKE_SA) aged 9.6s and NOT sending notification"

STORIES = {
    "it came up": ((BEGUN, IKE, CHILD), Outcome.UP, None),
    "it was refused": ((BEGUN, REFUSED), Outcome.FAILED, Reason.AUTHENTICATION),
    "nobody answered": ((BEGUN, SILENT), Outcome.FAILED, Reason.NO_ANSWER),
    "it failed, then came up": ((BEGUN, REFUSED, BEGUN, IKE, CHILD), Outcome.UP, None),
    "it came up, and the peer closed it": (
        (BEGUN, IKE, CHILD, GOES), Outcome.LOST, Reason.PEER_DELETED,
    ),
    "the first cause counts": (
        (BEGUN, IKE, CHILD, DEAD, BY_HAND, GOES), Outcome.LOST, Reason.PEER_DEAD,
    ),
    "it was lost, and the next attempt fails": (
        (BEGUN, IKE, CHILD, GOES, BEGUN, SILENT), Outcome.FAILED, Reason.NO_ANSWER,
    ),
    "within an attempt the best explanation counts": (
        (BEGUN, "#1: dropping unexpected IKE_SA_INIT message containing NO_PROPOSAL_CHOSEN n",
         SILENT), Outcome.FAILED, Reason.PROPOSAL,
    ),
    "of two attempts the last counts": (
        (BEGUN, REFUSED, BEGUN, SILENT), Outcome.FAILED, Reason.NO_ANSWER,
    ),
    "what was deleted is what failed": ((BEGUN, REFUSED, GOES), Outcome.FAILED,
                                        Reason.AUTHENTICATION),
    "an answer is awaited": ((BEGUN, "#1: sent IKE_SA_INIT request to 192.0.2.7:UDP/500"),
                             Outcome.OPEN, None),
    "it was only begun": ((BEGUN,), Outcome.OPEN, None),
    "there is no Child yet": ((BEGUN, IKE), Outcome.IKE_ONLY, None),
    "a rekey is no loss": (
        (BEGUN, IKE, CHILD, "#3: initiator rekeyed IKE SA #1 {cipher=x}", GOES,
         "#4: initiator rekeyed Child SA #2 using #3; IPsec tunnel [x]"), Outcome.UP, None,
    ),
    "a rekey fails while it is up": (
        (BEGUN, IKE, CHILD, "#3: CREATE_CHILD_SA failed with error notification TS_UNACCEPTABLE"),
        Outcome.RENEWAL_FAILED, Reason.TRAFFIC_SELECTORS,
    ),
    "it was given up without a word": (
        (BEGUN, "#1: STATE_PARENT_I2: sent v2I2, expected v2R2", "#1: deleting state (STATE_PARE"),
        Outcome.GIVEN_UP, None,
    ),
    "its settings were refused": (
        (": failed to add connection: left certificate 'west' not found in the NSS database",),
        Outcome.NOT_LOADED, None,
    ),
    "a packet that can't be sent ends no tunnel": ((NO_WAY,), Outcome.UNCLEAR, Reason.UNREACHABLE),
    "a negotiation whose packets can't be sent failed": (
        (BEGUN, NO_WAY), Outcome.FAILED, Reason.UNREACHABLE,
    ),
    "who is found dead had an SA": (
        (NO_WAY, "#43: deleting state (STATE_QUICK_R2) aged 1200.1s and sending notification",
         NO_WAY, "#5: DPD action - restarting all connections that share this peer"),
        Outcome.LOST, Reason.PEER_DEAD,
    ),
    "what is refused under a phase 1 may be another's": (
        ("#1: ignoring informational payload INVALID_ID_INFORMATION, msgid=0, length=12",),
        Outcome.UNCLEAR, Reason.AUTHENTICATION,
    ),
    "an older Child SA ends, and the newer one stays": (
        ("#9: STATE_QUICK_R2: IPsec SA established transport mode {ESP/NAT=>0x1 <0x2}",
         "#1: received Delete SA(0x12345678) payload: deleting IPSEC State #8",
         "#8: deleting other state #8 (STATE_QUICK_R2) and sending notification",
         "#8: ESP traffic information: in=0B out=0B"),
        Outcome.UP, None,
    ),
    "what is sent again was sent": (
        ("#3: STATE_MAIN_I1: retransmission; will wait 16 seconds for response",),
        Outcome.OPEN, None,
    ),
    "phase 1 of IKEv1 may end, and the tunnel stays": (
        ("#1: initiating IKEv1 Main Mode connection", "#1: ISAKMP SA established {auth=PRESHARED}",
         "#2: initiating Quick Mode IKEv1+PSK {using ISAKMP SA #1 msgid:x}",
         "#2: IPsec SA established tunnel mode {ESP=>0x1}", "#1: ISAKMP SA expired (LATEST!)"),
        Outcome.UP, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STORIES)
def test_the_last_attempt_is_told(case: str) -> None:
    lines, outcome, reason = STORIES[case]
    story = office(*lines)
    cause = story.failure or story.loss
    assert story.outcome is outcome
    assert (cause.finding.reason if cause else None) is reason


V1 = "#1: initiating IKEv1 Main Mode connection"
V1_IKE = "#1: ISAKMP SA established {auth=PRESHARED_KEY cipher=AES_CBC_256}"
V1_CHILD = "#2: IPsec SA established tunnel mode {ESP=>0x44a449fc <0x26cbd42a}"
V1_GOES = "#2: deleting IPsec SA (QUICK_I2) aged 40.01s and NOT sending notification"
V1_DELETED = "#2: received Delete SA payload via #1"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((V1_GOES,), Reason.OTHER),  # pluto logs a Delete of the peer
        ((V1_DELETED, V1_GOES), Reason.PEER_DELETED),
        (("#3: sent Quick Mode request, to replace #2", V1_GOES), Reason.EXPIRED),
    ],
)
def test_the_end_of_an_ikev1_child_without_a_cause_is_not_the_peers(
    lines: tuple[str, ...], reason: Reason
) -> None:
    story = office(V1, V1_IKE, V1_CHILD, *lines)
    assert story.loss is not None
    assert story.loss.finding.reason is reason


@pytest.mark.parametrize(
    "again",
    [
        "#1: deleting IKE SA but connection is supposed to remain up; schedule EVENT_REVIVE_CONNS",
        "#2: connection is supposed to remain up; revival attempt 1 scheduled in 5 seconds",
        "#1: starting keying attempt 2 of an unlimited number",
    ],
)
def test_pluto_goes_on_only_if_it_said_so_after_the_last_failure(again: str) -> None:
    """With auto=keep, 5.2 revives a connection once."""
    assert office(BEGUN, REFUSED, again).retries
    assert office(BEGUN, REFUSED, again, BEGUN, NO_WAY.replace("#5", "#1")).retries
    assert not office(BEGUN, REFUSED, again, BEGUN, REFUSED).retries
    assert office(BEGUN, REFUSED, again, BEGUN, REFUSED, again).retries


def test_a_phase_2_is_part_of_the_attempt_of_its_phase_1() -> None:
    quick = "#2: initiating Quick Mode IKEv1+PSK {using ISAKMP SA #1 msgid:x proposal=y}"
    main = "#1: initiating IKEv1 Main Mode connection"
    assert office(main, quick, "#2: NO_PROPOSAL_CHOSEN").attempts == 1
    assert office(main, quick, BEGUN).attempts == 2


def test_connections_that_are_mixed_are_told_apart() -> None:
    found = told(
        f'"a" {BEGUN}', '"b" #2: initiating IKEv2 connection', f'"a" {REFUSED}',
        '"b" #2: initiator established IKE SA; x',
        '"b" #3: initiator established Child SA using #2',
    )  # fmt: skip
    assert {name: s.outcome for name, s in found.items()} == {
        "a": Outcome.FAILED,
        "b": Outcome.UP,
    }


def test_what_a_peer_refuses_is_of_the_connection_that_asked_for_it() -> None:
    found = told(
        '"a" #1: initiating IKEv1 Main Mode connection',
        '"a" #1: IKE SA established {auth=PRESHARED_KEY}',
        '"a" #2: initiating Quick Mode IKEv1+PSK {using isakmp#1 msgid:x}',
        '"a" #2: IPsec SA established tunnel mode {ESP=>0x1}',
        '"b" #3: initiating Quick Mode IKEv1+PSK {using isakmp#1 msgid:y}',
        '"a" #1: ignoring informational payload INVALID_ID_INFORMATION, msgid=0, length=12',
    )
    assert {name: s.outcome for name, s in found.items()} == {"a": Outcome.UP, "b": Outcome.FAILED}
    assert found["b"].failure is not None
    assert found["b"].failure.finding.reason is Reason.TRAFFIC_SELECTORS


@pytest.mark.parametrize("line", ["shutting down", "Pluto is shutting down", "Starting Pluto (L"])
def test_what_pluto_takes_with_it_is_not_up(line: str) -> None:
    story = told(*(f'"office" {text}' for text in (BEGUN, IKE, CHILD)), line)["office"]
    assert story.outcome is Outcome.LOST


def test_of_lines_that_say_nothing_nothing_is_told() -> None:
    assert (
        told('"office" #1: x', '"office": added IKEv2 connection', '"office" #1: NAT: none') == {}
    )


LOGGED = [
    path
    for path in sorted(ROOT.glob("*/*.jsonl.gz"))
    if f"{path.parent.name}/{path.name}" in TRUTH and "server" not in path.name
]
ALIKE = {
    "up": {Outcome.UP},
    "down": {Outcome.LOST, Outcome.FAILED},
    "waiting": {Outcome.LOST},
    "gone": {Outcome.LOST},
    "stuck": {Outcome.FAILED, Outcome.GIVEN_UP, Outcome.OPEN},
    "connecting": {Outcome.FAILED, Outcome.LOST, Outcome.OPEN},
}


@pytest.mark.parametrize("path", LOGGED, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_recorded_log_ends_as_the_tunnel_did(path: Path) -> None:
    text = "\n".join(
        f"Nov 28 10:00:00 west pluto[7]: {event.text}"
        for event in read(path)[1]
        if isinstance(event, LogLine) and event.identifier == "pluto"
    )
    log = log_text.read(text)
    assert log.lines
    ends = TRUTH[f"{path.parent.name}/{path.name}"]["tunnels"]
    for story in stories(log.lines):
        base = story.name.partition("/")[0].partition("[")[0]
        if base not in ends:
            continue
        assert story.outcome in ALIKE[ends[base][-1][1]], (story.name, ends[base][-1])


def test_a_rekey_alone_shows_that_it_was_up() -> None:
    story = office("#4: initiator rekeyed Child SA #2 using #1; IPsec tunnel [x]")
    assert (story.outcome, story.renewed, story.came_up) == (Outcome.UP, True, 0)


def test_phase_1_that_the_peer_deletes_after_the_child_is_no_failure() -> None:
    story = office(
        "#2: IPsec SA established tunnel mode {ESP=>0x1}",
        "#1: received Delete SA(0xfa2bb9e8) payload: deleting IPSEC State #2",
        "#1: received Delete SA payload: deleting ISAKMP State #1",
    )
    assert story.outcome is Outcome.LOST


def test_a_service_that_was_started_again_is_not_told_as_stopped() -> None:
    lines = [
        f'"office" {CHILD}',
        "Nov 20 11:00:00 gw pluto[12]: shutting down",
        "Nov 20 11:00:05 gw pluto[77]: Starting Pluto (Libreswan Version 5.2 XFRM) pid:77",
    ]
    loss = told(*lines)["office"].loss
    assert loss is not None
    assert loss.finding.reason is Reason.PLUTO_RESTARTED


def test_what_two_programs_log_happened_once() -> None:
    begun = "#1: initiating Main Mode"
    lines = (f'NetworkManager[7]: 002 "office" {begun}', '"office" #1: STATE_MAIN_I1: initiate')
    (story,) = told(f'"office" {begun}', *lines).values()
    assert story.attempts == 1


def test_a_negotiation_that_went_to_another_instance_is_told_once() -> None:
    at = "192.0.2.7 #8:"
    found = told(
        f'"rw"[3] {at} STATE_MAIN_R2: sent MR2, expecting MI3',
        f'"rw"[3] {at} switched from "rw"[3] 192.0.2.7 to "rw"',
        f'"rw"[4] {at} STATE_MAIN_R3: sent MR3, ISAKMP SA established {{auth=PRESHARED_KEY}}',
    )
    assert {name: s.outcome for name, s in found.items()} == {"rw[4]": Outcome.IKE_ONLY}


def test_what_pluto_deletes_when_it_stops_was_not_taken_down_by_hand() -> None:
    stops = "Nov 28 10:00:01 gw pluto[7]: shutting down"
    found = told(stops, '"rw": deleting non-instance connection', f'"office" {GOES}')
    assert not found
    came_up = (f'"office" {x}' for x in (BEGUN, IKE, CHILD))
    (story,) = told(*came_up, stops, '"office": deleting non-instance connection').values()
    assert (story.outcome, story.loss.finding.reason if story.loss else None) == (
        Outcome.LOST,
        Reason.PLUTO_STOPPED,
    )


def _told(text: str) -> list[Story]:
    return stories(log_text.read(text).lines)


def test_a_rekey_shows_that_the_old_sa_is_there() -> None:
    for kind in ("Child", "IKE"):
        (story,) = _told(
            f'"x" #9: initiating rekey to replace {kind} SA #5 using IKE SA #4\n'
            '"x" #9: CREATE_CHILD_SA failed with error notification TEMPORARY_FAILURE\n'
        )
        assert story.outcome is Outcome.RENEWAL_FAILED


def test_after_a_failed_rekey_the_end_of_the_sas_is_a_loss() -> None:
    (story,) = _told(
        '"x" #9: initiating rekey to replace IKE SA #4 using IKE SA #4\n'
        '"x" #9: CREATE_CHILD_SA failed with error notification TEMPORARY_FAILURE\n'
        '"x" #4: ESTABLISHED_IKE_SA: 60 second timeout exceeded after 7 retransmits.  No response\n'
    )
    assert story.outcome is Outcome.LOST
    assert story.loss is not None
    assert story.loss.finding.reason is Reason.PEER_DEAD


def test_a_rekey_that_succeeds_ends_nothing() -> None:
    (story,) = _told(
        '"x" #9: initiating rekey to replace Child SA #5 using IKE SA #4\n'
        '"x" #9: initiator rekeyed Child SA #5 using #4; IPsec tunnel [a===b]\n'
        '"x" #5: ESP traffic information: in=1GB out=3GB\n'
    )
    assert (story.outcome, story.children) == (Outcome.UP, {9})


ESTABLISHED = (
    '"x" #1: STATE_MAIN_I4: ISAKMP SA established {auth=PRESHARED_KEY}\n',
    '"x" #1: initiating IKEv1 Main Mode connection\n"x" #1: IKE SA established {auth=x}\n',
)


@pytest.mark.parametrize("lines", ESTABLISHED)
def test_an_identity_that_main_mode_has_accepted_is_not_refused_later(lines: str) -> None:
    refused = '"x" #1: ignoring informational payload INVALID_ID_INFORMATION, msgid=00000000\n'
    (story,) = _told(lines + refused)
    assert story.failure is not None
    assert story.failure.finding.reason is Reason.TRAFFIC_SELECTORS
    (story,) = _told(f'"x" #1: initiating IKEv1 Main Mode connection\n{refused}')
    assert story.failure is not None
    assert story.failure.finding.reason is Reason.AUTHENTICATION


LEFT = (
    '"tun" #1: initiating IKEv2 connection\n'
    '"tun" #1: sent IKE_AUTH request {cipher=AES_GCM_16_256}\n'
    '"tun" #1: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED\n'
)
RIGHT = (
    '"tun" #1: processed IKE_SA_INIT request from 192.0.2.1:UDP/500 {cipher=AES_GCM_16_256}\n'
    "\"tun\" #1: authentication failed: no PSK found for '192.0.2.2' and '192.0.2.1'\n"
)


def test_both_ends_are_told_apart_by_their_roles() -> None:
    for first, second in ((LEFT, RIGHT), (RIGHT, LEFT)):
        one, other = _told(f"{first}\nand on the other side:\n{second}")
        assert (one.apart, other.apart) == (False, True)
        ours = one if first is LEFT else other
        assert ours.failure is not None
        assert "rejected by peer" in ours.failure.line.text
        assert (one.attempts, other.attempts) == ((1, 0) if first is LEFT else (0, 1))


def test_after_a_restart_a_serial_may_have_the_other_role() -> None:
    start = "Nov 28 10:00:00 gw pluto[7]: Starting Pluto (Libreswan Version 5.4) pid:7\n"
    (story,) = _told(f"{LEFT}{start}{RIGHT}")
    assert not story.apart


def test_ends_that_are_mixed_line_by_line_are_one_story() -> None:
    mixed = [x for pair in zip(LEFT.splitlines(), RIGHT.splitlines(), strict=False) for x in pair]
    (story,) = _told("\n".join(mixed))
    assert not story.apart


def test_a_phase_2_that_the_peer_begins_is_no_other_end() -> None:
    (story,) = _told(
        '"x" #1: initiating IKEv1 Main Mode connection\n'
        '"x" #1: IKE SA established {auth=x}\n'
        '"x" #1: the peer proposed: 10.0.0.0/8 -> 10.1.0.0/16\n'
        '"x" #2: responding to Quick Mode proposal {msgid:00000001}\n'
        '"x" #2: sent Quick Mode reply, inbound IPsec SA installed, expecting confirmation x\n'
        '"x" #1: responding to CREATE_CHILD_SA message (ID 1) from 192.0.2.7:500\n'
    )
    assert not story.apart
