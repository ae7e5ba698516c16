# SPDX-License-Identifier: MIT
from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.libreswan.log_lines import (
    Began,
    ConnectionLine,
    Finding,
    LogEvent,
    Proof,
    Subject,
    Weight,
    find_wording,
    interpret,
    interpret_daemon,
    is_evidence,
    parse_line,
)
from ipsecwatch.libreswan.log_table import DAEMON_TABLE, TABLE
from ipsecwatch.libreswan.releases import RELEASES
from ipsecwatch.tunnel import Reason
from tests.support.paths import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Iterator


def find(line: str, *, phase1: bool = False) -> Finding | None:
    said = parse_line(line)
    return interpret(said, phase1=phase1) if said else None


PREFIXES = {
    '"site": x': ("site", None, ""),
    '"site" #12: x': ("site", 12, ""),
    '"multi/2x1" #3: x': ("multi/2x1", 3, ""),
    '"rw"[7] 192.0.2.9 #3: x': ("rw[7]", 3, "192.0.2.9"),
    '"rw"[7] 2001:db8::9 #3: x': ("rw[7]", 3, "2001:db8::9"),
    '"rw"[7] <address> #3: x': ("rw[7]", 3, "<address>"),
    '"rw"[7] 192.0.2.9: x': ("rw[7]", None, "192.0.2.9"),
    '"lab"[1][2] 192.0.2.9 #5: x': ("lab[1][2]", 5, "192.0.2.9"),
    '"private#192.0.2.0/24"[1] ...192.0.2.7 #4: x': ("private#192.0.2.0/24[1]", 4, "192.0.2.7"),
    '"private#192.0.2.0/24"[1] 10.0.0.1/32=== ...192.0.2.7 #4: x': (
        "private#192.0.2.0/24[1]", 4, "192.0.2.7",
    ),
    '"p#192.0.2.0/24"[2] 10.0.0.1/32=== ...192.0.2.7===10.9.0.0/16 #4: x': (
        "p#192.0.2.0/24[2]", 4, "192.0.2.7",
    ),
    '"site" #2 IKE_AUTH_I: x': ("site", 2, ""),  # with --debug add-prefix
    'ERROR: "site" #2: x': ("site", 2, ""),  # 5.x
    '"site" #2: ERROR: x': ("site", 2, ""),  # to 4.10
    'warning: "site" #2: x': ("site", 2, ""),  # 5.4
    '"a b, {c}: #9" #2: x': ("a b, {c}: #9", 2, ""),
}  # fmt: skip


@pytest.mark.parametrize("line", PREFIXES)
def test_a_line_is_of_the_connection_at_its_start(line: str) -> None:
    name, serial, address = PREFIXES[line]
    assert parse_line(line) == ConnectionLine(name, name.partition("[")[0], serial, "x", address)


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ('"site" #12: x', ""),
        ('"rw"[7] 192.0.2.9 #3: x', "192.0.2.9"),
        ('"rw"[7] 2001:db8::9: x', "2001:db8::9"),
        ('"p#192.0.2.0/24"[2] 10.0.0.1/32=== ...192.0.2.7===10.9.0.0/16 #4: x', "192.0.2.7"),
    ],
)
def test_a_line_about_an_instance_has_its_peers_address(line: str, address: str) -> None:
    said = parse_line(line)
    assert said is not None
    assert said.address == address


KNOCKS, OURS = "packet from 192.0.2.7:500", "192.0.2.1:500"

NOBODYS = (
    "",
    "listening for IKE messages",
    "shutting down interface eth1 192.0.2.1:500",
    "packet from 192.0.2.7:500: sending unencrypted notification v2N_INVALID_IKE_SPI to 192.0.2.7",
    'packet from 192.0.2.7:500: "site" #1: liveness action - restarting',
    # Somebody knocks, under an address that anybody can write as the sender's. It is no evidence
    # about a tunnel, not even about one to that address.
    f"{KNOCKS}: initial Main Mode message received on {OURS} but no connection has been authorized",
    f"{KNOCKS}: initial parent SA message received on {OURS} but no connection has been authorized",
    f"{KNOCKS}: ISAKMP_v2_IKE_SA_INIT message received on {OURS} but no suitable connection found",
    f"{KNOCKS}: IKE_SA_INIT request received on {OURS} but no suitable connection found",
    f"{KNOCKS}: no suitable connection for peer '@east'",
    "packet from 192.0.2.7:4500: received Delete SA payload via #2",
    "packet from 192.0.2.7:500: AUTHENTICATION_FAILED",
    'expire unused parent SA #1 "site"',
    "initiating all conns with alias='site'",
    '| "site" #1: liveness action - restarting all connections that share this peer',
    ' "site" #1: terminating SAs using this connection',
    "'site' #1: terminating SAs using this connection",
)


@pytest.mark.parametrize("line", NOBODYS)
def test_a_line_that_begins_with_no_connection_is_nobodys(line: str) -> None:
    assert parse_line(line) is None


Row = tuple[str, str, str]
"""The kind of evidence that a line is, the release that prints it, and the text after the
connection's name."""


def rows() -> Iterator[Row]:
    """Yield the rows of fixtures/wordings.txt."""
    section = ""
    for line in (FIXTURES / "wordings.txt").read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            release, text = line.split(maxsplit=1)
            yield section, release, text


WORDINGS = tuple(rows())


def meaning(found: Finding | None) -> str:
    """Return the name that fixtures/wordings.txt has for a finding."""
    if found is None:
        return "nothing"
    event = found.event.name.lower().replace("_", " ")
    return event if found.reason is Reason.NONE else f"{event} {found.reason}"


@pytest.mark.parametrize(("section", "release", "text"), WORDINGS)
def test_each_wording_means_what_the_table_says(section: str, release: str, text: str) -> None:
    assert meaning(find(f'"site"[3] 192.0.2.7 #3: {text}')) == section


@pytest.mark.parametrize(("section", "release", "text"), WORDINGS)
def test_each_wording_is_of_a_release_that_its_row_says(
    section: str, release: str, text: str
) -> None:
    said = parse_line(f'"site" #3: {text}')
    assert said is not None
    row = find_wording(said.text)
    assert release in RELEASES
    if row is not None:
        first, last = RELEASES.index(row.first), RELEASES.index(row.last)
        assert first <= RELEASES.index(release) <= last


def test_each_row_has_a_wording() -> None:
    lines = [parse_line(f'"site" #3: {text}') for _, _, text in WORDINGS]
    met = {find_wording(said.text) for said in lines if said is not None}
    met |= {find_wording(text, daemon=True) for text, _ in DAEMONS_WORDS}
    without = [row.pattern for row in (*TABLE, *DAEMON_TABLE) if row not in met]
    assert not without, "no line of tests/fixtures/wordings.txt is read by these rows"


DAEMONS_WORDS: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("Starting Pluto (Libreswan Version 5.2 IKEv2) pid:7", (LogEvent.STARTED, Subject.PLUTO)),
    ("shutting down", (LogEvent.STOPPED, Subject.PLUTO)),
    ("shutting down, leavings state", (LogEvent.STOPPED, Subject.PLUTO)),
    ("shutting down despite whacky magic", (LogEvent.STOPPED, Subject.PLUTO)),
    ("Pluto is shutting down", (LogEvent.STOPPED, Subject.PLUTO)),
    ("Pluto is shutting down (leaving state)", (LogEvent.STOPPED, Subject.PLUTO)),
    (
        "shutting down interface eth1/eth1 192.0.2.1:500",  # 3.18 to 3.32
        (LogEvent.LOSS, Subject.ADDRESS, Reason.UNREACHABLE, "192.0.2.1"),
    ),
    (
        "shutting down interface eth1 192.0.2.1:4500",
        (LogEvent.LOSS, Subject.ADDRESS, Reason.UNREACHABLE, "192.0.2.1"),
    ),
    (
        "shutting down interface eth1 [2001:db8::1]:500",
        (LogEvent.LOSS, Subject.ADDRESS, Reason.UNREACHABLE, "2001:db8::1"),
    ),
    (
        "shutting down interface eth1/eth1 2001:db8::1:500",
        (LogEvent.LOSS, Subject.ADDRESS, Reason.UNREACHABLE, "2001:db8::1"),
    ),
    (
        "deleting lasting state #7 on interface (eth1) which is shutting down",
        (LogEvent.LOSS, Subject.SA, Reason.UNREACHABLE, 7),
    ),
    (
        "failed to convert 'road.example' at load time: not a numeric IPv4 address",
        (LogEvent.FAILURE, Subject.HOST, Reason.UNREACHABLE, "road.example"),
    ),
    ('added connection description "site"', (LogEvent.LOADED, Subject.CONNECTION, "site")),
    ('added IKEv2 connection "site"', (LogEvent.LOADED, Subject.CONNECTION, "site")),
)


@pytest.mark.parametrize(("line", "expected"), DAEMONS_WORDS)
def test_a_line_of_pluto_itself_tells_what_it_names(
    line: str, expected: tuple[object, ...]
) -> None:
    found = interpret_daemon(line)
    assert found is not None
    said = (found.reason, found.ended, found.address, found.host, found.other)
    assert (found.event, found.subject) == expected[:2]
    assert all(part in said for part in expected[2:])


def test_other_lines_of_pluto_s_are_no_evidence() -> None:
    for line in (*NOBODYS, "shutting down the CRL fetch helper thread", "adding interface eth1 x"):
        if not line.startswith("shutting down interface"):
            assert interpret_daemon(line) is None


def test_the_table_speaks_of_every_reason_that_a_log_can_tell() -> None:
    told = {section.partition(" ")[2] for section, _, _ in WORDINGS} - {
        "",
        "identified",
        "established",
        "requested",
    }
    silent = {"none", "unloaded", "bad-output"} | {r for r in Reason if r.startswith("pluto-")}
    assert told == {str(r) for r in Reason} - silent


def test_serials_that_a_line_tells_are_taken() -> None:
    def serials(text: str) -> tuple[int | None, int | None, int | None]:
        found = find(f'"site" #9: {text}')
        assert found is not None
        return found.using, found.rekeyed, found.ended

    assert serials("initiator established Child SA using #1; IPsec tunnel") == (1, None, None)
    assert serials("responder rekeyed Child SA #4 using #2; IPsec tunnel") == (2, None, None)
    assert serials("initiator rekeyed IKE SA #1 {cipher=x}") == (None, 1, None)
    assert serials("initiating Child SA using IKE SA #1") == (1, None, None)
    assert serials("initiating Quick Mode PSK to replace #2 {using isakmp#1 msgid:0}") == (
        1,
        None,
        None,
    )
    assert serials("received Delete SA(0x1) payload: deleting IPSEC State #7") == (None, None, 7)
    assert serials("deleting other state #8 (STATE_V2_IPSEC_I) and NOT sending notification") == (
        None,
        None,
        8,
    )


RESPONDING = "responding to {} message (ID 1) from 192.0.2.7:500 with {} notification {}"
UNEXPECTED = (
    "dropping unexpected {} message containing TS_UNACCEPTABLE notification; message payloads: {}"
)
SHARING = "restarting all connections that share this peer"

COLUMNS: dict[str, tuple[Began, Proof, Subject]] = {
    # Anybody can cause these lines
    RESPONDING.format("IKE_SA_INIT", "unencrypted", "NO_PROPOSAL_CHOSEN"): (
        Began.PEER, Proof.NONE, Subject.SA,
    ),
    RESPONDING.format("IKE_AUTH", "encrypted", "AUTHENTICATION_FAILED"): (
        Began.PEER, Proof.EXCHANGE, Subject.SA,
    ),
    "no local proposal matches remote proposals 1:IKE:ENCR=3DES": (
        Began.PEER, Proof.NONE, Subject.SA,
    ),
    "ignoring unsecured informational payload NO_PROPOSAL_CHOSEN, length=12": (
        Began.EITHER, Proof.NONE, Subject.SA,
    ),
    # Only a peer that has authenticated itself can cause these
    RESPONDING.format("CREATE_CHILD_SA", "encrypted", "TS_UNACCEPTABLE"): (
        Began.PEER, Proof.PEER, Subject.SA,
    ),
    RESPONDING.format("IKE_AUTH", "encrypted", "TS_UNACCEPTABLE"): (
        Began.PEER, Proof.PEER, Subject.SA,
    ),
    # 3.25 to 5.0: an answer without what was asked for
    UNEXPECTED.format("CREATE_CHILD_SA", "SK; encrypted payloads: N"): (
        Began.WE, Proof.PEER, Subject.SA,
    ),
    UNEXPECTED.format("IKE_AUTH", "SK; encrypted payloads: IDr,AUTH,N"): (
        Began.WE, Proof.EXCHANGE, Subject.SA,
    ),
    UNEXPECTED.format("CREATE_CHILD_SA", "N; missing payloads: SK"): (
        Began.WE, Proof.NONE, Subject.SA,
    ),
    "no local proposal matches remote proposals 1:ESP:ENCR=3DES": (
        Began.PEER, Proof.PEER, Subject.SA,
    ),
    "ignoring secured informational payload NO_PROPOSAL_CHOSEN, msgid=1, length=12": (
        Began.EITHER, Proof.PEER, Subject.SA,
    ),
    "received Delete SA payload via #2": (Began.PEER, Proof.PEER, Subject.SA),
    # Only the peer of an exchange that we began can cause these
    "IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED": (
        Began.WE, Proof.EXCHANGE, Subject.SA,
    ),
    "CREATE_CHILD_SA failed with error notification TS_UNACCEPTABLE": (
        Began.WE, Proof.PEER, Subject.SA,
    ),
    # Nobody but this machine can cause these
    "Failed to find our PreShared Key": (Began.EITHER, Proof.LOCAL, Subject.SA),
    "we cannot identify ourselves with either end of this connection": (
        Began.EITHER, Proof.LOCAL, Subject.CONNECTION,
    ),
    "initiating delete of connection's IKE SA #1": (Began.WE, Proof.LOCAL, Subject.CONNECTION),
    f"liveness action - {SHARING}": (Began.EITHER, Proof.LOCAL, Subject.PEER),
    "liveness action - clearing connection kind CK_INSTANCE": (
        Began.EITHER, Proof.LOCAL, Subject.CONNECTION,
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", COLUMNS)
def test_a_line_says_who_began_what_is_proved_and_of_whom_it_is(text: str) -> None:
    found = find(f'"site" #3: {text}')
    assert found is not None
    assert (found.began, found.proof, found.subject) == COLUMNS[text]


def test_another_connection_that_is_in_the_way_is_named() -> None:
    for text in (
        'cannot install kernel policy 10.0.0.0/8===10.1.0.0/16; in use by connection "a b" with x',
        'cannot install kernel policy 10.0.0.0/8===10.1.0.0/16; it is in use by the x "a b"',
        'cannot install eroute -- it is in use for "a b" #7',
        'cannot route -- route already in use for "a b"',
    ):
        found = find(f'"site" #3: {text}')
        assert found is not None
        assert (found.reason, found.other) == (Reason.CHILD_MISSING, "a b")


def test_5x_names_an_error_before_the_connection() -> None:
    for line in (
        'ERROR: "site" #2: netlink response for Add SA esp.1@192.0.2.7: Protocol not supported',
        '"site" #2: ERROR: netlink response for Add SA esp.1@192.0.2.7 included errno 93: x',
    ):
        found = find(line)
        assert found is not None
        assert (found.reason, found.weight) == (Reason.OTHER, Weight.LOCAL)


def test_what_ikev1_calls_an_invalid_id_depends_on_the_phase() -> None:
    line = '"site" #1: ignoring secured informational payload INVALID_ID_INFORMATION, msgid=1'
    phase1, phase2 = find(line), find(line, phase1=True)
    assert phase1 is not None
    assert phase2 is not None
    assert (phase1.reason, phase2.reason) == (Reason.AUTHENTICATION, Reason.TRAFFIC_SELECTORS)


def test_a_malformed_payload_tells_of_the_secret_before_phase_1_is_done_and_in_ikev1_alone() -> (
    None
):
    line = '"site" #1: ignoring informational payload PAYLOAD_MALFORMED, msgid=00000000, length=12'
    early, late = find(line), find(line, phase1=True)
    v2 = find('"site" #1: CHILD SA failed: PAYLOAD_MALFORMED')
    assert early is not None
    assert late is not None
    assert v2 is not None
    assert (early.reason, late.reason, v2.reason) == (
        Reason.AUTHENTICATION, Reason.OTHER, Reason.OTHER,
    )  # fmt: skip


PEERS = (
    "AUTHENTICATION_FAILED",
    "x' AUTHENTICATION_FAILED 'y",
    "x' mismatched on first found connection and no better connection found'",
    "liveness action - clearing",
    '"site" #1: terminating SAs using this connection',
    "x: Authentication Failed: Incorrect Username or Password",
    "x' FAILED after 1 seconds'",
    "x' ABORTED (y",
    "x failed verification",
    "x failed IPsec verification",
    'x; in use by connection "site"',
    "x PSK length of 4 bytes is too short",
)

PEERS_WORDS = (
    "Peer ID is ID_DER_ASN1_DN: 'C=NL, CN={}'",
    "IKEv2 mode peer ID is ID_FQDN: '@{}'",
    "Peer ID '{}' expects us to have ID_NULL and connection allows AUTH_NULL - allowing",
    "initiator established IKE SA; authenticated peer certificate 'CN={}' and 2048-bit RSA",
    "requested CA: 'CN={}'",
    "certificate verified OK: CN={}",
    "sent IKE_AUTH request to 192.0.2.7:UDP/500 with shared-key-mac and FQDN '{}'",
    "XAUTH: User {}: Authentication Successful",
    "XAUTH: authentication for {} failed, but policy is set to soft fail",
    "XAUTH: Answering XAUTH challenge with user='{}'",
    "XAUTH Message: {}",
    "PAM: authentication of user '{}' SUCCEEDED after 0.1 seconds",
    "received INTERNAL_DNS_DOMAIN: {}",
    "ignoring unknown Vendor ID payload [{}]",
    "up-client output: {}",
)


@pytest.mark.parametrize("words", PEERS_WORDS)
@pytest.mark.parametrize("peer", PEERS)
def test_what_a_peer_chose_is_no_evidence(words: str, peer: str) -> None:
    found = find(f'"rw"[1] 192.0.2.7 #1: {words.format(peer)}')
    assert found is None or found.event in (LogEvent.PEER_IDENTIFIED, LogEvent.IKE_ESTABLISHED)


def test_a_peers_address_cannot_end_the_name() -> None:
    assert parse_line('"rw"[1] "site": x') is None
    assert parse_line('"rw"[1] a b c d e #3: x') is None


@pytest.mark.parametrize(
    ("line", "evidence"),
    [
        ('"site" #1: no local proposal matches remote proposals', True),
        ('"site": added IKEv2 connection', True),
        ('added connection description "site"', True),
        ("shutting down interface eth0 192.0.2.1:500", True),
        ("Pluto is shutting down", True),
        ('"site" #3: initiator rekeyed Child SA #2 using #1', True),
        ('"site" #3: initiating rekey to replace Child SA #2 using IKE SA #1', False),
        ('"rw"[1] 192.0.2.7 #5: responding to IKE_SA_INIT message', False),
        ("packet from 192.0.2.7:500: initial Main Mode message received", False),
        ("| received whack message", False),
        ('| "site" #1: no local proposal matches remote proposals', False),
        ("", False),
    ],
)
def test_a_line_is_evidence_of_a_connection_or_of_pluto_or_of_nothing(
    line: str, *, evidence: bool
) -> None:
    assert is_evidence(line) is evidence


HOSTILE = {
    "quotes": '"' * 10_000,
    "name": '"' + "a" * 10_000,
    "instances": '"a"' + "[1]" * 3_000,
    "words": '"a"' + " a" * 5_000 + ": x",
    "addresses": '"a"[1] ' + "." * 10_000 + " #1: x",
    "user": '"a" #1: XAUTH: User ' + ": Authentication Failed" * 500 + "x",
    "pam": '"a" #1: PAM: authentication of user \'' + "' ABORTED (" * 1_000,
    "id": '"a" #1: Peer ID \'' + "' mismatched on first found" * 400,
    "responding": '"a" #1: responding to ' + "a with encrypted notification " * 400,
    "async": '"a" #1: asynchronous network error report on ' + "Message too lon " * 700,
    "quick": '"a" #1: initiating Quick Mode ' + "{using isakmp" * 800,
    "delete": '"a" #1: deleting state (STATE_V2_ESTABLISHED_IKE_SA)' + " and sending" * 900,
    "state": '"a" #1: ' + "A_" * 5_000 + ": 60 second timeout",
    "serial": '"a" #' + "1" * 10_000 + ": x",
    "route": '"a" #1: cannot route -- route already in use for ' + "- but allowing " * 700,
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_line_costs_little(case: str) -> None:
    line = HOSTILE[case]
    best = min(_timed(line) for _ in range(5))
    assert best < 0.005, f"{best * 1000:.1f} ms for {len(line)} characters"


def _timed(line: str) -> float:
    begin = time.perf_counter()
    find(line)
    return time.perf_counter() - begin


def test_words_in_place_of_an_address_are_no_address() -> None:
    line = parse_line('"rw"[2] [client ip] #3: x')
    assert line is not None
    assert (line.name, line.serial, line.address) == ("rw[2]", 3, "")
    line = parse_line('"rw"[2] [2001:db8::1] #3: x')
    assert line is not None
    assert line.address == "[2001:db8::1]"
