# SPDX-License-Identifier: MIT
"""Tests of what one report says about its tunnels, from lines as pluto prints them."""

from __future__ import annotations

import pytest

from ipsecwatch.libreswan.status import parse
from ipsecwatch.tracking.observation import observe_tunnels
from ipsecwatch.tunnel import TunnelState

ENDS = "10.1.3.0/24===192.0.2.45[@w]...192.0.2.23[@e]===10.2.3.0/24"


def listed(name: str, routing: str, *, old: str = "", ends: str = ENDS) -> str:
    """Return the lines of a connection: as from 5.0 on, or with ``old`` as up to 4.15."""
    word = routing.partition(";")[0]
    if old:
        owner, _, newest = old.partition("/")
        tail, last = f"eroute owner: #{owner}", f"newest IKE SA: #0; newest IPsec SA: #{newest};"
    else:
        tail, last = "my_ip=unset; their_ip=unset;", f"routing: {routing};"
    return f"{name}: {ends}; {word}; {tail}\n{name}:   policy: IKEv2+PSK;\n{name}:   {last}\n"


def states(*lines: str) -> str:
    return "".join(f"{line} idle;\n" for line in lines)


def ups(text: str) -> dict[str, int]:
    """Return how many children of each tunnel are up."""
    return {key: o.up for key, o in observe_tunnels(parse(text.encode()), (), ()).items()}


LEFT_OVER = {
    "main, while nobody negotiates": listed('"x3"', "routed-ondemand")
    + states(
        '#27: "x3":500 ISAKMP SA established; REPLACE in 53s; lastdpd=-1s(seq in:0 out:0);',
        '#31: "x3":500 IPsec SA established; REPLACE in 27s; ISAKMP SA #28;',
    ),
    "main, while somebody does": listed(
        '"x3"', "routed-negotiation; owner: ISAKMP SA #61; negotiating ISAKMP SA: #61"
    )
    + states(
        '#31: "x3":500 IPsec SA established; REPLACE in 27s; ISAKMP SA #28;',
        '#61: "x3":500 sent Main Mode request; RETRANSMIT in 3s;',
    ),
    "main, while the next one has begun": listed(
        '"x3"', "routed-ondemand; owner: ISAKMP SA #61; established ISAKMP SA: #61"
    )
    + states(
        '#31: "x3":500 IPsec SA established; REPLACE in 27s; ISAKMP SA #28;',
        '#61: "x3":500 ISAKMP SA established; REPLACE in 59s; newest;',
        '#62: "x3":500 sent Quick Mode request; RETRANSMIT in 3s; ISAKMP SA #61;',
    ),
    "4.x": listed('"x3"', "prospective erouted", old="0/0")
    + states('#31: "x3":500 STATE_QUICK_R2 (IPsec SA established); REPLACE in 9s; ISAKMP SA #28;'),
}


@pytest.mark.parametrize("case", LEFT_OVER)
def test_a_child_that_its_connection_has_let_go_is_not_up(case: str) -> None:
    assert ups(LEFT_OVER[case]) == {"x3": 0}


V1_IKE = '#4: "x3":500 ISAKMP SA established; EXPIRE in 4s; lastdpd=-1s(seq in:0 out:0);'
OLD = '#12: "x3":500 IPsec SA established; EXPIRE in 5s; ISAKMP SA #4;'
NEW = '#13: "x3":500 IPsec SA established; REPLACE in 30s; newest; eroute owner; ISAKMP SA #7;'

CARRIES: dict[str, tuple[str, dict[str, int]]] = {
    "the older of two in a rekey, the newer of which owns the route": (
        listed('"x3"', "routed-tunnel; owner: IPsec SA #13; established IPsec SA: #13")
        + states(V1_IKE, OLD, NEW),
        {"x3": 1},
    ),
    "the older of two in a rekey, while its connection names none": (
        listed('"x3"', "routed-ondemand") + states(V1_IKE, OLD),
        {"x3": 1},
    ),
    "the older of two, whose phase 1 has gone": (
        listed('"x3"', "routed-tunnel; owner: IPsec SA #13; established IPsec SA: #13")
        + states(OLD),
        {"x3": 1},
    ),
    "an IKEv1 Child whose phase 1 expired": (
        listed('"x3"', "routed-tunnel; owner: IPsec SA #13; established IPsec SA: #13")
        + states(NEW),
        {"x3": 1},
    ),
    "an IKEv1 Child of 4.x whose phase 1 expired": (
        listed('"x3"', "erouted", old="13/13")
        + states(
            '#13: "x3":500 STATE_QUICK_I2 (IPsec SA established); REPLACE in 9s; newest;'
            " eroute owner; ISAKMP SA #7;"
        ),
        {"x3": 1},
    ),
    "a Child that is marked, though its connection names none": (
        listed('"x3"', "routed-ondemand") + states(NEW),
        {"x3": 1},
    ),
    "two connections with the same subnets, of which one owns the route": (
        listed('"a"', "erouted", old="13/13")
        + listed('"b"', "erouted", old="0/15")
        + states(
            '#13: "a":500 STATE_QUICK_I2 (IPsec SA established); REPLACE in 9s; newest;'
            " eroute owner; ISAKMP SA #7;",
            '#15: "b":500 STATE_QUICK_R2 (IPsec SA established); REPLACE in 9s; newest;'
            " ISAKMP SA #7;",
        ),
        {"a": 1, "b": 1},
    ),
    "several Quick Modes of one connection, whose phase 1 has gone": (
        listed('"x3"', "routed-tunnel; owner: IPsec SA #13; established IPsec SA: #13")
        + states(
            '#11: "x3":500 IPsec SA established; REPLACE in 28s; ISAKMP SA #7;',
            '#12: "x3":500 IPsec SA established; REPLACE in 29s; ISAKMP SA #7;',
            NEW,
        ),
        {"x3": 1},
    ),
    "transport mode": (
        listed(
            '"x3"', "routed-tunnel; owner: Child SA #2; established Child SA: #2",
            ends="192.0.2.45/32/UDP/1701===192.0.2.45[@w]...192.0.2.23[@e]===192.0.2.23/32/UDP",
        )
        + states(
            '#2: "x3":500 established Child SA; REKEY in 9s; newest; eroute owner; IKE SA #1;',
        ),
        {"x3": 1},
    ),
    "narrowed selectors": (
        listed('"cp"', "unrouted")
        + listed(
            '"cp"[1]', "routed-tunnel; owner: Child SA #2; established Child SA: #2",
            ends="10.3.0.30/32===192.0.2.45[@w]...192.0.2.23[@e]===10.2.3.0/24",
        )
        + states(
            '#2: "cp"[1] 192.0.2.23:4500 established Child SA; REKEY in 9s; newest; eroute owner;'
            " IKE SA #1;",
            '#1: "cp"[1] 192.0.2.23:4500 established IKE SA; REKEY in 90s; newest;',
        ),
        {"cp": 1},
    ),
    "opportunistic": (
        (listed('"clear#192.0.2.0/24"', "unrouted", ends="192.0.2.45[ID_NULL]...%opportunistic")
        + listed(
            '"clear#192.0.2.0/24"[1]',
            "routed-tunnel; owner: Child SA #2; established Child SA: #2",
            ends="192.0.2.45[ID_NULL]...192.0.2.23[ID_NULL]",
        )
        + states(
            '#2: "clear#192.0.2.0/24"[1] ...192.0.2.23:500 established Child SA; REKEY in 9s;'
            " newest; eroute owner; IKE SA #1;",
        )).replace("IKEv2+PSK", "IKEv2+OPPORTUNISTIC+GROUPINSTANCE"),
        {"clear": 1},
    ),
    "labelled, where the parent has no Child of its own": (
        listed('"lab"', "unrouted")
        + listed('"lab"[1]', "unrouted; established IKE SA: #1")
        + listed('"lab"[1][1]', "routed-tunnel; owner: Child SA #2; established Child SA: #2")
        + listed('"lab"[1][2]', "routed-tunnel; owner: Child SA #3; established Child SA: #3")
        + states(
            '#2: "lab"[1][1] 192.0.2.23:500 established Child SA; REKEY in 9s; newest;'
            " eroute owner; IKE SA #1;",
            '#3: "lab"[1][2] 192.0.2.23:500 established Child SA; REKEY in 9s; newest;'
            " IKE SA #1;",
        ),
        {"lab": 1},
    ),
    "up to 3.19, an IKEv2 Child that calls itself a parent": (
        f'"gw": {ENDS}; erouted; eroute owner: #8\n'
        '"gw":   newest ISAKMP SA: #7; newest IPsec SA: #8;\n'
        + states(
            '#8: "gw":500 STATE_PARENT_R2 (received v2I2, PARENT SA established);'
            " EVENT_SA_REPLACE in 9s; newest IPSEC; eroute owner; isakmp#7;",
            '#7: "gw":500 STATE_PARENT_R2 (received v2I2, PARENT SA established);'
            " EVENT_SA_REPLACE in 9s; newest ISAKMP; isakmp#0;",
        ),
        {"gw": 1},
    ),
    "up to 3.19, an IKE SA alone": (
        f'"gw": {ENDS}; unrouted; eroute owner: #0\n'
        '"gw":   newest ISAKMP SA: #7; newest IPsec SA: #0;\n'
        + states(
            '#7: "gw":500 STATE_PARENT_R2 (received v2I2, PARENT SA established);'
            " EVENT_SA_REPLACE in 9s; newest ISAKMP; isakmp#0;",
        ),
        {"gw": 0},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CARRIES)
def test_what_carries_is_up(case: str) -> None:
    text, up = CARRIES[case]
    assert ups(text) == up


@pytest.mark.parametrize("case", LEFT_OVER)
def test_the_line_that_would_name_a_child_has_to_be_there(case: str) -> None:
    text = "".join(
        line + "\n" for line in LEFT_OVER[case].splitlines()
        if "   routing:" not in line and "newest IPsec SA" not in line
    )  # fmt: skip
    assert ups(text) == {"x3": 1}


def test_a_child_whose_parent_is_not_told_counts() -> None:
    text = listed('"x3"', "routed-ondemand") + states('#31: "x3":500 IPsec SA established;')
    assert ups(text) == {"x3": 1}


NAMED = "192.0.2.45[@w]...%dns<later.example>[@e]===10.2.3.0/24"


@pytest.mark.parametrize(
    ("ends", "name"),
    [
        (NAMED, "later.example"),
        ("%any[@w]...%dns<later.example>:4500[@e]", "later.example"),
        ("192.0.2.45---192.0.2.1...%dns<later.example.>[@e,+MC]", "later.example."),
        ("192.0.2.45...192.0.2.1---%dns<later.example>", "later.example"),
        ("192.0.2.45[@w]...192.0.2.23<later.example>[@e]", None),
        ("%dns<here.example>[@w]...192.0.2.23[@e]", None),
        ("192.0.2.45[@w]...192.0.2.23[%dns<a.example>]", None),
        ("192.0.2.45[@w]...%any[@e]", None),
    ],
)
def test_only_the_remote_end_is_a_peer_whose_name_does_not_resolve(
    ends: str, name: str | None
) -> None:
    (connection,) = parse(listed('"dn"', "unrouted", ends=ends).encode()).connections
    assert [t.unresolved for t in connection.topologies] == [name]


@pytest.mark.parametrize(
    ("ends", "routing", "policy", "state"),
    [
        (NAMED, "unrouted", "IKEv2", "down"),
        (NAMED, "unrouted", "IKEv2+UP", "connecting"),
        (NAMED, "routed-ondemand", "IKEv2+ROUTE", "waiting"),
        ("%dns<here.example>[@w]...%any[@e]", "unrouted", "IKEv2", "waiting"),
        ("%dns<here.example>[@w]...192.0.2.23[@e]", "unrouted", "IKEv2", "down"),
    ],
)
def test_a_peer_whose_name_does_not_resolve_is_one_peer_and_no_template(
    ends: str, routing: str, policy: str, state: str
) -> None:
    text = listed('"dn"', routing, ends=ends).replace("IKEv2+PSK", policy)
    (seen,) = observe_tunnels(parse(text.encode()), (), ()).values()
    assert seen.state == state


LABEL = "sec_label:system_u:object_r:ipsec_spd_t:s0"
LABELLED = {
    "5.2": (
        listed('"lab"', "unrouted")
        + listed('"lab"[1]', "routed-ondemand; owner: IKE SA #1; established IKE SA: #1")
        + f'"lab"[1]:   {LABEL}\n"lab"[1]:   policy: IKEv2+PSK+UP;\n',
        '#1: "lab"[1] 192.0.2.23:500 ESTABLISHED_IKE_SA (established IKE SA); REKEY in 9s; newest;',
        '#2: "lab"[1][1] 192.0.2.23:500 ESTABLISHED_CHILD_SA (established Child SA); IKE SA #1;',
        listed('"lab"[1][1]', "routed-tunnel; owner: Child SA #2; established Child SA: #2"),
    ),
    "4.10": (
        listed('"lab"', "prospective erouted", old="0/0")
        + f'"lab":   {LABEL}\n"lab":   policy: IKEv2+PSK+UP;\n',
        '#1: "lab":500 STATE_V2_ESTABLISHED_IKE_SA (established IKE SA); REKEY in 9s; newest;',
        '#2: "lab"[1] 10.2.3.4:5 STATE_V2_ESTABLISHED_CHILD_SA (established Child SA); IKE SA #1;',
        listed('"lab"[1]', "erouted", old="2/2"),
    ),
}


@pytest.mark.parametrize("release", LABELLED)
def test_a_security_label_waits_for_traffic_once_the_ike_sa_is_there(release: str) -> None:
    """pluto then brings up no Child SA, even if somebody says ``ipsec up``."""
    connections, sa, child, its_own = LABELLED[release]

    def state(text: str) -> TunnelState:
        return observe_tunnels(parse(text.encode()), (), ())["lab"].state

    begun = sa.replace("established IKE SA", "sent IKE_SA_INIT request").replace(
        "ESTABLISHED_IKE_SA", "PARENT_I1" if release == "4.10" else "IKE_SA_INIT_I"
    )
    assert state(connections + states(begun)) is TunnelState.CONNECTING
    assert state(connections + states(sa)) is TunnelState.WAITING
    assert state(connections + its_own + states(sa, child)) is TunnelState.UP
    plain = connections.replace(LABEL, f"sec_label:unset;  their id=@x {LABEL};")
    assert state(plain + states(sa)) is TunnelState.CONNECTING
