# SPDX-License-Identifier: MIT
from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch import recording
from ipsecwatch.dbus.introspection import FILES
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.dbus.names import MANAGER
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import Connection, SaKind, SaLine, SaState, Stage, Topology
from ipsecwatch.service.details import Context, Entry, brief_details, tunnel_details
from ipsecwatch.service.recent_transitions import RecentTransitions
from ipsecwatch.tracking.tracker import Tracker
from tests.support.recordings import ROOT, statuses
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.tunnel import Tunnel

SECTIONS = {
    "Of a tunnel:": "",
    "Of each in Children:": "Children",
    "Of each in SAs:": "SAs",
    "Of each in Transitions, as in TunnelStateChanged:": "Transitions",
}


def documented() -> dict[str, dict[str, str]]:
    """Return the keys of GetDetails that the XML lists, with their D-Bus types, by section."""
    found: dict[str, dict[str, str]] = {}
    section = None
    for line in (FILES / f"{MANAGER}.xml").read_text().splitlines():
        for words, name in SECTIONS.items():
            if line.strip().endswith(words):
                section = found.setdefault(name, {})
        if "-->" in line:
            section = None
        row = re.fullmatch(r" {10}(\w+) +([a-z{}]+) {2,}\S.*", line)
        if row and section is not None:
            section[row[1]] = row[2]
    return found


def starred() -> set[str]:
    """Return the keys that a brief answer has, according to the XML."""
    lines = (FILES / f"{MANAGER}.xml").read_text().splitlines()
    rows = [re.fullmatch(r" {10}(\w+) +[a-z{}]+ +\* \S.*", line) for line in lines]
    return {row[1] for row in rows if row}


def moments(name: str) -> Iterator[tuple[Tunnel, Context]]:
    """Yield each tunnel after each answer of a recording, with its context."""
    tracker, reader, recent = Tracker(), Reader(), RecentTransitions()
    for answer in statuses(ROOT / name):
        poll = recording.poll(answer, reader)
        changes = tracker.observe(replace(poll, boot=poll.mono + 1000.0))
        recent.note(enumerate(changes), {t.name for t in tracker.tunnels.values()})
        for t in tracker.tunnels.values():
            losses = recent.losses(t.name, poll.at)
            yield t, Context(tracker.sa_times, recent.of(t.name), losses)


def tunnels(name: str) -> Iterator[Tunnel]:
    return (t for t, _ in moments(name))


def check(entry: Entry, section: str, known: dict[str, dict[str, str]]) -> Iterator[str]:
    """Assert that an entry has only documented keys, with values of the documented types.

    Yield each key that is there, with its section.
    """
    for key, (signature, value) in entry.items():
        assert known[section].get(key) == signature, f"{section}.{key}"
        yield f"{section}.{key}"
        if signature == "aa{sv}":
            assert isinstance(value, list)
            for each in value:
                yield from check(each, key, known)
        else:
            Variant(signature, value)  # raises where the value isn't of that type


def test_every_key_of_real_tunnels_is_documented_and_of_its_type() -> None:
    known = documented()
    seen: set[str] = set()
    for name in (
        "4.10/site",
        "4.10/xauth-server",
        "4.10/multi",
        "5.4/cp",
        "3.20/rekey",
        "5.4/v1main",
    ):
        for each, context in moments(f"{name}.jsonl.gz"):
            seen.update(check(tunnel_details(each, context), "", known))
    all_keys = {f"{section}.{key}" for section, keys in known.items() for key in keys}
    rare = {".LogLine", ".LastIncomingFailure", ".LastIncomingFailureAt"}
    rare |= {"SAs.LocalSubnet", "SAs.PeerSubnet"}
    assert all_keys - seen <= rare


LEASES = {
    "4.10/xauth-server": {"192.0.3.10"},
    "4.10/xauth": {"192.0.3.10"},
    "5.4/cp": {"192.0.3.30"},
    "5.4/cp-server": {"192.0.3.30"},
    "4.10/rekey": set(),
}


@pytest.mark.parametrize(("name", "leases"), LEASES.items())
def test_an_address_that_was_given_is_told_on_both_sides(name: str, leases: set[str]) -> None:
    entries = [values(tunnel_details(t)) for t in tunnels(f"{name}.jsonl.gz")]
    assert {e["Lease"] for e in entries if "Lease" in e} == leases


def test_what_is_configured_and_in_use_is_told_of_each_child() -> None:
    [child] = values(tunnel_details(list(tunnels("4.10/dpd-cut.jsonl.gz"))[12]))["Children"]
    told = values(child)
    assert (told["DpdDelay"], told["DpdTimeout"], told["DpdAction"]) == (5.0, 15.0, "restart")
    assert (told["IkeLifetime"], told["ChildLifetime"]) == (28800.0, 28800.0)
    assert told["IkeAlgorithms"] == "AES_GCM_16_256-HMAC_SHA2_512-MODP2048"
    assert told["ChildAlgorithms"] == "AES_GCM_16_256-NONE"


def test_a_tunnel_of_which_nothing_is_known_has_no_more_than_its_name() -> None:
    entry = tunnel_details(tunnel("office"))
    assert entry == {
        "Name": ("s", "office"), "LossesLately": ("u", 0), "Children": ("aa{sv}", []),
        "SAs": ("aa{sv}", []), "Transitions": ("aa{sv}", []),
    }  # fmt: skip


def full() -> Tunnel:
    topology = Topology(
        "", "erouted", "10.0.0.0/8", "192.0.2.1", "@us", "192.0.2.2", "C=DE, CN=x\x1b[2J", None
    )
    sa = SaLine(bytes_in=10, bytes_out=1 << 40, username="mallory\n\u202egnp.exe")
    state = SaState(
        serial=7,
        name="office",
        instance=(1,),
        story="established",
        kind=SaKind.CHILD,
        role=None,
        stage=Stage.ESTABLISHED,
        ike_version=2,
        parent_serial=6,
        remote_port=4500,
        sa=sa,
    )
    connection = Connection("office", (1,), (topology,), frozenset({"UP", "PSK"}), newest_child=7)
    return tunnel(
        "office", connections=(connection,), states=(state,), detail="bad\x07 news",
        incoming=(1_800_000_000.25, "somebody\x1b[2J"),
    )  # fmt: skip


def values(entry: Entry) -> dict[str, Any]:
    return {k: v for k, (_, v) in entry.items()}


def test_what_the_peer_chose_is_cleaned() -> None:
    entry = values(tunnel_details(full()))
    assert entry["PeerIdentity"] == "C=DE, CN=x\\x1b[2J"
    assert entry["Username"] == "mallory\\x0a\\u202egnp.exe"
    assert entry["LogLine"] == "bad\\x07 news"
    assert entry["LastIncomingFailure"] == "somebody\\x1b[2J"
    assert entry["LastIncomingFailureAt"] == 1_800_000_000_250_000


def test_a_tunnels_children_and_sas_are_told() -> None:
    entry = values(tunnel_details(full()))
    assert (entry["PeerAddress"], entry["LocalAddress"], entry["Policy"]) == (
        "192.0.2.2",
        "192.0.2.1",
        ["PSK", "UP"],
    )
    assert values(entry["Children"][0]) == {
        "Connection": "office[1]",
        "Routing": "erouted",
        "LocalSubnet": "10.0.0.0/8",
        "Serial": 7,
    }
    sa = values(entry["SAs"][0])
    assert (sa["Serial"], sa["Parent"], sa["Kind"], sa["Established"]) == (7, 6, "child", True)
    assert (sa["BytesIn"], sa["BytesOut"], sa["PeerPort"]) == (10, 1 << 40, 4500)


@pytest.mark.parametrize("number", [-1, 1 << 64])
def test_a_number_that_does_not_fit_is_left_out(number: int) -> None:
    one = full()
    state = replace(one.states[0], sa=SaLine(bytes_in=number), serial=number)
    sa = values(tunnel_details(replace(one, states=(state,))))["SAs"][0]
    assert "BytesIn" not in sa
    assert "Serial" not in sa


def test_a_brief_answer_has_the_starred_keys_with_the_same_values() -> None:
    seen: set[str] = set()
    for name in ("4.10/site", "4.10/xauth-server", "5.4/cp-server"):
        for each, context in moments(f"{name}.jsonl.gz"):
            whole, brief = tunnel_details(each, context), brief_details(each, context)
            assert {key: whole[key] for key in brief} == brief
            assert starred() & whole.keys() == brief.keys()
            seen |= brief.keys()
    assert seen == starred()


def test_an_instance_names_its_template_and_nothing_else_does() -> None:
    found = {
        values(brief_details(t)).get("Template")
        for t in tunnels("4.10/xauth-server.jsonl.gz")
        if t.name.startswith("xauth")
    }
    assert found == {None, "xauth"}
    assert not any("Template" in brief_details(t) for t in tunnels("5.4/cp.jsonl.gz"))


def test_the_counters_of_all_child_sas_in_use_are_added_up() -> None:
    one = full()
    second = replace(one.states[0], serial=8, sa=SaLine(bytes_in=5, bytes_out=1))
    both = values(brief_details(replace(one, states=(one.states[0], second))))
    assert (both["BytesIn"], both["BytesOut"]) == (15, (1 << 40) + 1)
    unknown = replace(second, sa=SaLine(bytes_in=5))
    part = values(brief_details(replace(one, states=(one.states[0], unknown))))
    assert part["BytesIn"] == 15
    assert "BytesOut" not in part
