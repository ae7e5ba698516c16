# SPDX-License-Identifier: MIT
"""What is believed where there is more than pluto counts, or twice."""

from __future__ import annotations

import pytest

from ipsecwatch.libreswan.status import consistency, parse, states
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


# What there is, how many pluto counts (IKE, IPsec), the first that stands behind a user name;
# the serials that are believed, the indices of those that aren't, and whether there is a doubt.
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
        f'"{name}":   their id=@{name}',
        f'"{name}":   newest IKE SA: #0; newest IPsec SA: #0;',
        f'"{name}":   ESP algorithm newest: AES',
    ]


A, B, C = own("a"), own("b"), own("c")
UP_A = own("a", routing="erouted")
# The lines, how many connections pluto counts, the names and routing words that are believed, the
# numbers of lines that aren't, and whether there is a doubt.
LISTS = {
    "all is as pluto counts": ([*A, *B, *C], 3, "abc", [], None),
    "pluto doesn't count": ([*A, *B], None, "ab", [], None),
    "one is missing": ([*A, *B], 3, "ab", [], "cut off within the connection list"),
    "another's line within one": (
        [*A, *B[:3], UP_A[0], *B[3:], *C], 3, "abc", [9], None,
    ),
    "another's lines within one": (
        [*A, *B[:3], *UP_A, *B[3:], *C], 3, "abc", [9, 10, 11, 12, 13], None,
    ),
    "one that isn't, within another": (
        [*A, *B[:3], *own("z"), *B[3:], *C], 3, "abc", [9, 10, 11, 12, 13], None,
    ),
    "lines of one behind its end": ([*A, *B, UP_A[1], *C], 3, "abc", [11], None),
    "one too many": ([*A, *B, *own("z"), *C], 3, "abzc", [], "contradicts itself"),
    "an end of its own, and another": (
        [*A, *B[:3], B[3], *own("z"), *B[3:], *C], 3, None, None, "contradicts itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LISTS)
@pytest.mark.parametrize("prefix", ["", "000 "])
def test_which_connections_are_believed(case: str, prefix: str) -> None:
    lines, loaded, names, strangers, doubt = LISTS[case]
    text = "".join(f"{prefix}{line}\n" for line in lines)
    sifted = consistency.sift_connections(text, loaded)
    assert (sifted.doubt is None) == (doubt is None), sifted.doubt
    assert (doubt or "") in (sifted.doubt or "")
    if names is not None:
        assert [c.name for c in sifted.listed.values()] == list(names)
        assert [n for n, _ in sifted.strangers] == strangers
    if doubt is None:
        assert {c.routing for c in sifted.listed.values()} == {"unrouted"}
    for number, line in sifted.strangers:
        assert line == lines[number - 1]


def test_a_connection_that_closes_twice_doesn_t_agree() -> None:
    text = "".join(f"{line}\n" for line in [*A, A[3]])
    sifted = consistency.sift_connections(text, 1)
    assert not consistency.agree(sifted.listed, sifted.odd, 1)
    assert consistency.agree(sifted.listed, sifted.odd, None)
