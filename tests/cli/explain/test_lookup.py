# SPDX-License-Identifier: MIT
"""Tests of ``explain WORD``, with all words that libreswan is known to print."""

from __future__ import annotations

import re

import pytest

from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.explain import lookup
from ipsecwatch.libreswan import glossary
from ipsecwatch.libreswan.state_table import STATE_TABLE
from ipsecwatch.libreswan.status import parse
from ipsecwatch.libreswan.status.topology import ROUTINGS
from ipsecwatch.report import Stage
from tests.support.corpus import needs_corpus, outputs
from tests.support.recordings import ROOT, statuses

NAMES = sorted({w.text for s in STATE_TABLE for w in s.names})
TEXTS = sorted({w.text for s in STATE_TABLE for w in s.stories if w.text})
OTHERS = sorted({*glossary.ROUTING, *glossary.POLICY, *glossary.MARKS, *glossary.SHUNTS})


def told(word: str) -> str:
    return lookup.explanation(word, terminal.Paint(False), 80)


def test_every_state_is_told_by_each_of_its_names() -> None:
    for name in NAMES:
        plain = name.removeprefix("STATE_").removeprefix("V2_")
        half = name.removeprefix("STATE_")  # V2_PARENT_I1
        for word in (name, name.lower(), plain, half, f"{name} (whatever it says)"):
            assert any(name == w.text for s in lookup.states(word) for w in s.names), word
            assert "means" in told(word), word


def test_every_state_is_told_by_each_of_its_stories() -> None:
    for text in TEXTS:
        for word in (text, text.upper()):
            assert lookup.states(word), word
            unwrapped = told(word).replace("\n" + " " * 15, " ")
            assert all(s.meaning in unwrapped for s in lookup.states(word))


@pytest.mark.parametrize("word", OTHERS)
def test_every_other_word_is_told_in_any_case(word: str) -> None:
    for spelt in (word, word.lower(), word.upper()):
        assert any(printed == word for _, printed, _ in lookup.other(spelt))
    assert "means" in told(word)


TIMERS = {
    "RETRANSMIT", "EVENT_RETRANSMIT", "EVENT_v1_RETRANSMIT", "EVENT_v2_RETRANSMIT", "REPLACE",
    "EVENT_SA_REPLACE", "REKEY", "EVENT_SA_REKEY", "EVENT_SA_REPLACE_IF_USED",
    "EVENT_v2_SA_REPLACE_IF_USED", "EVENT_v2_SA_REPLACE_IF_USED_IKE", "REPLACE_IF_USED",
    "EVENT_v1_SA_REPLACE_IF_USED", "EVENT_SA_EXPIRE", "EXPIRE", "EVENT_SO_DISCARD", "DISCARD",
    "EVENT_v2_RESPONDER_TIMEOUT", "TIMEOUT_INITIATOR", "TIMEOUT_RESPONDER", "TIMEOUT_RESPONSE",
    "EVENT_v2_LIVENESS", "LIVENESS", "EVENT_DPD", "EVENT_DPD_TIMEOUT", "DPD", "DPD_TIMEOUT",
    "EVENT_v1_SEND_XAUTH", "SEND_XAUTH", "EVENT_PAM_TIMEOUT", "PAM_TIMEOUT",
    "EVENT_CRYPTO_FAILED", "EVENT_CRYPTO_TIMEOUT", "CRYPTO_TIMEOUT", "NAT_KEEPALIVE",
    "EVENT_v2_RELEASE_WHACK", "EVENT_v2_INITIATE_CHILD", "EVENT_v2_SEND_NEXT_IKE",
    "EVENT_v2_ADDR_CHANGE", "ADDR_CHANGE", "EVENT_v2_REDIRECT", "EVENT_RETAIN", "REAUTH",
}  # fmt: skip
"""All names that timers have had, from programs/pluto/timer.c of each release."""


@pytest.mark.parametrize("timer", sorted(TIMERS))
def test_every_timer_is_told_by_all_its_names(timer: str) -> None:
    assert glossary.timer(timer)
    for written in (timer, timer.lower(), timer.upper()):
        assert "timer" in told(written)


def test_meanings_are_sentences_in_our_own_words() -> None:
    passing = (Stage.ESTABLISHED, Stage.UNKNOWN, Stage.CONFIG, Stage.INFORMATIONAL)
    for s in STATE_TABLE:
        assert s.meaning.endswith("."), s
        assert not s.sticks or s.sticks.endswith("."), s
        assert not any(w.text == s.meaning.rstrip(".") for w in s.stories), s
        assert s.sticks or s.stage in passing, s
    for words_ in (glossary.ROUTING, glossary.POLICY, glossary.TIMERS, glossary.MARKS):
        assert all(meaning.endswith(".") for meaning in words_.values())


def test_every_routing_that_is_read_is_told() -> None:
    assert set(ROUTINGS) == set(glossary.ROUTING)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("STATE_MAIN_I9", "STATE_MAIN_I3"),
        ("STATE_QUICK_I", "STATE_QUICK_I1"),
        ("sent IKE_AUTH reqest", "sent IKE_AUTH request"),
        ("RETRANSMITS", "RETRANSMIT"),
        ("prospective-erouted", "prospective erouted"),
        ("DONT_REKY", "DONT_REKEY"),
    ],
)
def test_a_word_that_is_nearly_one_is_told_what_was_meant(word: str, meant: str) -> None:
    assert told(word) == ""
    assert meant in lookup.similar(word)


@pytest.mark.parametrize("word", ["foo", "12", "(", "STATE_", "", "\x1b[31m", "a" * 10_000])
def test_a_word_that_is_none_is_told_nothing(word: str) -> None:
    assert told(word) == ""
    assert lookup.as_json(word) == []
    assert lookup.similar(word) == []


MARK = re.compile(r"; ?([a-z_/]+(?: [a-z]+)?)(?=;)")


def printed(texts: list[str]) -> dict[str, set[str]]:
    """Return the words that these answers contain, by kind."""
    found: dict[str, set[str]] = {"routing": set(), "timer": set(), "shunt": set(), "mark": set()}
    for text in texts:
        report = parse(text)
        found["routing"] |= {c.routing for c in report.connections if c.routing}
        found["timer"] |= {e.name for s in report.states for e in s.timers}
        found["shunt"] |= {word for x in report.shunts for word in (x.action, x.why)}
        tails = [s.text for s in report.states]
        found["mark"] |= {m for t in tails for m in MARK.findall(t)}
    return found


def check(texts: list[str]) -> None:
    found = printed(texts)
    assert found["routing"] <= set(glossary.ROUTING)
    assert {t for t in found["timer"] if not glossary.timer(t)} == set()
    assert found["shunt"] <= set(glossary.SHUNTS)
    assert found["mark"] <= set(glossary.MARKS)


def test_every_word_of_the_recordings_is_told() -> None:
    check([a.stdout for p in sorted(ROOT.glob("*/*.gz")) for a in statuses(p)[::7]])


@needs_corpus
def test_every_word_of_any_release_is_told() -> None:
    check([output.text for output in outputs()])
