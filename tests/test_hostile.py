# SPDX-License-Identifier: MIT
"""One peer's text moves no other tunnel, and blinds nobody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.model import Poll, TunnelState
from ipsecwatch.status import Reader, parse
from ipsecwatch.tracker import Tracker
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


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nasty_text_moves_no_other_tunnel(dialect: str) -> None:
    for slot in SLOTS:
        for text in NASTY:
            held(dialect, {slot: text}, lines=False)
            held(dialect, {slot: f"{text} {text}"}, lines=False)


@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_forged_line_moves_no_other_tunnel(dialect: str, what: str) -> None:
    line = forged(dialect, what)
    for slot in SLOTS:
        for text in (f"x\n{line}", f"x\n{line}\n", f"\n{line}\n{line}\n"):
            held(dialect, {slot: text}, lines=True)


said = st.lists(
    st.one_of(
        st.sampled_from(NASTY[:-4]),
        st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=20),
        st.text(st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=4),
    ),
    max_size=4,
).map("".join)
"""What a peer says in one line, as real pluto prints it."""

lies = st.lists(
    st.one_of(
        st.sampled_from(list(FORGED)).map(lambda what: f"\n{what}\n"),
        said,
        st.sampled_from(["\n", "\n000 ", "\r\n", '\n000 "november":', '\n"mallory":   ', "\n#6: "]),
    ),
    max_size=5,
)
"""What it says in several; what stands between two line feeds names a forged line."""


def spoken(dialect: str, parts: list[str]) -> str:
    """Put in the words of the dialect for each forged line that is named."""
    return "".join(
        f"\n{forged(dialect, part.strip())}\n" if part.strip() in FORGED else part for part in parts
    )


slots = st.sets(st.sampled_from(SLOTS), min_size=1, max_size=3)


@given(st.sampled_from(DIALECTS), slots, said)
def test_whatever_a_peer_says_moves_no_other_tunnel(
    dialect: str, where: set[str], text: str
) -> None:
    held(dialect, dict.fromkeys(where, text), lines=False)


@given(st.sampled_from(DIALECTS), slots, lies)
def test_whatever_a_peer_forges_moves_no_other_tunnel(
    dialect: str, where: set[str], parts: list[str]
) -> None:
    held(dialect, dict.fromkeys(where, spoken(dialect, parts)), lines=True)


@given(st.sampled_from(DIALECTS), slots, st.one_of(said.map(lambda text: [text]), lies))
def test_a_peer_that_comes_and_goes_makes_no_transition_of_another(
    dialect: str, where: set[str], parts: list[str]
) -> None:
    hostile = status(dialect, dict.fromkeys(where, spoken(dialect, parts)))
    tracker, reader = Tracker(), Reader()
    moved = []
    for second, text in enumerate([status(dialect)] * 2 + [hostile] * 3 + [status(dialect)] * 2):
        report = reader.read(text, "status")
        moved += tracker.observe(Poll(1e9 + second, float(second), report, pid=1))
    for change in moved:
        if change.tunnel.key in OTHERS and change.old is not None:
            # Of an answer that cannot be believed nothing is known: no up, no down.
            assert TunnelState.UNKNOWN in (change.old, change.new)
            assert "\n" in "".join(parts)
    now = {key: t.state.value for key, t in tracker.tunnels.items() if key in OTHERS}
    assert now == OTHERS


@given(said)
def test_whatever_a_peer_says_moves_no_other_counter(text: str) -> None:
    lines = [
        "006 #2: \"alpha\", type=ESP, add_time=1, inBytes=10, outBytes=20, id='@east'\n",
        f'006 #4: "mallory"[1] 192.0.2.9, username={text}, type=ESP, add_time=1, inBytes=7, '
        "outBytes=8, lease=10.0.0.1/32\n",
        f'006 #5: "mallory"[2] 192.0.2.9, type=ESP, add_time=1, inBytes=9, outBytes=5, '
        f"id='{text}', lease=10.0.0.2/32\n",
        "006 #6: \"november\", type=ESP, add_time=1, inBytes=30, outBytes=40, id='@east'\n",
    ]
    report = parse("".join(lines), "trafficstatus")
    assert report.complete
    assert [(t.serial, t.bytes_in, t.bytes_out) for t in report.traffic] == [
        (2, 10, 20), (4, 7, 8), (5, 9, 5), (6, 30, 40),
    ]  # fmt: skip
    assert report.traffic[1].username == text
    assert report.traffic[2].id == text
    assert [t.lease for t in report.traffic[1:3]] == [("10.0.0.1/32",), ("10.0.0.2/32",)]


def test_counts_that_say_how_many_but_not_which_make_an_answer_doubtful() -> None:
    """Behind a user name stands an attempt of another tunnel's, and then a forged one."""
    text = status("4.10", {"sa-user": 'x\n000 #82: "mallory":500 ' + WORDS["4.10"]["tries"]})
    tried = next(x for x in text.splitlines(keepends=True) if '#9: "oscar"' in x)
    at = text.index('000 #3: "mallory"')
    text = text[:at].rstrip() + " username=honest\n" + tried + text[at:].replace(tried, "")
    report = parse(text, "status")
    assert report.why == "there are more SAs than pluto counts"
