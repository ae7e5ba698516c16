# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from ipsecwatch.libreswan.local_failures import LOCAL_FAILURES, local_failure
from ipsecwatch.libreswan.log_lines import Weight, interpret, parse_line
from tests.support.paths import FIXTURES

OURS = {
    "unable to locate my private key for RSA Signature": "no-private-key",
    "Can't find the certificate or private key from the NSS CKA_ID": "no-private-key",
    "private key for connection not found": "no-private-key",
    "Failed to find our RSA key": "no-private-key",
    "Failed to find our PreShared Key": "no-secret",
    "Can't authenticate: no preshared key found for `@west' and `@east'.  Attribute": "no-secret",
    "authentication failed: no PSK found for '@east'": "no-secret",
    "failed to add connection: left certificate 'west' not found in the NSS database":
        "no-certificate",
    "failed to add connection: left certificate 'west' is expired or not yet valid": (
        "certificate-expired"
    ),
    "left certificate with nickname 'west' not found in NSS DB": "no-certificate",
    "We cannot identify ourselves with either end of this connection.  a or b are": (
        "no-local-address"
    ),
    "cannot initiate connection without knowing peer IP address (kind=x)": "peer-address-unknown",
    "cannot initiate connection without resolved dynamic peer IP address": "peer-name-unresolved",
    'cannot route -- route already in use for "other"': "route-in-use",
    'cannot install kernel policy 10.0.0.0/8===10.1.0.0/16; in use by negotiating x "other"': (
        "route-in-use"
    ),
    "ERROR: netlink response for Add SA esp.1@192.0.2.7 included errno 93"[7:]: "kernel-refused",
    "setsockopt(SOL_TCP, TCP_ULP) failed (connect_to_tcp_endpoint() +546": "no-espintcp",
    'TCP: socket 15: setting socket option "espintcp": No such file': "no-espintcp",
    "NSS: Keying material export failed: PR_NOT_IMPLEMENTED_ERROR: function not": "no-eap-keys",
    "cannot initiate: no acceptable kernel algorithms loaded": "no-kernel-algorithms",
    "up-client command exited with status 1": "updown-failed",
    'command "up": exited with status 1': "updown-failed",
    "leasing IPv4 address failed: address pool exhausted": "no-lease",
    "XAUTH password requested, but no file descriptor available for prompt": "no-password",
    "failed to add connection: ike= is invalid": "settings-refused",
    "failed to add IKEv1 connection: global ikev1-policy does not allow IKEv1 connections": (
        "ikev1-not-allowed"
    ),
    "connection requires PPK, but we didn't find one": "no-ppk",
    "FIPS: authentication failed: '@e' PSK length of 4 bytes is too short": "secret-too-short",
    "cannot initiate an authby=never connection": "never-negotiates",
}  # fmt: skip
THEIRS = (
    "IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED",
    "authentication failed: PSK AUTH mismatch",
    "no local proposal matches remote proposals 1:IKE:ENCR=3DES",
    'cannot route -- route already in use for "other" - but allowing anyway',
    "x private key for connection not found",
)


@pytest.mark.parametrize("text", OURS)
def test_what_is_ours_is_told_apart(text: str) -> None:
    found = local_failure(text)
    assert found is not None
    assert found.code == OURS[text]


@pytest.mark.parametrize("text", THEIRS)
def test_what_a_peer_has_a_part_in_is_none_of_ours(text: str) -> None:
    assert local_failure(text) is None


def test_every_one_has_an_example_a_sentence_and_a_next_step() -> None:
    codes = {f.code for f in LOCAL_FAILURES}
    send = "send on eth1 from 192.0.2.1:500 to 192.0.2.7:500 using UDP failed in x: y (errno 101)"
    password = "XAUTH: unable to open password file (/etc/ipsec.d/passwd) for verification"
    more = {f.code for f in map(local_failure, (send, password)) if f}
    assert codes == {*OURS.values(), *more}
    for failure in LOCAL_FAILURES:
        assert failure.sentence.endswith(".")
        assert failure.advice.endswith(".")


def test_every_wording_of_the_log_that_is_ours_has_a_next_step_of_its_own() -> None:
    for line in (FIXTURES / "wordings.txt").read_text().splitlines():
        if not line[:1].isdigit():
            continue
        text = line.split(maxsplit=1)[1]
        said = parse_line(f'"site" #3: {text}')
        assert said is not None
        found = interpret(said)
        if found is not None and found.weight is Weight.LOCAL:
            assert local_failure(said.text), text
