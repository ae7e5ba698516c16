# SPDX-License-Identifier: MIT
r"""What pluto's log lines mean: one table of wordings, from libreswan 3.18 to 5.4 and main.

Each row is one wording, with the first and the last release that has it (``main`` is the
development branch after 5.4), and what it means. A wording is a pattern for the text behind the
connection's name. It matches only pluto's own words. What a peer chose (identities, user names,
certificates' subjects, messages) follows these words, and is not matched. Only in the few messages
that have their result behind a name, the pattern goes up to the end of the line.

A pattern is: the first word of the message, or several possible ones (``a|b``), one blank, and a
regular expression for what follows. A row is found by the first word, so for most lines no
expression is tried. The first word ``STATE:`` stands for any state's name (``STATE_MAIN_I1:``,
``IKE_AUTH_I:``); then the expression is for the whole text, state's name included. The groups of an
expression are ``note`` (a notification's name), ``ended``, ``using`` and ``rekeyed`` (serials),
``address``, ``host``, ``other`` (the name of another connection).

Source: libreswan's programs/pluto at each tag. ``source`` has the fixed words of the message as
they are there: ``%`` stands for each value, ``^`` and ``$`` for the begin and the end of a string
in the source, and ``|`` separates the words of different releases. It is left out if the pattern
shows the words. With a clone of libreswan, tests/libreswan/test_log_table.py looks each row up at
its releases and at the ones around them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum, auto
from typing import Final

from ipsecwatch.libreswan.releases import MAIN
from ipsecwatch.tunnel import Reason


class LogEvent(Enum):
    """What a log line is evidence of."""

    ATTEMPT = auto()
    """This side begins a negotiation."""
    PEER_IDENTIFIED = auto()
    """A peer shows its identity."""
    IKE_ESTABLISHED = auto()
    """An IKE SA is established (a new one, or a rekeyed one)."""
    CHILD_REQUESTED = auto()
    """The peer asks for a Child SA under an IKEv1 SA: it begins a Quick Mode."""
    CHILD_ESTABLISHED = auto()
    """A Child SA is established (a new one, or a rekeyed one)."""
    FAILURE = auto()
    """A negotiation fails, or isn't answered."""
    REKEY = auto()
    """This side begins to rekey a Child SA: its lifetime will soon be over."""
    LOSS = auto()
    """SAs end, for any reason: which ones is in ``Finding.subject`` and ``Finding.end``."""
    LOADED = auto()
    """A connection is added, by configuration or by hand."""
    UNLOADED = auto()
    """A connection is deleted: it isn't listed any more."""
    STARTED = auto()
    """pluto starts."""
    STOPPED = auto()
    """pluto stops."""


class Weight(IntEnum):
    """How much a log line explains, compared with other lines about the same attempt or loss.

    Of several lines about the same attempt that failed, one with a higher weight gives the reason.
    """

    SILENCE = 0
    """The line says only that no answer came. Most lines about a loss have this weight, too."""
    GUESS = 1
    """The line doesn't show the reason, so pluto, or this table, guesses it."""
    NETWORK = 2
    """A router or this machine's network reports an error. A router's report may be forged."""
    ECHO = 3
    """One side tells the other that it refuses something. Earlier lines may say what is wrong."""
    REFUSAL = 4
    """One side refuses something, and the line itself says what is wrong."""
    LOCAL = 5
    """This machine's own kernel, configuration or secrets are the cause."""


class LossKind(Enum):
    """Which SAs ended by a line with the event LOSS, and whether the line shows the cause."""

    ANY = auto()
    """All SAs of the line's subject (``Subject``) ended, for the reason that the line gives."""
    UNEXPLAINED = auto()
    """The SA that the line names ended. The line gives no cause, but the one before it may."""
    AMBIGUOUS = auto()
    """All SAs of the connection ended. pluto prints the same words for several causes."""


class Began(Enum):
    """Who began the exchange that a line is about."""

    WE = auto()
    """This side began it: as the initiator of the SA, or with a request under an SA."""
    PEER = auto()
    """The peer began it: this side is the responder of the SA, or answers the peer's request."""
    EITHER = auto()
    """The words don't show it. It was this side if an ATTEMPT with the SA's serial came before."""


class Proof(Enum):
    """Who can cause pluto to log a line: this machine, anybody, or only the authenticated peer."""

    LOCAL = auto()
    """Only this machine: its configuration, kernel, timers, secrets or administrator."""
    NONE = auto()
    """Anybody who can send a packet to this machine: the packet isn't authenticated."""
    EXCHANGE = auto()
    """A peer that sends an encrypted message, but hasn't authenticated itself (yet).

    If this side began the exchange, that is whoever answers at the peer's address. If the other
    side began, it may be anybody.
    """
    PEER = auto()
    """Only the authenticated peer, with a message that is protected by an IKE SA."""


class Subject(Enum):
    """Which SAs, connections or daemon a line is evidence about."""

    SA = auto()
    """One SA: the one in ``Finding.ended``, or if it is None, the one at the line's beginning."""
    CONNECTION = auto()
    """The connection named at the line's beginning, with all its SAs, even if a serial follows."""
    PEER = auto()
    """All connections that have the same peer as the one at the line's beginning."""
    ADDRESS = auto()
    """All connections whose local address is ``Finding.address``."""
    HOST = auto()
    """All connections that have the name ``Finding.host`` as left= or right=."""
    PLUTO = auto()
    """pluto itself, and so all connections."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one log line is evidence of.

    Most fields come from the row of the table that fits the line. Those from ``ended`` on, and
    ``reason`` if the line has a notification, come from the line itself.
    """

    event: LogEvent
    reason: Reason = Reason.NONE
    weight: Weight = Weight.SILENCE
    end: LossKind = LossKind.ANY
    began: Began = Began.EITHER
    proof: Proof = Proof.LOCAL
    subject: Subject = Subject.SA
    version: int | None = None
    """The version of IKE (1 or 2), if the words show it."""
    ended: int | None = None
    """The serial of the SA that ends, if the line names it behind its beginning."""
    using: int | None = None
    """The serial of the IKE SA under which a Child SA is negotiated, or was established."""
    rekeyed: int | None = None
    """The serial of the IKE SA that a new one replaces in a rekey. For a REKEY it is the serial of
    the Child SA that is to be replaced."""
    address: str | None = field(default=None, compare=False)
    """The local address that the line names (``Subject.ADDRESS``)."""
    host: str | None = field(default=None, compare=False)
    """The host name that the line has (``Subject.HOST``), as it is configured."""
    other: str | None = field(default=None, compare=False)
    """The name of a connection that the line names behind its beginning, without instance numbers.

    It is another connection than the one at the line's beginning. If there is none at the
    beginning, the line is about the connection in ``other``.
    """


@dataclass(frozen=True, slots=True)
class LogWording:
    """A row of the table: a wording, its first and last release, and what it is evidence of."""

    first: str
    last: str
    pattern: str
    finding: Finding
    source: str = ""
    """The fixed words in libreswan's source; "" if the pattern shows them."""


_Texts = tuple[str, str, str] | tuple[str, str, str, str]
"""First and last release, pattern, and perhaps the words in the source (``LogWording.source``)."""


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
    "TEMPORARY_FAILURE": Reason.CHILD_MISSING,  # mostly: another connection has the subnets
    "CHILD_SA_NOT_FOUND": Reason.OTHER,
    "UNSUPPORTED_CRITICAL_PAYLOAD": Reason.OTHER,
    "INVALID_SYNTAX": Reason.OTHER,
    "INVALID_MAJOR_VERSION": Reason.OTHER,
}
"""The reason that each error notification shows. A notification that isn't here is no evidence."""

# fmt: off
_WE, _PEER = Began.WE, Began.PEER
_NOTE: Final = r"'?(?:v[12]N_)?(?P<note>[A-Z][A-Z0-9_]{3,40})"
_TS_NOTE: Final = "(?:v2N_)?(?P<note>TS_UNACCEPTABLE)"
_UNDER_KEYS: Final = (
    rf"\w+ containing {_NOTE}(?:\.\.\.)? notification; message payloads: [\w,]*SKF?;"
    r" encrypted payloads: "
)
_MESSAGE: Final = r"(?:ISAKMP_v2_)?[A-Z_]+ \w+"
_UNPROVED: Final = "(?:IKE_AUTH|AUTH|IKE_INTERMEDIATE)"
_PLAIN: Final = r"[^'\"]{0,240}?"
_USING: Final = r"(?: #\d{1,10})?(?: using #(?P<using>\d{1,10}))?"
_CONNECTION: Final = r'"(?P<other>[^"]{1,512})"'
_LATE: Final = (
    r"(?:\d+ second timeout exceeded after \d+ retransmits?"
    r"|max number of retransmissions \(\d+\) reached after [\d.]+ seconds)"
)
"""The words with which pluto gives up an unanswered request, from 3.23 on."""
_GIVEN_UP: Final = r"max number of retransmissions \(\d+\) reached"  # to 3.22

_ATTEMPT: Final = Finding(LogEvent.ATTEMPT, began=_WE)
_IKE: Final = Finding(LogEvent.IKE_ESTABLISHED, proof=Proof.PEER)

PROGRESS: Final = (
    *_rows(
        _ATTEMPT,
        ("3.18", "3.29", "initiating v2 parent SA"),
        ("3.30", "3.32", "initiating IKEv2 IKE SA"),
        ("4.0", MAIN, r"initiating IKEv2 connection\b", "initiating IKEv2 connection"),
        ("3.18", "3.32", "initiating Main Mode"),
        ("3.18", "3.32", "initiating Aggressive Mode"),
        ("4.0", MAIN, "initiating IKEv1 Main Mode connection"),
        ("4.0", MAIN, "initiating IKEv1 Aggressive Mode connection"),
    ),
    *_rows(
        replace(_ATTEMPT, version=1),
        ("3.18", MAIN,
         r"initiating Quick Mode .{0,400}?\{using (?:isakmp|ISAKMP SA )#(?P<using>\d{1,10})",
         "initiating Quick Mode "),
    ),
    *_rows(
        replace(_ATTEMPT, version=2),
        ("4.5", MAIN, r"initiating Child SA using IKE SA #(?P<using>\d{1,10})",
         "initiating Child SA using IKE SA "),
    ),
    *_rows(
        Finding(LogEvent.REKEY, began=_WE, version=2),
        ("4.5", MAIN, r"initiating rekey to replace Child SA #(?P<rekeyed>\d{1,10})",
         "initiating rekey to replace % "),
    ),
    *_rows(
        Finding(LogEvent.REKEY, began=_WE, version=1),
        ("4.0", MAIN, r"sent Quick Mode request, to replace #(?P<rekeyed>\d{1,10})",
         "^%, to replace "),
        ("3.30", "3.32",
         r"STATE: STATE_QUICK_I1: [\w, ]{1,80}?, to replace #(?P<rekeyed>\d{1,10})",
         "%: %, to replace #"),
    ),
    *_rows(
        # Of an IKEv1 SA (phase 1): the peer asks for a Child
        Finding(LogEvent.CHILD_REQUESTED, began=_PEER, proof=Proof.PEER, version=1),
        ("3.18", MAIN, "the peer proposed: "),
    ),
    *_rows(
        Finding(LogEvent.PEER_IDENTIFIED, proof=Proof.EXCHANGE),
        ("3.18", MAIN, "processing (?:decrypted )?IKE_AUTH re", "processing "),
        ("3.21", MAIN, "Peer ID is [A-Z]", "Peer ID is %: '%'"),
        ("3.18", "4.3", "IKEv2 mode peer ID is "),
        ("3.18", "3.20", "Main|Aggressive mode peer ID is ", "% mode peer ID is %"),
    ),
    *_rows(
        replace(_IKE, version=2),
        ("4.7", MAIN, "initiator|responder established IKE SA; ", "^% established IKE SA; "),
        ("4.5", "4.6", "established IKE SA; ", "^established IKE SA; "),
        ("4.6", MAIN, r"initiator|responder rekeyed IKE SA #(?P<rekeyed>\d{1,10})",
         "rekeyed IKE SA "),
    ),
    *_rows(
        replace(_IKE, version=1),
        ("3.18", "3.32",
         r"STATE: STATE_(?:MAIN|AGGR)_\w\w: (?:sent \w+, )?ISAKMP SA established",
         "sent MR3, ISAKMP SA established"),
        ("4.0", "4.15", r"IKE SA established\b(?! but)", "^IKE SA established$"),
        ("5.0", MAIN, r"ISAKMP SA established\b", "ISAKMP SA established"),
    ),
    *_rows(
        Finding(LogEvent.CHILD_ESTABLISHED, proof=Proof.PEER),
        ("3.18", "3.32",
         "STATE: STATE_(?:QUICK_I2|QUICK_R2|V2_IPSEC_[IR]): (?:sent QI2, )?IPsec SA established",
         "sent QI2, IPsec SA established"),
        ("3.18", "4.4", r"negotiated connection \[", "negotiated connection"),
        ("3.18", MAIN, r"IPsec SA established\b", "^IPsec SA established"),
        ("4.6", MAIN, rf"initiator|responder (?:established|rekeyed) Child SA{_USING}",
         "^established Child SA using |^ established Child SA"),
    ),
)

LOADING: Final = (
    *_rows(
        Finding(LogEvent.LOADED, subject=Subject.CONNECTION),
        ("4.2", MAIN, r"added (?:\w+ ){0,3}connection\b", "^added % connection$|^added$"),
    ),
    *_rows(
        Finding(LogEvent.UNLOADED, subject=Subject.CONNECTION),
        ("3.18", "3.32", r"deleting connection \"[^\"]{1,512}\"[^\"]{0,200} instance with peer ",
         'deleting connection "%"% instance with peer '),
        ("4.0", MAIN, "deleting connection instance with peer "),
        ("5.0", MAIN, "deleting labeled (?:child|parent) connection with peer ",
         "^deleting labeled child connection with peer "),
    ),
)

_HOLDS: Final = r"(?:STATE_)?(?:V2_ESTABLISHED_IKE_SA|ESTABLISHED_IKE_SA|PARENT_I3|PARENT_R2)"
# The ends of SAs that carried traffic. Two are left out, because other lines always come with
# them: that of an IKEv1 phase 1, which Child SAs outlive, and that of an IKE SA up to 3.32, where
# each Child SA's end is logged, and the end of a rekeyed IKE SA looks like that of a lost one.
_GOES: Final = (
    r"\((?:(?:STATE_)?(?:(?:V2_)?(?:IPSEC_[IR]|ESTABLISHED_(?:IKE|CHILD)_SA|CHILDSA_DEL"
    r"|CHILD_SA_DELETE)|QUICK_[IR]2)|established IKE SA)\)"
)
_OURS: Final = r".{0,600} and sending notification"
_OTHER: Final = r"deleting other state #(?P<ended>\d{1,10})(?: connection)?"  # another one's, too
_ENDED: Final = r"#(?P<ended>\d{1,10})"

_DELETE: Final = r"received Delete SA\(0x[0-9a-f]+\)"

_LOSS: Final = Finding(LogEvent.LOSS)
_DEAD: Final = replace(_LOSS, reason=Reason.PEER_DEAD)
_DEAD_ALL: Final = replace(_DEAD, subject=Subject.PEER)
_DEAD_ONE: Final = replace(_DEAD, subject=Subject.CONNECTION)
_BY_HAND: Final = replace(_LOSS, reason=Reason.OPERATOR, began=_WE)
_DELETED: Final = replace(_LOSS, reason=Reason.PEER_DELETED, began=_PEER, proof=Proof.PEER)
_EXPIRED: Final = replace(_LOSS, reason=Reason.EXPIRED, began=_WE)

LOSSES: Final = (
    # --- the peer is dead -------------------------------------------------------------------
    *_rows(
        _DEAD_ALL,  # dpdaction=restart
        ("3.18", "3.20", "IKEv2 peer liveness - restarting all connections that share this peer"),
        ("3.18", "3.20", "DPD: Restarting all connections that share this peer"),
        ("3.21", "3.27",
         "IKEv2 liveness: action - restarting all connections that share this peer",
         "IKEv2 liveness:"),
        ("3.21", "3.27", "IKEv1 DPD: action - restarting all connections that share this peer",
         "IKEv1 DPD:"),
        ("3.28", "3.29", "IKEv2 liveness action - restarting all connections that share this peer",
         "^IKEv2 liveness$"),
        ("3.28", "3.29", "IKEv1 DPD action - restarting all connections that share this peer",
         "^IKEv1 DPD$"),
        ("3.30", "4.15", "liveness|DPD action - restarting all connections that share this peer",
         "^liveness$|^DPD action - restarting all connections that share this peer"),
    ),
    *_rows(
        _DEAD_ONE,  # dpdaction=clear, dpdaction=hold
        ("3.18", "3.19", "IKEv2 liveness action: Clearing Connection ", "^IKEv2 liveness action$"),
        ("3.20", "3.20", "IKEv2 liveness action clear: Clearing Connection ",
         "IKEv2 liveness action clear"),
        ("3.18", "3.20", "IKEv1 DPD action: Clearing Connection ", "IKEv1 DPD action"),
        ("3.18", "3.20", "DPD: Putting connection into %trap", "^DPD: Putting connection into "),
        ("3.18", "3.20", "DPD: No response from peer - declaring peer dead"),
        ("3.22", "3.32", "liveness_check - peer [^ ]{2,60} has not responded in ",
         "^liveness_check - peer % has not responded in "),
        ("3.21", "3.27", "IKEv2 liveness: action - (?:clearing|putting) ", "IKEv2 liveness:"),
        ("3.21", "3.27", "IKEv1 DPD: action - (?:clearing|putting) ", "IKEv1 DPD:"),
        ("3.28", "3.29", "IKEv2 liveness action - (?:clearing|putting) ", "^IKEv2 liveness$"),
        ("3.28", "3.29", "IKEv1 DPD action - (?:clearing|putting) ", "^IKEv1 DPD$"),
        ("3.30", "4.15", "liveness|DPD action - clearing connection kind ",
         "^liveness$|^DPD action - clearing connection kind "),
        ("3.30", MAIN, "liveness|DPD action - putting connection into hold",
         "^liveness$|^DPD action - putting connection into hold"),
    ),
    *_rows(
        _DEAD,
        ("3.23", MAIN, rf"STATE: {_HOLDS}: {_LATE}", "second timeout exceeded after "),
        ("3.18", "3.22", rf"{_GIVEN_UP} {_HOLDS}\b", "max number of retransmissions (%) reached %"),
    ),
    # --- taken down by hand -----------------------------------------------------------------
    *_rows(
        replace(_BY_HAND, subject=Subject.CONNECTION),
        ("5.2", MAIN, "initiating delete of connection's "),
        ("5.3", MAIN, r"initiating delete of .{1,600} which has connection's ",
         "initiating delete of % which has connection's "),
        # One whose IKE SA others need: the Child alone goes
        ("3.18", "4.15", "IKE SA is shared - only terminating IPsec SA"),
        ("5.0", "5.1", "IKE|ISAKMP SA is shared - only terminating (?:Child|IPsec) SA",
         "% is shared - only terminating %"),
        ("5.2", MAIN, "marking connection down"),
        ("5.2", MAIN, "suspending connection - deleting states"),
        # Deleted, or loaded again
        ("3.18", "3.18", "deleting connection$", "^deleting connection$"),
        ("3.19", "3.27", "deleting non-instance connection$"),
    ),
    *_rows(
        _BY_HAND,
        ("3.18", MAIN, "received whack to delete (?!connection)",
         "received whack to delete % state "),
        ("3.18", MAIN, "received whack to delete connection by (?:user|id) ",
         "received whack to delete connection by user "),
    ),
    # By hand; but it also follows a liveness action, an interface that has gone, or a peer that
    # connects again from elsewhere
    *_rows(
        replace(_BY_HAND, end=LossKind.AMBIGUOUS, subject=Subject.CONNECTION),
        ("3.18", MAIN, "terminating SAs using this connection"),
    ),
    # --- the peer's Delete ------------------------------------------------------------------
    *_rows(
        _DELETED,
        # "replace" where it is to be up again
        ("3.18", "3.27", rf"{_DELETE} payload: deleting IPSEC State {_ENDED}",
         ") payload: deleting IPSEC State #"),
        ("3.28", "4.15", rf"{_DELETE} payload: (?:self-)?deleting IPsec State {_ENDED}",
         "deleting IPsec State #"),
        ("3.18", "3.27", rf"received Delete SA payload: already replacing IPSEC State {_ENDED}",
         "received Delete SA payload: already replacing IPSEC State #"),
        ("3.18", "3.27", rf"received Delete SA payload: replace IPSEC State {_ENDED}",
         "received Delete SA payload: replace IPSEC State #"),
        ("3.19", "3.27", rf"received Delete SA payload: (?:delete|expire) IPSEC State {_ENDED}",
         "received Delete SA payload: expire IPSEC State #"),
        ("3.28", "4.15", rf"received Delete SA payload: replace IPsec State {_ENDED}",
         "received Delete SA payload: replace IPsec State #"),
        ("3.28", "4.1", rf"received Delete SA payload: (?:delete|expire) IPsec State {_ENDED}",
         "received Delete SA payload: expire IPsec State #"),
        ("4.2", "4.15", rf"received Delete SA payload: replace CHILD SA {_ENDED}",
         "received Delete SA payload: replace CHILD SA #"),
        ("4.2", "4.4", rf"received Delete SA payload: (?:delete|expire) CHILD SA {_ENDED}",
         "received Delete SA payload: expire CHILD SA #"),
        ("5.0", MAIN, r"received Delete SA payload via #\d", "received Delete SA payload via "),
    ),
    # --- the same identity connects again: an instance ends before its SAs do -----------------
    *_rows(
        replace(_LOSS, reason=Reason.REPLACED, began=_PEER, proof=Proof.PEER,
                subject=Subject.CONNECTION),
        ("4.0", "4.15",
         r"deleting connection instance with peer [^ ]{2,60} \{isakmp=#(?!0/ipsec=#0)",
         "deleting connection instance with peer % {isakmp=#"),
    ),
    # --- a lifetime ran out -----------------------------------------------------------------
    *_rows(
        _EXPIRED,
        ("3.18", MAIN, r"ISAKMP|IPsec|IKE|CHILD|Child SA expired \((?:LATEST!|--dontrekey)\)",
         "^SA expired$|^% SA expired (%)$"),
        ("4.8", MAIN,
         "received hard EXPIRE for (?!.{0,300}; (?:already hard expired|deleting old SA))",
         "received % EXPIRE for "),
    ),
    # --- redirected to another gateway ------------------------------------------------------
    *_rows(
        replace(_LOSS, reason=Reason.OTHER, began=_PEER, proof=Proof.PEER),
        ("5.0", MAIN, r"INFORMATIONAL \w+ redirects to new gateway ", "redirects to new gateway "),
        ("4.6", "4.15", "initiating active session redirect to new gateway ",
         "initiating % to new gateway (address: "),
    ),
    # --- what follows every end -------------------------------------------------------------
    *_rows(
        # From 5.0 on: by hand (--down-child, --down-ike, --deletestate), where no other line
        # precedes it; no line precedes the end of a Child SA's lifetime either
        replace(_BY_HAND, end=LossKind.UNEXPLAINED),
        ("5.0", MAIN, "sent INFORMATIONAL request to delete (?:IKE|established Child) SA",
         "sent INFORMATIONAL request to delete "),
        ("4.5", "4.15", "deleting established Child SA using ", "deleting % Child SA using "),
        ("4.5", "4.15", "intiating delete$"),
    ),
    *_rows(
        replace(_LOSS, reason=Reason.OTHER, end=LossKind.UNEXPLAINED, began=_WE),  # whyever
        ("3.18", "4.15", rf"deleting state {_GOES}{_OURS}", "deleting state ("),
        ("3.18", "4.15", rf"{_OTHER} {_GOES}{_OURS}", "deleting other state #"),
        ("5.0", MAIN, rf"deleting (?:IKE|IPsec|Child) SA {_GOES}{_OURS}",
         " and NOT sending notification"),
    ),
    *_rows(
        # Nobody here said why: the peer did it
        replace(_DELETED, weight=Weight.ECHO, end=LossKind.UNEXPLAINED),
        ("3.18", "4.15", rf"deleting state {_GOES}", "deleting state ("),
        ("3.18", "4.15", rf"{_OTHER} {_GOES}", "deleting other state #"),
        ("5.0", MAIN, rf"deleting (?:IKE|IPsec|Child) SA {_GOES}", "deleting IKE SA (%)"),
    ),
    *_rows(
        # The counters at the end: from 5.0 on all that is said of an IKEv2 Child
        replace(_DELETED, end=LossKind.UNEXPLAINED),
        ("3.18", MAIN, "ESP|AH traffic information: ", " traffic information:"),
    ),
)

_HOW_OFTEN: Final = r"(?:: Incorrect Username or Password| \(Retried \d+ times\)| \(retry \d+\))"
_BADLY: Final = r"(?:FAILED|ABORTED \([^()]{0,100}\))"
_HOW: Final = "(?:RSA|PSK|NULL)"
_IN_USE_BY: Final = rf'in use by [^"]{{0,100}}{_CONNECTION}'
_UPDOWN: Final = "|".join(
    f"{verb}-{end}"
    for verb in ("prepare", "route", "up")
    for end in ("client", "host", "client-v6", "host-v6")
)

_FAILURE: Final = Finding(LogEvent.FAILURE)
_REFUSAL: Final = replace(_FAILURE, weight=Weight.REFUSAL, proof=Proof.EXCHANGE)
_REFUSAL_AUTH: Final = replace(_REFUSAL, reason=_AUTH)
_LOCAL: Final = replace(_FAILURE, weight=Weight.LOCAL)
_GUESS: Final = replace(_FAILURE, weight=Weight.GUESS, began=_WE)
_ECHO: Final = replace(_FAILURE, weight=Weight.ECHO, proof=Proof.EXCHANGE)

FAILURES: Final = (
    # --- credentials: XAUTH, EAP ------------------------------------------------------------
    *_rows(
        # We are the server. A name can be anything: the line has to end as a failure does. Where
        # xauthfail=soft, "XAUTH: User ...: Authentication Successful" is what follows.
        replace(_REFUSAL, reason=Reason.CREDENTIALS, began=_PEER, proof=Proof.PEER),
        ("3.18", MAIN, rf"XAUTH: User .*: Authentication Failed{_HOW_OFTEN}$",
         "XAUTH: User %: Authentication Failed"),
        ("4.5", MAIN, rf"PAM: authentication of user '.*' {_BADLY} after [\d.]+ seconds$",
         "PAM: authentication of user '%' "),
    ),
    *_rows(
        replace(_REFUSAL, reason=Reason.CREDENTIALS, began=_PEER, version=2),
        ("4.7", MAIN, "EAP AUTH failed"),
        ("4.7", MAIN, "NSS: Handshake failed", "^Handshake failed$"),
    ),
    *_rows(
        replace(_REFUSAL, reason=Reason.CREDENTIALS, began=_WE, proof=Proof.PEER),
        ("3.18", MAIN, "XAUTH: aborting entire IKE Exchange"),
        ("3.18", MAIN, "Received Cisco XAUTH status: FAIL"),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.CREDENTIALS, began=_WE, version=1),
        ("3.18", "4.15", r"XAUTH (?:username|password) prompt failed", " prompt failed."),
        ("3.18", "4.15", "XAUTH username requested, but no file descriptor available for prompt"),
        ("3.18", MAIN, "XAUTH password requested, but no file descriptor available for prompt"),
        ("3.18", MAIN, r"no (?:\w+ )?(?:Username|Password|username|password) entered, aborted",
         "no % entered, aborted"),
        ("3.18", MAIN,
         "XAUTH: Username or password request was received, but XAUTH client mode not enabled"),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.CREDENTIALS, began=_PEER, version=1),
        ("3.18", MAIN, r"XAUTH: unable to open password file \(",
         "XAUTH: unable to open password file (%"),
    ),
    # --- authentication: refused by the peer ------------------------------------------------
    *_rows(
        # Else the name of another notification follows: see below
        replace(_ECHO, reason=_AUTH, began=_WE, version=2),
        ("3.25", "3.27", "IKE SA authentication request rejected: AUTH",
         "IKE SA authentication request rejected: %"),
        ("3.28", MAIN, "IKE SA authentication request rejected by peer: AUTH",
         "IKE SA authentication request rejected by peer: %"),
        ("4.5", "5.3.2", "IKE SA authentication request rejected by peer: unrecognized response"),
        ("5.4", MAIN, "IKE SA authentication failed, unrecognized IKE_AUTH response"),
    ),
    # --- authentication: refused by us ------------------------------------------------------
    *_rows(
        _REFUSAL_AUTH,
        ("4.4", MAIN, "authentication failed: (?!no PSK found)", "^authentication failed: "),
        ("4.4", MAIN, "authentication aborted: ", "authentication aborted: problem with '"),
        ("4.5", MAIN, "X509: authentication failed; "),
        ("3.21", "3.32", "X509: Certificate rejected for this connection"),
        ("4.0", MAIN, "X509: certificate rejected for this connection"),
        ("4.0", MAIN, "X509: certificate payload rejected for this connection"),
        ("5.3", MAIN, "certificate payload rejected; crl-strict=yes and "),
        ("3.21", MAIN, "X509: CERT payload bogus or revoked"),
        ("3.21", "4.5", "X509: CERT payload does not match connection ID"),
        ("3.21", MAIN, "X509: no EE-cert in chain"),
        ("3.21", "3.23", r"X509: Invalid certificate \(self-signed EE-cert attempted",
         "X509: Invalid certificate (self-signed EE-cert attempted"),
        ("3.18", "5.2", "missing or expired CRL in strict mode, failing pending update"),
        ("3.18", "4.5", "certificate revoked!"),
        ("3.18", "3.27", "Certificate .* failed verification$",
         "Certificate % failed verification"),
        ("3.28", "3.32", r"Certificate .* failed \w[\w ]* verification$",
         "Certificate % failed % verification"),
        ("4.0", "4.5", r"certificate (?!verified OK: ).* failed \w[\w ]* verification$",
         "certificate % failed % verification"),
        ("4.6", MAIN, "NSS: ERROR: IPsec certificate ", "%: % certificate % invalid"),
        ("4.0", MAIN, "NSS: end certificate invalid"),
        ("3.30", "4.5", "X509: connection failed due to unmatched IKE ID in certificate SAN"),
        ("3.21", "3.29",
         "Peer public key SubjectAltName does not match peer ID for this connection"),
        ("3.30", "4.4",
         "Peer CERT payload SubjectAltName does not match peer ID for this connection"),
        ("3.30", "4.5",
         r"Peer ID '.*' is not specified on the certificate SubjectAltName \(SAN\) and no better ",
         "is not specified on the certificate SubjectAltName (SAN) and no better connection found"),
        ("3.21", "4.5", "Peer mismatch on first found connection and no better connection found"),
        ("3.22", MAIN,
         "Peer ID '.*' mismatched on first found connection and no better connection found$",
         "mismatched on first found connection and no better connection found"),
        ("3.21", "4.4", "ID_DER_ASN1_DN '", "^ID_DER_ASN1_DN '%' does not match expected '%'"),
        ("3.21", "3.29", r"certificate does not contain (?:\w+ )?subjectAltName=",
         "certificate does not contain subjectAltName="),
        ("3.21", "4.4", "certificate contains no subjectAltName extension"),
        ("3.30", "4.4", "certificate subjectAltName extension does not match "),
        ("3.21", "3.29", "No matching subjectAltName found"),
        ("3.28", MAIN, r"FIPS: [Rr]ejecting peer cert with key size \d+ under \d+",
         "FIPS: Rejecting peer cert with key size |FIPS: rejecting peer cert with key size "),
        ("4.5", "5.2", "peer ID_DER_ASN1_DN '"),
        ("5.3", MAIN, "peer ID DER_ASN1_DN '"),
    ),
    *_rows(
        replace(_REFUSAL_AUTH, version=2),
        ("3.18", "4.3", "AUTH mismatch: Received AUTH != computed AUTH"),
        ("3.19", "4.3", "PSK Authentication failed: AUTH mismatch"),
        ("3.18", "3.27", "RSA authentication failed"),
        ("3.28", "4.3", "RSA authentication of .{1,40} failed$", "RSA authentication of % failed"),
        ("3.22", "3.25", "Digital Signature authentication failed"),
        ("3.26", "4.3", "Digital Signature authentication using .{1,60} failed",
         "Digital Signature authentication using % failed"),
        ("3.19", "4.3", "NULL [Aa]uthentication failed: AUTH mismatch",
         "NULL Authentication failed: AUTH mismatch|NULL authentication failed: AUTH mismatch"),
        ("3.20", "4.3", f"Peer|peer attempted {_HOW} authentication but we want ",
         "^Peer attempted PSK authentication but |^peer attempted PSK authentication but "),
        ("3.22", "4.3", "Peer|peer attempted Authentication through Digital Signature but we want ",
         "^Peer attempted Authentication through |^peer attempted Authentication through "),
        ("3.18", "4.5", "we require IKEv2 peer to have ID '"),
        ("3.18", "4.3", r"no \w+ public key known for '",
         "no RSA public key known for '|no % public key known for '"),
        ("3.18", "3.29", r"Signature check \(on ", "^Signature check (on "),
        ("3.26", "3.29", r"ECDSA Signature check \(on ", "ECDSA Signature check (on "),
        ("3.30", "4.3", r"RSA|ECDSA Signature check \(on ", "% Signature check (on "),
    ),
    *_rows(
        replace(_REFUSAL_AUTH, version=1),
        ("3.18", "4.5", "we require IKEv1 peer to have ID '"),
        ("3.18", "4.5", "no suitable connection for peer '"),
        ("3.18", MAIN, "received Hash Payload does not match computed value"),
        ("3.30", MAIN, "received message SIG_[IR] data did not match computed value",
         " data did not match computed value"),
    ),
    *_rows(
        replace(_REFUSAL_AUTH, version=1, proof=Proof.NONE),
        ("3.18", MAIN, r"probable authentication failure \(mismatch of preshared secrets\?\): ",
         "probable authentication failure (mismatch of preshared secrets?): "),
    ),
    *_rows(
        replace(_REFUSAL_AUTH, version=1, began=_PEER, proof=Proof.NONE),
        ("3.18", MAIN, "initial Aggressive Mode packet claiming to be from "),  # a stranger
    ),
    *_rows(
        replace(_REFUSAL_AUTH, version=2, began=_PEER),
        ("3.23", MAIN, "Requested PPK_ID not found and connection requires a valid PPK"),
        ("5.2", "5.3.2", r"No matching \(PPK_ID, PPK\) found and connection requires ",
         "No matching (PPK_ID, PPK) found and connection requires "),
        ("5.4", MAIN, r"no matching \(PPK_ID, PPK\) found and connection requires a valid PPK",
         "no matching (PPK_ID, PPK) found and connection requires a valid PPK"),
        ("4.7", MAIN, "Peer attempted EAP authentication, but "),
        ("3.28", MAIN, "DNS: IPSECKEY not found or usable"),
    ),
    *_rows(
        replace(_REFUSAL_AUTH, version=2, began=_WE),
        ("3.23", "3.32", "Failed to receive PPK confirmation and connection has ppk=insist"),
        ("4.0", MAIN, "failed to receive PPK confirmation and connection has ppk=insist"),
        ("3.23", "4.4", "Received PPK_IDENTITY but connection does not allow PPK"),
        ("4.5", MAIN, "received PPK_IDENTITY but connection does not allow PPK"),
        ("5.2", MAIN, "N(PPK_IDENTITY) not received and connection ",
         "N(PPK_IDENTITY) not received and connection "),
    ),
    *_rows(
        # In IKE_SA_INIT, in which nothing is proved: as initiator and as responder
        replace(_REFUSAL_AUTH, version=2, proof=Proof.NONE),
        ("5.0", MAIN, "connection has ppk=insist but peer does not support PPK"),
    ),
    # --- authentication: our own key, secret or certificate is missing ----------------------
    *_rows(
        replace(_LOCAL, reason=_AUTH),
        ("3.18", MAIN, "Can't authenticate: no preshared key found for "),
        ("3.18", "4.15", "Failed to find our PreShared Key"),
        ("3.18", "3.32", "Failed to find our RSA key"),
        ("3.22", "3.32", "DigSig: failed to find our (?:RSA|ECDSA) key",
         "DigSig: failed to find our RSA key"),
        ("4.4", MAIN, "authentication failed: no PSK found for '"),
        ("3.18", "4.3", "No matching PSK found for connection:"),
        ("4.4", MAIN, "FIPS: authentication failed: '",
         "FIPS: authentication failed: '%' PSK length of % bytes is too short"),
        ("3.21", "4.3", r"FIPS: connection .{1,512} PSK length of \d+ bytes is too short",
         "FIPS: connection % PSK length of % bytes is too short"),
        ("3.21", "5.2", r"FIPS Error: connection .{1,512} PSK length of \d+ bytes is too short",
         "FIPS Error: connection % PSK length of % bytes is too short"),
        ("5.3", MAIN, r"FIPS Error: connection PSK length of \d+ bytes is too short",
         "FIPS Error: connection PSK length of % bytes is too short"),
        ("3.18", MAIN, "unable to locate my private key for "),
        ("3.30", MAIN, r"No|no \w{1,20} private key found",
         "No % private key found"),
        ("3.21", "3.27", r"Private key not found \(missing or token locked\?",
         "Private key not found (missing or token locked?"),
        ("3.28", "3.32", r"private key not found \(certificate missing from NSS DB or token locked",
         "private key not found (certificate missing from NSS DB or token locked"),
        ("3.18", "3.32", "Can't find the (?:certificate or )?private key from the ",
         "Can't find the private key from the NSS CKA_ID"),
        ("4.7", MAIN, "private key for connection not found"),
        ("4.0", "5.3.2", "private key matching CKAID '"),
        ("5.4", MAIN, r'private key matching \w+ "', 'private key matching % "%" not found'),
        ("4.0", "5.2", r"connection .{1,512}'s \w+ private key not found$",
         "connection %'s % private key not found"),
        ("5.3", MAIN, r"connection's \w+ private key not found$",
         "connection's % private key not found"),
        ("3.25", MAIN, "connection requires PPK, but we didn't find one"),
        ("3.23", "3.23", "connection requires PPK, but PPK_ID did not match any loaded PPK"),
        ("4.6", MAIN,
         r"reloading (?:left|right)cert(?:='[^']{0,200}')? failed", "reloading %cert failed"),
    ),
    # --- traffic selectors ------------------------------------------------------------------
    *_rows(
        replace(_REFUSAL, reason=_TS, version=2, began=_PEER, proof=Proof.PEER),
        ("4.5", "5.3.2", "No|no IKEv2 connection found with compatible Traffic Selectors",
         " IKEv2 connection found with compatible Traffic Selectors"),
        ("5.0", "5.3.2", "proposed Traffic Selectors do not match labeled IKEv2 connection"),
    ),
    *_rows(
        replace(_REFUSAL, reason=_TS, version=2, proof=Proof.PEER),
        ("5.4", MAIN, "Child SA's Traffic Selector "),
    ),
    *_rows(
        replace(_REFUSAL, reason=_TS, version=1, began=_PEER, proof=Proof.PEER),
        ("3.18", MAIN, "cannot respond to IPsec SA request because no connection is known for "),
        ("3.18", "3.22", "peer proposal was reject in a virtual connection policy"),
        ("3.23", MAIN, "peer proposal was rejected in a virtual connection policy"),
        ("5.1", MAIN, "Quick Mode request rejected; connection has no remote client selector"),
        ("5.1", "5.1",
         "Quick Mode request rejected, peer requested lease but proposed local selector "),
    ),
    *_rows(
        replace(_REFUSAL, reason=_TS, version=1, began=_WE, proof=Proof.PEER),
        ("3.18", MAIN, "our|peer client (?:ID|subnet) returned doesn't match my proposal",
         "% subnet returned doesn't match my proposal"),
        ("3.18", MAIN, "our|peer client peer returned port doesn't match my proposal",
         "% peer returned port doesn't match my proposal"),
        ("3.18", MAIN, "our|peer client peer returned protocol id does not match my proposal",
         "% peer returned protocol id does not match my proposal"),
        ("3.18", MAIN,
         "IDci, IDcr payloads missing in message but default does not match proposal"),
    ),
    # --- proposals --------------------------------------------------------------------------
    *_rows(
        # Of a Child SA
        replace(_REFUSAL, reason=_PROPOSAL, version=2, began=_PEER, proof=Proof.PEER),
        ("3.25", MAIN, r"no local proposal matches remote proposals \d+:(?:ESP|AH)\b",
         "no local proposal matches remote proposals "),
    ),
    *_rows(
        replace(_REFUSAL, reason=_PROPOSAL, proof=Proof.NONE),
        # "Oakley Transform [...] refused" is said of one that didn't fit; another may
        ("3.18", MAIN, "no acceptable Oakley Transform"),
    ),
    *_rows(
        replace(_REFUSAL, reason=_PROPOSAL, version=2, began=_PEER, proof=Proof.NONE),
        ("3.25", MAIN, "no local proposal matches "),
        ("3.19", MAIN, "IKE initiator proposed an unsupported algorithm"),
    ),
    *_rows(
        replace(_REFUSAL, reason=_PROPOSAL, began=_WE, proof=Proof.NONE),
        ("3.25", MAIN, "remote accepted the invalid proposal "),
        ("3.19", MAIN, "IKE responder accepted an unsupported algorithm"),
        ("3.18", "3.27",
         "Ignoring received unauthenticated INVALID_KE with unacceptable DH group suggestion "),
        ("3.28", "5.3.2", "Discarding unauthenticated INVALID_KE_PAYLOAD response"),
        ("5.4", MAIN, "discarding unauthenticated INVALID_KE_PAYLOAD response"),
        ("3.18", MAIN, "ignoring received INVALID_KE packets - received too many"),
    ),
    *_rows(
        replace(_REFUSAL, reason=_PROPOSAL, proof=Proof.PEER),
        ("3.18", MAIN, "no acceptable Proposal in IPsec SA"),
        ("3.18", "4.15", "local policy requires (?:Tunnel|Transport) Mode but peer requires ",
         "local policy requires Tunnel Mode but peer requires "),
        ("3.18", MAIN, r"policy dictates [\w ]{1,40}, but peer requested ",
         "policy dictates Transport Mode, but peer requested |policy dictates %, but peer "),
    ),
    *_rows(
        replace(_REFUSAL, reason=_PROPOSAL, version=1, began=_PEER, proof=Proof.PEER),
        ("3.18", MAIN, "we require PFS but Quick I1 SA specifies no GROUP_DESCRIPTION"),
    ),
    # --- unreachable ------------------------------------------------------------------------
    *_rows(
        replace(_FAILURE, reason=Reason.UNREACHABLE, weight=Weight.NETWORK, proof=Proof.NONE),
        # errno 90 is a message too long: fragments will do
        ("3.18", MAIN,
         rf"asynchronous network error report on (?!{_PLAIN}Message too long){_PLAIN}\[errno ",
         "asynchronous network error report on "),
    ),
    *_rows(
        replace(_FAILURE, reason=Reason.UNREACHABLE, weight=Weight.NETWORK),
        ("3.18", MAIN, rf"sendto on {_PLAIN} failed in (?!delete)", "^sendto on % to %"),
        ("4.0", MAIN, rf"send on {_PLAIN} failed in (?!delete)",
         "send on % from % to % using % failed in "),
        ("4.0", "4.15", r"TCP: connect\(\d+\) failed", "TCP: connect(%) failed"),
        ("4.5", MAIN, r"TCP: socket \d+: connecting to ", "^TCP: socket %: connecting to "),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.UNREACHABLE, subject=Subject.CONNECTION),
        ("3.18", "3.29", "We cannot identify ourselves with either end of this connection"),
        ("3.18", MAIN, "we cannot identify ourselves with either end of this connection"),
        ("3.18", MAIN, "Cannot|cannot send packet - interface vanished!",
         "annot send packet - interface vanished!"),
        ("3.18", "4.15", "route_owner: connection no longer oriented - system interface change"),
        ("3.23", MAIN, "no local source address to reach remote "),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.UNREACHABLE, began=_WE, subject=Subject.CONNECTION),
        ("3.18", MAIN, "cannot initiate connection without resolved dynamic peer IP address"),
        ("5.0", "5.3.2", r"failed to resolve '(?:left|right)=(?P<host>[^']{1,253})' at load time",
         "failed to resolve '%=%' at load time: "),
        ("5.4", MAIN, r"failed to resolve '(?:left|right)=(?P<host>[^']{1,253})', ",
         "failed to resolve '%=%', "),
        ("3.18", "4.15", r"failed to convert '(?P<host>[^']{1,253})' at load time",
         "failed to convert '%' at load time: "),
    ),
    # --- in the way here: kernel, routes, other connections, scripts, leases ----------------
    *_rows(
        replace(_REFUSAL, reason=Reason.OTHER, began=_WE),
        ("3.28", "4.5", "redirect loop, stop initiating IKEv2 exchanges"),
        ("4.6", "4.15", "IKE_SA_INIT|IKE_AUTH redirect loop",
         "% loop, stop initiating IKEv2 exchanges"),
        ("5.0", MAIN, "IKE_SA_INIT|IKE_AUTH redirect exceeds limit", "% redirect exceeds limit"),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.OTHER, began=_WE, subject=Subject.CONNECTION),
        ("3.18", MAIN, "cannot initiate connection without knowing peer IP address"),
        ("4.2", MAIN, r"cannot initiate connection \(serial \$\d+\) without knowing peer IP ",
         "cannot initiate connection (serial %) without knowing peer IP address"),
        ("3.18", MAIN, "cannot initiate an authby=never connection"),
        ("3.18", "4.15", "cannot initiate: no acceptable kernel algorithms loaded"),
    ),
    *_rows(
        # Another connection has the same subnets
        replace(_LOCAL, reason=Reason.CHILD_MISSING),
        ("3.18", "4.15", f"cannot install eroute -- it is in use for {_CONNECTION}",
         "cannot install eroute -- it is in use for "),
        ("5.0", MAIN, rf"cannot install kernel policy .{{0,600}}?; (?:it is )?{_IN_USE_BY}",
         "; it is in use by the |; in use by "),
        ("3.18", "4.15",
         rf"cannot route -- route already in use for {_CONNECTION}(?!.{{0,400}}- but allowing)",
         "cannot route -- route already in use for "),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.OTHER),
        ("3.18", MAIN, "netlink response for Add SA ", "netlink response for % %"),
        ("4.0", "4.15", r"setsockopt(SOL_TCP, TCP_ULP\) failed ",
         "setsockopt(SOL_TCP, TCP_ULP) failed "),
        ("5.0", MAIN, r'TCP: socket \d+: setting socket option "espintcp"',
         'TCP: socket %: setting socket option "espintcp"'),
        ("3.18", "5.3.2", f"{_UPDOWN} command exited with ", "% command exited with status %"),
        ("5.4", MAIN,
         'command "(?:prepare|route|up)": (?:exited with status|terminated with signal) ',
         'command "%": exited with status %'),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.OTHER, began=_PEER, proof=Proof.PEER),
        ("5.0", MAIN, r"leasing IPv[46] address failed: ", "leasing % address failed: "),
        ("3.18", "4.15", "ikev2 lease_an_address failure "),
        ("3.18", "5.1", "lease_an_address failure "),
        ("5.1", MAIN, "Quick Mode request rejected, peer requested lease of "),
    ),
    *_rows(
        replace(_LOCAL, reason=Reason.OTHER, began=_PEER, version=2),
        ("4.7", MAIN, "NSS: Keying material export failed", "^Keying material export failed$"),
    ),
    # --- no Child ---------------------------------------------------------------------------
    *_rows(
        replace(_GUESS, reason=Reason.CHILD_MISSING, proof=Proof.PEER),
        ("4.5", MAIN, "IKE SA established but initiator rejected Child SA response"),
        ("4.5", "5.3.2", "IKE_AUTH response missing v2SA, v2TSi or v2TSr: not attempting to setup"),
        ("5.4", MAIN, "IKE_AUTH response missing at least one of the Child SA payloads "),
        ("3.18", "4.4", "missing v2SA, v2TSi or v2TSr: not attempting to setup child SA"),
        ("3.18", MAIN, "missing v2CP reply, not attempting to setup child SA"),
    ),
    *_rows(
        replace(_GUESS, reason=Reason.CHILD_MISSING, began=_PEER, proof=Proof.PEER),
        ("5.0", MAIN, "IKE_AUTH request does not include a CP payload required by "),
    ),
    *_rows(
        replace(_GUESS, reason=Reason.CHILD_MISSING, version=1),
        ("3.23", MAIN, rf"STATE: STATE_QUICK_I1: {_LATE}\.  No acc",
         "max number of retransmissions (%) reached after "),
        ("3.18", "3.22", rf"{_GIVEN_UP} STATE_QUICK_I1\.  No acceptable ",
         "max number of retransmissions (%) reached %"),
        # The peer has answered all of phase 1, and gives no address
        ("3.23", MAIN, rf"STATE: STATE_MODE_CFG_I1: {_LATE}",
         "max number of retransmissions (%) reached after "),
        ("3.18", "3.22", rf"{_GIVEN_UP} STATE_MODE_CFG_I1\b",
         "max number of retransmissions (%) reached %"),
    ),
    *_rows(
        # The same, and doesn't say what it thinks of the user name and password
        replace(_GUESS, reason=Reason.CREDENTIALS, version=1),
        ("3.23", MAIN, rf"STATE: STATE_XAUTH_I[01]: {_LATE}",
         "max number of retransmissions (%) reached after "),
        ("3.18", "3.22", rf"{_GIVEN_UP} STATE_XAUTH_I[01]\b",
         "max number of retransmissions (%) reached %"),
    ),
    # --- no answer --------------------------------------------------------------------------
    *_rows(
        replace(_GUESS, reason=_AUTH),
        ("3.23", MAIN, rf"STATE: \w+: {_LATE}\.  Possible authent",
         "max number of retransmissions (%) reached after "),
        ("3.18", "3.22", rf"{_GIVEN_UP} \w+\.  Possible authentication failure",
         "max number of retransmissions (%) reached %"),
    ),
    *_rows(
        replace(_FAILURE, reason=Reason.NO_ANSWER, began=_WE),
        ("3.23", MAIN, rf"STATE: \w+: {_LATE}", "max number of retransmissions (%) reached after "),
        ("3.18", "3.22", rf"{_GIVEN_UP} ", "max number of retransmissions (%) reached %"),
    ),
    *_rows(
        # Phase 1 alone: an IKEv1 Child outlives it
        replace(_GUESS, reason=Reason.PEER_DELETED, began=_PEER, proof=Proof.PEER, version=1),
        ("3.18", MAIN, r"received Delete SA payload: (?:self-)?deleting ISAKMP State #\d",
         "deleting ISAKMP State "),
    ),
    # --- what a notification says; the reason is the notification's --------------------------
    *_rows(
        replace(_ECHO, began=_WE, version=2),
        ("3.25", "3.27", rf"AUTH response contained the error notification {_NOTE}",
         "^AUTH response contained the error notification %"),
        ("3.28", "5.3.2", rf"IKE_AUTH response contained the error notification {_NOTE}",
         "IKE_AUTH response contained the error notification %"),
        ("4.5", "5.3.2", rf"IKE_AUTH response contained the CHILD SA error notification {_NOTE}",
         "IKE_AUTH response contained the CHILD SA error notification '%'"),
        ("5.4", MAIN, rf"IKE SA authentication failed, incomplete {_PLAIN} notification {_NOTE}",
         "incomplete IKE_AUTH response contains the Child SA error notification %"),
        ("3.25", "3.27", rf"IKE SA authentication request rejected: {_NOTE}",
         "IKE SA authentication request rejected: %"),
        ("3.28", MAIN, rf"IKE SA authentication request rejected by peer: {_NOTE}",
         "IKE SA authentication request rejected by peer: %"),
    ),
    *_rows(
        replace(_ECHO, began=_WE, proof=Proof.PEER, version=2),
        ("4.5", MAIN, rf"IKE_AUTH response rejected Child SA with {_NOTE}",
         "IKE_AUTH response rejected Child SA with %"),
        ("5.4", MAIN, rf"peer rejected Child SA \({_NOTE}\)", "peer rejected Child SA "),
        ("5.4", MAIN, rf"response for Child SA #\d+ was rejected (?:with |\(){_NOTE}",
         "response for Child SA % was rejected with %"),
        ("4.5", MAIN,
         rf"CREATE_CHILD_SA (?:\([\w ]{{1,40}}\) )?failed with error notification {_NOTE}",
         "failed with error notification %"),
        ("3.23", MAIN, rf"received ERROR NOTIFY \(\d+\): {_NOTE}", "received ERROR NOTIFY (%): %"),
    ),
    *_rows(
        replace(_ECHO, proof=Proof.PEER, version=2),
        ("4.5", "5.3.2", rf"CHILD SA failed: {_NOTE}", "CHILD SA failed: %"),
        ("4.5", MAIN, rf"CHILD SA encountered fatal error: {_NOTE}",
         "CHILD SA encountered fatal error: %"),
    ),
    *_rows(
        # Encrypted: in an exchange of which the sender has authenticated itself, and in others
        replace(_ECHO, began=_WE, proof=Proof.PEER, version=2),
        ("3.25", "5.1", rf"dropping unexpected (?:ISAKMP_v2_)?CREATE_CHILD_SA {_UNDER_KEYS}",
         "; encrypted payloads: "),
        ("3.25", "5.1", rf"unexpected CREATE_CHILD_SA {_UNDER_KEYS}", "; encrypted payloads: "),
    ),
    *_rows(
        replace(_ECHO, began=_WE, version=2),
        ("3.25", "5.1", rf"dropping unexpected (?:ISAKMP_v2_)?[A-Z_]+ {_UNDER_KEYS}",
         "; encrypted payloads: "),
        ("3.25", "5.1", rf"unexpected [A-Z_]+ {_UNDER_KEYS}", "; encrypted payloads: "),
    ),
    *_rows(
        # The peer's identity is looked at before its traffic selectors
        replace(_ECHO, began=_PEER, proof=Proof.PEER, version=2),
        ("3.25", MAIN,
         rf"responding to (?:ISAKMP_v2_)?IKE_AUTH {_PLAIN} with encrypted notification {_TS_NOTE}",
         "responding to % message (ID %) from %"),
    ),
    *_rows(
        # Encrypted; in all exchanges but these two the sender has authenticated itself
        replace(_ECHO, began=_PEER, version=2),
        ("3.25", MAIN,
         rf"responding to (?:ISAKMP_v2_)?{_UNPROVED}\b{_PLAIN} with encrypted notification {_NOTE}",
         "responding to % message (ID %) from %"),
    ),
    *_rows(
        replace(_ECHO, began=_PEER, proof=Proof.PEER, version=2),
        ("3.25", MAIN, rf"responding to {_PLAIN} with encrypted notification {_NOTE}",
         "responding to % message (ID %) from %"),
    ),
    *_rows(
        # In the clear
        replace(_ECHO, began=_PEER, proof=Proof.NONE, version=2),
        # INVALID_KE_PAYLOAD only asks for another of the groups that the peer has proposed
        ("3.25", MAIN,
         rf"responding to {_PLAIN} with unencrypted notification (?!INVALID_KE_PAYLOAD){_NOTE}",
         "with unencrypted notification %"),
    ),
    *_rows(
        replace(_ECHO, began=_WE, proof=Proof.NONE, version=2),
        ("3.18", "3.32", rf"STATE: \w+: received unauthenticated {_NOTE}",
         "%: received unauthenticated % - ignored"),
        ("3.18", "3.32", rf"received unauthenticated {_NOTE}",
         "%: received unauthenticated % - ignored"),
        ("3.25", MAIN, rf"ignoring (?:unexpected )?{_MESSAGE} containing {_NOTE}",
         "^ containing $"),
        ("3.25", MAIN, rf"dropping unexpected {_MESSAGE} containing {_NOTE}", "^ containing $"),
        ("3.25", MAIN, rf"unexpected {_MESSAGE} containing {_NOTE}", "^ containing $"),
    ),
    *_rows(
        replace(_ECHO, version=1, proof=Proof.PEER),
        ("5.2", MAIN, rf"ignoring secured informational payload {_NOTE}",
         "ignoring secured informational payload %"),
        ("3.18", MAIN, rf"sending encrypted notification {_NOTE} to ",
         "sending %notification % to %"),
    ),
    *_rows(
        replace(_ECHO, version=1, proof=Proof.NONE),
        ("5.2", MAIN, rf"ignoring unsecured informational payload {_NOTE}",
         "ignoring unsecured informational payload %"),
        ("3.18", "5.1", rf"ignoring informational payload {_NOTE}",
         "ignoring informational payload %, msgid="),
        ("3.27", "5.1", rf"received and ignored notification payload: {_NOTE}",
         "received and ignored notification payload: %"),
        ("3.18", MAIN, rf"sending notification {_NOTE} to ", "sending %notification % to %"),
    ),
)

TABLE: Final = (*PROGRESS, *LOSSES, *FAILURES, *LOADING)
"""All wordings of lines about a connection. If several fit a line, the first one is used."""

_PLUTO: Final = Finding(LogEvent.STARTED, subject=Subject.PLUTO)
_HOST: Final = r"(?P<host>[^']{1,253})"

DAEMON_TABLE: Final = (
    *_rows(
        _PLUTO,
        ("3.18", MAIN, r"Starting Pluto \(", "Starting Pluto (Libreswan Version %) pid:"),
    ),
    *_rows(
        replace(_PLUTO, event=LogEvent.STOPPED),
        ("3.18", "5.0", "shutting down$", "^shutting down%$"),
        ("4.2", "4.6", "shutting down, leavings state"),
        ("3.18", "5.0", "shutting down despite whacky magic", "^shutting down%$"),
        ("4.7", MAIN, r"Pluto is shutting down(?: \(leaving state\))?$", "Pluto is shutting down"),
    ),
    *_rows(
        # ``other`` is the connection itself
        Finding(LogEvent.LOADED, subject=Subject.CONNECTION),
        ("3.18", "3.32", f"added connection description {_CONNECTION}",
         'added connection description "%"'),
        ("4.0", "4.1", rf"added \w+ connection {_CONNECTION}", 'added % connection "%"'),
    ),
    *_rows(
        # A local address, or its interface, is gone
        replace(_LOSS, reason=Reason.UNREACHABLE, subject=Subject.ADDRESS),
        ("3.18", MAIN,
         r"shutting down interface [^ ]{1,64}(?: \[?(?P<address>[0-9a-fA-F:.]{2,45}?)\]?:\d+$)?",
         "shutting down interface %"),
    ),
    *_rows(
        replace(_LOSS, reason=Reason.UNREACHABLE),
        ("3.18", "4.15", r"deleting lasting state #(?P<ended>\d{1,10}) on interface ",
         "deleting lasting state #% on interface (%) which is shutting down"),
    ),
    *_rows(
        # The name of a host in a connection's configuration
        replace(_LOCAL, reason=Reason.UNREACHABLE, began=_WE, subject=Subject.HOST),
        ("3.18", "4.15", f"failed to convert '{_HOST}' at load time",
         "failed to convert '%' at load time: "),
    ),
)
"""All wordings of lines that don't begin with a connection's name.

They are about pluto itself, about interfaces, or about the names of hosts.
"""
# fmt: on
