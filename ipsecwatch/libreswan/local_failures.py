# SPDX-License-Identifier: MIT
"""Failures of a tunnel whose cause is on this machine, found by the first words of pluto's message.

With these failures, the peer has refused nothing, so its administrator need not look for the
cause. Source: messages of programs/pluto in 3.18 to 5.4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final


@dataclass(frozen=True, slots=True)
class LocalFailure:
    """A failure whose cause is on this machine: a code, a sentence, and what to do next."""

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
_SHORT_SECRET: Final = LocalFailure(
    "secret-too-short",
    "Our preshared secret is shorter than FIPS mode allows. The peer refused nothing.",
    "Give both sides a longer one in ipsec.secrets; the line says how long it must be.",
)
_PPK: Final = LocalFailure(
    "no-ppk",
    "Our own post-quantum key (PPK) for this tunnel was not found. The peer refused nothing.",
    "Look for the PPKS line in ipsec.secrets, and at ppk-ids= and ppk=.",
)
_CERTIFICATE: Final = LocalFailure(
    "no-certificate",
    "A certificate that the settings name is not in this machine's NSS database.",
    "See which there are, and how they are spelt: ipsec auto --listcerts (from 5.0 on: "
    "ipsec listcerts). Compare leftcert= and rightcert=.",
)
_EXPIRED: Final = LocalFailure(
    "certificate-expired",
    "A certificate that the settings name has expired, or is not valid yet.",
    "Look at its dates: ipsec auto --listcerts (from 5.0 on: ipsec listcerts), and at this "
    "machine's clock. Renew it, then import it: ipsec import FILE.",
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
    "The name of one end has not been resolved, so its address isn't known here.",
    "Look up the name that left= or right= has, and see whether DNS works: getent ahosts NAME.",
)
_NEVER: Final = LocalFailure(
    "never-negotiates",
    "This connection only passes or drops packets (authby=never): it can't be brought up.",
    "Set authby= if it should be a tunnel.",
)
_ROUTE: Final = LocalFailure(
    "route-in-use",
    "Another connection on this machine has the same route already.",
    "Two connections have the same subnets, and one is in use: take that one down, delete it, or "
    "change leftsubnet= or rightsubnet= of one. The line names the other one.",
)
_KERNEL: Final = LocalFailure(
    "kernel-refused",
    "This machine's kernel refused the keys of the tunnel.",
    "See whether the kernel has ESP and the algorithm: ip xfrm state, dmesg, and in containers "
    "the modules of the host.",
)
_TCP: Final = LocalFailure(
    "no-espintcp",
    "This machine's kernel can't carry ESP in TCP.",
    "See whether it has CONFIG_INET_ESPINTCP, and load the module espintcp; or say enable-tcp=no.",
)
_EAP_KEYS: Final = LocalFailure(
    "no-eap-keys",
    "This machine's NSS gave no keys for a client that had proved itself by EAP-TLS.",
    "The line has NSS's error. Update NSS and libreswan, or have clients use their certificates "
    "without EAP.",
)
_ALGORITHMS: Final = LocalFailure(
    "no-kernel-algorithms",
    "This machine's kernel has none of the algorithms that the tunnel asks for.",
    "Compare esp= with what ipsec status lists under “Kernel algorithms supported”.",
)
_SCRIPT: Final = LocalFailure(
    "updown-failed",
    "The script that sets routes and addresses (updown) failed on this machine.",
    "Its messages are in the log near this line, with “output:” in them.",
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
    "Correct what the line names in ipsec.conf, then load it again: ipsec auto --add NAME (from "
    "5.0 on: ipsec add NAME).",
)

_NO_IKEV1: Final = LocalFailure(
    "ikev1-not-allowed",
    "The connection wants IKEv1, which this machine doesn't allow.",
    "Use IKEv2 on both sides (ikev2=yes, from 5.0 on keyexchange=ikev2). Or allow IKEv1: "
    "ikev1-policy=accept in config setup, then: systemctl restart ipsec.",
)

_LOAD: Final = "failed to add (?:IKEv1 )?connection: "

# Of two that fit, the first counts.
_BEGINS: Final[tuple[tuple[LocalFailure, tuple[str, ...]], ...]] = (
    (_KEY, (
        "unable to locate my private key for ",
        "private key for connection not found",
        "Can't find the (?:certificate or )?private key from the ",
        "(?:DigSig: f|F)ailed to find our (?:RSA|ECDSA) [Kk]ey",
        "no (?:RSA|ECDSA) private key for connection",
        r"[Nn]o \w{1,20} private key found",
        r"[Pp]rivate key not found \(",
        r"private key matching (?:CKAID '|\w{1,20} \")",
        r"connection(?: .{0,512})?'s \w{1,20} private key not found$",
    )),
    (_SHORT_SECRET, (
        "FIPS: authentication failed: '",
        r"FIPS(?: Error)?: connection .{0,600}PSK length of \d{1,9} bytes is too short",
    )),
    (_SECRET, (
        "Can't authenticate: no preshared key found for ",
        "Failed to find our PreShared Key",
        "authentication failed: no PSK found for ",
        "No matching PSK found for connection:",
    )),
    (_PPK, ("connection requires PPK, but ",)),
    (_CERTIFICATE, (
        f"(?:{_LOAD})?(?:left|right) ?cert(?:ificate)?\\b.{{0,200}} not found in (?:the )?NSS",
        f"(?:{_LOAD})?(?:left|right) ?cert(?:ificate)?\\b.{{0,200}} was not found in NSS",
        "reloading (?:left|right)cert(?:='[^']{0,200}')? failed",
    )),
    (_EXPIRED, (f"(?:{_LOAD})?(?:left|right) ?cert.{{0,200}} is expired or not yet valid",)),
    (_ADDRESS, (
        "[Ww]e cannot identify ourselves with either end of this connection",
        "[Cc]annot send packet - interface vanished",
        "route_owner: connection no longer oriented",
        "no local source address to reach remote ",
    )),
    (_UNKNOWN_PEER, (
        r"cannot initiate connection (?:\(serial \$\d{1,10}\) )?without knowing peer IP",
    )),
    (_UNRESOLVED, (
        "cannot initiate connection without resolved dynamic peer IP",
        "failed to (?:resolve|convert) '",
    )),
    (_NEVER, ("cannot initiate an authby=never connection",)),
    (_ROUTE, (
        "cannot route -- route already in use for (?!.{0,400}- but allowing anyway)",
        "cannot install (?:eroute|kernel policy) .{0,600}? in use (?:for|by) ",
    )),
    (_KERNEL, (
        "cannot install (?:eroute|kernel policy) ",
        "netlink response for Add SA ",
    )),
    (_TCP, (
        r"setsockopt\(SOL_TCP, TCP_ULP\) failed ",
        r'TCP: socket \d{1,10}: setting socket option "espintcp"',
    )),
    (_EAP_KEYS, ("NSS: Keying material export failed",)),
    (_ALGORITHMS, ("cannot initiate: no acceptable kernel algorithms",)),
    (_SCRIPT, (
        "(?:prepare|route|up)-(?:client|host)(?:-v6)? command exited with ",
        'command "(?:prepare|route|up)": (?:exited with status|terminated with signal) ',  # 5.4
    )),
    (_LEASE, (
        "leasing IPv[46] address failed: ",
        "(?:ikev2 )?lease_an_address failure ",
        "Quick Mode request rejected, peer requested lease of ",
    )),
    (_PASSWORD_FILE, ("XAUTH: unable to open password file ",)),
    (_PASSWORD, (
        "XAUTH (?:username|password) (?:prompt failed|requested, but no file descriptor)",
        r"no (?:\w{1,20} )?(?:[Uu]sername|[Pp]assword) entered, aborted",
        "XAUTH: Username or password request was received, but XAUTH client mode not",
    )),
    (_SEND, (r"send(?:to)? on [^'\"]{0,240}? failed in (?!delete)",)),
    (_NO_IKEV1, (
        f"(?:{_LOAD})?(?:global ikev1-policy does not allow IKEv1|IKEv1 support not compiled in)",
    )),
    (_SETTINGS, (_LOAD,)),
)  # fmt: skip


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], LocalFailure], ...]:
    """Return the table as pairs: a pattern for all messages about a failure, and the failure.

    The patterns are compiled at the first call, because few texts need them.
    """
    return tuple((re.compile("|".join(begins)), failure) for failure, begins in _BEGINS)


LOCAL_FAILURES: Final = tuple(dict.fromkeys(failure for failure, _ in _BEGINS))
"""All local failures, each once, in the order in which their messages are tried."""


def local_failure(text: str) -> LocalFailure | None:
    """Return the failure whose cause is on this machine, if a log line reports one, or None.

    ``text`` is the line without the connection's name at its beginning.
    """
    return next((failure for p, failure in _patterns() if p.match(text)), None)
