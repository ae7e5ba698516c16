# SPDX-License-Identifier: MIT
"""Tests of how lines of other commands are split into parts for the redaction."""

from __future__ import annotations

import pytest

from ipsecwatch.recording import status_lines
from ipsecwatch.recording.pieces import Field
from tests.support.paths import FIXTURES

ANSWERS = sorted((FIXTURES / "answers").glob("*/*.txt"))


def test_the_pieces_of_a_line_are_the_line() -> None:
    read = 0
    for path in ANSWERS:
        for line in path.read_text("utf-8", "surrogateescape").splitlines():
            text = line[4:] if line[:3].isdigit() else line
            found = status_lines.read(text)
            if found is not None:
                read += 1
                assert "".join(text for _, text in found) == text
    assert read > 500


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("interface eth0 UDP 192.0.2.1:500", Field.INTERFACE, "eth0"),
        ("address pool 10.0.0.0/24: 2 addresses, 1 leases, 1 in-use, 1 free (0 reusable)",
         Field.ADDRESSES, "10.0.0.0/24"),
        ("    10.0.0.1 assigned to $3  @paula", Field.IDENTITY, "@paula"),
        ("  1234  pluto helper", Field.PID, "1234"),
        ('no connection named "home"', Field.CONNECTION, "home"),
        ("debug raw+secret", Field.PRIVATE, "secret"),
    ],
)  # fmt: skip
def test_a_value_is_of_the_kind_that_stands_in_its_place(
    line: str, field: Field, value: str
) -> None:
    assert (field, value) in (status_lines.read(line) or [])
