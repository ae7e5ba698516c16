# SPDX-License-Identifier: MIT
"""Tests of how lines about SAs are split into parts for the redaction."""

from __future__ import annotations

import pytest

from ipsecwatch.recording import sa_lines
from ipsecwatch.recording.pieces import Field

STATE = '#2: "site":500 STATE_QUICK_I2 (sent QI2, IPsec SA established); newest IPSEC; isakmp#1'
SPIS = '#2: "site" esp.7dd1715e@192.0.2.7 esp.1@192.0.2.1 Traffic: ESPin=84B! username=a b;c'
COUNTERS = "#2: \"site\"[3] 192.0.2.7, type=ESP, add_time=17, inBytes=84, id='CN=a, id='b''"
PENDING = '#1: pending CHILD SA for "site"[2] 192.0.2.7 replacing #0'


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        (STATE, Field.CONNECTION, "site"),
        (STATE, Field.OWN, "sent QI2, IPsec SA established"),
        (f"{STATE}; some new word", Field.TEXT, " some new word"),
        (SPIS, Field.ADDRESSES, "esp.7dd1715e@192.0.2.7"),
        (SPIS, Field.USER, "a b;c"),
        (COUNTERS, Field.IDENTITY, "CN=a, id='b'"),
        (COUNTERS, Field.ADDRESSES, " 192.0.2.7"),
        (PENDING, Field.OWN, " replacing #0"),
    ],
)
def test_a_value_is_of_the_kind_that_stands_in_its_place(
    line: str, field: Field, value: str
) -> None:
    found = sa_lines.read(line)
    assert found is not None
    assert (field, value) in found
    assert "".join(text for _, text in found) == line


def test_a_line_of_another_kind_is_none() -> None:
    assert sa_lines.read("#2: nothing that pluto prints") is None
