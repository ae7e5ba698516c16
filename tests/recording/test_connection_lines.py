# SPDX-License-Identifier: MIT
"""Tests of how lines about connections are split into parts for the redaction."""

from __future__ import annotations

import pytest

from ipsecwatch.libreswan.status.topology import LOG_WIDTH
from ipsecwatch.recording import connection_lines
from ipsecwatch.recording.pieces import Field

ENDS = (
    '"site": 10.0.1.0/24===192.0.2.1[CN=a...b]...192.0.2.7[CN=c]===10.0.2.0/24; erouted; '
    "eroute owner: #2"
)


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        (ENDS, Field.CONNECTION, "site"),
        (ENDS, Field.IDENTITY, "CN=a...b"),
        (ENDS, Field.IDENTITY, "CN=c"),
        (ENDS, Field.ADDRESSES, "===10.0.2.0/24"),
        ('"site"[2]: banner: Hello; world', Field.BANNER, "Hello; world"),
        ('"site":   policy_label:secret;', Field.LABEL, "secret"),
    ],
)
def test_a_value_is_of_the_kind_that_stands_in_its_place(
    line: str, field: Field, value: str
) -> None:
    found = connection_lines.read(line)
    assert found is not None
    assert (field, value) in found
    assert "".join(text for _, text in found) == line


def test_a_line_that_pluto_cut_stays_as_long_as_one() -> None:
    found = connection_lines.read(f'"site": 192.0.2.1[CN={"x" * LOG_WIDTH}]...192.0.2.7[CN=y')
    assert found is not None
    assert any(f is Field.OWN and len(text) >= LOG_WIDTH - 80 for f, text in found)
    assert (Field.IDENTITY, "CN=y") in found


def test_a_line_of_another_kind_is_none() -> None:
    assert connection_lines.read('"site" is nothing that pluto prints') is None
