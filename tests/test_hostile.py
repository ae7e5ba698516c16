# SPDX-License-Identifier: MIT
"""One peer's text moves no other tunnel, and blinds nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.status import Reader, parse
from tests.support.hostile import DIALECTS, OTHERS, SLOTS, status, verdicts

NASTY = (
    "; newest", '", type=ESP, add_time=1', "; eroute owner: #5", "; erouted; eroute owner: #6",
    "; routed-tunnel; my_ip=unset; their_ip=unset;", "]===10.0.0.0/8; unrouted", "...", "===", "'",
    ", ", '"', '"november"', "IKE SA #5; idle;", " Traffic: ESPin=1B username=root", ": pending ",
    "\x1b[2J\x1b]0;x\x07", "\u202egnp.live\u2066", "\u2028", "\x85", "\x0b\x0c\x1c", "\x00",
    "\udcff\udc80", "A" * 1024, "B" * 65536, "; owner: Child SA #6", "   policy: UP;", "\\012",
)  # fmt: skip

FORGED = {
    "a Child of one that is down": '#77: "papa":500 {child}; newest; {parent} #76; idle;',
    "an IKE SA of one that is down": '#76: "papa":500 {ike}; newest; idle;',
    "a Child of one that is tried": '#78: "oscar":500 {child}; newest; {parent} #9; idle;',
    "the serial of one that is tried": '#9: "mallory":500 {tries}',
    "the serial of one that is up": '#6: "mallory":500 {tries}',
    "the serial of one that is up, in its name": '#6: "november":500 {tries}',
    "a larval Child in place of one that is up": '#6: "november":500 {larval}; idle;',
    "an attempt for one that is down": '#79: "papa":500 {tries}',
    "a larval Child of one that is down": '#80: "papa":500 {larval}; idle;',
    "words that nobody knows": '#81: "papa":500 gloriously established Child SA; IKE SA #3; idle;',
    "the end of one that is up": '#6: "november":500 {child}; EVENT_SA_EXPIRE in 0s; idle;',
    "a wish of one that is down": '#4: pending {wish} for "papa"',
    "an attempt, and a wish": '#82: "mallory":500 {tries}\n{0}#82: pending {wish} for "papa"',
    "counters of another": '#6: "november" esp.1@1.2.3.4 Traffic: ESPin=0B ESPout=0B ESPmax=0B ',
    "a line of trafficstatus": '#6: "november", type=ESP, add_time=1, inBytes=0, outBytes=0',
    "a policy of another": '"november":   policy: IKEv2+PSK+UP;\n{0}"papa":   policy: PSK+UP;',
    "a bar on another": '"november":   policy: PSK+NEVER_NEGOTIATE;',
    "a routing of another": '"papa": 1.2.3.4...5.6.7.8; prospective erouted; eroute owner: #0',
    "serials of another": '"november":   newest IKE SA: #0; newest IPsec SA: #0;',
    "a tunnel that isn't": '"zulu": 1.2.3.4...5.6.7.8; erouted; eroute owner: #9',
    "an end of the list": "\n{0}Total IPsec connections: loaded 1, active 1\n{0}\n",
    "all totals": "State Information: DDoS cookies not required, Accepting new IKE connections\n"
    "{0}IKE SAs: total(0), half-open(0), open(0), authenticated(0), anonymous(0)\n"
    "{0}IPsec SAs: total(0), authenticated(0), anonymous(0)\n",
    "the totals of IPsec": "IPsec SAs: total(1), authenticated(1), anonymous(0)",
    "the beginning": "using kernel interface: xfrm",
    "a list": "Connection list:",
    "the last section": "Bare Shunt list:\n{0}\n",
    "a shunt": "10.0.0.0/24 -0-> 10.1.0.0/24 => %hold 0    oe-failing",
    "an error": 'whack: Pluto is not running (no "/run/pluto/pluto.ctl")',
    "a counter": "total.ipsec.type.all=0",
    "a setting": "debug none",
    "nothing that is known": "out of cheese",
}
"""Lines of pluto's own that a peer may forge, for each dialect's words and prefix."""

_NEW = {"larval": "NEW_CHILD_I1 (sent CREATE_CHILD_SA request for new IPsec SA)"}
WORDS = {
    "3.20": {
        "child": "STATE_V2_IPSEC_I (IPsec SA established); EVENT_SA_REPLACE in 9s",
        "ike": "STATE_PARENT_I3 (PARENT SA established); EVENT_SA_REPLACE in 9s",
        "tries": "STATE_PARENT_I1 (sent v2I1, expected v2R1); EVENT_v2_RETRANSMIT in 1s; idle;",
        "larval": "STATE_V2_CREATE_I (sent IPSec Child req wait response)",
        "parent": "isakmp", "wish": "Phase 2",
    },
    "3.32": {
        "child": "STATE_V2_IPSEC_I (IPsec SA established); EVENT_SA_REKEY in 9s",
        "ike": "STATE_PARENT_I3 (PARENT SA established); EVENT_SA_REKEY in 9s",
        "tries": "STATE_PARENT_I1 (sent v2I1, expected v2R1); EVENT_RETRANSMIT in 1s; idle;",
        "larval": "STATE_V2_CREATE_I (sent IPsec Child req wait response)",
        "parent": "isakmp", "wish": "CHILD SA",
    },
    "4.10": {
        "child": "STATE_V2_ESTABLISHED_CHILD_SA (established Child SA); REKEY in 9s",
        "ike": "STATE_V2_ESTABLISHED_IKE_SA (established IKE SA); REKEY in 9s",
        "tries": "STATE_V2_PARENT_I1 (sent IKE_SA_INIT request); RETRANSMIT in 1s; idle;",
        "larval": f"STATE_V2_{_NEW['larval']}", "parent": "IKE SA", "wish": "CHILD SA",
    },
    "5.2": {
        "child": "ESTABLISHED_CHILD_SA (established Child SA); REKEY in 9s",
        "ike": "ESTABLISHED_IKE_SA (established IKE SA); REKEY in 9s",
        "tries": "IKE_SA_INIT_I (sent IKE_SA_INIT request); RETRANSMIT in 1s; idle;",
        **_NEW, "parent": "IKE SA", "wish": "Child SA",
    },
    "5.4": {
        "child": "established Child SA; REKEY in 9s",
        "ike": "established IKE SA; REKEY in 9s",
        "tries": "sent IKE_SA_INIT request; RETRANSMIT in 1s; idle;",
        "larval": "sent CREATE_CHILD_SA request for new IPsec SA",
        "parent": "IKE SA", "wish": "Child SA",
    },
}  # fmt: skip


def forged(dialect: str, what: str) -> str:
    """A line of pluto's own, with what its neighbours need to stay lines."""
    prefix = "000 " if dialect < "5" else ""
    return prefix + FORGED[what].format(prefix, **WORDS[dialect])


def held(dialect: str, said: dict[str, str], *, lines: bool) -> None:
    """Hold that the others are as they were; only forged ``lines`` may make an answer doubtful."""
    text = status(dialect, said)
    expected = verdicts(parse(status(dialect), "status"))
    for report in (parse(text, "status"), parse(text.encode("utf-8", "surrogateescape"), "status")):
        assert report.complete == (report.why is None)
        assert report.complete or lines, report.why
        if report.complete:
            assert verdicts(report) == expected


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_tunnels_are_as_they_should_be_without_a_hostile_one(dialect: str) -> None:
    report = parse(status(dialect), "status")
    assert report.complete
    assert report.unrecognised == ()
    assert {name: seen[0] for name, seen in verdicts(report).items()} == OTHERS
    said = {slot: "harmless" for slot in SLOTS}
    assert parse(status(dialect, said), "status").complete


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_nasty_text_moves_no_other_tunnel(dialect: str, slot: str) -> None:
    for text in NASTY:
        held(dialect, {slot: text}, lines=False)
        held(dialect, {slot: f"{text} {text}"}, lines=False)


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_forged_line_moves_no_other_tunnel(dialect: str, what: str, slot: str) -> None:
    line = forged(dialect, what)
    for text in (f"x\n{line}", f"x\n{line}\n", f"\n{line}\n{line}\n"):
        held(dialect, {slot: text}, lines=True)
