# SPDX-License-Identifier: MIT
"""Tests of how an entry is made of the fields of a journal entry."""

from __future__ import annotations

import pytest

from ipsecwatch.history.entries import Entry, Stamp, entry_of
from ipsecwatch.history.message_ids import UP
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.sanitize import clean
from ipsecwatch.states import Reason
from tests.support.hostile_text import NASTY

STAMP = Stamp("boot", 1e9, 10.0)


def entry(**fields: str) -> Entry:
    ours = {f"IPSECWATCH_{name}": value for name, value in fields.items()}
    made = entry_of(STAMP, {"MESSAGE_ID": UP, "IPSECWATCH_RUN_ID": "run", **ours})
    assert made is not None
    return made


@pytest.mark.parametrize("text", NASTY)
def test_what_was_written_clean_is_shown_as_it_was_written(text: str) -> None:
    written = clean(text)
    got = entry(TUNNEL=written or "x", STATE="up", USER=written, PEER=written, DETAIL=written)
    assert (got.user, got.peer, got.detail) == (written, written, written)


@pytest.mark.parametrize("text", NASTY)
def test_what_was_written_raw_is_shown_harmless(text: str) -> None:
    got = entry(TUNNEL=f"x{text}", STATE="up", USER=text)
    assert got.user.isprintable()
    assert got.tunnel.isprintable()


def test_what_was_told_of_a_reason_is_told_again() -> None:
    ours = {"SENTENCE": "Our own private key was not found.", "ADVICE": "Import it."}
    got = entry(TUNNEL="x", STATE="down", REASON="authentication", **ours)
    assert (got.text.sentence, got.text.advice) == (ours["SENTENCE"], ours["ADVICE"])
    plain = entry(TUNNEL="x", STATE="down", REASON="authentication")
    assert plain.text is REASON_TEXTS[Reason.AUTHENTICATION]
