# SPDX-License-Identifier: MIT
"""Meanings of the words that pluto prints for routing, timers, policies, SAs and bare shunts.

Routing: programs/pluto/routing.c (up to 4.15 connections.c); timers: timer.c; policy: lswlog of
policy bits, lib/libswan/constants.c. States are in state_table.py.
"""

from __future__ import annotations

import re
from typing import Final

ROUTING: Final = {
    "unrouted": "Nothing of it is in the kernel: it is down.",
    "unoriented": "No address of this machine fits left= or right=, so it cannot be used.",
    "prospective erouted": "A trap waits in the kernel: the first packet starts the tunnel.",
    "routed-ondemand": "A trap waits in the kernel: the first packet starts the tunnel.",
    "erouted HOLD": "A packet triggered the trap; packets are held while pluto negotiates.",
    "unrouted HOLD": "pluto negotiates, and packets are held meanwhile.",
    "routed-negotiation": "A packet triggered the trap; packets are held while pluto negotiates.",
    "unrouted-negotiation": "pluto negotiates; nothing of it is in the kernel yet.",
    "unrouted-bare-negotiation": "pluto negotiates; nothing of it is in the kernel yet.",
    "fail erouted": "Negotiation failed; failureshunt= decides what happens to packets.",
    "routed-failure": "Negotiation failed; failureshunt= decides what happens to packets.",
    "eroute eclipsed": "Another connection has taken over this route.",
    "erouted": "The kernel encrypts its traffic: it is up.",
    "routed-tunnel": "The kernel encrypts its traffic: it is up.",
    "keyed, unrouted": "There are keys, but no route into the tunnel (MOBIKE, suspension).",
    "unrouted-tunnel": "There are keys, but no route into the tunnel (MOBIKE, suspension).",
    "unrouted-inbound": "Only the inbound half is in the kernel: one message is missing.",
    "unrouted-inbound-negotiation": "Only the inbound half is in the kernel, and pluto negotiates.",
    "routed-inbound-negotiation": "Only the inbound half is in the kernel, and pluto negotiates.",
    "routed-never-negotiate": "A rule that passes or drops packets, and never becomes a tunnel.",
}
"""The meaning of every routing word. A test checks that no word is missing."""

TIMERS: Final = {
    "RETRANSMIT": "A request of ours is unanswered and will be sent again.",
    "REPLACE": "The SA will be replaced, or will end.",
    "REKEY": "New keys will be negotiated; the tunnel stays up.",
    "REPLACE_IF_USED": "If there was traffic, the SA will be replaced; if not, it will end.",
    "EXPIRE": "It will be deleted: this side doesn't renew it, but the peer may.",
    "DISCARD": "A negotiation that the peer began will be given up.",
    "RESPONDER_TIMEOUT": "A negotiation that the peer began will be given up.",
    "TIMEOUT_INITIATOR": "Our negotiation will be given up.",
    "TIMEOUT_RESPONDER": "A negotiation that the peer began will be given up.",
    "TIMEOUT_RESPONSE": "The peer's answer will no longer be waited for.",
    "LIVENESS": "The peer will be asked whether it is alive.",
    "DPD": "The peer will be asked whether it is alive.",
    "DPD_TIMEOUT": "The peer will be taken for dead.",
    "SEND_XAUTH": "The client will be asked for user name and password.",
    "PAM_TIMEOUT": "PAM's verdict on the password will no longer be waited for.",
    "CRYPTO_TIMEOUT": "A crypto helper will no longer be waited for.",
    "CRYPTO_FAILED": "A crypto helper will no longer be waited for.",
    "NAT_KEEPALIVE": "A packet will keep the NAT device from forgetting us.",
    "RELEASE_WHACK": "Internal: the waiting command is let go.",
    "INITIATE_CHILD": "Internal: a Child SA's request comes next.",
    "SEND_NEXT_IKE": "Internal: the next request comes.",
    "ADDR_CHANGE": "Our address has changed; MOBIKE will tell the peer.",
    "REDIRECT": "The peer sends us to another gateway.",
    "RETAIN": "Internal: kept for a moment.",
    "REAUTH": "Both sides will prove again who they are.",
}
"""The meaning of each timer, by its name since 4.5; timer() accepts earlier names, too."""

_OLD_TIMER: Final = re.compile(r"(?:EVENT_)?(?:[Vv][12]_)?(?:S[AO]_)?(\w{1,40})", re.ASCII)

POLICY: Final = {
    "UP": "It should be up: pluto tries again and again until somebody takes it down.",
    "ROUTE": "It is on demand: a trap waits for the first packet.",
    "KEEP": "It is kept up once it has come up (auto=keep).",
    "DONT_REKEY": "We don't renew its keys; the peer may.",
    "NEVER_NEGOTIATE": "A rule that passes or drops packets, and never becomes a tunnel.",
    "OPPORTUNISTIC": "It is for every host in a group of networks that uses IPsec, too.",
    "GROUP": "A rule for a list of networks.",
    "GROUPINSTANCE": "One network of a list.",
    "GROUTED": "A rule for a list of networks, in force.",
    "AUTH_NULL": "The peer doesn't prove who it is.",
    "AUTHNULL": "The peer doesn't prove who it is.",
    "PSK": "Both know the same secret.",
    "RSASIG": "They prove who they are by RSA keys.",
    "ECDSA": "They prove who they are by ECDSA keys.",
    "ENCRYPT": "Traffic is encrypted (ESP).",
    "AUTHENTICATE": "Traffic is signed and not encrypted (AH).",
    "TUNNEL": "Whole packets travel inside others, between networks.",
    "TRANSPORT": "Only the packets' contents are protected, between two hosts.",
    "COMPRESS": "Traffic is compressed before it is encrypted.",
    "PFS": "Each renewal of the keys has a key exchange of its own.",
    "XAUTH": "IKEv1 asks for a user name and password, too.",
    "AGGRESSIVE": "IKEv1 with three messages in place of six; identities travel in the clear.",
    "MODECFG_PULL": "The client asks for its address, rather than being given one.",
    "OVERLAPIP": "Several connections may have the same subnets.",
    "IKEv1": "It speaks IKEv1.",
    "IKEv2": "It speaks IKEv2.",
    "IKE_FRAG_ALLOW": "Large IKE messages may be sent in fragments.",
    "IKE_FRAG_FORCE": "Large IKE messages are always sent in fragments.",
    "ESN_NO": "Sequence numbers of 32 bits are allowed.",
    "ESN_YES": "Sequence numbers of 64 bits are allowed.",
    "MOBIKE": "It survives a change of address.",
}
"""The meaning of the policy words that matter to somebody who looks at a tunnel."""

MARKS: Final = {
    "newest": "Of the SAs of this connection and kind, this is the one in use.",
    "newest ISAKMP": "Of the IKE SAs of this connection, this is the one in use.",
    "newest IPSEC": "Of the Child SAs of this connection, this is the one in use.",
    "eroute owner": "The kernel's policy is this SA's; it says nothing about its being up.",
    "idle": "Nothing is being computed for it at the moment.",
    "crypto_calculating": "A crypto helper computes for it.",
    "crypto/dns-lookup": "It waits for a crypto helper, or for DNS.",
    "nodpd": "The peer is not asked whether it lives (IKEv1).",
    "lastdpd": "Since when the peer last gave a sign of life (IKEv1); -1: never.",
    "lastlive": "Since when the peer last gave a sign of life (IKEv2).",
    "pending": "A Child SA that waits until its IKE SA is up.",
}
"""The meaning of the other words in lines about SAs."""

SHUNTS: Final = {
    "%pass": "Packets pass in the clear.",
    "%drop": "Packets are dropped.",
    "%reject": "Packets are dropped, and their senders told.",
    "%hold": "Packets are held while pluto negotiates.",
    "%trap": "A packet starts a negotiation.",
    "%none": "Packets are let alone.",
    "oe-failing": "Opportunistic encryption failed for this peer; it is tried again later.",
    "oe-failed": "Opportunistic encryption failed for this peer; it is tried again later.",
    "oe-negotiating": "Opportunistic encryption is being negotiated with this peer.",
    "acquire": "A packet asked for a tunnel that isn't there yet.",
}
"""The meaning of the words of bare shunts: kernel policies that belong to no connection."""


def timer(name: str) -> str | None:
    """Return the meaning of a timer, as a sentence, or None if its name isn't known.

    The name may be as in any release: ``REKEY``, or up to 4.4 ``EVENT_SA_REKEY``.
    """
    m = _OLD_TIMER.fullmatch(name)
    if m is None:
        return None
    return TIMERS.get(m[1]) or TIMERS.get(m[1].removesuffix("_IKE"))
