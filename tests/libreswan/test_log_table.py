# SPDX-License-Identifier: MIT
"""Tests of the table of log lines: against pluto's source in each release, and in itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.libreswan.log_table import DAEMON_TABLE, TABLE, LogEvent, LogWording, Proof, Weight
from ipsecwatch.libreswan.releases import RELEASES
from ipsecwatch.tunnel import Reason
from tests.support import libreswan_source as source

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = (*TABLE, *DAEMON_TABLE)


def words(row: LogWording) -> str:
    """Return the fixed words of a row, for libreswan_source.says()."""
    return row.source or "^" + re.sub(r"\\(.)", r"\1", row.pattern.removesuffix("$"))


def name(row: LogWording) -> str:
    return f"{row.first}-{row.last} {row.pattern[:60]}"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_row_is_of_releases_that_there_are(row: LogWording) -> None:
    assert RELEASES.index(row.first) <= RELEASES.index(row.last)


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_a_row_names_its_words_in_the_source_where_the_pattern_does_not_show_them(
    row: LogWording,
) -> None:
    if not row.source:
        assert not re.search(r"(?<!\\)[][(){}|+*?.^]|\\[a-z]", row.pattern.removesuffix("$"))
    assert len(words(row)) >= 7


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_what_is_local_has_no_peer_in_it(row: LogWording) -> None:
    finding = row.finding
    if finding.weight is Weight.LOCAL or finding.reason is Reason.OPERATOR:
        assert finding.proof is Proof.LOCAL or finding.began.name == "PEER"
    if finding.event is LogEvent.LOSS and finding.reason is Reason.PEER_DELETED:
        assert finding.proof is Proof.PEER


def around(row: LogWording) -> Iterator[tuple[str, bool]]:
    """Yield each release of a row, and the two next to them, with whether it prints the words."""
    first, last = RELEASES.index(row.first), RELEASES.index(row.last)
    for n, release in enumerate(RELEASES):
        if first - 1 <= n <= last + 1:
            yield release, first <= n <= last


@pytest.mark.skipif(not source.CLONE, reason="LIBRESWAN_CLONE names no clone of libreswan")
def test_each_row_s_words_are_in_the_source_of_its_releases_and_of_no_other_around() -> None:
    wrong = [
        f"{words(row)!r} at {release}"
        for row in ROWS
        for release, there in around(row)
        if source.says(release, words(row)) != there
    ]
    assert not wrong
