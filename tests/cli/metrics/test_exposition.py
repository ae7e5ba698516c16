# SPDX-License-Identifier: MIT
"""Tests of metrics as text, with strict parsers of both formats."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.cli.metrics.exposition import Family, Format, Kind, Sample, write
from tests.support.metrics_readers import older, openmetrics

FAMILIES = [
    Family("a_info_of", Kind.INFO, "Of what.", (Sample(1, {"version": "5.4"}),)),
    Family("b", Kind.COUNTER, 'With a \\ and\na line end.', (Sample(2**53, {}),)),
    Family("c_seconds", Kind.GAUGE, "Since.", (Sample(1.25, {"t": "x"}), Sample(0, {"t": "y"})),
           "seconds"),
    Family("empty", Kind.GAUGE, "None.", ()),
]  # fmt: skip


def test_an_openmetrics_reader_reads_what_was_written() -> None:
    read = {f.name: f for f in openmetrics(write(FAMILIES, Format.OPENMETRICS))}
    assert {name: f.type for name, f in read.items()} == {
        "a_info_of": "info", "b": "counter", "c_seconds": "gauge",
    }  # fmt: skip
    assert read["c_seconds"].unit == "seconds"
    assert read["b"].documentation == FAMILIES[1].help
    assert [(s.name, s.value) for s in read["b"].samples] == [("b_total", 2**53)]
    assert [(s.labels, s.value) for s in read["c_seconds"].samples] == [
        ({"t": "x"}, 1.25), ({"t": "y"}, 0),
    ]  # fmt: skip


def test_a_reader_of_the_older_format_reads_the_same_values() -> None:
    text = write(FAMILIES, Format.PROMETHEUS)
    assert "# EOF" not in text
    assert "# UNIT" not in text
    values = [
        {(s.name, *s.labels.values()): s.value for f in read for s in f.samples}
        for read in (older(text), openmetrics(write(FAMILIES, Format.OPENMETRICS)))
    ]
    assert values[0] == values[1]


@pytest.mark.parametrize("format_", Format)
@given(name=st.text(st.characters(exclude_categories=["Cs"])), value=st.floats())
def test_any_label_and_any_number_are_read_back(name: str, value: float, format_: Format) -> None:
    if math.isinf(value):
        return
    family = Family("a", Kind.GAUGE, "A.", (Sample(value, {"tunnel": name}),))
    read = openmetrics if format_ is Format.OPENMETRICS else older
    if format_ is Format.PROMETHEUS and ("\r" in name or name != name.strip()):
        return  # this reader's own way with blanks
    text = write([family], format_)
    [sample] = [s for f in read(text) for s in f.samples]
    assert sample.labels == {"tunnel": name}
    assert sample.value == value or (math.isnan(value) and math.isnan(sample.value))
