# SPDX-License-Identifier: MIT
"""Sentence and advice for one log line that shows why a negotiation failed, or why SAs ended.

log_story.py chooses the line. A Said (libreswan/log_attempts.py) is a line with what it shows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.local_failures import local_failure
from ipsecwatch.libreswan.log_lines import Began, LogEvent, LossKind, Proof, Weight
from ipsecwatch.libreswan.notifications import notifications
from ipsecwatch.libreswan.service_lines import Fate
from ipsecwatch.reasons import REASON_TEXTS, ReasonText
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from ipsecwatch.libreswan.log_attempts import Said


def is_unclear(cause: Said) -> bool:
    """Return whether a log line leaves the cause open: pluto prints it for several causes."""
    by_us = cause.finding.reason is Reason.OPERATOR
    return cause.finding.end is LossKind.AMBIGUOUS or (
        by_us and cause.finding.end is LossKind.UNEXPLAINED
    )


_UNPROVED: Final = "That answer is not authenticated."


def is_unproved(failure: Said) -> bool:
    """Return whether anybody on the network could have caused a log line, by a forged packet.

    That is so for a refusal by the peer that isn't authenticated, and for an error of the network.
    pluto ignores both, and continues its attempt.
    """
    by_peer = failure.finding.weight is Weight.ECHO and _side(failure) == "peer"
    return failure.finding.proof is Proof.NONE and (
        by_peer or failure.finding.weight is Weight.NETWORK
    )


def why(said: Said) -> str:
    """Return in one or two sentences the cause that a log line shows.

    Whatever fits first is said: which failure on this machine it was, who refused what, that nobody
    answered, or else the sentence for the line's reason. The name of an error in the line follows
    in brackets: ``The peer refused our proposal … (NO_PROPOSAL_CHOSEN).``
    """
    text = said.line.said.text
    ours = local_failure(text)
    if ours is not None:
        other = clean(said.finding.other or "", 80)
        return f"{ours.sentence} It is {other}." if other else ours.sentence
    if (special := _special(text)) is not None:
        return special.sentence
    word = named(text)
    note = f" ({word})" if word else ""
    told = _SIDES.get((said.finding.reason, _side(said)))
    if word == "PAYLOAD_MALFORMED" and _side(said) == "peer":
        told = "The peer could not read our message: most often the two secrets differ"
    if told is not None and is_unproved(said):
        return f"It seems that {lower(told)}{note}. {_UNPROVED}"
    if told is not None:
        return f"{told}{note}."
    if _is_silence(said):
        return REASON_TEXTS[Reason.NO_ANSWER].sentence
    if said.finding.reason is Reason.PEER_DELETED:
        return "The peer ended the negotiation."
    return f"{sentence(said).rstrip('.')}{note}."


def _is_silence(said: Said) -> bool:
    """Return whether a log line says that a negotiation ended because nobody answered."""
    return said.finding.event is LogEvent.FAILURE and said.finding.weight is Weight.SILENCE


def _special(text: str) -> ReasonText | None:
    """Return sentence and advice for a log line whose words show more than its Reason does.

    Return None for a line that no pattern in _SPECIAL fits. ``text``: the line without the name of
    its connection.
    """
    return next((told for pattern, told in _SPECIAL if pattern.match(text)), None)


def _row(pattern: str, sentence: str, advice: str) -> tuple[re.Pattern[str], ReasonText]:
    """Return a row of _SPECIAL: a compiled pattern, and sentence and advice for lines that fit it.

    ``pattern`` is compared with the beginning of a line.
    """
    return re.compile(pattern), ReasonText(sentence, advice)


_SPECIAL: Final = (
    _row(
        r"(?:[A-Z_0-9]{3,40}: )?[\w ()]{10,90}\.  Possible authentication failure",
        "The peer doesn't answer our proof of who we are: perhaps it refuses it, or the way "
        "is blocked.",
        "Read the log of the peer; compare leftid, rightid and the secret or "
        "certificate on both sides, and let UDP 4500 and fragments pass.",
    ),
    _row(
        r"probable authentication failure \(mismatch of preshared secrets",
        "We could not read the peer's message: most often the two secrets differ.",
        "Compare the secret in ipsec.secrets on both sides, blanks and line ends included.",
    ),
    _row(
        r"(?:authentication failed: (?:computed hash|\d{1,4} byte hash|PSK AUTH mismatch)"
        r"|(?:PSK Authentication failed: )?AUTH mismatch|received Hash Payload does not match)",
        "What the peer sent does not fit our secret: most often the two secrets differ.",
        "Compare the secret in ipsec.secrets on both sides, blanks and line ends included. Where "
        "there are several, see that the line for these two identities is the right one.",
    ),
    _row(
        r"we require IKEv[12] peer to have ID '|(?:peer )?ID_DER_ASN1_DN '|peer ID DER_ASN1_DN '"
        r"|Peer ID '.{0,300}' mismatched on first found|no suitable connection for peer '",
        "The peer calls itself otherwise than we expect: its identity is not that of rightid=.",
        "The line has the peer's identity. Set rightid= to it, or have the peer send the other one "
        "(its leftid=). A peer behind NAT may send its private address.",
    ),
    _row(
        r"Peer (?:CERT payload|public key) SubjectAltName does not match|certificate (?:does not "
        r"contain|contains no|subjectAltName)|No matching subjectAltName|X509: connection failed "
        r"due to unmatched|[`']?Peer ID '.{0,300}' is not specified on the certificate",
        "The peer's identity is not in its certificate.",
        "Set rightid= to a name that the certificate has (its subject, or a subjectAltName), or "
        "give the peer a certificate with that name.",
    ),
    _row(
        r"no \w{2,10} public key known for '|DNS: IPSECKEY not found",
        "We have no public key for the identity that the peer has.",
        "Compare rightid= with it, and give rightrsasigkey= or rightcert=, or the certificate "
        "of its authority.",
    ),
    _row(
        r"[^'\"]{0,60}PPK",
        "The two sides do not agree on the post-quantum key (PPK).",
        "Compare ppk=, ppk-ids= and the PPKS lines in ipsec.secrets on both sides.",
    ),
    _row(
        "(?:authentication failed: )?[Pp]eer attempted ",
        "The peer proves who it is in another way than we want.",
        "Compare authby= (leftauth=, rightauth=) on both sides.",
    ),
    _row(
        r"policy dictates [\w ]{1,40}, but|local policy requires \w{1,20} Mode but peer",
        "One side wants tunnel mode, and the other transport mode.",
        "Compare type= on both sides.",
    ),
    _row(
        "NSS: Handshake failed",
        "The client and this machine didn't accept each other's certificates (EAP-TLS).",
        "The line has NSS's error. Compare the authority of the client's certificate with those "
        "in this machine's NSS database (ipsec listcacerts), and its dates.",
    ),
    _row(
        r"redirect loop|IKE_\w{4,8} redirect (?:loop|exceeds limit)",
        "Gateways sent us from one to another again and again, until pluto gave up.",
        "Ask their administrator, or have the first one serve us: accept-redirect=no.",
    ),
    _row(
        r"[\w ]{10,60} INTERNAL_ADDRESS_FAILURE",
        "The peer has no address for this machine: perhaps all of its addresses are lent.",
        "Ask the administrator of the peer, who sees its address pool, or end another session.",
    ),
    _row(
        r"(?:max number of retransmissions \(\d+\) reached )?STATE_MODE_CFG_I1\b",
        "The peer accepted us, and then gave this machine no address (mode config).",
        "Ask the administrator of the peer whether all of its addresses are lent; compare "
        "leftmodecfgclient= with what it offers.",
    ),
    _row(
        r"(?:max number of retransmissions \(\d+\) reached )?STATE_XAUTH_I\d\b",
        "The peer didn't answer to our user name and password (XAUTH).",
        "Check user name and password, and ask the administrator of the peer for its log.",
    ),
    _row(
        r"CREATE_CHILD_SA .{0,80}TEMPORARY_FAILURE",
        "The peer could not do this just now, mostly because a rekey crossed another one "
        "(TEMPORARY_FAILURE).",
        "Wait: it is tried again. If it stays, take the tunnel down and up.",
    ),
    _row(
        "we require PFS but ",
        "We want perfect forward secrecy, and the peer doesn't offer it.",
        "Compare pfs= on both sides.",
    ),
    _row(
        r"asynchronous network error report [^'\"]{0,240}?Connection refused",
        f"It seems that nothing listens for IKE at the peer's address. {_UNPROVED}",
        "See whether the peer's IPsec service runs, and listens on UDP 500 and 4500. A firewall "
        "there may also have rejected the packet.",
    ),
    _row(
        # The one that complains is this machine itself
        r"asynchronous network error report on \S{1,60} \(([0-9.]{7,15}):\d{1,5}\), "
        r"complainant \1: No route to host",
        "Nobody answers at the peer's address, or at that of the router to it, on this machine's "
        "own network.",
        "Look at ip route get ADDRESS and ip neigh, and whether the peer, or that router, runs.",
    ),
    _row(
        r"asynchronous network error report [^'\"]{0,240}?(?:No route to host|unreachable)",
        f"It seems that the peer's address can't be reached: a router says so. {_UNPROVED}",
        "Look at ip route get ADDRESS, and whether the peer is running and has this address.",
    ),
)


def named(text: str) -> str:
    """Return the name of an error in a log line, such as NO_PROPOSAL_CHOSEN; "": there is none.

    Only names that ``explain WORD`` knows count. Of several, return the first, but in a line of NSS
    the last. A prefix such as ``v2N_`` is left out.
    """
    words = [m[1] for m in _WORD.finditer(text[:600])]
    if text.startswith("NSS: "):
        words.reverse()  # a certificate's subject, which is the peer's text, comes first
    return next((word for word in words if notifications(word)), "")


_WORD: Final = re.compile(r"\b(?:v[12]N_)?([A-Z]{2,20}(?:_[A-Z]{2,20}){1,4})\b")


def sentence(said: Said) -> str:
    """Return the sentence for the reason that a log line shows.

    For the reasons OTHER and NONE, it says that the cause isn't known. For PLUTO_STOPPED, it says
    how the IPsec service ended: by a crash, say.
    """
    if said.finding.reason in (Reason.OTHER, Reason.NONE):
        return "The cause isn't known."
    if said.finding.reason is Reason.PLUTO_STOPPED:
        return service_ended(said.line.fate)
    return REASON_TEXTS[said.finding.reason].sentence


def service_ended(fate: Fate | None) -> str:
    """Return in a sentence how the IPsec service ended, such as that it crashed.

    For a fate that isn't in _ENDED, such as STOPPED or None, it says that the service was stopped.
    """
    return _ENDED.get(fate, "The IPsec service was stopped.")


_ENDED: Final[dict[Fate | None, str]] = {
    Fate.CRASHED: "The IPsec service (pluto) crashed.",
    Fate.KILLED: "The IPsec service (pluto) was killed.",
    Fate.REFUSED: "The IPsec service (pluto) ended itself. The line says why.",
    Fate.BAD_SETTINGS: (
        "Settings couldn't be read, such as those in ipsec.conf. The line says where."
    ),
    Fate.FAILED: "The IPsec service couldn't be started, or ended with an error.",
    Fate.NOT_RUNNING: "The IPsec service is not running.",
}

_BY_THE_SERVER: Final = ("XAUTH: aborting", "XAUTH: Unsuccess", "Received Cisco XAUTH")

_NOT_WE: Final = ("authentication aborted: ", "EAP AUTH failed")


def _side(said: Said) -> str:
    """Return who refused something, by a log line: "peer", or "us" for this machine.

    Return "" where the line is about no refusal, or doesn't show who refused.
    """
    finding, text = said.finding, said.line.said.text
    if finding.weight is Weight.ECHO:
        if finding.began is Began.EITHER:
            return "us" if text.startswith("sending ") else "peer"
        return "peer" if finding.began is Began.WE else "us"
    if finding.weight is not Weight.REFUSAL or text.startswith(_NOT_WE):
        return ""
    if text.startswith(_BY_THE_SERVER):
        return "peer"
    # Where we began, a wrong answer of the peer's is logged in other words.
    answer = finding.began is Began.WE and finding.reason is not Reason.AUTHENTICATION
    return "" if answer else "us"


_SIDES: Final = {
    (Reason.AUTHENTICATION, "peer"): "The peer refused our key, certificate or identity",
    (Reason.AUTHENTICATION, "us"): "We refused the peer's key, certificate or identity",
    (Reason.PROPOSAL, "peer"): "The peer refused our proposal: it allows none of our algorithms",
    (Reason.PROPOSAL, "us"): "We refused the peer's proposal: none of its algorithms is allowed",
    (Reason.TRAFFIC_SELECTORS, "peer"): "The peer refused the subnets that we asked for",
    (Reason.TRAFFIC_SELECTORS, "us"): "The peer asked for subnets that no connection here has",
    (Reason.CREDENTIALS, "peer"): "The peer refused our user name or password",
    (Reason.CREDENTIALS, "us"): "The user name or password of the peer's user was refused here",
    (Reason.OTHER, "peer"): "The peer refused, for a reason of its own",
    (Reason.OTHER, "us"): "We refused what the peer asked for",
}


def lower(sentence: str) -> str:
    """Return a sentence with a small first letter, to be put after other words.

    A sentence that begins with an abbreviation or a name in capitals, such as IKE, is returned as
    it is: its first word isn't "A", and its second letter isn't small.
    """
    word = sentence[1:2].islower() or sentence.startswith("A ")
    return sentence[:1].lower() + sentence[1:] if word else sentence


def advice(said: Said) -> str:
    """Return what to do about the cause that a log line shows.

    Return "" where the line doesn't show the cause, or where there is no advice for it.
    """
    reason = said.finding.reason
    if is_unclear(said) or reason is Reason.NONE:
        return ""
    if _is_silence(said):
        return f"{REASON_TEXTS[Reason.NO_ANSWER].advice} {_REFUSED_SILENTLY}"
    text = said.line.said.text
    if (special := _special(text)) is not None:
        return special.advice
    if reason is Reason.PROPOSAL and (phase := _phase(text)):
        return f"Compare {phase} on both sides."
    return _advice_for(named(text)) or REASON_TEXTS[reason].advice


def _phase(text: str) -> str:
    """Return the settings that a refused proposal is about: ``ike=``, or ``esp= and pfs=``.

    Return "" where a log line doesn't show whether it is about an IKE SA or a Child SA.
    """
    if _OF_CHILD.search(text[:300]):
        return PHASE_2
    return "ike=" if _OF_IKE.search(text[:300]) else ""


PHASE_2: Final = "esp= and pfs="
"""The settings that are about the algorithms of a Child SA (IPsec SA)."""

_OF_CHILD: Final = re.compile(
    r"\b(?:Child SA|CHILD SA|IPsec SA|Quick Mode|STATE_QUICK_I1|PFS)\b"
    r"|\bIKE_AUTH response (?:contained|rejected)|authentication request rejected by peer"
    r"|\b\d{1,3}:(?:ESP|AH)\b"
)
_OF_IKE: Final = re.compile(
    r"\bIKE_SA_INIT\b|\bOakley\b|\b\d{1,3}:IKE\b|INVALID_KE"
    r"|\bSTATE_(?:MAIN|AGGR|PARENT|V2_PARENT)_I1\b"
)


def _advice_for(word: str) -> str:
    """Return the advice for an error by its name, if it is better than the advice for its reason.

    It is better for PAYLOAD_MALFORMED, and for errors that aren't IKE notifications, such as those
    of NSS. Return "" for all others. ``word``: the name that named() returns; it may be "".
    """
    known = notifications(word)
    special = word == "PAYLOAD_MALFORMED" or any(n.number is None for n in known)
    return known[0].advice if known and special else ""


_REFUSED_SILENTLY: Final = (
    "A peer that refuses our ike= proposal may look the same, so compare that, too."
)
