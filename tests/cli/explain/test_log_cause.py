# SPDX-License-Identifier: MIT
"""Tests of what ``explain`` prints about the log line with the cause of a failed negotiation."""

from __future__ import annotations

import pytest

from ipsecwatch.cli.explain import log_cause, log_story
from ipsecwatch.libreswan import log_text
from ipsecwatch.libreswan.log_attempts import stories

BEGUN = '"office" #1: initiating IKEv2 connection to 192.0.2.7 using UDP'
LATE = "timeout exceeded after 7 retransmits.  Possible authentication failure: no acceptable"
MUTE = "20 second timeout exceeded after 6 retransmits.  No response (or no acceptable response)"
SUBJECT = '"office"'
ICMP = "asynchronous network error report on eth0 (192.0.2.1:500)"
NO_ROUTE = (
    '"office" #1: ERROR: asynchronous network error report on eth1 (192.0.2.1:500), complainant'
)
SAYS = {
    "who refused: the peer": (
        '"office" #2: IKE_AUTH response rejected Child SA with TS_UNACCEPTABLE',
        "The peer refused the subnets that we asked for (TS_UNACCEPTABLE).", "leftsubnet",
    ),
    "who refused: we": (
        '"office" #1: authentication failed: PSK AUTH mismatch',
        "most often the two secrets differ", "Compare the secret in ipsec.secrets",
    ),
    "we refuse in the clear": (
        '"office" #1: sending notification NO_PROPOSAL_CHOSEN to 192.0.2.7:500',
        "We refused the peer's proposal", "Compare ike=",
    ),
    "a guess is told as one": (
        f'"office" #1: STATE_PARENT_I2: 60 second {LATE}',
        "perhaps it refuses it", "UDP 4500",
    ),
    "a crossing rekey": (
        f"{SUBJECT} #2: CREATE_CHILD_SA failed with error notification TEMPORARY_FAILURE",
        "could not do this just now", "Wait: it is tried again",
    ),
    "modes": (
        '"office" #2: policy dictates Transport Mode, but peer requested Tunnel Mode',
        "One side wants tunnel mode", "Compare type=",
    ),
    "silence": (
        '"office" #1: IKE_SA_INIT_I: 60 second timeout exceeded after 7 retransmits.  No response',
        "The peer does not answer.", "refuses our ike= proposal",
    ),
    "a certificate that expired": (
        '"office" #1: NSS: ERROR: IPsec certificate CN=NO_PROP bad: SEC_ERROR_EXPIRED_CERTIFICATE',
        "(SEC_ERROR_EXPIRED_CERTIFICATE)", "Look at the certificate's dates",
    ),
    "who refused: we, for a certificate": (
        '"office" #1: NSS: end certificate invalid',
        "We refused the peer's key, certificate or identity.", "Compare leftid",
    ),
    "the secrets differ": (
        '"office" #1: authentication failed: computed hash does not match hash received from peer ',
        "most often the two secrets differ", "Compare the secret",
    ),
    "another identity than rightid=": (
        "\"office\" #1: we require IKEv2 peer to have ID '192.0.2.7', but peer declares '@a'",
        "its identity is not that of rightid=", "Set rightid= to it",
    ),
    "an identity without a certificate": (
        (
            f"{SUBJECT} #1: Peer CERT payload SubjectAltName does not match peer ID for this "
            "connection"
        ),
        "The peer's identity is not in its certificate", "subjectAltName",
    ),
    "nothing listens": (
        f"{SUBJECT} #1: ERROR: {ICMP}, complainant x: Connection refused [errno 111, origin ICMP",
        "nothing listens for IKE at the peer's address. That answer is not", "service runs",
    ),
    "a router can't reach it": (
        f"{SUBJECT} #1: ERROR: {ICMP}, complainant x: No route to host [errno 113, origin ICMP",
        "It seems that the peer's address can't be reached", "ip route get",
    ),
    "nobody proves it": (
        '"office" #1: ignoring IKE_SA_INIT response containing NO_PROPOSAL_CHOSEN notification (M',
        "It seems that the peer refused our proposal", "Compare ike=",
    ),
    "a post-quantum key that one side insists on": (
        '"office" #1: connection has ppk=insist but peer does not support PPK',
        "The two sides do not agree on the post-quantum key", "Compare ppk=",
    ),
    "this machine finds nobody": (
        f'{NO_ROUTE} 192.0.2.1: No route to host [errno 113, origin ICMP type 3 code 1]',
        "on this machine's own network", "ip neigh",
    ),
    "a router has no route": (
        f'{NO_ROUTE} 192.0.2.9: No route to host [errno 113, origin ICMP type 3 code 1]',
        "a router says so", "ip route get",
    ),
    "EAP-TLS": (
        '"office" #4: NSS: Handshake failed: SEC_ERROR_UNKNOWN_ISSUER: Peer\'s Certificate issuer',
        "didn't accept each other's certificates", "listcacerts",
    ),
    "redirects, 4.10": (
        '"office" #6: IKE_SA_INIT redirect loop, stop initiating IKEv2 exchanges',
        "from one to another again and again", "accept-redirect=no",
    ),
    "redirects, 5.2": (
        '"office" #6: IKE_SA_INIT redirect exceeds limit; assuming redirect loop',
        "from one to another again and again", "accept-redirect=no",
    ),
    "no address, IKEv2": (
        '"office" #2: IKE_AUTH response rejected Child SA with INTERNAL_ADDRESS_FAILURE',
        "The peer has no address for this machine", "its address pool",
    ),
    "no address, IKEv1": (
        f'"office" #1: STATE_MODE_CFG_I1: {MUTE}',
        "gave this machine no address", "addresses are lent",
    ),
    "no word about the password": (
        f'"office" #1: STATE_XAUTH_I1: {MUTE}',
        "didn't answer to our user name and password", "Check user name",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAYS)
def test_it_is_said_who_refused_and_what_to_do(case: str) -> None:
    line, why, advice = SAYS[case]
    (story,) = stories(log_text.read(f"{BEGUN}\n{line}\n").lines)
    cause = log_story.cause(story)
    assert cause is not None
    assert why in log_cause.why(cause)
    assert advice in log_cause.advice(cause)


PROPOSALS = {
    "no local proposal matches remote proposals 1:IKE:ENCR=3DES": "Compare ike= on both sides.",
    "no acceptable Oakley Transform": "Compare ike= on both sides.",
    "no local proposal matches remote proposals 1:ESP:ENCR=3DES": "Compare esp= and pfs= on both",
    "no acceptable Proposal in IPsec SA": "Compare esp= and pfs= on both",
    "IKE_AUTH response rejected Child SA with NO_PROPOSAL_CHOSEN": "Compare esp= and pfs= on both",
    "CREATE_CHILD_SA failed with error notification NO_PROPOSAL_CHOSEN": "Compare ike=, esp= and",
}


@pytest.mark.parametrize("text", PROPOSALS)
def test_only_the_algorithms_that_a_refusal_is_about_are_to_be_compared(text: str) -> None:
    (story,) = stories(log_text.read(f'"office" #1: {text}\n').lines)
    assert log_story.advice(story).startswith(PROPOSALS[text])


def test_algorithms_of_an_ike_sa_that_was_established_need_no_comparing() -> None:
    lines = (
        f"{BEGUN}\n"
        '"office" #1: ISAKMP SA established {auth=PRESHARED_KEY cipher=AES}\n'
        '"office" #1: ignoring informational payload NO_PROPOSAL_CHOSEN, msgid=00000000\n'
    )
    (story,) = stories(log_text.read(lines).lines)
    assert log_story.advice(story) == "Compare esp= and pfs= on both sides."


def test_of_two_errors_of_the_network_the_later_one_counts() -> None:
    refused = (
        "asynchronous network error report on eth0 (192.0.2.1:500), x: Connection refused [errno 1"
    )
    unsent = "send on eth0 from 192.0.2.1:500 to 192.0.2.7:500 using UDP failed in x. Errno 101"
    for texts in ((unsent, refused), (refused, unsent)):
        lines = "".join(f'"office" #1: {text}\n' for text in texts)
        (story,) = stories(log_text.read(f"{BEGUN}\n{lines}").lines)
        assert texts[1] in log_story.line(story)


def test_words_that_mean_several_things_get_no_advice() -> None:
    ups = '"office" #2: initiator established Child SA using #1; IPsec tunnel [x]'
    ends = '"office": terminating SAs using this connection'
    (story,) = stories(log_text.read(f"{BEGUN}\n{ups}\n{ends}\n").lines)
    cause = log_story.cause(story)
    assert cause is not None
    assert log_cause.is_unclear(cause)
    assert not log_cause.advice(cause)
