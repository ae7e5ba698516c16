# SPDX-License-Identifier: MIT
"""What pluto's log lines say about a connection, in the words of libreswan 3.20 to 5.4.

A line is read from its beginning and no further than pluto's own words go: what a peer chose
(identities, user names, certificates' subjects, messages) stands behind them, and is never looked
at. So each pattern begins with the fixed first word of a message, by which it is found, and few
of the lines that pluto writes meet a pattern at all. The few messages that tell their result
after a name are matched up to their very end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, auto
from typing import Final

from ipsecwatch.libreswan import grammar
from ipsecwatch.tunnel import Reason


class LogEvent(Enum):
    """What a log line is evidence of."""

    ATTEMPT = auto()
    """A negotiation begins, by us."""
    PEER_IDENTIFIED = auto()
    """A peer shows who it is."""
    IKE_ESTABLISHED = auto()
    """An IKE SA is established (a new one, or a rekeyed one)."""
    CHILD_ESTABLISHED = auto()
    """A Child SA is established (a new one, or a rekeyed one)."""
    FAILURE = auto()
    """A negotiation fails or goes unanswered."""
    LOSS = auto()
    """SAs end."""


class Weight(IntEnum):
    """How much a line explains, beside others of one attempt or of one end."""

    SILENCE = 0
    GUESS = 1
    """pluto's guess, or ours, at what silence means."""
    NETWORK = 2
    """Somebody on the way says that it doesn't get through. Nobody proves it."""
    ECHO = 3
    """What one side tells the other of a refusal; the words before it say more."""
    REFUSAL = 4
    LOCAL = 5
    """Our own kernel, configuration or secrets are in the way, whatever the peer says."""


class LossKind(Enum):
    """What ended, where a line is of a LOSS."""

    ANY = auto()
    """All that the connection has, or the SA that the line names."""
    UNEXPLAINED = auto()
    """The SA that the line names, without a cause: the line before may tell one."""
    AMBIGUOUS = auto()
    """All that the connection has; the words are the same for several causes."""


@dataclass(frozen=True, slots=True)
class ConnectionLine:
    """A log line, taken apart."""

    name: str
    """The connection as pluto names it, with the instance: ``rw[3]``."""
    base: str
    """The same without the instance."""
    serial: int | None
    """The SA that the line is about."""
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one line is evidence of."""

    event: LogEvent
    reason: Reason = Reason.NONE
    weight: Weight = Weight.SILENCE
    end: LossKind = LossKind.ANY
    ended: int | None = None
    """The SA that ends, where it isn't the one that the line is about."""
    using: int | None = None
    """The IKE SA through which a Child is negotiated or carried."""
    rekeyed: int | None = None
    """The IKE SA in whose place another comes."""
    version: int | None = None
    """IKE's, where the words tell."""


_NAME: Final = grammar.name(length="{1,512}")
# `"name"[1] 192.0.2.1 #2: text`; an opportunistic instance has `10.0.0.1/32=== ...192.0.2.1` for
# the address; errors begin with "ERROR: ", in 5.x before the name; debugging adds the state's
# name to #2.
_LINE: Final = re.compile(
    rf'(?:ERROR: )?"({_NAME})"({grammar.instances(3)})(?: [^#" ]{{1,200}}){{0,3}}?'
    rf"(?: #({grammar.NUMBER})(?: [A-Z][A-Z0-9_]{{2,40}})?)?: (?:ERROR: )?(.*)"
)


def parse_line(line: str) -> ConnectionLine | None:
    """Take a line apart; None where it is about no connection."""
    if not line.startswith(('"', 'ERROR: "')):
        return None
    m = _LINE.match(line)
    if m is None:
        return None
    return ConnectionLine(m[1] + m[2], m[1], int(m[3]) if m[3] else None, m[4])


_AUTH: Final = Reason.AUTHENTICATION
_TS: Final = Reason.TRAFFIC_SELECTORS
_PROPOSAL: Final = Reason.PROPOSAL

NOTIFICATIONS: Final[dict[str, Reason]] = {
    # IKEv2: RFC 7296 3.10.1; IKEv1: RFC 2408 3.14.1
    "AUTHENTICATION_FAILED": _AUTH,
    "AUTH_FAILED": _AUTH,
    "INVALID_HASH_INFORMATION": _AUTH,
    "INVALID_SIGNATURE": _AUTH,
    "INVALID_KEY_INFORMATION": _AUTH,  # no public key, or one that doesn't fit
    "INVALID_CERTIFICATE": _AUTH,
    "INVALID_CERT_ENCODING": _AUTH,
    "INVALID_CERT_AUTHORITY": _AUTH,
    "CERTIFICATE_UNAVAILABLE": _AUTH,
    "CERT_TYPE_UNSUPPORTED": _AUTH,
    "INVALID_ID_INFORMATION": _AUTH,  # of a phase 2: see read()
    "PAYLOAD_MALFORMED": _AUTH,  # another secret makes rubbish of the first encrypted message
    "NO_PROPOSAL_CHOSEN": _PROPOSAL,
    "BAD_PROPOSAL_SYNTAX": _PROPOSAL,
    "ATTRIBUTES_NOT_SUPPORTED": _PROPOSAL,
    "INVALID_KE_PAYLOAD": _PROPOSAL,
    "TS_UNACCEPTABLE": _TS,
    "SINGLE_PAIR_REQUIRED": _TS,
    "INVALID_SELECTORS": _TS,
    "INTERNAL_ADDRESS_FAILURE": Reason.OTHER,
    "FAILED_CP_REQUIRED": Reason.OTHER,
    "NO_ADDITIONAL_SAS": Reason.OTHER,
    "TEMPORARY_FAILURE": Reason.OTHER,
    "CHILD_SA_NOT_FOUND": Reason.OTHER,
    "UNSUPPORTED_CRITICAL_PAYLOAD": Reason.OTHER,
    "INVALID_SYNTAX": Reason.OTHER,
    "INVALID_MAJOR_VERSION": Reason.OTHER,
}
"""What the names of error notifications mean. Those that aren't here are no evidence."""

_NOTE: Final = r"'?(?:v[12]N_)?(?P<note>[A-Z][A-Z0-9_]{3,40})"
_PLAIN: Final = r"[^'\"]{0,240}?"

# Each pattern: the first word, or several of which one (a|b), one blank, and a regular expression
# for what follows it. STATE: is any first word that is a state's name (STATE_MAIN_I1:,
# IKE_AUTH_I:), which stays in front of what follows.
_Rows = tuple[tuple[Finding, tuple[str, ...]], ...]

_USING: Final = r"(?: #\d{1,10})?(?: using #(?P<using>\d{1,10}))?"

_PROGRESS: Final[_Rows] = (
    (
        Finding(LogEvent.ATTEMPT),
        (
            "initiating IKEv2 (?:connection|IKE SA)\\b",  # 4.5; 3.26
            "initiating v2 parent SA",  # to 3.25
            "initiating (?:IKEv1 )?(?:Main|Aggressive) Mode\\b",
        ),
    ),
    (
        Finding(LogEvent.ATTEMPT, version=1),
        (r"initiating Quick Mode .{0,400}?\{using (?:isakmp|ISAKMP SA )#(?P<using>\d{1,10})",),
    ),
    (
        Finding(LogEvent.ATTEMPT, version=2),
        (r"initiating Child SA using IKE SA #(?P<using>\d{1,10})",),  # 5.0
    ),
    (
        Finding(LogEvent.PEER_IDENTIFIED),
        (
            "processing (?:decrypted )?IKE_AUTH re",  # 4.0
            "Peer ID is [A-Z]",
            "IKEv2|Main|Aggressive mode peer ID is ",  # to 3.32
        ),
    ),
    (
        Finding(LogEvent.IKE_ESTABLISHED, version=2),
        (
            r"initiator|responder established IKE SA",  # 4.5
            r"initiator|responder rekeyed IKE SA #(?P<rekeyed>\d{1,10})",
        ),
    ),
    (
        Finding(LogEvent.IKE_ESTABLISHED, version=1),
        (
            r"ISAKMP SA established\b",  # 5.0
            r"IKE SA established\b(?! but)",  # 4.0 to 4.15
            r"STATE: STATE_(?:MAIN|AGGR)_\w\w: (?:sent \w+, )?ISAKMP SA established",  # to 3.32
        ),
    ),
    (
        Finding(LogEvent.CHILD_ESTABLISHED),
        (
            rf"initiator|responder (?:established|rekeyed) Child SA{_USING}",  # 4.5
            "IPsec SA established\\b",  # 4.0, and IKEv1 ever since
            # to 3.32
            "STATE: STATE_(?:QUICK_I2|QUICK_R2|V2_IPSEC_[IR]): (?:sent QI2, )?IPsec SA established",
            r"negotiated connection \[",
        ),
    ),
)

_HOW_OFTEN: Final = r"(?:: Incorrect Username or Password| \(Retried \d+ times\)| \(retry \d+\))"
_BADLY: Final = r"(?:FAILED|ABORTED \([^()]{0,100}\))"
_REJECTED: Final = r"(?:rejected Child SA with|contained the (?:CHILD SA )?error notification)"
_UPDOWN: Final = "|".join(
    f"{verb}-{end}"
    for verb in ("prepare", "route", "up")
    for end in ("client", "host", "client-v6", "host-v6")
)

_FAILURES: Final[_Rows] = (
    (
        Finding(LogEvent.FAILURE, Reason.CREDENTIALS, Weight.REFUSAL),
        (
            # As a server. A name can be anything: the line has to end as a failure does. Where
            # xauthfail=soft, "XAUTH: User ...: Authentication Successful" is what follows.
            rf"XAUTH: User .*: Authentication Failed{_HOW_OFTEN}$",
            rf"PAM: authentication of user '.*' {_BADLY} after [\d.]+ seconds$",
            "EAP AUTH failed",
            "XAUTH: aborting entire IKE Exchange",  # as a client
            "XAUTH: Unsuccessfully Authenticated",
            "Received Cisco XAUTH status: FAIL",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, Reason.CREDENTIALS, Weight.LOCAL),
        (
            "XAUTH (?:username|password) (?:prompt failed|requested, but no file descriptor)",
            "no (?:Username|Password) entered, aborted",
            "XAUTH: Username or password request was received, but XAUTH client mode not enabled",
            "XAUTH: unable to open password file ",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, _AUTH, Weight.ECHO),
        # 4.10; 3.25. Else the name of another notification follows: see below
        ("IKE SA authentication request rejected(?: by peer)?: (?:AUTH|unrecognized)",),
    ),
    (
        Finding(LogEvent.FAILURE, _AUTH, Weight.REFUSAL),
        (
            "authentication|FIPS:|X509: (?:authentication )?(?:failed|aborted)[:;] ",
            "X509: [Cc]ertificate (?:payload )?rejected for this connection",
            "X509: CERT payload bogus or revoked",
            "X509: no EE-cert in chain",
            "Certificate .* failed verification$",  # to 3.32
            "AUTH mismatch: Received AUTH != computed AUTH",  # to 4.2
            "X509: connection failed due to unmatched IKE ID in certificate SAN",  # to 4.4
            "Peer (?:CERT payload|public key) SubjectAltName does not match peer ID",  # to 4.0
            "NSS: ERROR: IPsec certificate ",  # 4.5; what follows says which and why
            "NSS: end certificate invalid",
            # Two forms for a peer's identity that fits no connection: to 3.32; 4.0
            "Peer mismatch on first found connection and no better connection found",
            "Peer ID '.*' mismatched on first found connection and no better connection found$",
            "peer ID_DER_ASN1_DN '",  # does not match what is expected
            "we require (?:IKEv[12] )?peer to have ID '",
            "no suitable connection for peer '",  # IKEv1, to 3.32
            "initial Aggressive Mode packet claiming to be from ",  # nobody whom we know
            "probable authentication failure \\(mismatch of preshared secrets\\?\\): ",
            "received Hash Payload does not match computed value",
            "received message SIG_[IR] data did not match computed value",
            "no (?:RSA|ECDSA) public key known for '",
            "Signature check \\(on ",
            "RSA|ECDSA Signature check \\(on ",
            "Requested PPK_ID not found and connection requires a valid PPK",
            "failed to receive PPK confirmation and connection has ppk=insist",
            "connection requires PPK, but we didn't find one",
            "Peer attempted EAP authentication, but ",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, _AUTH, Weight.LOCAL),
        (
            "Can't authenticate: no preshared key found for ",
            "Failed to find our (?:PreShared|RSA) [Kk]ey",
            "unable to locate my private key for ",
            "private key for connection not found",
            "private key matching CKAID ",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, _TS, Weight.REFUSAL),
        (
            "No|no IKEv2 connection found with compatible Traffic Selectors",  # 3.2x; 5.0
            "proposed Traffic Selectors do not match labeled IKEv2 connection",
            "cannot respond to IPsec SA request because no connection is known for ",
            "peer proposal was rejected in a virtual connection policy",
            "our|peer client (?:ID|subnet) returned doesn't match my proposal",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, _PROPOSAL, Weight.REFUSAL),
        (
            # "Oakley Transform [...] refused" is said of one that didn't fit; another may
            "no acceptable (?:Oakley Transform|Proposal in IPsec SA)",
            "no local proposal matches ",
            "remote accepted the invalid proposal ",
            "IKE (?:responder accepted|initiator proposed) an unsupported algorithm",
            "Discarding unauthenticated INVALID_KE_PAYLOAD response",
            "ignoring received INVALID_KE packets - received too many",
            "we require PFS but Quick I1 SA specifies no GROUP_DESCRIPTION",
            "local policy requires (?:Tunnel|Transport) Mode but peer requires ",  # to 4.4
            r"policy dictates [\w ]{1,40}, but peer requested ",  # 5.0
        ),
    ),
    (
        Finding(LogEvent.FAILURE, Reason.UNREACHABLE, Weight.NETWORK),
        (
            # errno 90 is a message too long: fragments will do
            rf"asynchronous network error report on (?!{_PLAIN}Message too long){_PLAIN}\[errno ",
            rf"send|sendto on {_PLAIN} failed in (?!delete)",
            r"TCP: (?:connect\(\d+\) failed|socket \d+: connecting to )",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, Reason.UNREACHABLE, Weight.LOCAL),
        (
            "We|we cannot identify ourselves with either end of this connection",  # 3.x; 4.0
            "cannot initiate connection without resolved dynamic peer IP address",
            "failed to (?:convert|resolve) '",  # 3.18; 5.0
        ),
    ),
    (
        Finding(LogEvent.FAILURE, Reason.OTHER, Weight.REFUSAL),
        ("IKE_SA_INIT|IKE_AUTH redirect (?:exceeds limit|loop)",),
    ),
    (
        Finding(LogEvent.FAILURE, Reason.OTHER, Weight.LOCAL),
        (
            "cannot initiate connection (?:\\(serial \\$\\d+\\) )?without knowing peer IP address",
            "netlink response for Add SA ",
            "cannot install (?:eroute|kernel policy) ",
            "cannot route -- route already in use for (?!.{0,400}- but allowing anyway)",
            f"{_UPDOWN} command exited with ",
            "leasing IPv[46] address failed: ",  # 5.0
            "ikev2 lease_an_address failure ",  # to 4.15
            "Quick Mode request rejected, peer requested lease of ",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, Reason.CHILD_MISSING, Weight.GUESS),
        (
            "IKE SA established but initiator rejected Child SA response",
            "IKE_AUTH response missing v2SA, v2TSi or v2TSr: not attempting to setup",
            "missing v2SA, v2TSi or v2TSr: not attempting to setup child SA",  # to 3.32
            "missing v2CP reply, not attempting to setup child SA",
            r"STATE: STATE_QUICK_I1: \d+ second timeout exceeded after \d+ retransmits?\.  No acc",
            r"max number of retransmissions \(\d+\) reached STATE_QUICK_I1\.  No acceptable ",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, _AUTH, Weight.GUESS),
        (
            r"STATE: \w+: \d+ second timeout exceeded after \d+ retransmits?\.  Possible authent",
            r"max number of retransmissions \(\d+\) reached \w+\.  Possible authentication failure",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, Reason.PEER_DELETED, Weight.GUESS),
        # Phase 1 alone: an IKEv1 Child outlives it
        (r"received Delete SA payload: (?:self-)?deleting ISAKMP State #\d",),
    ),
    (
        Finding(LogEvent.FAILURE, Reason.NONE, Weight.ECHO),  # the reason is the notification's
        (
            rf"IKE_AUTH|AUTH response {_REJECTED} {_NOTE}",  # 4.5, 3.28; before
            rf"IKE SA authentication request rejected(?: by peer)?: {_NOTE}",
            rf"CREATE_CHILD_SA failed with error notification {_NOTE}",
            rf"CHILD SA (?:failed|encountered fatal error): {_NOTE}",
            rf"responding to {_PLAIN} with (?:un)?encrypted notification {_NOTE}",
            # In the clear: to 3.31; 5.4; 4.10; 5.0; 3.32 has ISAKMP_v2_IKE_SA_INIT and v2N_...
            rf"STATE: \w+: received unauthenticated {_NOTE}",
            rf"received unauthenticated {_NOTE}",
            rf"ignoring (?:unexpected )?(?:ISAKMP_v2_)?[A-Z_]+ \w+ containing {_NOTE}",
            rf"dropping unexpected (?:ISAKMP_v2_)?[A-Z_]+ \w+ containing {_NOTE}",
            rf"unexpected (?:ISAKMP_v2_)?[A-Z_]+ \w+ containing {_NOTE}",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, Reason.NONE, Weight.ECHO, version=1),
        (
            rf"ignoring (?:secured |unsecured )?informational payload,?(?: type)? {_NOTE}",
            rf"received and ignored notification payload: {_NOTE}",
            rf"sending (?:encrypted )?notification {_NOTE} to ",
        ),
    ),
    (
        Finding(LogEvent.FAILURE, Reason.NO_ANSWER, Weight.SILENCE),
        (
            r"STATE: \w+: \d+ second timeout exceeded after \d+ retransmits",
            r"max number of retransmissions \(\d+\) reached ",  # to 3.22
        ),
    ),
)

_HOLDS: Final = r"(?:STATE_)?(?:V2_ESTABLISHED_IKE_SA|ESTABLISHED_IKE_SA|PARENT_I3|PARENT_R2)"
# What carries, or carried, traffic. Two ends aren't here that others always go with: that of an
# IKEv1 phase 1, which Children outlive, and that of an IKE SA up to 3.32, whose Children are told
# one by one, and where a rekeyed one can't be told from a lost one.
_GOES: Final = (
    r"\((?:(?:STATE_)?(?:(?:V2_)?(?:IPSEC_[IR]|ESTABLISHED_(?:IKE|CHILD)_SA|CHILDSA_DEL"
    r"|CHILD_SA_DELETE)|QUICK_[IR]2)|established IKE SA)\)"
)
_OURS: Final = r".{0,600} and sending notification"
_OTHER: Final = r"deleting other state #(?P<ended>\d{1,10})(?: connection)?"  # another one's, too

_DONE: Final = r"(?:already )?(?:delet|replac|expir)(?:e|ing) (?:IPSEC State|IPsec State|CHILD SA)"

_LOSSES: Final[_Rows] = (
    (
        Finding(LogEvent.LOSS, Reason.PEER_DEAD),
        (
            "liveness|DPD action - ",  # 4.0
            "IKEv2 (?:liveness action|peer liveness)\\b",  # 3.2x; to 3.22
            "DPD: No response from peer - declaring peer dead",  # to 3.22
            "DPD: (?:Clearing|Restarting|Putting) ",
            rf"STATE: {_HOLDS}: \d+ second timeout exceeded after \d+ retransmits",
            rf"max number of retransmissions \(\d+\) reached {_HOLDS}\b",
        ),
    ),
    (
        Finding(LogEvent.LOSS, Reason.OPERATOR),
        (
            "initiating delete of connection's ",  # 5.0
            "received whack to delete ",
            "suspending connection - deleting states",  # 5.2
            "deleting (?:non-instance )?connection$",  # to 3.32: replaced, deleted
        ),
    ),
    (
        # By hand; but a liveness action, an interface that went, or a peer that comes anew
        # from elsewhere are followed by it too
        Finding(LogEvent.LOSS, Reason.OPERATOR, end=LossKind.AMBIGUOUS),
        ("terminating SAs using this connection",),
    ),
    (
        Finding(LogEvent.LOSS, Reason.PEER_DELETED),
        (
            # IKEv1: to 3.32 IPSEC, to 4.15 IPsec; replace where it is to be up again
            rf"received Delete SA(?:\(0x[0-9a-f]+\))? payload: {_DONE} #(?P<ended>\d{{1,10}})",
            r"received Delete SA payload via #\d",  # IKEv1, 5.0
        ),
    ),
    (
        Finding(LogEvent.LOSS, Reason.OTHER),
        (
            r"ISAKMP|IPsec|IKE|CHILD|Child SA expired \((?:LATEST!|--dontrekey)\)",
            "received hard EXPIRE for (?!.{0,300}; (?:already hard expired|deleting old SA))",
            r"INFORMATIONAL \w+ redirects to new gateway ",  # 5.0
            "initiating active session redirect to new gateway ",  # to 4.15
        ),
    ),
    (
        Finding(LogEvent.LOSS, Reason.OTHER, end=LossKind.UNEXPLAINED),  # by us, whyever
        (
            rf"deleting state {_GOES}{_OURS}",
            rf"{_OTHER} {_GOES}{_OURS}",
            rf"deleting (?:IKE|IPsec|Child) SA {_GOES}{_OURS}",
            "deleting established Child SA using ",  # 4.x
            "sent INFORMATIONAL request to delete (?:IKE|established Child) SA",  # 5.0
        ),
    ),
    (
        # Nobody here said why: the peer did it
        Finding(LogEvent.LOSS, Reason.PEER_DELETED, Weight.ECHO, end=LossKind.UNEXPLAINED),
        (
            rf"deleting state {_GOES}",
            rf"{_OTHER} {_GOES}",
            rf"deleting (?:IKE|IPsec|Child) SA {_GOES}",
        ),
    ),
    (
        # The counters at the end: from 5.0 on all that is said of an IKEv2 Child
        Finding(LogEvent.LOSS, Reason.PEER_DELETED, end=LossKind.UNEXPLAINED),
        ("ESP|AH traffic information: ",),
    ),
)

_STATE: Final = re.compile(r"(?:STATE_)?[A-Z][A-Z0-9]*_[A-Z0-9_]{1,40}:")

_Index = dict[str, tuple[tuple[re.Pattern[str], Finding], ...]]


def _index(*tables: _Rows) -> _Index:
    """Order the patterns by the first word of what they match, the first in the table first."""
    index: _Index = {}
    for finding, patterns in (row for table in tables for row in table):
        for pattern in patterns:
            heads, _, rest = pattern.partition(" ")
            for head in heads.split("|"):
                index[head] = (*index.get(head, ()), (re.compile(rest), finding))
    return index


_WORDINGS: Final = _index(_PROGRESS, _LOSSES, _FAILURES)


def interpret(said: ConnectionLine, *, phase1: bool = False) -> Finding | None:
    """Class a line; None: it is no evidence.

    ``phase1``: the line is about an IKEv1 SA (phase 1) that is established, so that what is
    refused isn't an identity.
    """
    head, _, rest = said.text.partition(" ")
    if _STATE.fullmatch(head):
        head, rest = "STATE:", said.text
    for pattern, finding in _WORDINGS.get(head, ()):
        if m := pattern.match(rest):
            return _complete(finding, m.groupdict(), phase1=phase1)
    return None


def _complete(finding: Finding, groups: dict[str, str | None], *, phase1: bool) -> Finding | None:
    """Fill in what the line itself says."""
    if not groups:
        return finding
    reason: Reason | None = finding.reason
    if note := groups.get("note"):
        reason = _meaning(note, finding, phase1=phase1)
    if reason is None:
        return None
    return replace(
        finding,
        reason=reason,
        ended=_number(groups.get("ended")),
        using=_number(groups.get("using")),
        rekeyed=_number(groups.get("rekeyed")),
    )


def _meaning(note: str, finding: Finding, *, phase1: bool) -> Reason | None:
    """Say what a notification is evidence of; None: of nothing."""
    if note == "INVALID_ID_INFORMATION" and phase1:
        return _TS
    if note == "PAYLOAD_MALFORMED" and (phase1 or finding.version != 1):
        return Reason.OTHER
    return NOTIFICATIONS.get(note)


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None
