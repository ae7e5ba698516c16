# SPDX-License-Identifier: MIT
r"""What pluto's log lines say: one table of wordings, from libreswan 3.18 to 5.4 and main.

Each row is one wording, with the first and the last release that has it (``main`` is the
development branch after 5.4), and what it means. A wording is a pattern for the text behind the
connection's name and goes no further than pluto's own words: what a peer chose (identities, user
names, certificates' subjects, messages) stands behind them, and is never looked at. So each
pattern begins with the fixed first word of a message, by which it is found, and few of the lines
that pluto writes meet a pattern at all. The few messages that tell their result after a name are
matched up to their very end.

A pattern is: the first word, or several of which one (``a|b``), one blank, and a regular
expression for what follows it. ``STATE:`` is any first word that is a state's name
(``STATE_MAIN_I1:``, ``IKE_AUTH_I:``), which stays in front of what follows. Groups: ``note`` (a
notification's name), ``ended``, ``using`` and ``rekeyed`` (serials), ``address``, ``other`` (the
name of another connection).

Source: libreswan's programs/pluto at each tag. ``source`` has the fixed words of the message there,
``%`` for each value; it is left out where the pattern itself shows them. With a clone of libreswan
tests/libreswan/test_log_table.py looks each row up at its releases, and at the ones around them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum, auto
from typing import Final

from ipsecwatch.tunnel import Reason

MAIN: Final = "main"


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
    LOADED = auto()
    """A connection is added, by configuration or by hand."""
    UNLOADED = auto()
    """A connection is deleted: it isn't listed any more."""
    STARTED = auto()
    """pluto starts."""
    STOPPED = auto()
    """pluto stops."""


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
    """All that the line names (``Subject``)."""
    UNEXPLAINED = auto()
    """The SA that the line names, without a cause: the line before may tell one."""
    AMBIGUOUS = auto()
    """All that the connection has; the words are the same for several causes."""


class Began(Enum):
    """Who began the exchange that a line is about."""

    WE = auto()
    """We: as the initiator of the SA, or by a request of our own."""
    PEER = auto()
    """The peer: we are the responder, or answer its request."""
    EITHER = auto()
    """The words are the same for both: the SA's own role tells (an ATTEMPT with its serial)."""


class Proof(Enum):
    """How sure it is that the peer caused a line, and nobody else."""

    LOCAL = auto()
    """No peer has a part in it: our own configuration, kernel, timers, secrets or administrator."""
    NONE = auto()
    """An unauthenticated packet: anybody who can send us one can cause the line."""
    EXCHANGE = auto()
    """Under an IKE SA's keys, from somebody who hasn't proved (yet) who it is.

    If we began, that is whoever answers at the peer's address; if the peer did, anybody.
    """
    PEER = auto()
    """In an authenticated exchange: from a peer that has proved who it is."""


class Subject(Enum):
    """What a line names, to which its evidence belongs."""

    SA = auto()
    """One SA: ``Finding.ended``, else the serial at the line's beginning."""
    CONNECTION = auto()
    """The connection at the line's beginning with all its SAs, even if a serial is there, too."""
    PEER = auto()
    """All connections that have the same peer as the one at the line's beginning."""
    ADDRESS = auto()
    """All connections whose local address is ``Finding.address``."""
    PLUTO = auto()
    """pluto itself, and so everything."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one line is evidence of: a row's columns, and what the line itself says."""

    event: LogEvent
    reason: Reason = Reason.NONE
    weight: Weight = Weight.SILENCE
    end: LossKind = LossKind.ANY
    began: Began = Began.EITHER
    proof: Proof = Proof.LOCAL
    subject: Subject = Subject.SA
    version: int | None = None
    """IKE's, where the words tell."""
    ended: int | None = None
    """The SA that ends, where it isn't the one that the line is about."""
    using: int | None = None
    """The IKE SA through which a Child is negotiated or carried."""
    rekeyed: int | None = None
    """The IKE SA in whose place another comes."""
    address: str | None = field(default=None, compare=False)
    """The local address that is named (``Subject.ADDRESS``)."""
    other: str | None = field(default=None, compare=False)
    """Another connection that the line names, without its instance."""


@dataclass(frozen=True, slots=True)
class LogWording:
    """A row of the table."""

    first: str
    last: str
    pattern: str
    finding: Finding
    source: str = ""
    """The fixed words in libreswan's source, where the pattern doesn't show them."""


_Texts = tuple[str, str, str] | tuple[str, str, str, str]
"""First and last release, pattern, and the words in the source where they differ."""


def _rows(finding: Finding, *texts: _Texts) -> tuple[LogWording, ...]:
    return tuple(
        LogWording(t[0], t[1], t[2], finding, t[3] if len(t) == 4 else "") for t in texts
    )  # fmt: skip


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
    "INVALID_ID_INFORMATION": _AUTH,  # of a phase 2: see log_lines.interpret()
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

# fmt: off
_WE, _PEER, _EITHER = Began.WE, Began.PEER, Began.EITHER
_NOTE: Final = r"'?(?:v[12]N_)?(?P<note>[A-Z][A-Z0-9_]{3,40})"
_MESSAGE: Final = r"(?:ISAKMP_v2_)?[A-Z_]+ \w+"
_PLAIN: Final = r"[^'\"]{0,240}?"
_USING: Final = r"(?: #\d{1,10})?(?: using #(?P<using>\d{1,10}))?"

_ATTEMPT: Final = Finding(LogEvent.ATTEMPT, began=_WE)
_IDENTIFIED: Final = Finding(LogEvent.PEER_IDENTIFIED, proof=Proof.EXCHANGE)
_IKE: Final = Finding(LogEvent.IKE_ESTABLISHED, proof=Proof.PEER)
_CHILD: Final = Finding(LogEvent.CHILD_ESTABLISHED, proof=Proof.PEER)

PROGRESS: Final = (
    *_rows(
        _ATTEMPT,
        ("3.18", "3.29", "initiating v2 parent SA"),
        ("3.30", "3.32", "initiating IKEv2 IKE SA"),
        ("4.0", MAIN, r"initiating IKEv2 connection\b"),
        ("3.18", "3.32", r"initiating (?:Main|Aggressive) Mode\b", "initiating Main Mode"),
        ("4.0", MAIN, r"initiating IKEv1 (?:Main|Aggressive) Mode\b", "initiating IKEv1 Main Mode"),
    ),
    *_rows(
        replace(_ATTEMPT, version=1),
        ("3.18", MAIN,
         r"initiating Quick Mode .{0,400}?\{using (?:isakmp|ISAKMP SA )#(?P<using>\d{1,10})",
         "initiating Quick Mode"),
    ),
    *_rows(
        replace(_ATTEMPT, version=2),
        ("4.5", MAIN, r"initiating Child SA using IKE SA #(?P<using>\d{1,10})",
         "initiating Child SA using IKE SA "),
    ),
    *_rows(
        _IDENTIFIED,
        ("3.18", MAIN, "processing (?:decrypted )?IKE_AUTH re", "processing "),
        ("3.21", MAIN, "Peer ID is [A-Z]", "Peer ID is %: '%'"),
        ("3.18", "4.3", "IKEv2 mode peer ID is "),
        ("3.18", "3.20", "Main|Aggressive mode peer ID is ", "% mode peer ID is %"),
    ),
    *_rows(
        replace(_IKE, version=2),
        ("4.5", MAIN, "initiator|responder established IKE SA", "established IKE SA; "),
        ("4.5", MAIN, r"initiator|responder rekeyed IKE SA #(?P<rekeyed>\d{1,10})",
         "rekeyed IKE SA "),
    ),
    *_rows(
        replace(_IKE, version=1),
        ("3.18", "3.32",
         r"STATE: STATE_(?:MAIN|AGGR)_\w\w: (?:sent \w+, )?ISAKMP SA established",
         "sent MR3, ISAKMP SA established"),
        ("4.0", "4.15", r"IKE SA established\b(?! but)"),
        ("5.0", MAIN, r"ISAKMP SA established\b"),
    ),
    *_rows(
        _CHILD,
        ("3.18", "3.32",
         "STATE: STATE_(?:QUICK_I2|QUICK_R2|V2_IPSEC_[IR]): (?:sent QI2, )?IPsec SA established",
         "sent QI2, IPsec SA established"),
        ("3.18", "4.4", r"negotiated connection \[", "negotiated connection"),
        ("4.0", MAIN, r"IPsec SA established\b"),
        ("4.5", MAIN, rf"initiator|responder (?:established|rekeyed) Child SA{_USING}",
         " established Child SA"),
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

_LOSS: Final = Finding(LogEvent.LOSS)
_DEAD: Final = replace(_LOSS, reason=Reason.PEER_DEAD)
_BY_HAND: Final = replace(_LOSS, reason=Reason.OPERATOR, began=_WE)
_DELETED: Final = replace(_LOSS, reason=Reason.PEER_DELETED, began=_PEER, proof=Proof.PEER)
_ENDS: Final = replace(_LOSS, reason=Reason.OTHER)

LOSSES: Final = (
    # --- the peer is dead ---
    *_rows(
        replace(_DEAD, subject=Subject.PEER),
        ("3.30", "4.15",
         "liveness|DPD action - restarting all connections that share this peer",
         "action - restarting all connections that share this peer"),
    ),
    *_rows(
        replace(_DEAD, subject=Subject.CONNECTION),
        ("3.30", "4.15", "liveness|DPD action - ", "action - clearing connection kind %"),
        ("3.18", "3.20", r"IKEv2 (?:liveness action|peer liveness)\b", "IKEv2 peer liveness"),
        ("3.18", "3.20", "DPD: No response from peer - declaring peer dead"),
        ("3.18", "3.20", "DPD: (?:Clearing|Restarting|Putting) ", "DPD: Putting connection into "),
    ),
    *_rows(
        _DEAD,
        ("3.23", MAIN, rf"STATE: {_HOLDS}: \d+ second timeout exceeded after \d+ retransmits",
         " second timeout exceeded after % retransmits"),
        ("3.18", "3.22", rf"max number of retransmissions \(\d+\) reached {_HOLDS}\b",
         "max number of retransmissions (%) reached %%"),
    ),
    # --- taken down by hand ---
    *_rows(
        replace(_BY_HAND, subject=Subject.CONNECTION),
        ("5.2", MAIN, "initiating delete of connection's "),
        ("5.2", MAIN, "suspending connection - deleting states"),
        ("3.18", "3.18", "deleting connection$"),
        ("3.19", "3.27", "deleting non-instance connection$"),
    ),
    *_rows(
        _BY_HAND,
        ("3.18", MAIN, "received whack to delete "),
    ),
    # By hand; but a liveness action, an interface that went, or a peer that comes anew from
    # elsewhere are followed by it, too
    *_rows(
        replace(_BY_HAND, end=LossKind.AMBIGUOUS, subject=Subject.CONNECTION),
        ("3.18", MAIN, "terminating SAs using this connection"),
    ),
    # --- the peer's Delete ---
    *_rows(
        _DELETED,
        # IKEv1: to 3.32 IPSEC, to 4.15 IPsec; replace where it is to be up again
        ("3.18", "4.15",
         rf"received Delete SA(?:\(0x[0-9a-f]+\))? payload: {_DONE} #(?P<ended>\d{{1,10}})",
         "received Delete SA payload: "),
        ("5.0", MAIN, r"received Delete SA payload via #\d", "received Delete SA payload via "),
    ),
    # --- the same identity came anew: an instance goes before its SAs do ---
    *_rows(
        replace(_LOSS, reason=Reason.REPLACED, subject=Subject.CONNECTION),
        ("4.0", "4.15",
         r"deleting connection instance with peer [^ ]{2,60} \{isakmp=#(?!0/ipsec=#0)",
         "deleting connection instance with peer % {isakmp=#"),
    ),
    # --- a lifetime ran out, a redirect ---
    *_rows(
        replace(_LOSS, reason=Reason.EXPIRED),
        ("3.18", MAIN, r"ISAKMP|IPsec|IKE|CHILD|Child SA expired \((?:LATEST!|--dontrekey)\)",
         " SA expired (%)"),
        ("4.8", MAIN,
         "received hard EXPIRE for (?!.{0,300}; (?:already hard expired|deleting old SA))",
         "received % EXPIRE for "),
    ),
    *_rows(
        replace(_ENDS, began=_PEER, proof=Proof.PEER),
        ("5.0", MAIN, r"INFORMATIONAL \w+ redirects to new gateway ", " redirects to new gateway "),
        ("4.6", "4.15", "initiating active session redirect to new gateway ",
         "initiating % to new gateway (address: "),
    ),
    # --- what every end is followed by ---
    *_rows(
        replace(_ENDS, end=LossKind.UNEXPLAINED, began=_WE),  # by us, whyever
        ("3.18", "4.15", rf"deleting state {_GOES}{_OURS}", "deleting state ("),
        ("3.18", "4.15", rf"{_OTHER} {_GOES}{_OURS}", "deleting other state #"),
        ("5.0", MAIN, rf"deleting (?:IKE|IPsec|Child) SA {_GOES}{_OURS}", "deleting "),
        ("4.6", "4.15", "deleting established Child SA using ", "deleting % Child SA using "),
        ("5.0", MAIN, "sent INFORMATIONAL request to delete (?:IKE|established Child) SA",
         "sent INFORMATIONAL request to delete "),
    ),
    *_rows(
        # Nobody here said why: the peer did it
        replace(_DELETED, weight=Weight.ECHO, end=LossKind.UNEXPLAINED),
        ("3.18", "4.15", rf"deleting state {_GOES}", "deleting state ("),
        ("3.18", "4.15", rf"{_OTHER} {_GOES}", "deleting other state #"),
        ("5.0", MAIN, rf"deleting (?:IKE|IPsec|Child) SA {_GOES}", "deleting "),
    ),
    *_rows(
        # The counters at the end: from 5.0 on all that is said of an IKEv2 Child
        replace(_DELETED, end=LossKind.UNEXPLAINED),
        ("3.18", MAIN, "ESP|AH traffic information: ", " traffic information:"),
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

_FAILURE: Final = Finding(LogEvent.FAILURE)
_REFUSAL: Final = replace(_FAILURE, weight=Weight.REFUSAL, proof=Proof.EXCHANGE)
_LOCAL: Final = replace(_FAILURE, weight=Weight.LOCAL)
_GUESS: Final = replace(_FAILURE, weight=Weight.GUESS, began=_WE)
_ECHO: Final = replace(_FAILURE, weight=Weight.ECHO, proof=Proof.EXCHANGE)

FAILURES: Final = (
    # --- credentials: XAUTH, EAP ---
    *_rows(
        # We are the server. A name can be anything: the line has to end as a failure does. Where
        # xauthfail=soft, "XAUTH: User ...: Authentication Successful" is what follows.
        replace(_REFUSAL, reason=Reason.CREDENTIALS, began=_PEER, proof=Proof.PEER),
        ("3.18", MAIN, rf"XAUTH: User .*: Authentication Failed{_HOW_OFTEN}$",
         "XAUTH: User %: Authentication Failed"),
        ("4.5", MAIN, rf"PAM: authentication of user '.*' {_BADLY} after [\d.]+ seconds$",
         "authentication of user '"),
        ("4.7", MAIN, "EAP AUTH failed"),
    ),
    *_rows(
        # We are the client
        replace(_REFUSAL, reason=Reason.CREDENTIALS, began=_WE, proof=Proof.PEER),
        ("3.18", MAIN, "XAUTH: aborting entire IKE Exchange"),
        ("3.18", MAIN, "Received Cisco XAUTH status: FAIL"),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.CREDENTIALS, began=_WE),
        ("3.18", "4.15", "XAUTH (?:username|password) prompt failed", "prompt failed"),
        ("3.18", MAIN, "XAUTH (?:username|password) requested, but no file descriptor",
         "requested, but no file descriptor"),
        ("3.18", MAIN, "no (?:Username|Password) entered, aborted", " entered, aborted"),
        ("3.18", MAIN,
         "XAUTH: Username or password request was received, but XAUTH client mode not enabled"),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.CREDENTIALS, began=_PEER),
        ("3.18", MAIN, "XAUTH: unable to open password file "),
    ),
    # --- authentication: refused by the peer ---
    *_rows(
        # Else the name of another notification follows: see below
        replace(_ECHO, reason=_AUTH, began=_WE),
        ("3.25", MAIN, "IKE SA authentication request rejected(?: by peer)?: (?:AUTH|unrecognized)",
         "IKE SA authentication request rejected"),
    ),
    # --- authentication: refused by us ---
    *_rows(
        replace(_REFUSAL, reason=_AUTH),
        ("3.18", MAIN, "authentication|FIPS:|X509: (?:authentication )?(?:failed|aborted)[:;] ",
         "authentication failed"),
        ("3.21", MAIN, "X509: [Cc]ertificate (?:payload )?rejected for this connection",
         "rejected for this connection"),
        ("3.21", MAIN, "X509: CERT payload bogus or revoked"),
        ("3.21", MAIN, "X509: no EE-cert in chain", "no EE-cert in chain"),
        ("3.18", "3.27", "Certificate .* failed verification$", " failed verification"),
        ("3.18", "4.3", "AUTH mismatch: Received AUTH != computed AUTH"),
        ("3.30", "4.5", "X509: connection failed due to unmatched IKE ID in certificate SAN",
         "connection failed due to unmatched IKE ID in certificate SAN"),
        ("3.21", "4.4", "Peer (?:CERT payload|public key) SubjectAltName does not match peer ID",
         " SubjectAltName does not match peer ID"),
        ("4.5", MAIN, "NSS: ERROR: IPsec certificate ", "IPsec certificate "),
        ("4.0", MAIN, "NSS: end certificate invalid", "end certificate invalid"),
        ("3.21", "4.5", "Peer mismatch on first found connection and no better connection found"),
        ("3.22", MAIN,
         "Peer ID '.*' mismatched on first found connection and no better connection found$",
         "mismatched on first found connection and no better connection found"),
        ("3.21", MAIN, "peer ID_DER_ASN1_DN '"),
        ("3.18", "4.5", "we require (?:IKEv[12] )?peer to have ID '", "peer to have ID '"),
        ("3.30", MAIN, "received message SIG_[IR] data did not match computed value",
         " data did not match computed value"),
        ("3.18", "4.3", "no (?:RSA|ECDSA) public key known for '", " public key known for '"),
        ("3.18", "4.3", "Signature check \\(on ", "ignature check (on "),
        ("3.18", "4.3", "RSA|ECDSA Signature check \\(on ", "ignature check (on "),
    ),
    *_rows(
        replace(_REFUSAL, reason=_AUTH, version=1),
        ("3.18", "4.5", "no suitable connection for peer '"),
        ("3.18", MAIN, "received Hash Payload does not match computed value"),
    ),
    *_rows(
        replace(_REFUSAL, reason=_AUTH, version=1, proof=Proof.NONE),
        ("3.18", MAIN, "probable authentication failure \\(mismatch of preshared secrets\\?\\): "),
    ),
    *_rows(
        replace(_REFUSAL, reason=_AUTH, version=1, began=_PEER, proof=Proof.NONE),
        ("3.18", MAIN, "initial Aggressive Mode packet claiming to be from "),  # a stranger
    ),
    *_rows(
        replace(_REFUSAL, reason=_AUTH, version=2, began=_PEER),
        ("3.23", MAIN, "Requested PPK_ID not found and connection requires a valid PPK"),
        ("4.7", MAIN, "Peer attempted EAP authentication, but "),
    ),
    *_rows(
        replace(_REFUSAL, reason=_AUTH, version=2, began=_WE),
        ("3.23", "3.32", "Failed to receive PPK confirmation and connection has ppk=insist"),
        ("4.0", MAIN, "failed to receive PPK confirmation and connection has ppk=insist"),
    ),
    # --- authentication: our own key or secret is missing ---
    *_rows(
        replace(_LOCAL, reason=_AUTH),
        ("3.18", MAIN, "Can't authenticate: no preshared key found for "),
        ("3.18", "4.15", "Failed to find our (?:PreShared|RSA) [Kk]ey", "Failed to find our "),
        ("3.18", MAIN, "unable to locate my private key for "),
        ("4.7", MAIN, "private key for connection not found"),
        ("4.0", MAIN, "private key matching CKAID "),
        ("3.25", MAIN, "connection requires PPK, but we didn't find one"),
    ),
    # --- traffic selectors ---
    *_rows(
        replace(_REFUSAL, reason=_TS, version=2, began=_PEER, proof=Proof.PEER),
        ("4.5", "5.3.2", "No|no IKEv2 connection found with compatible Traffic Selectors",
         " IKEv2 connection found with compatible Traffic Selectors"),
        ("5.0", "5.3.2", "proposed Traffic Selectors do not match labeled IKEv2 connection"),
    ),
    *_rows(
        replace(_REFUSAL, reason=_TS, version=1, began=_PEER, proof=Proof.PEER),
        ("3.18", MAIN, "cannot respond to IPsec SA request because no connection is known for "),
        ("3.23", MAIN, "peer proposal was rejected in a virtual connection policy"),
    ),
    *_rows(
        replace(_REFUSAL, reason=_TS, version=1, began=_WE, proof=Proof.PEER),
        ("3.18", MAIN, "our|peer client (?:ID|subnet) returned doesn't match my proposal",
         " subnet returned doesn't match my proposal"),
    ),
    # --- proposals ---
    *_rows(
        replace(_REFUSAL, reason=_PROPOSAL, proof=Proof.NONE),
        # "Oakley Transform [...] refused" is said of one that didn't fit; another may
        ("3.18", MAIN, "no acceptable Oakley Transform"),
        ("3.25", MAIN, "no local proposal matches "),
        ("3.19", MAIN, "IKE (?:responder accepted|initiator proposed) an unsupported algorithm",
         " an unsupported algorithm"),
    ),
    *_rows(
        replace(_REFUSAL, reason=_PROPOSAL, began=_WE, proof=Proof.NONE),
        ("3.25", MAIN, "remote accepted the invalid proposal "),
        ("3.28", "5.3.2", "Discarding unauthenticated INVALID_KE_PAYLOAD response"),
        ("3.18", MAIN, "ignoring received INVALID_KE packets - received too many"),
    ),
    *_rows(
        replace(_REFUSAL, reason=_PROPOSAL, began=_PEER, proof=Proof.PEER),
        ("3.18", MAIN, "no acceptable Proposal in IPsec SA"),
        ("3.18", MAIN, "we require PFS but Quick I1 SA specifies no GROUP_DESCRIPTION"),
        ("5.0", MAIN, r"policy dictates [\w ]{1,40}, but peer requested ",
         "policy dictates %, but peer requested "),
    ),
    *_rows(
        replace(_REFUSAL, reason=_PROPOSAL, proof=Proof.PEER),
        ("3.18", "4.15", "local policy requires (?:Tunnel|Transport) Mode but peer requires ",
         "local policy requires Tunnel Mode but peer requires"),
    ),
    # --- unreachable ---
    *_rows(
        replace(_FAILURE, reason=Reason.UNREACHABLE, weight=Weight.NETWORK, proof=Proof.NONE),
        # errno 90 is a message too long: fragments will do
        ("3.18", MAIN,
         rf"asynchronous network error report on (?!{_PLAIN}Message too long){_PLAIN}\[errno ",
         "asynchronous network error report on "),
    ),
    *_rows(
        replace(_FAILURE, reason=Reason.UNREACHABLE, weight=Weight.NETWORK),
        ("3.18", MAIN, rf"send|sendto on {_PLAIN} failed in (?!delete)", " failed in "),
        ("4.5", MAIN, r"TCP: (?:connect\(\d+\) failed|socket \d+: connecting to )",
         ": connecting to "),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.UNREACHABLE, began=_WE, subject=Subject.CONNECTION),
        ("3.18", MAIN, "We|we cannot identify ourselves with either end of this connection",
         " cannot identify ourselves with either end of this connection"),
        ("3.18", MAIN, "cannot initiate connection without resolved dynamic peer IP address"),
        ("3.18", MAIN, "failed to (?:convert|resolve) '", "failed to resolve '"),
    ),
    # --- other failures of our own, and what is in the way here ---
    *_rows(
        replace(_REFUSAL, reason=Reason.OTHER, began=_WE),
        ("3.28", MAIN, "IKE_SA_INIT|IKE_AUTH redirect (?:exceeds limit|loop)", "redirect "),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.OTHER, began=_WE, subject=Subject.CONNECTION),
        ("3.18", MAIN,
         "cannot initiate connection (?:\\(serial \\$\\d+\\) )?without knowing peer IP address",
         " without knowing peer IP address"),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.OTHER),
        ("3.18", MAIN, "netlink response for Add SA ", "netlink response for % %"),
        ("3.18", MAIN, "cannot install (?:eroute|kernel policy) ", "cannot install "),
        ("3.18", "4.15",
         "cannot route -- route already in use for (?!.{0,400}- but allowing anyway)",
         "cannot route -- route already in use for "),
        ("3.18", "5.3.2", f"{_UPDOWN} command exited with ", "command exited with "),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.OTHER, began=_PEER),
        ("5.0", MAIN, "leasing IPv[46] address failed: ", "leasing % address failed: "),
        ("3.18", "4.15", "ikev2 lease_an_address failure "),
        ("5.1", MAIN, "Quick Mode request rejected, peer requested lease of "),
    ),
    # --- no Child ---
    *_rows(
        replace(_GUESS, reason=Reason.CHILD_MISSING, proof=Proof.PEER),
        ("4.5", MAIN, "IKE SA established but initiator rejected Child SA response"),
        ("4.5", "5.3.2", "IKE_AUTH response missing v2SA, v2TSi or v2TSr: not attempting to setup"),
        ("3.18", "4.4", "missing v2SA, v2TSi or v2TSr: not attempting to setup child SA"),
        ("3.18", MAIN, "missing v2CP reply, not attempting to setup child SA"),
    ),
    *_rows(
        replace(_GUESS, reason=Reason.CHILD_MISSING, version=1),
        ("3.23", MAIN,
         r"STATE: STATE_QUICK_I1: \d+ second timeout exceeded after \d+ retransmits?\.  No acc",
         ".  No acceptable response to our first Quick Mode message"),
        ("3.18", "3.22",
         r"max number of retransmissions \(\d+\) reached STATE_QUICK_I1\.  No acceptable ",
         "max number of retransmissions (%) reached %%"),
    ),
    # --- no answer ---
    *_rows(
        replace(_GUESS, reason=_AUTH),
        ("3.23", MAIN,
         r"STATE: \w+: \d+ second timeout exceeded after \d+ retransmits?\.  Possible authent",
         ".  Possible authentication failure: no acceptable response"),
        ("3.18", "3.22",
         r"max number of retransmissions \(\d+\) reached \w+\.  Possible authentication failure",
         "max number of retransmissions (%) reached %%"),
    ),
    *_rows(
        replace(_FAILURE, reason=Reason.NO_ANSWER, began=_WE),
        ("3.23", MAIN, r"STATE: \w+: \d+ second timeout exceeded after \d+ retransmits",
         " second timeout exceeded after % retransmits"),
        ("3.18", "3.22", r"max number of retransmissions \(\d+\) reached ",
         "max number of retransmissions (%) reached %%"),
    ),
    *_rows(
        # Phase 1 alone: an IKEv1 Child outlives it
        replace(_GUESS, reason=Reason.PEER_DELETED, began=_PEER, proof=Proof.PEER),
        ("3.18", "4.15", r"received Delete SA payload: (?:self-)?deleting ISAKMP State #\d",
         "received Delete SA payload: "),
    ),
    # --- what a notification says; the reason is the notification's ---
    *_rows(
        replace(_ECHO, began=_WE),
        ("3.25", MAIN, rf"IKE_AUTH|AUTH response {_REJECTED} {_NOTE}", "AUTH response "),
        ("3.25", MAIN, rf"IKE SA authentication request rejected(?: by peer)?: {_NOTE}",
         "IKE SA authentication request rejected"),
    ),
    *_rows(
        replace(_ECHO, began=_WE, proof=Proof.PEER),
        ("4.5", MAIN, rf"CREATE_CHILD_SA failed with error notification {_NOTE}",
         " failed with error notification %"),
    ),
    *_rows(
        replace(_ECHO, began=_PEER, proof=Proof.PEER),
        ("4.5", MAIN, rf"CHILD SA (?:failed|encountered fatal error): {_NOTE}",
         "CHILD SA encountered fatal error: "),
    ),
    *_rows(
        replace(_ECHO, began=_PEER),
        ("3.25", MAIN, rf"responding to {_PLAIN} with (?:un)?encrypted notification {_NOTE}",
         "encrypted notification %"),
    ),
    *_rows(
        # In the clear
        replace(_ECHO, began=_WE, proof=Proof.NONE),
        ("3.18", "3.32", rf"STATE: \w+: received unauthenticated {_NOTE}",
         "%: received unauthenticated % - ignored"),
        ("3.18", "3.32", rf"received unauthenticated {_NOTE}",
         "%: received unauthenticated % - ignored"),
        ("3.25", MAIN, rf"ignoring (?:unexpected )?{_MESSAGE} containing {_NOTE}", " containing "),
        ("3.25", MAIN, rf"dropping unexpected {_MESSAGE} containing {_NOTE}", " containing "),
        ("3.25", MAIN, rf"unexpected {_MESSAGE} containing {_NOTE}", " containing "),
    ),
    *_rows(
        replace(_ECHO, version=1, proof=Proof.NONE),
        ("3.18", MAIN,
         rf"ignoring (?:secured |unsecured )?informational payload,?(?: type)? {_NOTE}",
         "informational payload"),
        ("3.27", "5.1", rf"received and ignored notification payload: {_NOTE}",
         "received and ignored notification payload: "),
        ("3.18", MAIN, rf"sending (?:encrypted )?notification {_NOTE} to ", "sending "),
    ),
)

TABLE: Final = (*PROGRESS, *LOSSES, *FAILURES)
"""All wordings of a connection's lines; of two that fit, the first counts."""

_DAEMON: Final = Finding(LogEvent.STOPPED, subject=Subject.PLUTO)

DAEMON_TABLE: Final = (
    *_rows(
        replace(_DAEMON, event=LogEvent.STARTED),
        ("3.18", MAIN, r"Starting Pluto \(", "Starting Pluto (Libreswan Version %) pid:"),
    ),
    *_rows(
        _DAEMON,
        ("3.18", "4.6", "shutting down$"),
        ("4.7", MAIN, "Pluto is shutting down$", "Pluto is shutting down"),
    ),
    *_rows(
        replace(_LOSS, reason=Reason.UNREACHABLE, subject=Subject.ADDRESS),
        ("3.18", MAIN,
         r"shutting down interface [^ ]{1,40} \[?(?P<address>[\da-fA-F.:]{2,45}?)\]?:\d{1,5}$",
         "shutting down interface %"),
    ),
)
"""The same for lines that are about no connection: pluto itself, interfaces."""
# fmt: on
