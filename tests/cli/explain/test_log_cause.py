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
SAYS = {
    "who refused: the peer": (
        '"office" #2: IKE_AUTH response rejected Child SA with TS_UNACCEPTABLE',
        "The peer refused the subnets that we asked for (TS_UNACCEPTABLE).", "leftsubnet",
    ),
    "who refused: we": (
        '"office" #1: authentication failed: PSK AUTH mismatch',
        "We refused the peer's key, certificate or identity.", "Compare leftid",
    ),
    "we refuse in the clear": (
        '"office" #1: sending notification NO_PROPOSAL_CHOSEN to 192.0.2.7:500',
        "We refused the peer's proposal", "Compare ike=",
    ),
    "a guess is told as one": (
        f'"office" #1: STATE_PARENT_I2: 60 second {LATE}',
        "perhaps it refuses it", "UDP 4500",
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
    "nobody proves it": (
        '"office" #1: ignoring IKE_SA_INIT response containing NO_PROPOSAL_CHOSEN notification (M',
        "It seems that the peer refused our proposal", "Compare ike=",
    ),
    "a post-quantum key that one side insists on": (
        '"office" #1: connection has ppk=insist but peer does not support PPK',
        "The two sides do not agree on the post-quantum key", "Compare ppk=",
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


def test_words_that_mean_several_things_get_no_advice() -> None:
    ups = '"office" #2: initiator established Child SA using #1; IPsec tunnel [x]'
    ends = '"office": terminating SAs using this connection'
    (story,) = stories(log_text.read(f"{BEGUN}\n{ups}\n{ends}\n").lines)
    cause = log_story.cause(story)
    assert cause is not None
    assert log_cause.is_unclear(cause)
    assert not log_cause.advice(cause)
