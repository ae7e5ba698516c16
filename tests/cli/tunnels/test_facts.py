# SPDX-License-Identifier: MIT
from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.cli.display.terminal import Row
from ipsecwatch.cli.tunnels.facts import facts
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from ipsecwatch.cli.tunnels.found import Details

UP = TunnelState.UP


def told(details: Details, **more: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the facts that are printed about a tunnel with these details, by label."""
    values: dict[str, Any] = {"children": 1, "children_up": 1, "instances": 0, **more}
    row = Row("site", UP, UP, Reason.NONE, None, False, None, **values)
    return {label: text for label, text in facts(row, details, "ipsec.service") if text}


def boot_micros(seconds_ago: float) -> int:
    return int((time.clock_gettime(time.CLOCK_BOOTTIME) - seconds_ago) * 1e6)


def sa(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"Serial": 2, "Connection": "site", "Kind": "child", "Established": True, **more}


def test_of_a_tunnel_without_details_only_its_state_is_said() -> None:
    assert told({}) == {"state": "up"}


@pytest.mark.parametrize(
    ("timers", "said"),
    [
        ({"REKEY": 3700, "REPLACE": 4000, "EXPIRE": 4100}, "rekey in 1h 01m"),
        ({"REPLACE": 4000}, "to be replaced in 1h 06m"),
        ({"EVENT_SA_EXPIRE": 50}, "ends in 50s"),
        ({"v2_REKEY": -3}, "rekey now"),
        ({"EXPIRE": 100, "v1_RETRANSMIT": 7}, "ends in 1m 40s; asks again in 7s"),
        ({"NAT_KEEPALIVE": 10}, ""),
    ],
)
def test_what_comes_next_of_an_sa_is_said_by_its_timers(timers: dict[str, int], said: str) -> None:
    assert told({"SAs": [sa(Timers=timers)]})["Child SA"] == f"#2: {said}"


def test_timers_have_run_on_since_pluto_answered() -> None:
    shown = told({"AnsweredBoottime": boot_micros(60.5), "SAs": [sa(Timers={"REKEY": 100})]})
    assert shown["Child SA"] in ("#2: rekey in 39s", "#2: rekey in 38s")


@pytest.mark.parametrize(("known", "said"), [(True, "1m 30s old"), (False, "over 1m 30s old")])
def test_an_sas_age_is_since_it_was_first_seen(known: bool, said: str) -> None:
    shown = told({"SAs": [sa(Parent=1, SinceBoottime=boot_micros(90.4), SinceKnown=known)]})
    assert shown["Child SA"] == f"#2 under #1: {said}"


def test_a_negotiation_says_how_far_it_is() -> None:
    larval = sa(Kind="ike", Established=False, Stage="authenticating", Role="initiator", BytesIn=0)
    assert told({"SAs": [larval]})["IKE SA"] == "#2: authenticating, initiator"


def test_algorithms_are_said_of_the_sas_that_use_them() -> None:
    child = {"Connection": "site", "IkeAlgorithms": "AES", "ChildAlgorithms": "GCM"}
    shown = told({"Children": [child], "SAs": [sa(), sa(Kind="ike", Serial=1)]})
    assert (shown["IKE SA"], shown["Child SA"]) == ("#1: AES", "#2: GCM")


def test_each_pair_of_subnets_is_said_with_its_child_sa() -> None:
    pairs = [
        {
            "Connection": "m/1x1",
            "LocalSubnet": "10.1.0.0/16",
            "PeerSubnet": "10.2.0.0/16",
            "Serial": 7,
        },
        {"Connection": "m/1x2", "LocalSubnet": "10.1.0.0/16"},
        {"Connection": "m/1x3"},
    ]
    shown = told({"Children": pairs}, children=3, children_up=1)
    assert shown["subnets"].split("\n") == [
        "1 of 3 up", "10.1.0.0/16 ↔ 10.2.0.0/16  #7", "10.1.0.0/16 ↔ the peer  no Child SA",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("child", "said"),
    [
        ({"DpdDelay": 0.0, "DpdTimeout": 60.0}, "it isn't asked whether it lives (dpddelay=0)"),
        ({"DpdDelay": 5.0, "DpdTimeout": 15.0, "DpdAction": "hold"},
         "asked after 5s of silence, counts as dead after 15s, then: hold"),
        ({"DpdDelay": 5.0}, "asked after 5s of silence"),
    ],
)  # fmt: skip
def test_it_is_said_how_the_peer_is_watched(child: dict[str, Any], said: str) -> None:
    same = {"Connection": "m/1x1", **child}
    assert told({"Children": [same, same]})["peer check"] == said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"IdleSeconds": 3.0, "IdleKnown": True}, ""),
        ({"IdleSeconds": 75.0, "IdleKnown": True}, "; nothing for 1m 15s"),
        ({"IdleSeconds": 75.0, "IdleKnown": False}, "; nothing for over 1m 15s"),
    ],
)
def test_silence_is_said_where_it_lasts(more: Details, said: str) -> None:
    shown = told({"BytesIn": 5 << 20, "BytesOut": 840, **more})
    assert shown["traffic"] == f"5.0M in, 840 out since the last rekey{said}"


def test_a_counter_alone_is_no_traffic() -> None:
    assert "traffic" not in told({"BytesIn": 5})


def test_an_identity_that_is_the_address_is_said_once() -> None:
    assert told({"PeerIdentity": "192.0.2.1"}, peer="192.0.2.1")["peer"] == "192.0.2.1"
    assert told({"PeerIdentity": "@x"})["peer"] == "as @x"


def test_transitions_are_said_the_newest_first() -> None:
    at = 1_700_000_000_000_000
    past = [
        {"At": at, "Old": "up", "New": "down", "Reason": "peer-dead"},
        {"At": at + 1, "Old": "down", "New": "up", "Reason": "none"},
        {"At": at + 2, "Old": "up", "New": "asleep", "Reason": "moon-phase"},
    ]
    lines = told({"Transitions": past})["before"].split("\n")
    assert [line.partition("  ")[2] for line in lines] == [
        "up → asleep: moon-phase", "down → up", "up → down: peer-dead",
    ]  # fmt: skip
