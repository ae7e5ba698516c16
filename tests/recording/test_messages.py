# SPDX-License-Identifier: MIT
"""Tests of how pluto's log lines are split into parts for the redaction."""

from __future__ import annotations

import pytest

from ipsecwatch.recording import messages
from ipsecwatch.recording.pieces import Field
from tests.support.paths import FIXTURES

WORDINGS = [
    line[6:]
    for line in (FIXTURES / "wordings.txt").read_text().splitlines()
    if line and line[0] not in "#["
]


def test_the_pieces_of_a_message_are_the_message() -> None:
    for line in WORDINGS:
        found = messages.read(line)
        assert found is None or "".join(text for _, text in found) == line


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("Peer ID is ID_FQDN: '@west'", Field.IDENTITY, "@west"),
        ("Peer ID is ID_FQDN: '@a' b'", Field.IDENTITY, "@a' b"),
        ("STATE_MAIN_I3: Peer ID is ID_FQDN: '@west'", Field.IDENTITY, "@west"),
        ("received Delete SA(0x1234) payload: deleting IPsec State #5", Field.SPI, "0x1234"),
        ("up-client output: anything at all", Field.PRIVATE, "anything at all"),
        ("deleting state (STATE_MAIN_R3) aged 2s and sending notification", Field.OWN,
         "STATE_MAIN_R3"),
    ],
)  # fmt: skip
def test_a_value_is_of_the_kind_that_stands_in_its_place(
    line: str, field: Field, value: str
) -> None:
    assert (field, value) in (messages.read(line) or [])


def test_a_message_that_is_not_in_the_table_is_none() -> None:
    assert messages.read("nothing that pluto says") is None
