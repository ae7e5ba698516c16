# SPDX-License-Identifier: MIT
"""Tests of which lines are believed if there are more than pluto counts, or the same twice."""

from __future__ import annotations

import pytest

from ipsecwatch.libreswan.status import Reader, consistency, parse, states
from ipsecwatch.report import Connection, SaState, Totals

# --- States -----------------------------------------------------------------------------------


def state(line: str) -> SaState:
    found = states.state(line)
    assert found is not None
    return found


IKE = '#1: "a":500 STATE_V2_ESTABLISHED_IKE_SA (established IKE SA); REKEY in 9s; newest; idle;'
CHILD = '#2: "a":500 STATE_V2_ESTABLISHED_CHILD_SA (established Child SA); newest; IKE SA #1; idle;'
OTHER_CHILD = CHILD.replace("#2", "#4").replace('"a"', '"b"')
LARVAL = '#7: "b":500 STATE_V2_NEW_CHILD_I1 (sent CREATE_CHILD_SA request for new IPsec SA); idle;'
HALF_OPEN = '#3: "b":500 STATE_V2_PARENT_I1 (sent IKE_SA_INIT request); RETRANSMIT in 1s; idle;'
KNOCKING = '#3: "b":500 STATE_V2_PARENT_R1 (sent IKE_SA_INIT reply); DISCARD in 9s; idle;'
GOING = '#8: "a":500 STATE_V2_IKE_SA_DELETE (STATE_IKESA_DEL); RETRANSMIT in 1s; idle;'
UNSENT = '#3: "b":500 STATE_V2_PARENT_I0 (waiting for KE to finish); EXPIRE in 60s; idle;'
UNSENT_LATER = '#3: "b":500 (waiting for KE to finish); DISCARD in 60s; idle;'
LEASING = (
    '#3: "b":500 STATE_MODE_CFG_R0 (received ModeCfg request, reply sent); REPLACE in 9s; idle;'
)
STRANGE = '#9: "b":500 wonderfully established Child SA; IKE SA #1; idle;'


def listed(
    a: str = "#1; newest IPsec SA: #2", b: str = "#0; newest IPsec SA: #0"
) -> list[Connection]:
    text = "".join(
        f'"{name}": 1.2.3.4[@w]...5.6.7.8[@e]; unrouted; eroute owner: #0\n'
        f'"{name}":   policy: IKEv2+PSK;\n"{name}":   newest IKE SA: {newest};\n'
        for name, newest in (("a", a), ("b", b))
    )
    return list(parse(text).connections)


# Each row: the lines about SAs, how many pluto counts (IKE, IPsec), the first line after a user
# name; then the serials that must be believed, the indices of lines that mustn't, and why the
# answer isn't believed.
STATES = {
    "all is as pluto counts": ([IKE, CHILD], (1, 1), None, [1, 2], [], None),
    "nothing is": ([], (0, 0), None, [], [], None),
    "one is missing": ([IKE], (1, 1), None, [1], [], "cut off within the states"),
    "one too many, and no peer's text": (
        [IKE, CHILD, OTHER_CHILD], (1, 1), None, [1, 2, 4], [], "more SAs than pluto counts",
    ),
    "one too many, behind a user name": ([IKE, CHILD, OTHER_CHILD], (1, 1), 2, [1, 2], [2], None),
    "two too many, behind a user name": (
        [IKE, CHILD, OTHER_CHILD, OTHER_CHILD.replace("#4", "#5")], (1, 1), 2, [1, 2], [2, 3], None,
    ),
    "two of which one is too many": (
        [IKE, CHILD, OTHER_CHILD, OTHER_CHILD.replace("#4", "#5")], (1, 2), 2, [1, 2, 4, 5], [],
        "more SAs than pluto counts",
    ),
    "one too many that the list bears out": (
        [IKE, OTHER_CHILD, CHILD], (1, 1), 1, [1, 2], [1], None,
    ),
    "as many as pluto counts, behind a user name": (
        [IKE, CHILD, HALF_OPEN], (2, 1), 2, [1, 2, 3], [], None,
    ),
    "an IKE SA too many": ([IKE, CHILD, HALF_OPEN], (1, 1), 2, [1, 2], [2], None),
    "a larval Child that is not counted": ([IKE, CHILD, LARVAL], (1, 1), 2, [1, 2], [2], None),
    "one in front of any user name": ([IKE, CHILD, LARVAL], (1, 1), None, [1, 2, 7], [], None),
    "an IKE SA of which nothing was sent yet": (
        [IKE, CHILD, UNSENT], (1, 1), None, [1, 2, 3], [], None,
    ),
    "the same in other releases, which is counted": (
        [IKE, CHILD, UNSENT_LATER], (2, 1), None, [1, 2, 3], [], None,
    ),
    "an IKE SA that gives an address": ([IKE, CHILD, LEASING], (1, 1), None, [1, 2, 3], [], None),
    "an IKE SA of which nothing was sent, behind a user name": (
        [IKE, CHILD, UNSENT], (1, 1), 2, [1, 2], [2], None,
    ),
    "a larval Child that is counted as an IKE SA": (
        [IKE, CHILD, LARVAL], (2, 1), 2, [1, 2, 7], [], None,
    ),
    "words that nobody knows": ([IKE, CHILD, STRANGE], (1, 1), 2, [1, 2], [2], None),
    "such words in front of any user name": (
        [IKE, CHILD, STRANGE], (1, 1), None, [1, 2, 9], [], None,
    ),
    "such words, counted": ([IKE, CHILD, STRANGE], (1, 2), 2, [1, 2, 9], [], None),
    "an IKE SA behind a larval Child that may be counted as one": (
        [IKE, CHILD, LARVAL, HALF_OPEN], (2, 1), 3, [1, 2, 7, 3], [], "more SAs than pluto counts",
    ),
    "somebody who knocks, behind such a one": (
        [IKE, CHILD, LARVAL, KNOCKING], (2, 1), 3, [1, 2, 7, 3], [], None,
    ),
    "an IKE SA behind one that goes and may be counted": (
        [IKE, CHILD, GOING, HALF_OPEN], (2, 1), 3, [1, 2, 8, 3], [], "more SAs than pluto counts",
    ),
    "a Child behind words that may be counted as one": (
        [IKE, CHILD, STRANGE, OTHER_CHILD], (1, 2), 3, [1, 2, 9, 4], [],
        "more SAs than pluto counts",
    ),
    "a serial that the list gives to the other": (
        [IKE, CHILD.replace('"a"', '"b"'), CHILD], (1, 1), 1, [1, 2], [1], None,
    ),
    "a serial twice of one connection": (
        [IKE, CHILD, CHILD.replace("established Child", "expired Child")], (1, 1), 1, [1, 2], [2],
        "the same serial",
    ),
    "a serial twice that the list doesn't know": (
        [IKE, CHILD, HALF_OPEN, HALF_OPEN], (2, 1), 2, [1, 2, 3], [3], "the same serial",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STATES)
def test_which_states_are_believed(case: str) -> None:
    lines, (ike, child), tainted, serials, strangers, doubt = STATES[case]
    totals = Totals(ike={"total": ike}, ipsec={"total": child})
    believed = consistency.sift_states([state(x) for x in lines], totals, listed(), tainted)
    assert [s.serial for s in believed.states] == serials
    assert list(believed.strangers) == strangers
    assert (believed.doubt is None) == (doubt is None), believed.doubt
    assert (doubt or "") in (believed.doubt or "")


def test_where_pluto_counts_nothing_all_states_are_believed() -> None:
    found = [state(x) for x in (IKE, CHILD, OTHER_CHILD)]
    for tainted in (None, 0):
        assert consistency.sift_states(found, Totals(), listed(), tainted).states == found


def test_a_routing_that_a_peer_may_have_forged_bears_out_nothing() -> None:
    connections = listed()
    connections[0].owner = 4  # of a topology line, which has the peer's identity in it
    found = [state(x) for x in (IKE, CHILD, OTHER_CHILD.replace('"b"', '"a"'), OTHER_CHILD)]
    totals = Totals(ike={"total": 1}, ipsec={"total": 2})
    believed = consistency.sift_states(found, totals, connections, 2)
    assert believed.doubt == "two SAs have the same serial"


def test_up_to_4_15_no_line_of_5_0_bears_anything_out() -> None:
    connections = listed()
    connections[0].text += '\n"a":   host: oriented; established IKE SA: #3;'
    found = [state(x) for x in (IKE, CHILD, HALF_OPEN)]
    totals = Totals(ike={"total": 1}, ipsec={"total": 1})
    assert consistency.sift_states(found, totals, connections, 2).states == found[:2]


def test_from_5_0_on_the_list_bears_out_a_larval_child() -> None:
    connections = list(
        parse(
            '"a": 1.2.3.4...5.6.7.8; routed-tunnel; my_ip=unset; their_ip=unset;\n'
            '"a":   routing: routed-tunnel; owner: Child SA #2; established IKE SA: #1;'
            " negotiating Child SA: #7; established Child SA: #2;\n"
        ).connections
    )
    found = [state(x) for x in (IKE, CHILD, LARVAL.replace('"b"', '"a"'))]
    totals = Totals(ike={"total": 1}, ipsec={"total": 1})
    assert consistency.sift_states(found, totals, connections, 2).states == found
    forged = [*found[:2], state(LARVAL)]
    assert consistency.sift_states(forged, totals, connections, 2).states == found[:2]


# --- Connections ------------------------------------------------------------------------------


def own(name: str, *, routing: str = "unrouted") -> list[str]:
    return [
        f'"{name}": 1.2.3.4[@w]...5.6.7.8[@{name}]; {routing}; eroute owner: #0',
        f'"{name}":   policy: IKEv2+PSK;',
        f'"{name}":   our idtype: FQDN; our id=@w; their idtype: FQDN; their id=@{name}',
        f'"{name}":   newest IKE SA: #0; newest IPsec SA: #0;',
        f'"{name}":   ESP algorithm newest: AES',
    ]


A, B, C, Z = own("a"), own("b"), own("c"), own("z")
UP_A = own("a", routing="erouted")
CLOSING_B = B[3]
OTHER_COMMAND = "# Total IPsec connections: loaded 9, active 9"
ENDING = [
    "Total IPsec connections: loaded 2, active 0",
    "State Information: DDoS cookies not required, Accepting new IKE connections",
    "IKE SAs: total(0), half-open(0), open(0), authenticated(0), anonymous(0)",
    "IPsec SAs: total(0), authenticated(0), anonymous(0)",
    "Bare Shunt list:",
    " ",
]
# Each row: the lines of the list, how many connections pluto counts; then the names that must be
# believed, the numbers of lines that mustn't, and why the answer isn't believed.
LISTS = {
    "all is as pluto counts": ([*A, *B, *C], 3, "abc", [], None),
    "one is missing": ([*A, *B], 3, "ab", [], "cut off within the connection list"),
    "one too many": ([*A, *B, *own("z"), *C], 3, "abzc", [], "contradicts itself"),
    "another's line within one": ([*A, *B[:3], UP_A[0], *B[3:], *C], 3, "abc", [9], None),
    "lines of one that comes later, within one": (
        [*A, *B[:3], *C[:2], *B[3:], *C], 3, "abc", [9, 10], None,
    ),
    "lines within one, in two places": (
        [*A, B[0], UP_A[0], *B[1:3], C[1], *B[3:], *C], 3, "abc", [7, 10], None,
    ),
    "one that isn't, within another": (
        [*A, *B[:3], *own("z"), *B[3:], *C], 3, "abc", [9, 10, 11, 12, 13], None,
    ),
    "a total of another command within one, and a line of another": (
        [*A, *B[:3], C[1], OTHER_COMMAND, *B[3:], *C], 3, "abc", [9, 10], None,
    ),
    "all that ends a status, within one": (
        [*A, *B[:3], *ENDING, *B[3:], *C], 3, "abc", [9, 10, 11, 12, 13], None,
    ),
    "an SA, a shunt, an error and a setting within one": (
        [
            *A, *B[:3], CHILD, "10.0.0.0/8 -0-> 10.1.0.0/16 => %hold    oe-failing",
            "whack: Pluto is not running", "logfile='/etc/shadow', logappend=yes", *B[3:], *C,
        ], 3, "abc", [9, 10, 11, 12], None,
    ),
    "blank lines within one": ([*A, *B[:3], "", *B[3:], *C], 3, "abc", [], None),
    "blank lines behind what closes one": ([*A, *B[:4], "", B[4], *C], 3, "abc", [], None),
    "a line that nobody knows, behind what closes one": (
        [*A, *B[:4], "out of cheese", B[4], *C], 3, "abc", [10], None,
    ),
    "all of another's lines within one": (
        [*A, *B[:3], *UP_A, *B[3:], *C], 3, None, None, "contradicts itself",
    ),
    "all lines of one that comes later, within one": (
        [*A, *B[:3], *C, *B[3:], *C], 3, None, None, "contradicts itself",
    ),
    "lines of one behind its end": ([*A, *B, UP_A[1], *C], 3, None, None, "contradicts itself"),
    "what closes one, twice": ([*A, *B[:3], CLOSING_B, *B[3:], *C], 3, None, None, "contradicts"),
    "what closes one twice, and one that isn't": (
        [*A, *B[:3], CLOSING_B, *own("z"), *B[3:], *C], 3, None, None, "contradicts itself",
    ),
    "what closes one twice, and one in another's place": (
        [*A, *B[:3], CLOSING_B, *C, *B[3:], *own("c", routing="erouted")], 3, None, None,
        "contradicts itself",
    ),
    "what closes one twice, and one around all others": (
        [*B[:3], CLOSING_B, Z[0], *B[3:], *A, *C[:3], Z[3], *C[3:]], 3, None, None,
        "contradicts itself",
    ),
    "what closes one twice, and the end of the list": (
        [*A, *B[:3], CLOSING_B, *ENDING, *B[3:], *C], 3, None, None, "more than one answer",
    ),
    "a policy twice": (
        [*A, *B[:3], '"b":   policy: PSK+UP;', *B[3:], *C], 3, None, None, "contradicts itself",
    ),
    "one that is never closed": ([*A, *B[:3], *C], 3, None, None, "contradicts itself"),
}  # fmt: skip


def listing(lines: list[str], loaded: int, prefix: str) -> str:
    """Return a status with this connection list, which begins at line 5."""
    return "".join(
        f"{prefix}{line}\n"
        for line in (
            "using kernel interface: xfrm", "pluto_version=4.10, pluto_vendorid=x",
            "Connection list:", " ", *lines, " ",
            f"Total IPsec connections: loaded {loaded}, active 0", *ENDING[1:],
        )
    )  # fmt: skip


@pytest.mark.parametrize("case", LISTS)
@pytest.mark.parametrize("prefix", ["", "000 "])
def test_which_connections_are_believed(case: str, prefix: str) -> None:
    lines, loaded, names, strangers, doubt = LISTS[case]
    text = listing(lines, loaded, prefix)
    report = parse(text, "status")
    assert (report.why is None) == (doubt is None), report.why
    assert (doubt or "") in (report.why or "")
    assert Reader().read(text, "status") == report
    if names is not None and strangers is not None:
        assert [c.name for c in report.connections] == list(names)
        assert [(u.line - 4, u.text) for u in report.unrecognised] == [
            (n, lines[n - 1]) for n in strangers
        ]
    if doubt is None:
        assert {c.routing for c in report.connections} == {"unrouted"}
        assert {c.policy for c in report.connections} == {frozenset({"IKEv2", "PSK"})}
        assert report.states == ()
        assert report.shunts == ()
        assert report.version == "4.10"
        assert not any("shadow" in line for line in report.other)


@pytest.mark.parametrize("line", [A[0], '#3: "papa":500 x', "whack: x", "debug none", "x"])
def test_a_status_ends_with_a_shunt_or_a_blank_line(line: str) -> None:
    text = listing(A, 1, "000 ")
    shunt = "000 10.0.0.0/8 -0-> 10.1.0.0/16 => %hold 0    oe-failing\n"
    for whole in (text, f"{text}{shunt}", f"{text}{shunt}000 \n"):
        assert parse(whole, "status").complete
        assert not parse(f"{whole}000 {line}\n", "status").complete


def test_behind_a_user_name_stands_no_setting_and_no_error() -> None:
    """Some builds up to 3.23 print no list of shunts: then these lines would be the peer's own."""
    text = listing(A, 1, "000 ").replace("total(0)", "total(1)")
    said = (
        f'000 {IKE}\n000 {CHILD}\n000 #2: "a" esp.1@1.2.3.4 Traffic: username=x\n'
        "000 Bare Shunt list:\n000 whack: Pluto is not running\n"
        "000 logfile='/etc/shadow', logappend=yes\n000  \n"
    )
    report = parse(text.replace("000 Bare Shunt list:\n000  \n", said), "status")
    assert report.why is None
    assert [s.serial for s in report.states] == [1, 2]
    assert not any("shadow" in line for line in report.other)
    assert report.unrecognised_count == 2


def test_without_a_count_what_stands_within_a_connection_isn_t_believed_either() -> None:
    """connectionstatus with a name prints no count of connections."""
    lines, z = (
        [x.replace("newest IPsec SA: #0;", "newest IPsec SA: #0; conn serial: $1;") for x in of]
        for of in (B, Z)
    )
    for forged in ([UP_A[0]], z, [OTHER_COMMAND], [ENDING[0]]):
        text = "".join(f"{x}\n" for x in [*lines[:3], *forged, *lines[3:]])
        report = parse(text, "connectionstatus")
        assert report.complete
        assert [c.name for c in report.connections] == ["b"]
        assert [u.text for u in report.unrecognised] == forged
    text = "".join(f"{x}\n" for x in [*lines[:4], *z, *lines[3:]])
    assert parse(text, "connectionstatus").why == "the connection list contradicts itself"
