# SPDX-License-Identifier: MIT
"""Recognises texts that aren't libreswan's, or are none of its statuses and logs.

strongSwan, Openswan and FreeS/WAN have the command ``ipsec``, too, and the last two and
strongSwan before 5.0 have a pluto. So people take their texts for libreswan's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ipsecwatch.libreswan import grammar

_KNOWN: Final = "ipsecwatch knows libreswan alone"
_SAVE: Final = "Save a status with: ipsec status > FILE"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of text that isn't a status or a log of libreswan: what it is, and what to do."""

    what: str
    """The end of a sentence that begins with ``this is``."""
    hint: str = _KNOWN


def kind(text: str) -> Kind | None:
    """Return of which kind a text is; None: it isn't of a kind that is known here.

    It need not be the whole text: a line of that kind is enough.
    """
    return next((found for pattern, found in _KINDS if pattern.search(text)), None)


def is_old_status(text: str) -> bool:
    """Return whether a text is a status of a pluto that prints its SAs in another way.

    That is FreeS/WAN's, and strongSwan's before 5.0. They print no port behind an SA's connection.
    """
    return _OLD_STATUS.search(text) is not None


def is_openswan(text: str) -> bool:
    """Return whether a text is a status or a log of Openswan.

    libreswan began as a copy of Openswan, so most of it can be explained all the same.
    """
    return _OPENSWAN.search(text) is not None


_NAME: Final = rf'"{grammar.name(without=chr(10), length="{1,200}")}"{grammar.instances(2)}'
_BEGIN: Final = r"^[>|\s]{0,40}(?:000 )?"  # perhaps quoted
_OLD_STATUS: Final = re.compile(
    rf"{_BEGIN}(?:Status of IKEv1 pluto daemon \(strongSwan"
    rf"|#{grammar.NUMBER}: {_NAME}(?: [\d.]{{7,15}})? STATE_[A-Z0-9_]{{4,40}} \()",
    re.MULTILINE,
)
_OPENSWAN: Final = re.compile(
    r"^[^\"\n]{0,200}(?:Starting Pluto \(Openswan Version |Linux Openswan [U\d])"
    rf"|{_BEGIN}{_NAME}: {{1,8}}policy: [\w+%-]{{1,300}}\+(?:SAREFTRACK|[lr]KOD)\b"
    rf"|^[^\"\n]{{0,200}}{_NAME}(?: [\d.:a-fA-F]{{3,45}})? #{grammar.NUMBER}: "
    r"(?:received Vendor ID payload \[Openswan \(this version\)"
    r"|initiating Quick Mode [\w+]{1,300}\+SAREFTRACK\b)",
    re.MULTILINE,
)

_STRONGSWAN: Final = re.compile(
    r"^Status of IKE charon daemon|^Security Associations \(\d{1,6} up, \d{1,6} connecting\)"
    r"|^\S{1,100}: #\d{1,9}, [A-Z_]{5,20}, IKEv[12], [0-9a-f]{16}_i"
    # its log, and ``ipsec up``
    r"|\bcharon(?:-systemd)?(?:\[\d{1,10}\])?: |\b\d\d\[(?:IKE|NET|ENC|CFG|DMN|KNL)\] "
    r"|\b(?:IKE|CHILD)_SA \S{1,100}[\[{]\d{1,9}[\]}] "
    r"|\b(?:generating|parsed) [A-Z][A-Z0-9_]{3,20} (?:request|response) \d{1,10} \["
    r"|^establishing connection '[^'\n]{1,100}' failed",
    re.MULTILINE,
)

OLD_STATUS: Final = Kind("a status of FreeS/WAN or of strongSwan's old pluto, not of libreswan")

_KINDS: Final = (
    (_OLD_STATUS, OLD_STATUS),
    (_STRONGSWAN, Kind("a text of strongSwan (charon), not of libreswan's pluto")),
    (re.compile(r"\bracoon(?:\[\d{1,10}\])?: "), Kind("a log of racoon, not of libreswan")),
    (
        re.compile(r"^Verifying installed system and configuration files", re.MULTILINE),
        Kind("the output of ipsec verify, which doesn't show tunnels", _SAVE),
    ),
    (
        re.compile(r"^[ \t]{1,40}proto (?:esp|ah) spi 0x[0-9a-f]{8} reqid ", re.MULTILINE),
        Kind("what the kernel has (ip xfrm state), without the names of tunnels", _SAVE),
    ),
    (
        re.compile(r"^(?:conn [^\s\"]{1,100}|config setup)[ \t]*$", re.MULTILINE),
        Kind("a configuration (ipsec.conf), and not how its connections are", _SAVE),
    ),
)
