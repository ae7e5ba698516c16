# SPDX-License-Identifier: MIT
"""Every state that pluto prints, from 3.18 to 5.4 and main: a table, and functions to look it up.

A state is how far pluto is with an SA. pluto prints its name and its story (a description), from
5.4 on the story alone: ``STATE_QUICK_I2 (IPsec SA established)``.

Source: libreswan's programs/pluto/state_db.c, ikev1_states.c, ikev2_states.c (earlier:
constants.c) at each tag. A range of releases is the first and the last tag with exactly that text;
``main`` is the development branch after 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from ipsecwatch.libreswan.releases import MAIN, is_from
from ipsecwatch.sa_states import Role, SaKind, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMELESS: Final = "5.4"
"""The first release that prints a state's story without its name."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wording:
    """The name or the story of a state, with the first and the last release that prints it."""

    text: str
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class StateInfo:
    """One of pluto's states: how it is printed, and what it means."""

    names: tuple[Wording, ...]
    stories: tuple[Wording, ...]
    ike_version: int | None
    role: Role | None
    kind: SaKind | None
    stage: Stage
    meaning: str
    sticks: str = ""
    """What is likely wrong if an SA stays in this state for more than some seconds, or ""."""
    counted: bool = True
    """Whether it is certain that pluto's totals count an SA in this state.

    False for the categories "ignore" and "informational" of pluto.
    """


def _w(*texts: tuple[str, str, str]) -> tuple[Wording, ...]:
    return tuple(Wording(*t) for t in texts)


_I: Final = Role.INITIATOR
_R: Final = Role.RESPONDER
_IKE: Final = SaKind.IKE
_CHILD: Final = SaKind.CHILD

_V1: Final = ("3.18", "5.3.2")
_OLD: Final = ("3.18", "3.32")
_NEW: Final = ("4.0", MAIN)

# fmt: off
STATE_TABLE: Final[tuple[StateInfo, ...]] = (
    # --- IKEv1, phase 1 -----------------------------------------------------------------
    StateInfo(
        _w(("STATE_MAIN_R0", *_V1)),
        _w(("expecting MI1", *_OLD), ("expecting Main Mode request", *_NEW)),
        1, _R, _IKE, Stage.HALF_OPEN,
        "The peer's first Main Mode message is being processed.",
        "pluto is busy: it waits for its crypto helpers or for DNS.",
    ),
    StateInfo(
        _w(("STATE_MAIN_I1", *_V1)),
        _w(("sent MI1, expecting MR1", *_OLD), ("sent Main Mode request", *_NEW)),
        1, _I, _IKE, Stage.HALF_OPEN,
        "We proposed Main Mode and have no usable answer yet.",
        "The peer is down or its address wrong, UDP 500 is blocked, it does not speak IKEv1, or it "
        "refuses our ike= proposals: pluto ignores that and goes on asking, and its log "
        "has NO_PROPOSAL_CHOSEN.",
    ),
    StateInfo(
        _w(("STATE_MAIN_R1", *_V1)),
        _w(("sent MR1, expecting MI2", *_OLD), ("sent Main Mode R1", *_NEW)),
        1, _R, _IKE, Stage.HALF_OPEN,
        "We answered the peer's first message and wait for its key exchange.",
        "Our packets do not reach the peer (return path, firewall), or it was a scanner.",
    ),
    StateInfo(
        _w(("STATE_MAIN_I2", *_V1)),
        _w(("sent MI2, expecting MR2", *_OLD), ("sent Main Mode I2", *_NEW)),
        1, _I, _IKE, Stage.OPEN,
        "We sent our key exchange and wait for the peer's.",
        "A NAT device changed ports, packets are lost, or the peer forgot us.",
    ),
    StateInfo(
        _w(("STATE_MAIN_R2", *_V1)),
        _w(("sent MR2, expecting MI3", *_OLD), ("sent Main Mode R2", *_NEW)),
        1, _R, _IKE, Stage.OPEN,
        "Key exchange done; the peer's encrypted identity is awaited.",
        "UDP 4500 is blocked, a large certificate was lost in fragments, or the peer could not "
        "read us (another preshared key) and gave up.",
    ),
    StateInfo(
        _w(("STATE_MAIN_I3", *_V1)),
        _w(("sent MI3, expecting MR3", *_OLD), ("sent Main Mode I3", *_NEW)),
        1, _I, _IKE, Stage.AUTHENTICATING,
        "We sent our identity and proof; the peer's are awaited.",
        "The peer refuses our key, certificate or identity without an answer, UDP 4500 is blocked, "
        "or fragments of a certificate are dropped.",
    ),
    StateInfo(
        _w(("STATE_MAIN_R3", *_V1)),
        _w(("sent MR3, ISAKMP SA established", *_OLD), ("IKE SA established", "4.0", "4.15"),
           ("ISAKMP SA established", "5.0", MAIN)),
        1, _R, _IKE, Stage.ESTABLISHED,
        "Phase 1 is up; the peer began it.",
        "Nothing is wrong with it. If no Quick Mode follows, phase 2 was refused or not requested.",
    ),
    StateInfo(
        _w(("STATE_MAIN_I4", *_V1)),
        _w(("ISAKMP SA established", *_OLD), ("IKE SA established", "4.0", "4.15"),
           ("ISAKMP SA established", "5.0", MAIN)),
        1, _I, _IKE, Stage.ESTABLISHED,
        "Phase 1 is up; we began it.",
        "Nothing is wrong with it. If no Quick Mode follows, phase 2 was refused or not requested.",
    ),
    StateInfo(
        _w(("STATE_AGGR_R0", *_V1)),
        _w(("expecting AI1", *_OLD), ("expecting Aggressive Mode request", *_NEW)),
        1, _R, _IKE, Stage.HALF_OPEN,
        "The peer's first Aggressive Mode message is being processed.",
        "pluto is busy: it waits for its crypto helpers or for DNS.",
    ),
    StateInfo(
        _w(("STATE_AGGR_I1", *_V1)),
        _w(("sent AI1, expecting AR1", *_OLD), ("sent Aggressive Mode request", *_NEW)),
        1, _I, _IKE, Stage.HALF_OPEN,
        "We proposed Aggressive Mode and have no usable answer yet.",
        "The peer is down, UDP 500 is blocked, or it does not know our group name or proposal.",
    ),
    StateInfo(
        _w(("STATE_AGGR_R1", *_V1)),
        _w(("sent AR1, expecting AI2", *_OLD),
           ("sent Aggressive Mode response, expecting confirmation", *_NEW)),
        1, _R, _IKE, Stage.AUTHENTICATING,
        "We answered Aggressive Mode; the peer's proof is awaited.",
        "The keys differ, our answer does not reach the peer, or UDP 4500 is blocked.",
    ),
    StateInfo(
        _w(("STATE_AGGR_I2", *_V1)),
        _w(("sent AI2, ISAKMP SA established", *_OLD), ("IKE SA established", "4.0", "4.15"),
           ("ISAKMP SA established", "5.0", MAIN)),
        1, _I, _IKE, Stage.ESTABLISHED,
        "Phase 1 is up; we began it.",
    ),
    StateInfo(
        _w(("STATE_AGGR_R2", *_V1)),
        _w(("ISAKMP SA established", *_OLD), ("IKE SA established", "4.0", "4.15"),
           ("ISAKMP SA established", "5.0", MAIN)),
        1, _R, _IKE, Stage.ESTABLISHED,
        "Phase 1 is up; the peer began it.",
    ),
    # --- IKEv1, XAUTH and ModeCfg: after phase 1, before phase 2 --------------------------
    StateInfo(
        _w(("STATE_XAUTH_R0", *_V1)),
        _w(("XAUTH responder - optional CFG exchange", "3.18", MAIN)),
        1, _R, _IKE, Stage.AUTHENTICATING,
        "We (the server) ask the client for user name and password.",
        "The user has not answered, the client does not do XAUTH, or PAM is slow.",
    ),
    StateInfo(
        _w(("STATE_XAUTH_R1", *_V1)),
        _w(("XAUTH status sent, expecting Ack", "3.18", MAIN)),
        1, _R, _IKE, Stage.AUTHENTICATING,
        "We (the server) told the client whether its password was right.",
        "It was not, or the client's acknowledgement is lost.",
    ),
    StateInfo(
        _w(("STATE_XAUTH_I0", *_V1)),
        _w(("XAUTH client - awaiting CFG_request", "3.18", "3.21"),
           ("XAUTH client - possibly awaiting CFG_request", "3.22", MAIN)),
        1, _I, _IKE, Stage.AUTHENTICATING,
        "Phase 1 is done; the server's question for user name and password is awaited.",
        "The server never asks (XAUTH configured here alone), or the credentials are missing here.",
    ),
    StateInfo(
        _w(("STATE_XAUTH_I1", *_V1)),
        _w(("XAUTH client - awaiting CFG_set", "3.18", "3.21"),
           ("XAUTH client - possibly awaiting CFG_set", "3.22", MAIN)),
        1, _I, _IKE, Stage.AUTHENTICATING,
        "User name and password are sent; the server's verdict is awaited.",
        "They are wrong, or the server's user database (PAM, RADIUS) is slow.",
    ),
    StateInfo(
        _w(("STATE_MODE_CFG_R0", *_V1)),
        _w(("ModeCfg Reply sent", *_OLD), ("received ModeCfg request, reply sent", *_NEW)),
        1, _R, _IKE, Stage.CONFIG,
        "We (the server) answered the client's request for an address.",
        counted=False,
    ),
    StateInfo(
        _w(("STATE_MODE_CFG_R1", *_V1)),
        _w(("ModeCfg Set sent, expecting Ack", *_OLD),
           ("sent ModeCfg reply, expecting Ack", *_NEW)),
        1, _R, _IKE, Stage.CONFIG,
        "We (the server) pushed an address and wait for the acknowledgement.",
        "The client expects to ask for it itself: compare modecfgpull on both sides.",
    ),
    StateInfo(
        _w(("STATE_MODE_CFG_R2", *_V1)),
        _w(("ModeCfg R2", *_OLD), ("received ModeCfg Ack", *_NEW)),
        1, _R, _IKE, Stage.CONFIG,
        "The client acknowledged the address that we pushed.",
    ),
    StateInfo(
        _w(("STATE_MODE_CFG_I1", *_V1)),
        _w(("ModeCfg inititator - awaiting CFG_reply", *_OLD), ("sent ModeCfg request", *_NEW)),
        1, _I, _IKE, Stage.CONFIG,
        "We asked the server for an address.",
        "Its address pool is empty or missing, or it wants to push: compare modecfgpull.",
    ),
    StateInfo(
        _w(("STATE_MODE_CFG_SERVER_WAITING_FOR_ACK", "5.2", "5.3.2")),
        _w(("server sent MODE_CFG SET, waiting for MODE_CFG ACK", "5.2", MAIN)),
        1, _R, _IKE, Stage.CONFIG,
        "We (the server) pushed an address and wait for the acknowledgement.",
        "The client expects to ask for it itself: compare modecfgpull on both sides.",
    ),
    StateInfo(
        _w(("STATE_MODE_CFG_CLIENT_RESPONDING", "5.2", "5.3.2")),
        _w(("non-pull client received MODE_CFG", "5.2", MAIN)),
        1, _I, _IKE, Stage.CONFIG,
        "The server pushed an address; we acknowledge it.",
    ),
    # --- IKEv1, phase 2 -----------------------------------------------------------------
    StateInfo(
        _w(("STATE_QUICK_R0", *_V1)),
        _w(("expecting QI1", *_OLD), ("expecting Quick Mode request", *_NEW)),
        1, _R, _CHILD, Stage.NEGOTIATING_CHILD,
        "The peer's Quick Mode request is being processed.",
        "pluto is busy with its crypto helpers.",
    ),
    StateInfo(
        _w(("STATE_QUICK_I1", *_V1)),
        _w(("sent QI1, expecting QR1", *_OLD), ("sent Quick Mode request", *_NEW)),
        1, _I, _CHILD, Stage.NEGOTIATING_CHILD,
        "We proposed a tunnel within an established phase 1; no answer yet.",
        "Phase 2 does not match: leftsubnet and rightsubnet, esp=, or pfs=. Or the peer forgot "
        "phase 1.",
    ),
    StateInfo(
        _w(("STATE_QUICK_R1", *_V1)),
        _w(("sent QR1, inbound IPsec SA installed, expecting QI2", *_OLD),
           ("sent Quick Mode reply, inbound IPsec SA installed, expecting confirmation", *_NEW)),
        1, _R, _CHILD, Stage.NEGOTIATING_CHILD,
        "We agreed and can receive; the peer's last message, after which we send, is awaited.",
        "Our answer or the peer's third packet is lost. It has SPIs and counters but is not up.",
    ),
    StateInfo(
        _w(("STATE_QUICK_I2", *_V1)),
        _w(("sent QI2, IPsec SA established", *_OLD), ("IPsec SA established", *_NEW)),
        1, _I, _CHILD, Stage.ESTABLISHED,
        "The tunnel is up in both directions; we began it.",
    ),
    StateInfo(
        _w(("STATE_QUICK_R2", *_V1)),
        _w(("IPsec SA established", "3.18", MAIN)),
        1, _R, _CHILD, Stage.ESTABLISHED,
        "The tunnel is up in both directions; the peer began it.",
    ),
    StateInfo(
        _w(("STATE_INFO", *_V1)),
        _w(("got Informational Message in clear", *_OLD),
           ("received unencrypted Informational Exchange message", *_NEW)),
        1, None, None, Stage.INFORMATIONAL,
        "An unencrypted message of the peer is being read.",
    ),
    StateInfo(
        _w(("STATE_INFO_PROTECTED", *_V1)),
        _w(("got encrypted Informational Message", *_OLD),
           ("received encrypted Informational Exchange message", *_NEW)),
        1, None, None, Stage.INFORMATIONAL,
        "A message of the peer is being read.",
    ),
    # --- IKEv2, IKE SA ------------------------------------------------------------------
    StateInfo(
        _w(("STATE_PARENT_I0", "3.25", "4.4"), ("STATE_V2_PARENT_I0", "4.5", "5.0"),
           ("IKE_SA_INIT_I0", "5.1", "5.3.2")),
        _w(("waiting for KE to finish", "3.25", MAIN)),
        2, _I, _IKE, Stage.HALF_OPEN,
        "Our key for the exchange is being computed.",
        "The machine is overloaded.",
        counted=False,
    ),
    StateInfo(
        _w(("STATE_PARENT_I1", "3.18", "4.4"), ("STATE_V2_PARENT_I1", "4.5", "5.0"),
           ("IKE_SA_INIT_I", "5.1", "5.3.2")),
        _w(("sent v2I1, expected v2R1", *_OLD), ("sent IKE_SA_INIT request", *_NEW)),
        2, _I, _IKE, Stage.HALF_OPEN,
        "We sent the first request and have no usable answer yet.",
        "The peer is down or its address wrong, UDP 500 is blocked, it has no connection for us "
        "(or speaks only IKEv1), or it refuses our ike= proposals: pluto ignores that and "
        "goes on asking, and its log has NO_PROPOSAL_CHOSEN.",
    ),
    StateInfo(
        _w(("STATE_PARENT_R0", "3.25", "4.4"), ("STATE_V2_PARENT_R0", "4.5", "5.0"),
           ("IKE_SA_INIT_R0", "5.1", "5.1")),
        _w(("processing SA_INIT request", "3.25", "3.32"),
           ("processing IKE_SA_INIT request", "4.0", "5.1")),
        2, _R, _IKE, Stage.HALF_OPEN,
        "The peer's first request is being processed.",
        "pluto is busy.",
    ),
    StateInfo(
        _w(("UNSECURED_R", "5.2", "5.3.2")),
        _w(("larval unsecured IKE SA responder", "5.2", MAIN)),
        2, _R, _IKE, Stage.HALF_OPEN,
        "A request came in; nothing is checked yet.",
        "pluto is busy.",
    ),
    StateInfo(
        _w(("STATE_PARENT_R1", "3.18", "4.4"), ("STATE_V2_PARENT_R1", "4.5", "5.0"),
           ("IKE_SA_INIT_R", "5.1", "5.3.2")),
        _w(("received v2I1, sent v2R1", *_OLD), ("sent IKE_SA_INIT reply", "4.0", "4.15"),
           ("sent IKE_SA_INIT (or IKE_INTERMEDIATE) response", "5.0", "5.0"),
           ("sent IKE_SA_INIT response, waiting for IKE_INTERMEDIATE or IKE_AUTH request",
            "5.1", "5.3.2"),
           ("sent IKE_SA_INIT response", "5.4", MAIN)),
        2, _R, _IKE, Stage.HALF_OPEN,
        "We answered a request and wait for the peer to prove who it is.",
        "Our answer does not reach it, UDP 4500 is blocked, or it was a scanner. A timer ends it.",
    ),
    StateInfo(
        _w(("IKE_SA_INIT_IR", "5.1", "5.3.2")),
        _w(("processed IKE_SA_INIT response, preparing IKE_INTERMEDIATE or IKE_AUTH request",
            "5.1", "5.3.2"),
           ("processed IKE_SA_INIT response", "5.4", MAIN)),
        2, _I, _IKE, Stage.OPEN,
        "The peer answered; our proof of identity is being made.",
        "The machine is overloaded.",
    ),
    StateInfo(
        _w(("IKE_INTERMEDIATE_I", "5.1", "5.3.2")),
        _w(("sent IKE_INTERMEDIATE request", "5.1", MAIN)),
        2, _I, _IKE, Stage.OPEN,
        "A further key exchange was sent to the peer.",
        "The peer does not do it, or its large packets are lost.",
    ),
    StateInfo(
        _w(("IKE_INTERMEDIATE_R", "5.1", "5.3.2")),
        _w(("sent IKE_INTERMEDIATE response, waiting for IKE_INTERMEDIATE or IKE_AUTH request",
            "5.1", "5.3.2"),
           ("sent IKE_INTERMEDIATE response", "5.4", MAIN)),
        2, _R, _IKE, Stage.OPEN,
        "A further key exchange was answered; the peer's next request is awaited.",
        "Our answer does not reach the peer, or large packets are lost.",
    ),
    StateInfo(
        _w(("IKE_INTERMEDIATE_IR", "5.1", "5.3.2")),
        _w(("processed IKE_INTERMEDIATE response, initiating IKE_INTERMEDIATE or IKE_AUTH",
            "5.1", "5.3.2"),
           ("processed IKE_INTERMEDIATE response", "5.4", MAIN)),
        2, _I, _IKE, Stage.OPEN,
        "A further key exchange is done; the next request is being made.",
        "The machine is overloaded.",
    ),
    StateInfo(
        _w(("STATE_PARENT_I2", "3.18", "4.4"), ("STATE_V2_PARENT_I2", "4.5", "5.0"),
           ("IKE_AUTH_I", "5.1", "5.3.2")),
        _w(("sent v2I2, expected v2R2", *_OLD), ("sent IKE_AUTH request", *_NEW)),
        2, _I, _IKE, Stage.AUTHENTICATING,
        "We sent our proof of identity; the peer's verdict is awaited.",
        "UDP 4500 is blocked, fragments of a certificate are dropped, or the peer is slow to "
        "check us. A refusal would end this state at once (up to 3.23 pluto goes on asking).",
    ),
    StateInfo(
        _w(("IKE_AUTH_IR", "5.1", "5.3.2")),
        _w(("processed IKE_AUTH response", "5.1", MAIN)),
        2, _I, _IKE, Stage.AUTHENTICATING,
        "The peer's verdict is being read.",
        "pluto is busy.",
    ),
    StateInfo(
        _w(("STATE_V2_PARENT_R_EAP", "4.7", "5.0"), ("IKE_AUTH_EAP_R", "5.1", "5.3.2")),
        _w(("sent EAP request", "4.7", "5.0"),
           ("sent IKE_AUTH(EAP) response, waiting for IKE_AUTH(EAP) request", "5.1", "5.3.2"),
           ("sent IKE_AUTH(EAP) response", "5.4", MAIN)),
        2, _R, _IKE, Stage.AUTHENTICATING,
        "We asked the client for its EAP credentials.",
        "The client waits for its user, or uses another EAP method.",
    ),
    # Up to 3.19 these two stand for the Child SA as well: then a parent serial is printed.
    StateInfo(
        _w(("STATE_PARENT_I3", "3.18", "3.32")),
        _w(("PARENT SA established", "3.18", "3.32")),
        2, _I, _IKE, Stage.ESTABLISHED,
        "The IKE SA is up; we began it.",
    ),
    StateInfo(
        _w(("STATE_PARENT_R2", "3.18", "3.32")),
        _w(("received v2I2, PARENT SA established", "3.18", "3.32")),
        2, _R, _IKE, Stage.ESTABLISHED,
        "The IKE SA is up; the peer began it.",
    ),
    StateInfo(
        _w(("STATE_V2_ESTABLISHED_IKE_SA", "4.0", "5.0"), ("ESTABLISHED_IKE_SA", "5.1", "5.3.2")),
        _w(("established IKE SA", "4.0", MAIN)),
        2, None, _IKE, Stage.ESTABLISHED,
        "The IKE SA is up. By itself it carries no traffic.",
        "If it has no Child SA, that was refused, deleted or not requested.",
    ),
    StateInfo(
        _w(("STATE_IKESA_DEL", "3.18", "4.4"), ("STATE_V2_IKE_SA_DELETE", "4.5", "5.0")),
        _w(("STATE_IKESA_DEL", "3.18", "5.0")),
        2, None, _IKE, Stage.DELETING,
        "We told the peer that the IKE SA ends; its answer is awaited.",
        "The peer is gone; the state ends when retransmission does.",
    ),
    StateInfo(
        _w(("ZOMBIE", "5.1", "5.3.2")),
        _w(("deleted state", "5.1", MAIN)),
        2, None, None, Stage.DELETING,
        "The SA is being deleted and only waits for the end of an exchange.",
        "The peer is gone; the state ends when retransmission does.",
    ),
    # --- IKEv2, Child SA ----------------------------------------------------------------
    StateInfo(
        _w(("STATE_V2_IPSEC_I", "3.20", "3.32")),
        _w(("IPsec SA established", "3.20", "3.32")),
        2, _I, _CHILD, Stage.ESTABLISHED,
        "The tunnel is up; we began it.",
    ),
    StateInfo(
        _w(("STATE_V2_IPSEC_R", "3.20", "3.32")),
        _w(("IPsec SA established", "3.20", "3.32")),
        2, _R, _CHILD, Stage.ESTABLISHED,
        "The tunnel is up; the peer began it.",
    ),
    StateInfo(
        _w(("STATE_V2_ESTABLISHED_CHILD_SA", "4.0", "5.0"),
           ("ESTABLISHED_CHILD_SA", "5.1", "5.3.2")),
        _w(("IPsec SA established", "4.0", "4.4"), ("established Child SA", "4.5", MAIN)),
        2, None, _CHILD, Stage.ESTABLISHED,
        "The tunnel is up.",
    ),
    StateInfo(
        _w(("STATE_V2_IKE_AUTH_CHILD_I0", "4.0", "5.0")),
        _w(("ephemeral: initiator creating child from IKE exchange", "4.0", "5.0")),
        2, _I, _CHILD, Stage.NEGOTIATING_CHILD,
        "The first Child SA, negotiated along with our proof of identity.",
        "Check its IKE SA: the cause is the same.",
    ),
    StateInfo(
        _w(("STATE_V2_IKE_AUTH_CHILD_R0", "4.0", "5.0")),
        _w(("ephemeral: responder creating child from IKE exchange", "4.0", "5.0")),
        2, _R, _CHILD, Stage.NEGOTIATING_CHILD,
        "The first Child SA, negotiated along with the peer's proof of identity.",
        "Check its IKE SA: the cause is the same.",
    ),
    StateInfo(
        _w(("STATE_V2_CREATE_I0", "3.20", "3.32"), ("STATE_V2_NEW_CHILD_I0", "4.0", "5.0"),
           ("NEW_CHILD_I0", "5.1", "5.3.2")),
        _w(("STATE_V2_CREATE_I0", "3.20", "3.32"), ("STATE_V2_NEW_CHILD_I0", *_NEW)),
        2, _I, _CHILD, Stage.NEGOTIATING_CHILD,
        "A further Child SA is prepared, its request not yet sent.",
        "Another request of the same IKE SA is unanswered (RETRANSMIT on its line).",
    ),
    StateInfo(
        _w(("STATE_V2_CREATE_I", "3.20", "3.32"), ("STATE_V2_NEW_CHILD_I1", "4.0", "5.0"),
           ("NEW_CHILD_I1", "5.1", "5.3.2")),
        _w(("sent IPSec Child req wait response", "3.20", "3.20"),
           ("sent IPsec Child req wait response", "3.21", "3.32"),
           ("sent CREATE_CHILD_SA request for new IPsec SA", *_NEW)),
        2, _I, _CHILD, Stage.NEGOTIATING_CHILD,
        "We asked for a further Child SA; no answer yet.",
        "The peer is gone (RETRANSMIT on the IKE SA's line) or slow.",
    ),
    StateInfo(
        _w(("STATE_V2_CREATE_R", "3.20", "3.32"), ("STATE_V2_NEW_CHILD_R0", "4.0", "5.0"),
           ("NEW_CHILD_R0", "5.1", "5.3.2")),
        _w(("STATE_V2_CREATE_R", "3.20", "3.32"), ("STATE_V2_NEW_CHILD_R0", *_NEW)),
        2, _R, _CHILD, Stage.NEGOTIATING_CHILD,
        "The peer's request for a further Child SA is being processed.",
        "pluto is busy.",
    ),
    StateInfo(
        _w(("STATE_V2_REKEY_CHILD_I0", "3.20", "5.0"), ("REKEY_CHILD_I0", "5.1", "5.3.2")),
        _w(("STATE_V2_REKEY_CHILD_I0", "3.20", MAIN)),
        2, _I, _CHILD, Stage.REKEYING,
        "New keys for a Child SA are prepared; the old one carries the traffic.",
        "Another request of the same IKE SA is unanswered (RETRANSMIT on its line).",
    ),
    StateInfo(
        _w(("STATE_V2_REKEY_CHILD_I", "3.20", "3.32"), ("STATE_V2_REKEY_CHILD_I1", "4.0", "5.0"),
           ("REKEY_CHILD_I1", "5.1", "5.3.2")),
        _w(("STATE_V2_REKEY_CHILD_I", "3.20", "3.32"),
           ("sent CREATE_CHILD_SA request to rekey IPsec SA", *_NEW)),
        2, _I, _CHILD, Stage.REKEYING,
        "We asked for new keys for a Child SA; the old one carries the traffic.",
        "The peer is gone; the tunnel ends with the old Child SA's lifetime.",
    ),
    StateInfo(
        _w(("STATE_V2_REKEY_CHILD_R", "3.20", "3.32"), ("STATE_V2_REKEY_CHILD_R0", "4.0", "5.0"),
           ("REKEY_CHILD_R0", "5.1", "5.3.2")),
        _w(("STATE_V2_REKEY_CHILD_R", "3.20", "3.32"), ("STATE_V2_REKEY_CHILD_R0", *_NEW)),
        2, _R, _CHILD, Stage.REKEYING,
        "The peer's request for new keys of a Child SA is being processed.",
        "pluto is busy.",
    ),
    StateInfo(
        _w(("STATE_CHILDSA_DEL", "3.18", "4.4"), ("STATE_V2_CHILD_SA_DELETE", "4.5", "5.0")),
        _w(("STATE_CHILDSA_DEL", "3.18", "5.0")),
        2, None, _CHILD, Stage.DELETING,
        "We told the peer that the Child SA ends; its answer is awaited.",
        "The peer is gone; the state ends when retransmission does.",
    ),
    # --- IKEv2, rekeying the IKE SA -------------------------------------------------------
    StateInfo(
        _w(("STATE_V2_REKEY_IKE_I0", "3.20", "5.0"), ("REKEY_IKE_I0", "5.1", "5.3.2")),
        _w(("STATE_V2_REKEY_IKE_I0", "3.20", MAIN)),
        2, _I, _IKE, Stage.REKEYING,
        "New keys for the IKE SA are prepared; the old one goes on.",
        "Another request of the IKE SA is unanswered (RETRANSMIT on its line).",
    ),
    StateInfo(
        _w(("STATE_V2_REKEY_IKE_I", "3.20", "3.32"), ("STATE_V2_REKEY_IKE_I1", "4.0", "5.0"),
           ("REKEY_IKE_I1", "5.1", "5.3.2")),
        _w(("STATE_V2_REKEY_IKE_I", "3.20", "3.32"),
           ("sent CREATE_CHILD_SA request to rekey IKE SA", *_NEW)),
        2, _I, _IKE, Stage.REKEYING,
        "We asked for new keys for the IKE SA; the old one goes on.",
        "The peer is gone.",
    ),
    StateInfo(
        _w(("STATE_V2_REKEY_IKE_R", "3.20", "3.32"), ("STATE_V2_REKEY_IKE_R0", "4.0", "5.0"),
           ("REKEY_IKE_R0", "5.1", "5.3.2")),
        _w(("STATE_V2_REKEY_IKE_R", "3.20", "3.32"), ("STATE_V2_REKEY_IKE_R0", *_NEW)),
        2, _R, _IKE, Stage.REKEYING,
        "The peer's request for new keys of the IKE SA is being processed.",
        "pluto is busy.",
    ),
    StateInfo(
        (),
        _w(("STATE_V2_REKEY_IKE_FOLLOWUP_KE_I0", "5.4", MAIN)),
        2, _I, _IKE, Stage.REKEYING,
        "A further key exchange of the IKE SA's rekey is prepared.",
        "Another request of the IKE SA is unanswered (RETRANSMIT on its line).",
    ),
    StateInfo(
        (),
        _w(("sent IKE_FOLLOWUP_KE request to rekey IKE SA", "5.4", MAIN)),
        2, _I, _IKE, Stage.REKEYING,
        "A further key exchange of the IKE SA's rekey was sent to the peer.",
        "The peer is gone, or large packets are lost.",
    ),
    StateInfo(
        (),
        _w(("process IKE_FOLLOWUP_KE rekey IKE SA request (larval)", "5.4", MAIN)),
        2, _R, _IKE, Stage.REKEYING,
        "A further key exchange of the peer's rekey is being processed.",
        "pluto is busy.",
    ),
    # --- IKEv2, session resumption (RFC 5723) ---------------------------------------------
    StateInfo(
        _w(("IKE_SESSION_RESUME_I0", "5.2", "5.3.2")),
        _w(("waiting for KE to finish", "5.2", MAIN)),
        2, _I, _IKE, Stage.HALF_OPEN,
        "A ticket for resuming an earlier IKE SA is prepared.",
        "The machine is overloaded.",
        counted=False,
    ),
    StateInfo(
        _w(("IKE_SESSION_RESUME_I", "5.2", "5.3.2")),
        _w(("sent IKE_SESSION_RESUME request", "5.2", MAIN)),
        2, _I, _IKE, Stage.HALF_OPEN,
        "We asked the peer to resume an earlier IKE SA.",
        "The peer is down, or has forgotten the ticket.",
    ),
    StateInfo(
        _w(("IKE_SESSION_RESUME_IR", "5.2", "5.3.2")),
        _w(("processed IKE_SESSION_RESUME response, preparing IKE_AUTH request", "5.2", "5.3.2"),
           ("processed IKE_SESSION_RESUME response", "5.4", MAIN)),
        2, _I, _IKE, Stage.OPEN,
        "The peer resumes an earlier IKE SA; our proof of identity is being made.",
        "The machine is overloaded.",
    ),
    StateInfo(
        _w(("IKE_SESSION_RESUME_R0", "5.2", "5.3.2")),
        _w(("processing IKE_SESSION_RESUME request", "5.2", MAIN)),
        2, _R, _IKE, Stage.HALF_OPEN,
        "The peer's request to resume an earlier IKE SA is being processed.",
        "pluto is busy.",
    ),
    StateInfo(
        _w(("IKE_SESSION_RESUME_R", "5.2", "5.3.2")),
        _w(("sent IKE_SESSION_RESUME response, waiting for IKE_AUTH request", "5.2", "5.3.2"),
           ("sent IKE_SESSION_RESUME response", "5.4", MAIN)),
        2, _R, _IKE, Stage.HALF_OPEN,
        "We agreed to resume an earlier IKE SA and wait for the peer to prove who it is.",
        "Our answer does not reach it, or UDP 4500 is blocked.",
    ),
    # --- Placeholders of the source: in the tables, never in a list -------------------------
    StateInfo(
        _w(("STATE_UNDEFINED", "3.18", "3.29")),
        _w(("not defined and probably dead (internal)", "3.18", "3.29")),
        None, None, None, Stage.UNKNOWN, "Internal to pluto.",
    ),
    StateInfo(
        _w(("OPPO_ACQUIRE", "3.18", "3.22")),
        _w(("got an ACQUIRE message for this pair (internal)", "3.18", "3.22")),
        None, None, None, Stage.UNKNOWN, "Internal to pluto.",
    ),
    StateInfo(
        _w(("OPPO_GW_DISCOVERED", "3.18", "3.22")),
        _w(("got TXT specifying gateway (internal)", "3.18", "3.22")),
        None, None, None, Stage.UNKNOWN, "Internal to pluto.",
    ),
    StateInfo(
        _w(("STATE_IKE_ROOF", "3.18", "3.21"), ("STATE_IKEv1_ROOF", "3.22", "3.29")),
        _w(("invalid state - IKE roof", "3.18", "3.29")),
        None, None, None, Stage.UNKNOWN, "Internal to pluto.",
    ),
    StateInfo(
        _w(("STATE_UNUSED_1", "3.23", "3.29"), ("STATE_UNUSED_2", "3.23", "3.29")),
        _w(("STATE_UNUSED_1", "3.23", "3.29"), ("STATE_UNUSED_2", "3.23", "3.29")),
        None, None, None, Stage.UNKNOWN, "Internal to pluto.",
    ),
    StateInfo(
        _w(("STATE_IKEv2_BASE", "3.18", "3.27"), ("STATE_IKEv2_ROOF", "3.18", "3.29")),
        _w(("invalid state - IKEv2 base", "3.18", "3.23"), ("", "3.25", "3.27"),
           ("invalid state - IKEv2 roof", "3.18", "3.29")),
        2, None, None, Stage.UNKNOWN, "Internal to pluto.",
    ),
)
# fmt: on

UNCOUNTED: Final = frozenset(w.text for s in STATE_TABLE if not s.counted for w in s.stories)
"""The stories of IKE SAs that pluto's totals may not count (``StateInfo.counted`` is False)."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What the name and the story in a state line say about the SA.

    A field is None, or Stage.UNKNOWN, if they don't show it. ``guessed`` says that the state isn't
    in the table, so that all fields were guessed.
    """

    ike_version: int | None
    role: Role | None
    kind: SaKind | None
    stage: Stage
    guessed: bool = False


def _by_text() -> dict[str, tuple[StateInfo, ...]]:
    """Return the states of the table by each of their names and stories, in the table's order."""
    found: dict[str, tuple[StateInfo, ...]] = {}
    for state in STATE_TABLE:
        for text in dict.fromkeys(w.text for w in (*state.names, *state.stories)):
            found[text] = (*found.get(text, ()), state)
    return found


_BY_TEXT: Final = _by_text()


def find(name_or_story: str) -> tuple[StateInfo, ...]:
    """Return all states that have this name or this story in any release, or an empty tuple."""
    return _BY_TEXT.get(name_or_story, ())


def _agreement(stories: Iterable[StateInfo]) -> Meaning:
    """Return what these states have in common. A field is None if it isn't the same in all.

    If they are in different stages, the stage is Stage.UNKNOWN.
    """
    return Meaning(
        _common(s.ike_version for s in stories),
        _common(s.role for s in stories),
        _common(s.kind for s in stories),
        _common(s.stage for s in stories) or Stage.UNKNOWN,
    )


def _common(values: Iterable[T]) -> T | None:
    different = set(values)
    return different.pop() if len(different) == 1 else None


def index(table: Iterable[StateInfo]) -> tuple[dict[str, Meaning], dict[str, Meaning]]:
    """Return two dictionaries: what each name means, and what each story means without a name.

    The second one has only the stories that are printed from 5.4 on (NAMELESS), because earlier
    releases never print a story without a name.
    """
    names: dict[str, list[StateInfo]] = {}
    nameless: dict[str, list[StateInfo]] = {}
    for story in table:
        for wording in story.names:
            names.setdefault(wording.text, []).append(story)
        for wording in story.stories:
            if is_from(wording.last, NAMELESS):
                nameless.setdefault(wording.text, []).append(story)
    return (
        {text: _agreement(found) for text, found in names.items()},
        {text: _agreement(found) for text, found in nameless.items()},
    )


_BY_NAME, _BY_STORY = index(STATE_TABLE)


def meaning(name: str | None, story: str) -> Meaning:
    """Return what the name and the story in a state line mean.

    The name alone decides if there is one; ``name`` is None from 5.4 on, and then the story
    decides. If several states have the same name or story, the result has what all of them have in
    common. If the table has none, the meaning is guessed from the words of both, and marked as
    guessed.
    """
    found = _BY_NAME.get(name) if name is not None else _BY_STORY.get(story)
    return found if found is not None else _guess(f"{name or ''} {story}".lower())


def _guess(words: str) -> Meaning:
    """Return what a state that isn't in the table probably means, marked as guessed.

    ``words`` are its name and story in lower case. If they show no stage, the stage is
    Stage.UNKNOWN and the other fields are None.
    """
    v1 = any(
        w in words for w in ("main mode", "aggressive", "quick", "xauth", "mode_cfg", "isakmp")
    )
    child = any(w in words for w in ("child", "ipsec sa", "quick"))
    role = None
    if "request" in words and "sent" in words:
        role = Role.INITIATOR
    elif any(w in words for w in ("response", "reply", "processing", "larval")):
        role = Role.RESPONDER
    if "delet" in words:
        stage = Stage.DELETING
    elif "rekey" in words:
        stage = Stage.REKEYING
    elif "established" in words:
        stage = Stage.ESTABLISHED
    elif "auth" in words:
        stage = Stage.AUTHENTICATING
    elif child:
        stage = Stage.NEGOTIATING_CHILD
    elif "sent" in words or "init" in words:
        stage = Stage.HALF_OPEN
    else:
        stage = Stage.UNKNOWN
    kind = SaKind.CHILD if child and "ike sa" not in words else SaKind.IKE
    if stage is Stage.UNKNOWN:
        return Meaning(None, None, None, stage, guessed=True)
    return Meaning(1 if v1 else 2, role, kind, stage, guessed=True)
