# SPDX-License-Identifier: MIT
"""What of our own is in the way of a tunnel, told apart by the beginning of pluto's log line.

No peer refuses anything there, and its administrator has nothing to compare. Source: messages of
programs/pluto in 3.18 to 5.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class LocalFailure:
    """Something of our own that is missing or in the way: a code, a sentence, a next step."""

    code: str
    sentence: str
    advice: str


_KEY: Final = LocalFailure(
    "no-private-key",
    "Our own private key for this tunnel was not found. The peer refused nothing.",
    "See which keys this machine has: ipsec showhostkey --list. leftcert=, leftckaid= or "
    "leftrsasigkey= must name one of them; a certificate needs its private key in the NSS "
    "database, too (import the .p12 file: ipsec import FILE).",
)
_SECRET: Final = LocalFailure(
    "no-secret",
    "We have no preshared secret for these two identities. The peer refused nothing.",
    "Look in /etc/ipsec.secrets and /etc/ipsec.d/*.secrets: the line must name leftid= and "
    "rightid= as they are, or no one. Then have pluto read it again: "
    "ipsec auto --rereadsecrets (from 5.0 on: ipsec rereadsecrets).",
)
_CERTIFICATE: Final = LocalFailure(
    "no-certificate",
    "A certificate that the settings name is not in this machine's NSS database.",
    "See which there are, and how they are spelt: ipsec auto --listcerts (from 5.0 on: "
    "ipsec listcerts). Compare leftcert= and rightcert=.",
)
_ADDRESS: Final = LocalFailure(
    "no-local-address",
    "No interface of this machine has the address of left= or right=.",
    "Look at: ip address. Bring the interface up, mend the address, or say left=%defaultroute; "
    "then have pluto look again: ipsec auto --ready (from 5.0 on: ipsec listen).",
)
_UNKNOWN_PEER: Final = LocalFailure(
    "peer-address-unknown",
    "We can't begin: the peer's address isn't known here.",
    "With right=%any the other side has to begin. To begin here, give right= an address or a "
    "name that resolves.",
)
_UNRESOLVED: Final = LocalFailure(
    "peer-name-unresolved",
    "The peer's address isn't known here: its name has not been resolved.",
    "Look up the name of right= here, and see whether DNS works: getent ahosts NAME.",
)
_ROUTE: Final = LocalFailure(
    "route-in-use",
    "Another connection on this machine has the same route already.",
    "Two connections have the same subnets, and one is in use: take that one down, delete it, or "
    "change leftsubnet= or rightsubnet= of one. Which one it is stands in the line.",
)
_KERNEL: Final = LocalFailure(
    "kernel-refused",
    "This machine's kernel refused the keys of the tunnel.",
    "See whether the kernel has ESP and the algorithm: ip xfrm state, dmesg, and in containers "
    "the modules of the host.",
)
_SCRIPT: Final = LocalFailure(
    "updown-failed",
    "The script that sets routes and addresses (updown) failed on this machine.",
    "Its messages stand in the log beside this line, with “output:” in them.",
)
_LEASE: Final = LocalFailure(
    "no-lease",
    "This machine had no address to lend to the peer.",
    "Look at rightaddresspool=, and at who has the addresses: ipsec whack --addresspoolstatus.",
)
_PASSWORD: Final = LocalFailure(
    "no-password",
    "The user name or password is missing here: nobody was there to be asked for it.",
    "Set leftxauthusername= and an XAUTH line in ipsec.secrets, or bring the tunnel up in a "
    "terminal.",
)
_PASSWORD_FILE: Final = LocalFailure(
    "no-password-file",
    "The file with the users' passwords can't be read on this machine.",
    "Look at /etc/ipsec.d/passwd, or at xauthby=.",
)
_SEND: Final = LocalFailure(
    "cannot-send",
    "This machine could not send its packet.",
    "“Network is unreachable” or “No route to host”: look at ip route get ADDRESS. “Operation not "
    "permitted”: a firewall here drops UDP 500 or 4500. “Cannot assign requested address”: "
    "the address of left= is gone.",
)
_SETTINGS: Final = LocalFailure(
    "settings-refused",
    "Its settings were refused.",
    "Mend what the line names in ipsec.conf, then load it again: ipsec auto --add NAME (from 5.0 "
    "on: ipsec add NAME).",
)

_LOAD: Final = r"failed to add connection: "
_PATTERNS: Final = tuple(
    (re.compile(pattern), failure)
    for pattern, failure in (
        (
            (
                r"unable to locate my private key for |private key for connection not found"
                r"|private key matching CKAID "
                r"|Can't find the certificate or private key from the NSS"
                r"|Failed to find our (?:RSA|ECDSA) [Kk]ey"
                r"|no (?:RSA|ECDSA) private key for connection"
            ),
            _KEY,
        ),
        (
            (
                r"Can't authenticate: no preshared key found for |Failed to find our PreShared Key"
                r"|authentication failed: no PSK found for "
            ),
            _SECRET,
        ),
        (
            (
                rf"(?:{_LOAD})?(?:left|right) ?cert(?:ificate)?\b.{{0,200}} (?:was )?not found in "
                r"(?:the )?NSS"
            ),
            _CERTIFICATE,
        ),
        (r"[Ww]e cannot identify ourselves with either end of this connection", _ADDRESS),
        (
            r"cannot initiate connection (?:\(serial \$\d{1,10}\) )?without knowing peer IP",
            _UNKNOWN_PEER,
        ),
        (r"cannot initiate connection without resolved dynamic peer IP", _UNRESOLVED),
        (r"cannot route -- route already in use for (?!.{0,400}- but allowing anyway)", _ROUTE),
        (r"cannot install (?:eroute|kernel policy) .{0,600}?(?: in use|it is in use)", _ROUTE),
        (r"cannot install (?:eroute|kernel policy) |netlink response for Add SA ", _KERNEL),
        (r"(?:prepare|route|up)-(?:client|host)(?:-v6)? command exited with ", _SCRIPT),
        (r"leasing IPv[46] address failed: |ikev2 lease_an_address failure ", _LEASE),
        (r"Quick Mode request rejected, peer requested lease of ", _LEASE),
        (r"XAUTH: unable to open password file ", _PASSWORD_FILE),
        (
            (
                r"XAUTH (?:username|password) (?:prompt failed|requested, but no file descriptor)"
                r"|no (?:Username|Password) entered, aborted"
                r"|XAUTH: Username or password request was received, but XAUTH client mode not"
            ),
            _PASSWORD,
        ),
        (r"send(?:to)? on [^'\"]{0,240}? failed in (?!delete)", _SEND),
        (_LOAD, _SETTINGS),
    )
)

LOCAL_FAILURES: Final = tuple(dict.fromkeys(failure for _, failure in _PATTERNS))
"""Each of them once."""


def local_failure(text: str) -> LocalFailure | None:
    """Return what of our own a line, without its connection's name, says to be in the way."""
    return next((failure for p, failure in _PATTERNS if p.match(text)), None)
