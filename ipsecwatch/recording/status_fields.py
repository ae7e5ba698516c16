# SPDX-License-Identifier: MIT
"""Split the fields of a status into libreswan's own values and private ones, for redaction.

A field is a ``key: value`` of a connection, by the keys that connection_fields.py knows, or a
``key=value`` of ``config setup``. Each field has either a kind of private values, or only numbers
or words of libreswan. A value that isn't libreswan's own is private in a field of the first sort,
and text of unknown meaning in one of the second.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import values
from ipsecwatch.libreswan.status.connection_fields import LINES
from ipsecwatch.libreswan.status.topology import ROUTINGS
from ipsecwatch.recording.pieces import Field, Piece, Pieces
from ipsecwatch.recording.vocabulary import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PRIVATE: Final = {
    "our_ip": Field.ADDRESSES, "their_ip": Field.ADDRESSES, "our_address": Field.ADDRESSES,
    "their_address": Field.ADDRESSES, "left_address": Field.ADDRESSES,
    "right_address": Field.ADDRESSES, "nexthop": Field.ADDRESSES, "left_nexthop": Field.ADDRESSES,
    "right_nexthop": Field.ADDRESSES, "dns": Field.ADDRESSES,
    "our_certificate": Field.CERTIFICATE, "their_certificate": Field.CERTIFICATE,
    "our_username": Field.USER, "their_username": Field.USER,
    "domains": Field.HOSTS, "banner": Field.BANNER, "sec_label": Field.LABEL,
    "labeled_ipsec": Field.LABEL,
    "policy_next": Field.CONNECTION, "aliases": Field.CONNECTIONS,
    "interface": Field.INTERFACE, "vti_interface": Field.INTERFACE,
    "our_id": Field.IDENTITY, "their_id": Field.IDENTITY,
    "our_updown": Field.PATH, "their_updown": Field.PATH, "left_updown": Field.PATH,
    "right_updown": Field.PATH, "mark": Field.PRIVATE,
}  # fmt: skip
"""The fields of a connection that have private values, with the kind of their values."""

_UPDOWN: Final = r"ipsec _updown|<disabled>|%disabled|<unset>|unset|"
_OPTIONS: Final = r"(?:(?:no)?(?:async|exec),?)*"
_AUTH: Final = (
    r"(?:rsasig|secret|null|never|unset|eaponly|ecdsa|none|psk|rsa|pubkey|digsig|rsa-sha\d|<unset>)?"
    r"(?:\(?[A-Z][A-Z0-9_v+]{0,80}\)?)?"
)
_NUMBER: Final = r"-?\d{1,20}"
_POLICY: Final = r"(?:IKEv[12]|(?:failure|[lr])?[A-Z0-9_]{1,40}(?:_v1_5)?|IKEv2ALLOW)"
_ALGORITHMS: Final = r"[A-Z0-9_()<>/+,; -]*|<Phase1>"

_CLOSED: Final = {
    "": "", "our_updown": _UPDOWN, "their_updown": _UPDOWN, "left_updown": _UPDOWN,
    "right_updown": _UPDOWN, "our_updown_options": _OPTIONS, "their_updown_options": _OPTIONS,
    "left_updown_options": _OPTIONS, "right_updown_options": _OPTIONS,
    "our_certificate": "", "their_certificate": "", "mark": "unset|none",
    "our_username": r"\[any\]", "their_username": r"\[any\]", "domains": "unset", "banner": "unset",
    "sec_label": "unset", "labeled_ipsec": "no|yes|unset", "interface": "",
    "vti_interface": "unset",
    "our_xauth": "none|client|server", "their_xauth": "none|client|server",
    "xauth_by": "file|pam|alwaysok", "xauth_fail": "hard|soft",
    "our_auth": _AUTH, "their_auth": _AUTH, "our_autheap": "none|tls|mschapv2",
    "their_autheap": "none|tls|mschapv2",
    "our_modecfg": "none|client|server", "their_modecfg": "none|client|server",
    "modecfg_policy": "push|pull", "cat": "set|unset|yes|no",
    "remote_peer_type": "cisco|unset|none",
    "clones": r"no \(unset\)|no|yes|-?\d{1,10}", "sa_prio": rf"auto|{_NUMBER}",
    "sa_tfc": rf"none|{_NUMBER}", "nic_offload": "auto|no|yes|crypto|packet|UNSET|unset",
    "our_id_type": r"(?:ID_)?[A-Z][A-Z0-9_]{1,30}|%fromcert|%none|%any",
    "their_id_type": r"(?:ID_)?[A-Z][A-Z0-9_]{1,30}|%fromcert|%none|%any",
    "sendca": "none|issuer|all", "our_sendcert": "always|never|sendifasked|ifasked|yes|no",
    "their_sendcert": "always|never|sendifasked|ifasked|yes|no",
    "dpd_action": "hold|clear|restart|disabled|none|restart_by_peer|trap",
    "encapsulation": "auto|yes|no", "ikev1_nat_method": r"(?:both|rfc|drafts|none|\+){1,4}",
    "routing": "|".join(map(re.escape, ROUTINGS)), "resume_ticket": "none|",
    "reqid": r"\d{1,10}|REQID", "pfs_group": _ALGORITHMS, "pfs_group_in_use": _ALGORITHMS,
    "ike_algorithm": _ALGORITHMS, "esp_algorithm": _ALGORITHMS, "ah_algorithm": _ALGORITHMS,
    "ike_algorithms": _ALGORITHMS, "ike_algorithms_found": _ALGORITHMS,
    "esp_algorithms": _ALGORITHMS, "esp_algorithms_loaded": _ALGORITHMS,
    "ah_algorithms": _ALGORITHMS, "ah_algorithms_loaded": _ALGORITHMS,
    "policy": rf"{_POLICY}(?:\+{_POLICY}){{0,60}}",
    "v2_auth_hash_policy": r"none|[A-Z0-9_+]*",
}  # fmt: skip
_OWN: Final = {name: re.compile(form, re.ASCII) for name, form in _CLOSED.items()}
"""By field of a connection: the form of the values that are libreswan's own."""

_SERIAL: Final = re.compile(r"(?:(?:IKE|ISAKMP|Child|IPsec) SA )?[#$]\d{1,10}", re.ASCII)
_WORDY: Final = (values.text, values.words, values.items, values.tokens)
"""The functions of connection_fields.py for texts and lists of texts, which may be any words."""


def is_own(name: str, read: Callable[[str], values.Value], value: str) -> bool:
    """Return whether the value of the field ``name`` of a connection is libreswan's own.

    If _OWN has a form for the field, the value must have it. If not, and the field has private
    values (PRIVATE), it is not libreswan's own. For any other field, the value must be a number, a
    serial, yes or no: it is so if ``read``, the field's function in connection_fields.py, is for
    such values, and accepts it.
    """
    form = _OWN.get(name)
    if form is not None:
        return form.fullmatch(value) is not None
    if name in PRIVATE or read in _WORDY:
        return False
    if read is values.serial:
        return _SERIAL.fullmatch(value) is not None
    try:
        read(value)
    except ValueError:
        return False
    return True


# --- Fields of a connection -----------------------------------------------------------------

_CAS: Final = "   CAs: '"


def keyed(line: str) -> Pieces | None:
    """Return the pieces of a connection's line, or None if it doesn't begin with a known key.

    ``line`` is the line behind the connection's name and colon, blanks included.
    """
    if line.startswith(_CAS):
        return list(_authorities(line))
    blanks = len(line) - len(line.lstrip(" "))
    start = next((s for s in _STARTS if line.startswith(s, blanks)), None)
    if start is None:
        return None
    out: Pieces = [(Field.OWN, line[:blanks])]
    pattern, keys = _pattern(start)
    at: int | None = None
    seen: set[str] = set()
    last, least = "", 0
    for m in pattern.finditer(line, blanks):
        if m[1] in seen or m.start() < least:
            continue
        if at is not None:
            out += _value(last, keys[last], line[at : m.start()])
        seen.add(m[1])
        out.append((Field.OWN, m[1]))
        last, at = m[1], m.end()
        least = _least(line, keys[last][0], at)
        if keys[last][0] in _TO_THE_END:
            break
    if at is not None:
        out += _value(last, keys[last], line[at:])
    return out


_TO_THE_END: Final = frozenset({"their_username", "their_id"})
"""Fields whose value is the peer's text, which goes to the end of the line: no key follows it."""

_CLOSERS: Final = {"banner": ", cat:", "our_username": "; their_username="}
"""By field whose value may contain any text: the text that follows the value.

If that text is in the line several times, the last one is pluto's.
"""


def _least(line: str, name: str, at: int) -> int:
    """Return the index in a line from which on the next key is looked for.

    ``at`` is the index where the value of the field ``name`` begins. It is returned, unless the
    value may contain texts that look like keys (_CLOSERS): then the index of the value's end is.
    """
    closer = _CLOSERS.get(name)
    return max(at, line.rfind(closer)) if closer else at


_Key = tuple[str, "Callable[[str], values.Value]"]

_LINES: Final[dict[str, list[tuple[str, str, Callable[[str], values.Value]]]]] = {
    **{start: [(key.printed, key.name, key.read) for key in keys] for start, keys in LINES.items()},
    # some builds of 3.18
    "prio:": [
        ("prio:", "conn_prio", values.numbers), ("interface:", "interface", values.text),
        ("metric:", "metric", values.number), ("mtu:", "mtu", values.number),
    ],
    "xauth info:": [
        ("xauth info:", "", values.text), ("us:", "our_xauth", values.text),
        ("them:", "their_xauth", values.text), ("my_xauthuser=", "our_username", values.text),
        ("their_xauthuser=", "their_username", values.text),
    ],
}  # fmt: skip
_STARTS: Final = sorted(_LINES, key=len, reverse=True)


@cache
def _pattern(start: str) -> tuple[re.Pattern[str], dict[str, _Key]]:
    """Return a pattern that finds the keys in lines that begin with ``start``, and their fields.

    For each key as it is printed, the second result has the field's name and the function for its
    value. The pattern finds a key only at the beginning of a line or behind a separator.
    """
    keys = {printed: (name, read) for printed, name, read in _LINES[start]}
    longest_first = sorted(keys, key=len, reverse=True)
    return re.compile(r"(?:^|(?<=[;, :]))(" + "|".join(map(re.escape, longest_first)) + ")"), keys


def _value(printed: str, key: _Key, text: str) -> Iterator[Piece]:
    """Yield the pieces of the text from a key to the next key, or to the end of the line.

    ``printed`` and ``key`` are the key in front of it, as printed, and its field.
    """
    name, read = key
    core = text.strip(" ;,")
    if not core:
        yield Field.OWN, text
        return
    at = text.index(core)
    yield Field.OWN, text[:at]
    if is_own(name, read, core):
        yield Field.OWN, core
    elif name in PRIVATE:
        yield PRIVATE[name], core
    else:
        yield from _unknown(name, read, core)
    yield Field.OWN, text[at + len(core) :]


def _unknown(name: str, read: Callable[[str], values.Value], text: str) -> Iterator[Piece]:
    """Yield the pieces of a text that begins with the value of a field, and isn't known as a whole.

    Fields with unknown keys may follow the value behind a semicolon; they are TEXT. The value is
    OWN if it is libreswan's own, otherwise TEXT, too.
    """
    for i, part in enumerate(text.split(";")):
        if i:
            yield Field.OWN, ";"
        yield Field.OWN if not i and is_own(name, read, part.strip(" ,")) else Field.TEXT, part


def _authorities(line: str) -> Iterator[Piece]:
    """Yield the pieces of the line ``CAs: 'OURS'...'THEIRS'``, the DNs of two authorities."""
    begin, rest = _CAS, line[len(_CAS) :]
    quote = "'" if rest.endswith("'") else ""
    ours, between, theirs = rest[: len(rest) - len(quote)].partition("'...'")
    yield Field.OWN, begin
    yield Field.IDENTITY, ours
    yield Field.OWN, between
    yield Field.IDENTITY, theirs
    yield Field.OWN, quote


# --- config setup ---------------------------------------------------------------------------

_UNSET: Final = r"unset|<unset>|<none>|none|<any>|\(none\)|'<syslog>'|'<stderr>'|"
_SETTING: Final = re.compile(
    r"yes|no|auto|unlimited|busy|get|post|accept|drop|reject|enabled|disabled|tolerant|unsupported"
    r"|unknown|OFF|off|on|enforcing|permissive|indeterminate|X{1,9}|-?\d{1,20}(?:s|ms|B)?"
    rf"|file|file,|systemd|{_UNSET}",
    re.ASCII,
)
_NOTHING: Final = re.compile(_UNSET)
VERSION: Final = re.compile(
    r"(?:OE-Libreswan-)?v?\d{1,2}(?:\.\d{1,3}){1,3}(?:rc\d{1,2}|dr\d{1,2})?"
    r"(?:-\d{1,5}-g[0-9a-f]{6,12})?(?:-main|-master)?(?:-dirty)?(?![\w.])",
    re.ASCII,
)


def version(text: str) -> Pieces | None:
    """Return the pieces of a text that begins with a version of libreswan, or None for any other.

    What follows the version is private: a packager appended it, and it may be a name.
    """
    m = VERSION.match(text)
    if m is None:
        return None
    end = m.end()
    return [(Field.OWN, text[: end + 1]), (Field.PRIVATE, text[end + 1 :])]


_SETTINGS: Final = {
    **dict.fromkeys(
        words_of(
        """
        configdir configfile secrets ipsecdir nssdir dumpdir statsbin sbindir libexecdir libdir
        dnssec-rootkey-file dnssec-trusted dnssec-anchors logfile plutodebug
        """
        ), Field.PATH,
    ),
    **dict.fromkeys(
        words_of(
        """
        nhelpers uniqueids perpeerlog dnssec-enable logappend logip shuntlifetime xfrmlifetime
        expire-lifetime audit-log ddos-cookies-threshold ddos-max-halfopen ddos-mode ikev1-policy
        ikeport ikebuf msg_errqueue strictcrlpolicy crl-strict crlcheckinterval nflog-all
        ocsp-enable ocsp-strict ocsp-timeout ocsp-cache-size ocsp-cache-min-age ocsp-cache-max-age
        ocsp-method global-redirect nat-traversal keep-alive nat-ikeport nat_traversal keep_alive
        nat_ikeport SElinux seccomp retransmits force-busy force_busy secctx-attr-type
        secctx_attr_value dns-resolver
        """
        ), Field.TEXT,
    ),
    "fips mode": Field.TEXT, "pluto_version": Field.TEXT, "pluto_vendorid": Field.PRIVATE,
    "listen": Field.ADDRESSES, "global-redirect-to": Field.ADDRESSES,
    "ocsp-uri": Field.URI, "ocsp-trust-name": Field.CERTIFICATE,
}  # fmt: skip
_VERSIONED: Final = frozenset({"pluto_version", "pluto_vendorid"})
_SPLIT: Final = re.compile(r"(, )(?=[\w-]{1,30}(?: mode)?=)", re.ASCII)


def setup(line: str) -> Pieces | None:
    """Return the pieces of a line of ``config setup`` in a status: ``key=value, key=value``.

    Return None if its first key isn't in _SETTINGS.
    """
    begin = "nat-traversal: " if line.startswith("nat-traversal: ") else ""
    rest = line[len(begin) :]
    if rest.partition("=")[0] not in _SETTINGS:
        return None
    out: Pieces = [(Field.OWN, begin)]
    for i, part in enumerate(_SPLIT.split(rest)):
        if i % 2:
            out.append((Field.OWN, part))
        else:
            out += _setting(part)
    return out


def _setting(text: str) -> Iterator[Piece]:
    """Yield the pieces of one ``key=value`` of ``config setup``.

    With an unknown key, the whole text is TEXT.
    """
    key, equals, value = text.partition("=")
    field = _SETTINGS.get(key)
    if field is None:
        yield Field.TEXT, text
        return
    core = value.rstrip(" ;,")
    told = version(core) if key in _VERSIONED else None
    own = _SETTING if field is Field.TEXT else _NOTHING
    yield Field.OWN, key + equals
    if told is not None:
        yield from told
    elif own.fullmatch(core):
        yield Field.OWN, core
    elif field is Field.PATH and core[:1] == "'" == core[-1:] and len(core) > 1:
        yield Field.OWN, "'"
        yield field, core[1:-1]
        yield Field.OWN, "'"
    else:
        yield field, core
    yield Field.OWN, value[len(core) :]
