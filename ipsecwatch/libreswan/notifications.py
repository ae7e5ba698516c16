# SPDX-License-Identifier: MIT
"""The error notifications of IKE in plain words: what one side tells the other when it refuses.

Source: for IKEv2 IANA's registry of error types (RFC 7296 3.10.1 and later RFCs), for IKEv1 RFC
2408 3.14.1. pluto prints the same names, up to 4.x with ``v1N_`` or ``v2N_`` in front of some.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Notification:
    """An error notification, or another error word: its name, what it means, what to do."""

    name: str
    number: int | None
    """The notification's type in IKE messages; None for other error words."""
    version: int | None
    """The version of IKE that has this notification; None for other error words."""
    meaning: str
    advice: str = ""


def _v1(name: str, number: int, meaning: str, advice: str = "") -> Notification:
    return Notification(name, number, 1, meaning, advice)


def _v2(name: str, number: int, meaning: str, advice: str = "") -> Notification:
    return Notification(name, number, 2, meaning, advice)


_COMPARE_IDS: Final = (
    "Compare leftid=, rightid= and the secret or certificate on both sides; the log of the side "
    "that refused says which of them it was."
)
_COMPARE_ALGORITHMS: Final = "Compare ike=, esp= and pfs= on both sides."
_COMPARE_SUBNETS: Final = (
    "Compare leftsubnet= and rightsubnet= on both sides: they must mirror each other."
)
_CERTIFICATES: Final = (
    "Look at the certificates and their authority on both sides: ipsec auto --listcerts (from 5.0 "
    "on: ipsec listcerts)."
)
_DEFECT: Final = (
    "Nothing in the settings causes this by itself: look for a newer release on both sides, and "
    "for a packet that was changed on its way."
)
_FORGOT: Final = (
    "Harmless now and then, as after a restart. If it stays, take the tunnel down and up, and set "
    "dpddelay= on both sides, so that a dead SA is found sooner."
)

NOTIFICATION_TABLE: Final = (
    # --- IKEv2 ---
    _v2("UNSUPPORTED_CRITICAL_PAYLOAD", 1,
        "The receiver doesn't know a part of the message that the sender marked as critical.",
        _DEFECT),
    _v2("INVALID_IKE_SPI", 4,
        "The receiver doesn't know the IKE SA of the message: it restarted, or gave it up.",
        _FORGOT),
    _v2("INVALID_MAJOR_VERSION", 5,
        "The receiver doesn't speak this version of IKE.",
        "Compare ikev2= on both sides; one of them has IKEv1, the other IKEv2."),
    _v2("INVALID_SYNTAX", 7,
        "The receiver could not make sense of the message, or it breaks a rule of IKE.",
        _DEFECT),
    _v2("INVALID_MESSAGE_ID", 9,
        "A message had a number outside of what the receiver expects.", _DEFECT),
    _v2("INVALID_SPI", 11,
        "An encrypted packet came for a Child SA that the receiver doesn't know.", _FORGOT),
    _v2("NO_PROPOSAL_CHOSEN", 14,
        "None of the algorithms that were proposed is allowed on the other side. In IKE_SA_INIT "
        "that is about ike=, in IKE_AUTH and CREATE_CHILD_SA about esp= and pfs=. In IKE_SA_INIT "
        "anybody can have sent it, so pluto ignores it and goes on asking: the tunnel "
        "looks as if the peer were silent.",
        _COMPARE_ALGORITHMS),
    _v2("INVALID_KE_PAYLOAD", 17,
        "The key exchange was begun with a group (such as MODP2048) that the other side doesn't "
        "want; it names another one, and the initiator begins anew with that. It fails only if "
        "that one isn't allowed here.",
        "If it doesn't come up, compare the groups in ike=, esp= and pfs= on both sides."),
    _v2("AUTHENTICATION_FAILED", 24,
        "The other side does not accept who we are: our key, secret, certificate or identity is "
        "another one than it expects. Some send it for any refusal in IKE_AUTH.",
        _COMPARE_IDS),
    _v2("SINGLE_PAIR_REQUIRED", 34,
        "The other side takes one pair of addresses a Child SA, and was asked for more.",
        _COMPARE_SUBNETS),
    _v2("NO_ADDITIONAL_SAS", 35,
        "The other side takes no more Child SAs in this IKE SA.",
        "Give each pair of subnets that it allows one connection, or raise its limit."),
    _v2("INTERNAL_ADDRESS_FAILURE", 36,
        "The server could not give the client an address.",
        "Look at the server's pool (rightaddresspool=): it may be empty, or not set."),
    _v2("FAILED_CP_REQUIRED", 37,
        "The server wants the client to ask for an address, and it did not.",
        "Client: leftmodecfgclient=yes and narrowing=yes. Or no address pool on the server."),
    _v2("TS_UNACCEPTABLE", 38,
        "The other side has no connection for the subnets that it was asked for.",
        _COMPARE_SUBNETS),
    _v2("INVALID_SELECTORS", 39,
        "A packet came through a Child SA whose subnets it doesn't belong to.",
        _COMPARE_SUBNETS),
    _v2("UNACCEPTABLE_ADDRESSES", 40,
        "MOBIKE: the other side doesn't take the new addresses (RFC 4555)."),
    _v2("UNEXPECTED_NAT_DETECTED", 41,
        "MOBIKE: a NAT is on the way where none is allowed (RFC 4555)."),
    _v2("USE_ASSIGNED_HoA", 42,
        "Mobile IPv6: the client has to use the home address that it was given (RFC 5026)."),
    _v2("TEMPORARY_FAILURE", 43,
        "The other side can't do this just now, mostly because a rekey crosses another one.",
        "Wait: it is tried again. If it stays, take the tunnel down and up."),
    _v2("CHILD_SA_NOT_FOUND", 44,
        "A rekey named a Child SA that the other side doesn't have any more.",
        "Wait: a new one is negotiated. If it stays, take the tunnel down and up."),
    _v2("INVALID_GROUP_ID", 45, "Group keys: the group isn't known (RFC 9838)."),
    _v2("AUTHORIZATION_FAILED", 46, "Group keys: the member may not join the group (RFC 9838)."),
    _v2("STATE_NOT_FOUND", 47,
        "A further key exchange belongs to nothing that the other side knows (RFC 9370)."),
    _v2("TS_MAX_QUEUE", 48,
        "The other side takes no more Child SAs for single CPUs or queues (RFC 9611); the tunnel "
        "works with those that it has."),
    _v2("REGISTRATION_FAILED", 49, "Group keys: registering failed (RFC 9838)."),
    # --- IKEv1 ---
    _v1("INVALID_PAYLOAD_TYPE", 1, "The receiver doesn't know a part of the message.", _DEFECT),
    _v1("DOI_NOT_SUPPORTED", 2, "The message is for another protocol than IPsec.", _DEFECT),
    _v1("SITUATION_NOT_SUPPORTED", 3, "The receiver doesn't handle this situation.", _DEFECT),
    _v1("INVALID_COOKIE", 4,
        "The receiver doesn't know the phase 1 of the message: it restarted, or gave it up.",
        _FORGOT),
    _v1("INVALID_MAJOR_VERSION", 5,
        "The receiver doesn't speak this version of IKE.",
        "Compare ikev2= on both sides; one of them has IKEv1, the other IKEv2."),
    _v1("INVALID_MINOR_VERSION", 6, "The receiver doesn't speak this version of IKE.", _DEFECT),
    _v1("INVALID_EXCHANGE_TYPE", 7,
        "The receiver doesn't do this kind of exchange, mostly Aggressive Mode.",
        "Compare aggressive= (aggrmode=) on both sides."),
    _v1("INVALID_FLAGS", 8, "The message's flags are wrong.", _DEFECT),
    _v1("INVALID_MESSAGE_ID", 9, "A message had a number that the receiver doesn't expect.",
        _DEFECT),
    _v1("INVALID_PROTOCOL_ID", 10, "The receiver doesn't know a protocol in the proposal.",
        _COMPARE_ALGORITHMS),
    _v1("INVALID_SPI", 11,
        "A message, or an encrypted packet, names an SA that the receiver doesn't know.",
        _FORGOT),
    _v1("INVALID_TRANSFORM_ID", 12, "The receiver doesn't know an algorithm in the proposal.",
        _COMPARE_ALGORITHMS),
    _v1("ATTRIBUTES_NOT_SUPPORTED", 13, "The receiver doesn't know an attribute of the proposal.",
        _COMPARE_ALGORITHMS),
    _v1("NO_PROPOSAL_CHOSEN", 14,
        "None of the algorithms that were proposed is allowed on the other side. In phase 1 that "
        "is about ike=, in phase 2 about esp= and pfs=; some send it for subnets that they don't "
        "know, too. pluto ignores it in phase 1, where anybody can have sent it, and "
        "goes on asking.",
        _COMPARE_ALGORITHMS),
    _v1("BAD_PROPOSAL_SYNTAX", 15, "The receiver could not make sense of the proposal.",
        _COMPARE_ALGORITHMS),
    _v1("PAYLOAD_MALFORMED", 16,
        "The receiver could not make sense of the message. In the first encrypted message of "
        "phase 1 that mostly means that the two sides have different preshared secrets.",
        "Compare the secret in ipsec.secrets on both sides, blanks and line ends included."),
    _v1("INVALID_KEY_INFORMATION", 17,
        "The receiver has no public key for the sender, or it doesn't fit.", _COMPARE_IDS),
    _v1("INVALID_ID_INFORMATION", 18,
        "In phase 1: the receiver knows no connection for the sender's identity. In phase 2: it "
        "knows none for the subnets.",
        "Phase 1: compare leftid= and rightid= on both sides. Phase 2: compare leftsubnet= and "
        "rightsubnet=."),
    _v1("INVALID_CERT_ENCODING", 19, "The receiver could not read the certificate.",
        _CERTIFICATES),
    _v1("INVALID_CERTIFICATE", 20,
        "The receiver doesn't accept the certificate: expired, revoked, or for something else.",
        _CERTIFICATES),
    _v1("CERT_TYPE_UNSUPPORTED", 21, "The receiver doesn't know this kind of certificate.",
        _CERTIFICATES),
    _v1("INVALID_CERT_AUTHORITY", 22,
        "The receiver doesn't know, or doesn't trust, the authority that signed the certificate.",
        _CERTIFICATES),
    _v1("INVALID_HASH_INFORMATION", 23,
        "The proof of who the sender is doesn't fit: mostly another preshared secret.",
        _COMPARE_IDS),
    _v1("AUTHENTICATION_FAILED", 24,
        "The other side does not accept who we are: our key, secret, certificate or identity is "
        "another one than it expects.",
        _COMPARE_IDS),
    _v1("INVALID_SIGNATURE", 25,
        "The signature doesn't fit the key that the receiver has for the sender.", _COMPARE_IDS),
    _v1("ADDRESS_NOTIFICATION", 26, "The sender tells an address; nothing failed by itself."),
    _v1("NOTIFY_SA_LIFETIME", 27, "The sender tells a lifetime; nothing failed."),
    _v1("CERTIFICATE_UNAVAILABLE", 28, "The sender doesn't have the certificate asked for.",
        _CERTIFICATES),
    _v1("UNSUPPORTED_EXCHANGE_TYPE", 29,
        "The receiver doesn't do this kind of exchange, mostly Aggressive Mode.",
        "Compare aggressive= (aggrmode=) on both sides."),
    _v1("UNEQUAL_PAYLOAD_LENGTHS", 30, "The lengths in the message contradict each other.",
        _DEFECT),
)  # fmt: skip
"""All error notifications: those of IKEv2 first, then those of IKEv1."""


def _word(name: str, meaning: str, advice: str = "") -> Notification:
    return Notification(name, None, None, meaning, advice)


_NETWORK: Final = "Look at: ip address, ip route get ADDRESS."

ERROR_WORDS: Final = (
    _word("Connection refused",
          "Somebody at the peer's address, or on the way, says that nothing listens on the port "
          "(ICMP port unreachable, errno 111).",
          "See that IPsec runs on the peer, and that UDP 500 and 4500 are open there."),
    _word("No route to host",
          "A machine on the way, or our own, can't reach the peer's address (errno 113).",
          f"{_NETWORK} The peer may be switched off, or its address wrong."),
    _word("Network is unreachable",
          "This machine has no route to the peer's address (errno 101).", _NETWORK),
    _word("Message too long",
          "A packet was larger than the way allows (errno 90); pluto sends it in pieces.",
          "If it doesn't come up: fragmentation=yes on both sides."),
    _word("Operation not permitted",
          "This machine itself drops the packet (errno 1).",
          "Let the firewall here pass UDP 500 and 4500."),
    _word("SEC_ERROR_EXPIRED_CERTIFICATE",
          "The peer's certificate has expired, or the clock here is wrong.",
          "Look at the certificate's dates, and at: date."),
    _word("SEC_ERROR_REVOKED_CERTIFICATE", "The peer's certificate has been revoked.",
          "Give the peer a new one."),
    _word("SEC_ERROR_UNKNOWN_ISSUER",
          "The authority that signed the peer's certificate isn't known here.",
          "Import its certificate: ipsec auto --listcacerts (from 5.0 on: ipsec listcacerts) shows "
          "which are known."),
    _word("SEC_ERROR_UNTRUSTED_ISSUER",
          "The authority that signed the peer's certificate isn't trusted here.",
          "Trust it for peers: certutil -M -n NAME -t CT,C,C, in pluto's NSS database."),
    _word("SEC_ERROR_CA_CERT_INVALID",
          "The certificate of the authority isn't fit to sign others.", _CERTIFICATES),
    _word("SEC_ERROR_INADEQUATE_CERT_TYPE",
          "The certificate isn't made for IPsec (extended key usage).", _CERTIFICATES),
    _word("SEC_ERROR_INADEQUATE_KEY_USAGE",
          "The certificate's key isn't made for signatures (key usage).", _CERTIFICATES),
)  # fmt: skip
"""Other error words in pluto's log: errors of the network, and of NSS about certificates."""

_SHORT: Final = {
    # as strongSwan prints them
    "AUTH_FAILED": "AUTHENTICATION_FAILED", "NO_PROP": "NO_PROPOSAL_CHOSEN",
    "INVAL_KE": "INVALID_KE_PAYLOAD", "TS_UNACCEPT": "TS_UNACCEPTABLE",
    "INVAL_ID": "INVALID_ID_INFORMATION", "INVAL_SYN": "INVALID_SYNTAX",
    "INVAL_SPI": "INVALID_SPI", "INVAL_IKE_SPI": "INVALID_IKE_SPI",
    "TEMP_FAIL": "TEMPORARY_FAILURE", "INT_ADDR_FAIL": "INTERNAL_ADDRESS_FAILURE",
    "SINGLE_PAIR": "SINGLE_PAIR_REQUIRED",
    "NO_CHILD_SA": "CHILD_SA_NOT_FOUND", "NO_ADD_SAS": "NO_ADDITIONAL_SAS",
    "INVAL_HASH": "INVALID_HASH_INFORMATION", "INVALID_KE": "INVALID_KE_PAYLOAD",
}  # fmt: skip


def _spelt(word: str) -> str:
    """Return a name of a notification or error word in the spelling by which names are compared.

    That is upper case with ``_`` for ``-`` and blanks (RFC 2408 has ``-``), without pluto's prefix
    (``v2N_``). A short name of strongSwan becomes the full name: ``AUTHENTICATION_FAILED`` for
    ``AUTH_FAILED``.
    """
    plain = word.strip().upper().replace("-", "_").replace(" ", "_")
    for prefix in ("V1N_", "V2N_", "ISAKMP_N_"):
        plain = plain.removeprefix(prefix)
    return _SHORT.get(plain, plain)


def notifications(word: str) -> list[Notification]:
    """Return the error notifications and other error words with this name, in any usual spelling.

    There may be one for each version of IKE. Empty: the name isn't known.
    """
    spelt = _spelt(word)
    return [n for n in (*NOTIFICATION_TABLE, *ERROR_WORDS) if _spelt(n.name) == spelt]
