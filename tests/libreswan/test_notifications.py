# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from ipsecwatch.libreswan.log_lines import NOTIFICATIONS
from ipsecwatch.libreswan.notifications import ERROR_WORDS, NOTIFICATION_TABLE, notifications

V1 = range(1, 31)
"""The numbers of all error types with a name in RFC 2408."""
V2 = {1, 4, 5, 7, 9, 11, 14, 17, 24, *range(34, 50)}
"""The numbers of all error types in IANA's registry for IKEv2 (2026)."""

NAMES = sorted({n.name for n in NOTIFICATION_TABLE})


def test_both_registries_are_whole_and_each_number_is_there_once() -> None:
    for version, numbers in ((1, V1), (2, V2)):
        found = [n.number for n in NOTIFICATION_TABLE if n.version == version]
        assert sorted(n for n in found if n) == sorted(numbers)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_found_in_any_spelling(name: str) -> None:
    for word in (
        name, name.lower(), name.replace("_", "-"), f"v2N_{name}", f" {name.replace('_', ' ')} ",
    ):  # fmt: skip
        assert {n.name for n in notifications(word)} == {name}, word


def test_every_notification_that_is_evidence_in_the_log_is_told() -> None:
    assert all(notifications(name) for name in NOTIFICATIONS)


def test_short_names_of_another_implementation_are_told() -> None:
    assert {n.name for n in notifications("NO_PROP")} == {"NO_PROPOSAL_CHOSEN"}
    assert {n.name for n in notifications("AUTH_FAILED")} == {"AUTHENTICATION_FAILED"}


def test_meanings_are_sentences() -> None:
    for n in (*NOTIFICATION_TABLE, *ERROR_WORDS):
        assert n.meaning.endswith("."), n
        assert not n.advice or n.advice.endswith("."), n


@pytest.mark.parametrize("word", ["", "_", "INVALID", "v2N_", "\x1b[31m", "a" * 10_000])
def test_what_is_no_name_is_none(word: str) -> None:
    assert notifications(word) == []
