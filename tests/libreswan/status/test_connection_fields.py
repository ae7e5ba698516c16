# SPDX-License-Identifier: MIT
"""Tests of all keys of connections and of pluto's settings: units, numbers, and absent values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch.libreswan.status import connection_fields, daemon_info, parse
from ipsecwatch.libreswan.status.connection_fields import NAMES
from tests.libreswan.status.test_completeness import FOLDER
from tests.support.corpus import needs_corpus, outputs
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.libreswan.status.values import Value


def connection(*lines: str) -> dict[str, Value]:
    """Return the fields that are read of a connection with these lines."""
    first = '"x": 192.0.2.1...192.0.2.2; unrouted; eroute owner: #0\n'
    (found,) = parse(first + "".join(f'"x":{line}\n' for line in lines)).connections
    return connection_fields(found)


LINES: dict[str, tuple[str, dict[str, Value]]] = {
    "lifetimes, 3.20": (
        ("   ike_life: 3600s; ipsec_life: 28800s; replay_window: 32; rekey_margin: 540s; "
        "rekey_fuzz: 100%; keyingtries: 0;"),
        {"ike_life": 3600, "ipsec_life": 28800, "replay_window": 32, "rekey_margin": 540,
         "rekey_fuzz": 100, "keyingtries": 0, "ipsec_max_bytes": None},
    ),
    "limits, 4.8": (
        ("   ike_life: 28800s; ipsec_life: 1800s; ipsec_max_bytes: 2KiB; ipsec_max_packets: 2^63; "
        "replay_window: 128; rekey_margin: 540s; rekey_fuzz: 0%; keyingtries: 3;"),
        {"ipsec_max_bytes": 2048, "ipsec_max_packets": 1 << 63, "rekey_fuzz": 0, "keyingtries": 3},
    ),
    "retransmission": (
        ("   retransmit-interval: 500ms; retransmit-timeout: 60s; iketcp:fallback; "
        "iketcp-port:4500;"),
        {"retransmit_interval": 0.5, "retransmit_timeout": 60, "iketcp": "fallback",
         "iketcp_port": 4500},
    ),
    "dpd, 3.32": (
        ("   dpd: action:restart; delay:30; timeout:120; nat-t: encaps:auto; nat_keepalive:yes; "
        "ikev1_natt:both"),
        {"dpd_action": "restart", "dpd_delay": 30, "dpd_timeout": 120, "encapsulation": "auto"},
    ),
    "dpd, 4.10": (
        "   dpd: active; action:hold; delay:30s; timeout:120s",
        {"dpd_active": True, "dpd_action": "hold", "dpd_delay": 30, "dpd_timeout": 120},
    ),
    "liveness, 4.10": (
        "   liveness: active; dpdaction:restart; dpddelay:5s; retransmit-timeout:60s",
        {"dpd_active": True, "dpd_action": "restart", "dpd_delay": 5, "dpd_timeout": 60},
    ),
    "liveness, 5.4": (
        "   liveness: passive; dpddelay:0s; retransmit-timeout:60s",
        {"dpd_active": False, "dpd_action": None, "dpd_delay": 0, "dpd_timeout": 60},
    ),
    "priority": (
        ("   conn_prio: 32,24,1; interface: eth1; metric: 100; mtu: 1400; sa_prio:auto; "
        "sa_tfc:none;"),
        {"conn_prio": [32, 24, 1], "interface": "eth1", "metric": 100, "mtu": 1400,
         "sa_prio": "auto", "sa_tfc": None},
    ),
    "nothing is null": (
        ("   nflog-group: unset; mark: unset; vti-iface:unset; vti-routing:no; vti-shared:yes; "
        "nic-offload:auto;"),
        {"nflog_group": None, "mark": None, "vti_interface": None, "vti_routing": False,
         "vti_shared": True, "nic_offload": "auto"},
    ),
    "xauth": (
        "   xauth us:none, xauth them:client,  my_username=[any]; their_username=paula, or not; x",
        {"our_xauth": None, "their_xauth": "client", "our_username": None,
         "their_username": "paula, or not; x"},
    ),
    "modecfg, 3.20": (
        ("   modecfg info: us:server, them:client, modecfg policy:push, dns1:192.0.2.53, "
        "dns2:192.0.2.54, domain:example.com, banner:unset, cat:unset;"),
        {"our_modecfg": "server", "modecfg_policy": "push", "dns": ["192.0.2.53", "192.0.2.54"],
         "domains": ["example.com"], "banner": None, "cat": None},
    ),
    "modecfg, 5.4": (
        ("   modecfg info: us:none, them:none, modecfg policy:pull, dns:192.0.2.53, 192.0.2.54, "
        "domains:unset, cat:unset;"),
        {"our_modecfg": None, "modecfg_policy": "pull", "dns": ["192.0.2.53", "192.0.2.54"],
         "domains": []},
    ),
    "identities, which may hold anything": (
        ("   our idtype: ID_DER_ASN1_DN; our id=C=DE, O=x; their idtype: ID_FQDN; "
        "their id=@a; their idtype: b"),
        {"our_id": "C=DE, O=x", "their_id_type": "ID_FQDN", "their_id": "@a; their idtype: b"},
    ),
    "policy": (
        "   policy: IKEv2+PSK+ENCRYPT+TUNNEL+PFS+UP;",
        {"policy": ["IKEv2", "PSK", "ENCRYPT", "TUNNEL", "PFS", "UP"]},
    ),
    "newest, 3.20": (
        "   newest ISAKMP SA: #0; newest IPsec SA: #12;",
        {"newest_ike": None, "newest_child": 12, "conn_serial": None},
    ),
    "newest, 4.10": (
        "   newest IKE SA: #11; newest IPsec SA: #12; conn serial: $4, instantiated from: $1;",
        {"newest_ike": 11, "newest_child": 12, "conn_serial": 4, "instantiated_from": 1},
    ),
    "routing, 5.4": (
        ("   routing: routed-tunnel; owner: Child SA #12; established IKE SA: #11; "
        "negotiating Child SA: #13; established Child SA: #12;"),
        {"routing": "routed-tunnel", "owner": 12, "newest_ike": 11, "negotiating_child": 13,
         "newest_child": 12, "negotiating_ike": None},
    ),
    "reqid": ("   reqid: 16392;", {"reqid": 16392}),
    "algorithms in use": (
        "   ESP algorithm newest: AES_CBC_128-HMAC_SHA1_96; pfsgroup=<Phase1>",
        {"esp_algorithm": "AES_CBC_128-HMAC_SHA1_96", "pfs_group_in_use": "<Phase1>"},
    ),
    "algorithms asked for": (
        "   IKE algorithms: AES_CBC_256-HMAC_SHA1-MODP2048, AES_CBC_128-HMAC_SHA1-MODP2048",
        {"ike_algorithms": ["AES_CBC_256-HMAC_SHA1-MODP2048", "AES_CBC_128-HMAC_SHA1-MODP2048"]},
    ),
    "CAs": ("   CAs: 'C=DE, O=a'...'%any'", {"our_ca": "C=DE, O=a", "their_ca": "%any"}),
    "a banner, 4.10": (" banner:welcome; to ... us;", {"banner": "welcome; to ... us;"}),
}  # fmt: skip


@pytest.mark.parametrize("case", LINES)
def test_each_line_is_read_with_its_units(case: str) -> None:
    line, expected = LINES[case]
    found = connection(line)
    assert {key: found[key] for key in expected} == expected
    assert found["unread"] == []


def test_every_key_is_always_there_and_nothing_is_null() -> None:
    found = connection()
    assert set(found) == {*NAMES, "unread"}
    assert {key for key, value in found.items() if value is not None} == {"unread"}


def test_what_is_not_known_of_a_line_is_kept() -> None:
    found = connection("   reqid: 1; colour: green;", "   conn_prio: 24,24; metric: many;")
    assert found["unread"] == ["colour: green", "metric:many"]
    assert (found["reqid"], found["metric"]) == (1, None)


def kinds(texts: Iterable[str]) -> dict[str, set[str]]:
    """Return for each key the types that its values have in these answers.

    Assert that no field of a connection is left unread.
    """
    found: dict[str, set[str]] = {}
    for text in texts:
        for c in parse(text).connections:
            for key, value in connection_fields(c).items():
                # libreswan's test suite prints REQID for a number.
                assert key != "unread" or value in ([], ["reqid:REQID"]), (c.name, value)
                if value is not None and value != []:
                    kind = "list" if isinstance(value, list) else type(value).__name__
                    found.setdefault(key, set()).add(kind)
    return found


SECONDS = {"retransmit_interval", "retransmit_timeout", "ike_life", "ipsec_life", "rekey_margin",
           "dpd_delay", "dpd_timeout", "iptfs_drop_time", "iptfs_init_delay"}  # fmt: skip


def check(texts: Iterable[str]) -> None:
    """Assert that each key has values of one type; seconds can also be fractions."""
    for key, types in kinds(texts).items():
        if key in SECONDS:
            assert types <= {"int", "float"}, (key, types)
        elif key not in TWOFOLD:
            assert len(types) == 1, (key, types)


TWOFOLD = {"nat_keepalive", "iketcp"}
"""Keys whose value was yes or no up to some release, and is something else since."""


def test_a_key_of_the_recordings_has_one_type_and_none_is_left_unread() -> None:
    check(a.stdout for path in sorted(ROOT.glob("*/*.gz")) for a in statuses(path)[::25])


@needs_corpus
def test_a_key_of_any_release_has_one_type_and_none_is_left_unread() -> None:
    check(output.text for output in outputs() if output.command in ("status", "connectionstatus"))


# --- pluto's own ------------------------------------------------------------------------------

SETTINGS: dict[str, dict[str, Value]] = {
    "3.20/status": {
        "pluto_version": "3.20", "kernel_interface": "netkey", "uniqueids": True, "nhelpers": -1,
        "shuntlifetime": 900, "expire_lifetime": 300, "crl_strict": False, "ikeport": 500,
        # Each of the two prints the other's value up to 3.32.
        "ddos_cookies_threshold": 25000, "ddos_max_halfopen": 50000,
        "statsbin": None, "ocsp_uri": None, "myid": None, "debug": [], "nat_traversal": True,
        "keep_alive": 20, "virtual_private_allowed": ["10.0.0.0/8", "192.0.0.0/16"],
    },
    "3.32/status": {
        "pluto_version": "3.32", "audit_log": True, "msg_errqueue": True, "crl_strict": False,
        "ddos_cookies_threshold": 25000, "ddos_max_halfopen": 50000, "expire_lifetime": 30,
        "global_redirect_to": None,
    },
    "4.10/status-trying": {
        "pluto_version": "4.10", "kernel_interface": "xfrm", "ikev1_policy": "accept",
        "seccomp": "unsupported", "dnssec_anchors": None, "secctx_attr_type": 32001,
        "virtual_private_allowed": ["192.0.0.0/16"],
    },
    "5.4/status": {
        "pluto_version": "5.4", "logfile": "<syslog>", "logip": True, "expire_lifetime": 30,
        "ddos_cookies_threshold": 25000, "dns_resolver": "file", "nat_ikeport": 4500,
        "fips": False, "selinux": False,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_have_one_name_and_one_type_in_all_releases(name: str) -> None:
    found = daemon_info.settings(parse((FOLDER / f"{name}.txt").read_text()))
    assert {key: found[key] for key in SETTINGS[name]} == SETTINGS[name]


INTERFACES = {
    "interface lo/lo ::1@500": ("lo", "::1", 500, "udp", None),
    "interface eth0/eth0 192.0.1.254@4500": ("eth0", "192.0.1.254", 4500, "udp", None),
    "interface eth0/eth0 192.0.1.254:4500": ("eth0", "192.0.1.254", 4500, "udp", None),
    "interface lo/lo [::1]:500": ("lo", "::1", 500, "udp", None),
    "interface eth0 UDP 192.0.1.254:500": ("eth0", "192.0.1.254", 500, "udp", None),
    "interface lo TCP [::1]:4500": ("lo", "::1", 4500, "tcp", None),
    "interface eth0 192.0.1.254:UDP/500": ("eth0", "192.0.1.254", 500, "udp", False),
    "interface eth0 192.0.1.254:UDP/4500 (NAT)": ("eth0", "192.0.1.254", 4500, "udp", True),
    "interface lo [::1]:TCP/4500 (NAT fixed)": ("lo", "::1", 4500, "tcp", True),
}


@pytest.mark.parametrize("line", INTERFACES)
def test_interfaces_are_read_in_every_releases_wording(line: str) -> None:
    (i,) = daemon_info.interfaces(parse(f"using kernel interface: xfrm\n{line}\n"))
    assert (i.device, i.address, i.port, i.protocol, i.nat) == INTERFACES[line]


@pytest.mark.parametrize("name", SETTINGS)
def test_algorithms_are_of_four_kinds_with_sizes_as_numbers(name: str) -> None:
    report = parse((FOLDER / f"{name}.txt").read_text())
    found = daemon_info.algorithms(report)
    assert {a["kind"] for a in found} == {"encryption", "integrity", "prf", "key_exchange"}
    for a in found:
        assert a["protocol"] in ("ESP", "AH/ESP", "IKE")
        assert all(isinstance(v, int) for k, v in a.items() if "keysize" in k or k == "bits")
    assert daemon_info.database(report) == {"context": [0] * 3, "trans": [0] * 3, "attrs": [0] * 3}
