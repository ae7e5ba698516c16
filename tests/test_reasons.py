# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from ipsecwatch.reasons import IPSEC, REASON_TEXTS, words_for
from ipsecwatch.tracking.reason_text import reason_text
from ipsecwatch.tunnel import Reason
from tests.support.tunnels import tunnel


def test_every_reason_has_words() -> None:
    assert REASON_TEXTS.keys() == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_words_are_a_sentence_and_a_next_step(reason: Reason) -> None:
    words = REASON_TEXTS[reason]
    assert words.sentence[0].isupper()
    assert words.sentence.endswith(".")
    assert words.sentence.count(". ") == 0
    done = {Reason.NONE, Reason.OPERATOR, Reason.UNLOADED}
    assert bool(words.advice) == (reason not in done)
    assert len(words.sentence) <= 60
    assert len(words.advice) <= 120


@pytest.mark.parametrize("reason", Reason)
def test_advice_names_the_unit_that_runs_pluto_and_none_where_none_does(reason: Reason) -> None:
    usual, other, none = (words_for(reason, unit) for unit in (IPSEC, "my@vpn.service", ""))
    assert usual is REASON_TEXTS[reason]
    assert {other.sentence, none.sentence} == {usual.sentence}
    names_it = " ipsec" in usual.advice.replace("ipsecwatch", "")
    assert other.advice == (usual.advice.replace(" ipsec", " my@vpn") if names_it else usual.advice)
    assert "systemctl" not in none.advice
    assert "journalctl" not in none.advice
    assert bool(none.advice) is bool(usual.advice)
    assert len(none.advice) <= 120


def test_a_peers_name_that_does_not_resolve_is_told_and_cleaned() -> None:
    words = reason_text(Reason.UNREACHABLE, tunnel("site", unresolved="vpn\x1b[31m.example"))
    assert words.sentence == "The peer's name vpn\\x1b[31m.example does not resolve."
    assert "DNS" in words.advice


@pytest.mark.parametrize("reason", Reason)
def test_all_else_has_the_words_of_the_table(reason: Reason) -> None:
    resolved = tunnel("site")
    assert reason_text(reason, resolved) is REASON_TEXTS[reason]
    if reason is not Reason.UNREACHABLE:
        assert reason_text(reason, tunnel("site", unresolved="a")) is REASON_TEXTS[reason]
