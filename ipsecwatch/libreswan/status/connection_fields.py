# SPDX-License-Identifier: MIT
"""Read all values of a connection, under the same keys for all releases.

The keys are those of libreswan 5, in one form for all releases: ``our_`` and ``their_`` stand for
the two ends. Durations are seconds, sizes are bytes, percents are numbers. A word of pluto that
means that there is no value becomes None, or an empty list.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from ipsecwatch.libreswan.status.values import (
    Value,
    amount,
    boolean,
    items,
    number,
    numbers,
    percent,
    seconds,
    serial,
    text,
    tokens,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ipsecwatch.report import Connection


class _Key(NamedTuple):
    """A key of a connection's line, and how its value is read."""

    printed: str
    """The key as it is printed, with the separator behind it: ``ike_life:``."""
    name: str
    """The key of connection_fields() for it; "": no value, only a word in front of other keys."""
    read: Callable[[str], Value]
    """The function that converts the value, and raises ValueError for an unknown form."""


def _k(printed: str, name: str, read: Callable[[str], Value] = text) -> _Key:
    return _Key(printed, name, read)


def _asking(value: str) -> bool | None:
    """Return whether this side sends liveness probes: True for ``active``, False for ``passive``.

    With ``passive``, it only answers the peer's. Return None for "", as up to 4.6 neither word is
    printed. Raise ValueError for any other word.
    """
    if value not in ("active", "passive", ""):
        raise ValueError(value)
    return value == "active" if value else None


def _tcp(value: str) -> Value:
    """Return the setting enable-tcp= as boolean() does, or ``fallback``: TCP if UDP fails.

    Raise ValueError for any other word.
    """
    return value if value == "fallback" else boolean(value)


def _octets(value: str) -> int | None:
    return number(value.removesuffix(" bytes"))


def _keepalive(value: str) -> Value:
    """Return the seconds between two keepalives (from 4.7 on), or for ``yes`` or ``no`` a boolean.

    Return None for a word that means that there is no value. Raise ValueError for any other text.
    """
    try:
        return boolean(value)
    except ValueError:
        return seconds(value)


def _phrase(value: str) -> str | None:
    """Return a text unchanged, or None for a word that means that there is no value.

    It does the same as text(), but marks a key (``_Key.read``) whose value may contain semicolons
    and commas, so that only the next key ends it.
    """
    return text(value)


def _whole(value: str) -> str | None:
    """Return a text unchanged, or None for a word that means that there is no value.

    It does the same as text(), but marks a key (``_Key.read``) whose value goes to the end of the
    line: the peer chose it, so it may contain texts that look like keys.
    """
    return text(value)


_UPDOWN: Final = (
    _k("my_updown=", "our_updown"), _k("my_updown-config=", "our_updown_options", items),
    _k("their_updown=", "their_updown"), _k("their_updown-config=", "their_updown_options", items),
    _k("leftupdown=", "left_updown"), _k("leftupdown-config=", "left_updown_options", items),
    _k("rightupdown=", "right_updown"), _k("rightupdown-config=", "right_updown_options", items),
)  # fmt: skip
_CERTS: Final = (
    _k("mycert=", "our_certificate"), _k("hiscert=", "their_certificate"),
    _k("peercert=", "their_certificate"),
)  # fmt: skip
_SERIALS: Final = (
    _k("conn serial:", "conn_serial", serial), _k("instantiated from:", "instantiated_from", serial)
)  # fmt: skip
_DPD: Final = (
    _k("action:", "dpd_action"), _k("delay:", "dpd_delay", seconds),
    _k("timeout:", "dpd_timeout", seconds),
)  # fmt: skip
_NAT: Final = (
    _k("force_encaps:", "encapsulation"), _k("encaps:", "encapsulation"),
    _k("encapsulation:", "encapsulation"), _k("nat_keepalive:", "nat_keepalive", _keepalive),
    _k("keepalive:", "nat_keepalive", _keepalive), _k("ikev1_natt:", "ikev1_nat_method"),
    _k("ikev1-method:", "ikev1_nat_method"),
)  # fmt: skip
_FLAGS: Final = (
    _k("sha2-truncbug:", "sha2_truncbug", boolean),
    _k("initial-contact:", "initial_contact", boolean),
    _k("cisco-unity:", "cisco_unity", boolean),
    _k("fake-strongswan:", "fake_strongswan", boolean),
    _k("send-vendorid:", "send_vendorid", boolean),
    _k("send-no-esp-tfc:", "send_no_esp_tfc", boolean),
)
_ADDRESSES: Final = (
    _k("myip=", "our_ip"), _k("hisip=", "their_ip"), _k("my_ip=", "our_ip"),
    _k("their_ip=", "their_ip"), *_CERTS, *_UPDOWN,
)  # fmt: skip

LINES: Final[dict[str, tuple[_Key, ...]]] = {
    "oriented;": (_k("oriented;", ""), *_ADDRESSES),
    "unoriented;": (_k("unoriented;", ""), *_ADDRESSES),
    "myip=": _ADDRESSES,
    "host:": (
        _k("host:", ""), _k("local:", "our_address"), _k("leftnexthop:", "left_nexthop"),
        _k("nexthop:", "nexthop"), _k("remote:", "their_address"),
        _k("left:", "left_address"), _k("right:", "right_address"),
        _k("rightnexthop:", "right_nexthop"),
        _k("negotiating IKE SA:", "negotiating_ike", serial),
        _k("negotiating ISAKMP SA:", "negotiating_ike", serial),
        _k("established IKE SA:", "established_ike", serial),
        _k("established ISAKMP SA:", "established_ike", serial),
    ),
    "mycert=": (*_CERTS, *_UPDOWN),
    "peercert=": (*_CERTS, *_UPDOWN),
    "hiscert=": (*_CERTS, *_UPDOWN),
    "my_updown": _UPDOWN,
    "their_updown": _UPDOWN,
    "leftupdown": _UPDOWN,
    "rightupdown": _UPDOWN,
    "myup=": (_k("myup=", "our_updown"), _k("theirup=", "their_updown")),
    "theirup=": (_k("theirup=", "their_updown"),),
    "xauth us:": (
        _k("xauth us:", "our_xauth"), _k("xauth them:", "their_xauth"),
        _k("xauthby:", "xauth_by"), _k("xauthfail:", "xauth_fail"),
        _k("my_username=", "our_username"), _k("their_username=", "their_username", _whole),
    ),
    "our auth:": (
        _k("our auth:", "our_auth"), _k("their auth:", "their_auth"),
        _k("our autheap:", "our_autheap"), _k("their autheap:", "their_autheap"),
        _k("send-supported-auth-methods:", "send_supported_auth_methods", boolean),
    ),
    "modecfg info:": (
        _k("modecfg info:", ""), _k("us:", "our_modecfg"), _k("them:", "their_modecfg"),
        _k("modecfg policy:", "modecfg_policy"),
        _k("dns1:", "dns", words), _k("dns2:", "dns", words),
        _k("dns:", "dns", words), _k("domain:", "domains", words), _k("domains:", "domains", words),
        _k("banner:", "banner"), _k("cat:", "cat"),
    ),
    "cisco-split:": (
        _k("cisco-split:", "cisco_split", boolean), _k("cisco-unity:", "cisco_unity", boolean),
        _k("cisco-peer:", "cisco_peer", boolean), _k("nm-configured:", "nm_configured", boolean),
    ),
    "remote_peer_type:": (
        _k("remote_peer_type:", "remote_peer_type"),
        _k("nm-configured:", "nm_configured", boolean),
    ),
    "labeled_ipsec:": (_k("labeled_ipsec:", "labeled_ipsec", boolean),),
    "policy_label:": (_k("policy_label:", "sec_label"),),
    "sec_label:": (_k("sec_label:", "sec_label"),),
    "ike_life:": (
        _k("ike_life:", "ike_life", seconds), _k("ipsec_life:", "ipsec_life", seconds),
        _k("ipsec_max_bytes:", "ipsec_max_bytes", amount),
        _k("ipsec_max_packets:", "ipsec_max_packets", amount),
        _k("replay_window:", "replay_window", number),
        _k("rekey_margin:", "rekey_margin", seconds), _k("rekey_fuzz:", "rekey_fuzz", percent),
        _k("keyingtries:", "keyingtries", number), _k("clone_id:", "clone_id", number),
        _k("clones:", "clones"),
    ),
    "iptfs:": (
        _k("iptfs:", "iptfs", boolean), _k("fragmentation:", "iptfs_fragmentation", boolean),
        _k("packet-size:", "iptfs_packet_size", number),
        _k("max-queue-size:", "iptfs_max_queue_size", number),
        _k("drop-time:", "iptfs_drop_time", seconds),
        _k("init-delay:", "iptfs_init_delay", seconds),
        _k("reorder-window:", "iptfs_reorder_window", number),
    ),
    "retransmit-interval:": (
        _k("retransmit-interval:", "retransmit_interval", seconds),
        _k("retransmit-timeout:", "retransmit_timeout", seconds),
        _k("iketcp:", "iketcp", _tcp), _k("iketcp-port:", "iketcp_port", number),
    ),
    "sha2-truncbug:": _FLAGS,
    "initial-contact:": _FLAGS,
    "policy_next:": (_k("policy_next:", "policy_next"),),
    "policy:": (
        _k("policy:", "policy", tokens), _k("prio:", "conn_prio", numbers),
        _k("interface:", "interface"),
    ),
    "v2-auth-hash-policy:": (_k("v2-auth-hash-policy:", "v2_auth_hash_policy", tokens),),
    "conn_prio:": (
        _k("conn_prio:", "conn_prio", numbers), _k("interface:", "interface"),
        _k("metric:", "metric", number), _k("mtu:", "mtu", number), _k("sa_prio:", "sa_prio"),
        _k("sa_tfc:", "sa_tfc"),
    ),
    "nflog-group:": (
        _k("nflog-group:", "nflog_group", number), _k("mark:", "mark", _phrase),
        _k("vti-iface:", "vti_interface"), _k("vti-routing:", "vti_routing", boolean),
        _k("vti-shared:", "vti_shared", boolean), _k("nic-offload:", "nic_offload"),
    ),
    "our idtype:": (
        _k("our idtype:", "our_id_type"), _k("our id=", "our_id", _phrase),
        _k("our id:", "our_id", _phrase),
        _k("their idtype:", "their_id_type"), _k("their id=", "their_id", _whole),
        _k("their id:", "their_id", _whole),
    ),
    "sendca:": (
        _k("sendca:", "sendca"), _k("our sendcert:", "our_sendcert"),
        _k("their sendcert:", "their_sendcert"),
    ),
    "dpd:": (_k("dpd:", "dpd_active", _asking), *_DPD, _k("nat-t:", ""), *_NAT),
    "liveness:": (
        _k("liveness:", "dpd_active", _asking), _k("dpdaction:", "dpd_action"),
        _k("dpddelay:", "dpd_delay", seconds), _k("retransmit-timeout:", "dpd_timeout", seconds),
    ),
    "nat-traversal:": (_k("nat-traversal:", ""), *_NAT),
    "newest ISAKMP SA:": (
        _k("newest ISAKMP SA:", "newest_ike", serial),
        _k("newest IPsec SA:", "newest_child", serial), *_SERIALS,
    ),
    "newest IKE SA:": (
        _k("newest IKE SA:", "newest_ike", serial),
        _k("newest IPsec SA:", "newest_child", serial), *_SERIALS,
    ),
    "routing:": (
        _k("routing:", "routing"), _k("owner:", "owner", serial),
        _k("negotiating IKE SA:", "negotiating_ike", serial),
        _k("negotiating ISAKMP SA:", "negotiating_ike", serial),
        _k("established IKE SA:", "newest_ike", serial),
        _k("established ISAKMP SA:", "newest_ike", serial),
        _k("negotiating Child SA:", "negotiating_child", serial),
        _k("negotiating IPsec SA:", "negotiating_child", serial),
        _k("established Child SA:", "newest_child", serial),
        _k("established IPsec SA:", "newest_child", serial),
    ),
    "session resume ticket:": (
        _k("session resume ticket:", "resume_ticket"),
        _k("length:", "resume_ticket_length", _octets),
        _k("expires-in:", "resume_ticket_expires", seconds),
    ),
    "reqid:": (_k("reqid:", "reqid", number),),
    "conn serial:": _SERIALS,
    "aliases:": (_k("aliases:", "aliases", words),),
    "banner:": (_k("banner:", "banner", _whole),),
    "impair:": (_k("impair:", "impair", words),),
    "IKE algorithms wanted:": (_k("IKE algorithms wanted:", "ike_algorithms", items),),
    "IKE algorithms found:": (_k("IKE algorithms found:", "ike_algorithms_found", items),),
    "IKE algorithms:": (_k("IKE algorithms:", "ike_algorithms", items),),
    "ESP algorithms wanted:": (
        _k("ESP algorithms wanted:", "esp_algorithms", items), _k("pfsgroup=", "pfs_group"),
    ),
    "ESP algorithms loaded:": (_k("ESP algorithms loaded:", "esp_algorithms_loaded", items),),
    "ESP algorithms:": (
        _k("ESP algorithms:", "esp_algorithms", items), _k("pfsgroup=", "pfs_group"),
    ),
    "AH algorithms wanted:": (
        _k("AH algorithms wanted:", "ah_algorithms", items), _k("pfsgroup=", "pfs_group"),
    ),
    "AH algorithms loaded:": (_k("AH algorithms loaded:", "ah_algorithms_loaded", items),),
    "AH algorithms:": (
        _k("AH algorithms:", "ah_algorithms", items), _k("pfsgroup=", "pfs_group"),
    ),
    "IKE algorithm newest:": (_k("IKE algorithm newest:", "ike_algorithm"),),
    "IKEv1 algorithm newest:": (_k("IKEv1 algorithm newest:", "ike_algorithm"),),
    "IKEv2 algorithm newest:": (_k("IKEv2 algorithm newest:", "ike_algorithm"),),
    "ESP algorithm newest:": (
        _k("ESP algorithm newest:", "esp_algorithm"), _k("pfsgroup=", "pfs_group_in_use"),
    ),
    "AH algorithm newest:": (
        _k("AH algorithm newest:", "ah_algorithm"), _k("pfsgroup=", "pfs_group_in_use"),
    ),
}  # fmt: skip
"""The lines of a connection behind its topology, in any release: their beginnings and their keys.

Only the line ``CAs:`` isn't here, because it has no keys.
"""

NAMES: Final = (
    "oriented", "our_ca", "their_ca",
    *dict.fromkeys(key.name for line in LINES.values() for key in line if key.name),
)  # fmt: skip
"""All keys of the result of connection_fields(), except ``unread``."""

Fields = dict[str, Value]

_MANY: Final = (words, items, numbers)
"""Functions for lists with commas: a comma doesn't end their value."""


def connection_fields(connection: Connection) -> Fields:
    """Return all values of a connection: a value for every key in NAMES, and ``unread``.

    A value is None if pluto doesn't print it, or if its form isn't known. A word of pluto that
    means that there is no value becomes None, or in a list an empty list. ``unread`` lists all
    texts in the connection's lines that belong to no known key, or are in an unknown form.
    """
    found: Fields = dict.fromkeys(NAMES)
    unread: list[str] = []
    for line in connection.lines:
        if line.startswith(("   ", " banner:")):
            read, rest = (_read if len(line) > _LONG else _remembered)(line.strip())
            found.update(read)
            unread += rest
    found["unread"] = unread
    return found


_LONG: Final = 400
"""A line of up to this many characters is cached. Lines that connections share are shorter."""

_Read = tuple[Fields, tuple[str, ...]]


def _read(line: str) -> _Read:
    """Return the values of one line by their keys, and the texts in it that couldn't be read.

    ``line`` is without the connection's name and without blanks around it.
    """
    start = next(filter(line.startswith, _STARTS.get(line[:_SHORT], ())), None)
    if start == "CAs:":
        ours, _, theirs = line.removeprefix("CAs: '").removesuffix("'").partition("'...'")
        return {"our_ca": text(ours), "their_ca": text(theirs)}, ()
    if start is None:
        return {}, (line,)
    found: Fields = {}
    unread: list[str] = []
    if start in ("oriented;", "unoriented;", "host:"):
        found["oriented"] = line.startswith(("oriented;", "host: oriented"))
    for key, printed in _fields(line, start):
        value, rest = _cut(key, printed)
        try:
            read = key.read(value)
        except ValueError:
            read, rest = None, [key.printed + value, *rest]
        known = found.get(key.name)
        if isinstance(known, list) and isinstance(read, list):
            read = [*known, *read]  # up to 3.22, dns1 and dns2
        if key.name:
            found[key.name] = read
        unread += rest
    return found, tuple(unread)


def _cut(key: _Key, printed: str) -> tuple[str, list[str]]:
    """Return a key's value, and the texts that follow the value and belong to no key.

    ``printed`` is the text from the key to the next key, or to the end of the line.
    """
    if key.read is _whole:
        return printed.strip(), []
    if key.read is _phrase:
        return printed.strip(" ;,"), []
    value, *rest = (_ENDS if key.read not in _MANY else _SEMICOLON).split(printed)
    return value.strip(" ,"), [r for r in map(str.strip, rest) if r]


_remembered = lru_cache(maxsize=2048)(_read)


def _fields(line: str, start: str) -> Iterator[tuple[_Key, str]]:
    """Yield the keys in a line, each with the text up to the next key, or to the end of the line.

    ``start`` is the entry in LINES with which the line begins. If a key is there twice, only the
    first one is a key. No key is searched behind one whose text the peer chose (_whole).
    """
    pattern, keys = _pattern(start)
    seen: set[str] = set()
    last: tuple[_Key, int] | None = None
    for m in pattern.finditer(line):
        if m[1] in seen:
            continue
        seen.add(m[1])
        if last is not None:
            yield last[0], line[last[1] : m.start()]
        last = keys[m[1]], m.end()
        if last[0].read is _whole:
            break
    if last is not None:
        yield last[0], line[last[1] :]


_ENDS: Final = re.compile(r"[;,]")
_SEMICOLON: Final = re.compile(";")


@cache
def _pattern(start: str) -> tuple[re.Pattern[str], dict[str, _Key]]:
    """Return a pattern that finds the keys of one kind of line, and these keys by printed form.

    ``start`` is the kind of line, by its entry in LINES. The pattern finds a key only at the
    beginning of a line or behind a separator.
    """
    keys = {key.printed: key for key in LINES[start]}
    longest_first = sorted(keys, key=len, reverse=True)
    return re.compile(r"(?:^|(?<=[;, :]))(" + "|".join(map(re.escape, longest_first)) + ")"), keys


_SHORT: Final = 4
_STARTS: Final[dict[str, list[str]]] = {}
for _start in sorted((*LINES, "CAs:"), key=len, reverse=True):
    _STARTS.setdefault(_start[:_SHORT], []).append(_start)
