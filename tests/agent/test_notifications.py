# SPDX-License-Identifier: MIT
"""Tests of the texts of notifications, and that a peer can't put text of its own into them."""

from __future__ import annotations

import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsecwatch.agent import notifications, texts
from ipsecwatch.agent.notifications import (
    News,
    bad_settings,
    line,
    offline,
    single,
    stopped,
    summary,
    unknown,
)
from ipsecwatch.agent.rules import RULES, Kind, Urgency
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.tunnel import Reason
from tests.support.fake_events import view

OF_TUNNELS = tuple(texts.SUMMARY_LINES)
STATES = {Kind.DOWN: "down", Kind.STUCK: "stuck", Kind.PARTIAL: "partial", Kind.ENDED: "down"}


def news(
    kind: Kind,
    name: str = "site",
    reason: Reason = Reason.NONE,
    *,
    state: str = "",
    away: float | None = None,
    times: int = 1,
    **more: object,
) -> News:
    seen = view(name, state or STATES.get(kind, "up"), **more)
    return News(kind, seen, reason, away, times, within=120.0)


PEER_DEAD = "The VPN server stopped answering.\nCheck that this computer is online."


@pytest.mark.parametrize(
    ("told", "title", "body"),
    [
        (news(Kind.CONNECTED), "VPN site is connected", "Connected."),
        (
            news(Kind.CONNECTED, children=3, children_up=3),
            "VPN site is connected",
            "3 of 3 networks behind it can be reached.",
        ),
        (news(Kind.BACK, away=42.4), "VPN site is back", "Back after 42 s."),
        (news(Kind.BACK, away=0.2), "VPN site is back", "Back after 1 s."),
        (news(Kind.BACK, away=3600 * 3 + 300), "VPN site is back", "Back after 3 h 5 min."),
        (news(Kind.BACK, away=86400 * 2.5), "VPN site is back", "Back after 2 d 12 h."),
        (news(Kind.BACK, away=3599), "VPN site is back", "Back after 1 h."),
        (news(Kind.DOWN, reason=Reason.PEER_DEAD), "VPN site is down", PEER_DEAD),
        (news(Kind.DOWN), "VPN site is down", "The connection was lost."),
        (
            news(Kind.RECONNECTING),
            "VPN site is down",
            "The connection was lost. Reconnecting.",
        ),
        (
            news(Kind.ENDED, reason=Reason.OPERATOR),
            "VPN site is disconnected",
            "Disconnected on this computer.",
        ),
        (
            news(Kind.ENDED, state="waiting"),
            "VPN site is disconnected",
            "The connection was lost. It reconnects when you use it.",
        ),
        (news(Kind.STUCK), "VPN site can't connect", "Trying without success."),
        (
            news(Kind.PARTIAL, children=2, children_up=1),
            "VPN site works in part",
            "1 of 2 networks behind it can be reached.",
        ),
        (
            news(Kind.UNSTABLE, times=8),
            "VPN site is unstable",
            "Lost 8 times within 2 min.\nCheck the network of this computer.",
        ),
    ],
)
def test_each_thing_that_happens_has_its_words(told: News, title: str, body: str) -> None:
    notification = single(told)
    assert (notification.title, notification.body) == (title, body)
    assert notification.key == told.view.path


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.NONE])
def test_every_reason_is_told_in_words_for_people(reason: Reason) -> None:
    words = texts.REASONS[reason]
    for kind in (Kind.DOWN, Kind.STUCK, Kind.PARTIAL):
        body = single(news(kind, reason=reason)).body
        assert words.sentence in body
        assert body.endswith(words.advice)
        assert len(body) < notifications.MAX_BODY
    # Technical terms, and names of units and settings, are only for administrators.
    said = f"{words.sentence} {words.advice}"
    assert not re.search(r"=|systemctl|journalctl|\bUDP\b|peer|tunnel|IKE|subnet|selector", said)
    assert REASON_TEXTS[reason].advice == "" or REASON_TEXTS[reason].advice not in said


def test_the_first_50_characters_tell_what_is_the_matter() -> None:
    for kind in OF_TUNNELS:
        assert len(texts.TITLES[kind].format(name="munich-office-2")) <= 50
    for words in texts.REASONS.values():
        assert len(words.sentence.split(",")[0]) <= 90
    assert all(title.startswith("VPN {name} ") for k, title in texts.TITLES.items()
               if k in OF_TUNNELS)  # fmt: skip


def test_every_text_is_a_whole_sentence_of_its_own() -> None:
    plurals = [text for p in texts.SUMMARY_TITLES for text in (p.one, p.many)]
    for text in [*texts.TITLES.values(), *plurals]:
        assert text[0].isupper() or text[0] == "{"
        assert text[-1] not in ".: ,"
    for words in texts.REASONS.values():
        for text in filter(None, (words.sentence, words.advice)):
            assert text[0].isupper()
            assert text[-1] in ".!"


def test_trouble_stays_and_good_news_goes_and_what_is_meant_is_quiet() -> None:
    def manner(told: News) -> tuple[Urgency, bool]:
        notification = single(told)
        return notification.urgency, notification.lasting

    assert manner(news(Kind.CONNECTED)) == (Urgency.NORMAL, False)
    assert manner(news(Kind.DOWN, reason=Reason.PEER_DEAD)) == (Urgency.NORMAL, True)
    assert manner(news(Kind.ENDED, reason=Reason.OPERATOR)) == (Urgency.LOW, False)
    assert manner(news(Kind.STUCK)) == (Urgency.NORMAL, True)
    assert manner(news(Kind.UNSTABLE)) == (Urgency.NORMAL, True)
    assert offline().urgency is Urgency.LOW
    assert unknown(texts.UNWATCHED).urgency is Urgency.NORMAL


def test_every_kind_has_its_rule_and_a_title() -> None:
    assert RULES.keys() == texts.TITLES.keys() == set(Kind)
    assert texts.REASONS.keys() == set(Reason)
    assert texts.SUMMARY_LINES.keys() == {k for of in texts.SUMMARY_TITLES.values() for k in of}
    categories = {"network.connected", "network.disconnected", "network.error"}
    assert {single(news(k)).category for k in OF_TUNNELS} == categories
    assert not any(rule.icon.endswith("-symbolic") for rule in RULES.values())


def test_a_summary_tells_the_worst_first_and_names_a_few() -> None:
    told = summary(
        [
            news(Kind.CONNECTED, "office"),
            *[news(Kind.RECONNECTING, f"branch-{n}", Reason.PEER_DEAD) for n in range(8)],
            news(Kind.DOWN, "branch-8", Reason.PEER_DEAD),
        ]
    )
    assert told.key == notifications.SUMMARY
    assert told.title == "9 VPNs are down"
    assert told.body.split("\n") == [
        "Down: branch-8, branch-0, branch-1, branch-2, branch-3 and 4 more.",
        "Connected: office.",
        "The VPN server stopped answering.",
        "Check that this computer is online.",
    ]
    assert (told.category, told.lasting) == ("network.disconnected", True)


def test_a_summary_gives_no_reason_where_there_are_several() -> None:
    told = summary([news(Kind.DOWN, "a", Reason.PEER_DEAD), news(Kind.STUCK, "b", Reason.PROPOSAL)])
    assert told.body == "Down: a.\nCan't connect: b."
    assert told.title == "2 VPNs are down"


@pytest.mark.parametrize(
    ("kinds", "title"),
    [
        ([Kind.CONNECTED] * 3, "3 VPNs are connected"),
        ([Kind.CONNECTED, Kind.BACK], "2 VPNs are back"),
        ([Kind.STUCK] * 2, "2 VPNs can't connect"),
        ([Kind.STUCK, Kind.DOWN], "2 VPNs are down"),
        ([Kind.STUCK, Kind.UNSTABLE, Kind.BACK], "2 VPNs have problems"),
        ([Kind.DOWN, Kind.BACK, Kind.BACK], "VPN v0 is down"),
        ([Kind.ENDED, Kind.BACK], "2 VPNs have changed"),
    ],
)
def test_a_summarys_title_says_what_is_true_of_all_that_it_counts(
    kinds: list[Kind], title: str
) -> None:
    assert summary([news(k, f"v{n}", away=1.0) for n, k in enumerate(kinds)]).title == title


def test_the_end_of_pluto_names_what_went_with_it() -> None:
    told = stopped([news(Kind.DOWN, "site"), news(Kind.DOWN, "office")])
    assert told.title == "The VPN service has stopped"
    assert "\nDown because of this: site, office.\n" in told.body
    assert "Down because of this" not in stopped([]).body


def test_a_long_name_is_cut_in_its_middle_and_told_in_full_below() -> None:
    name = "headquarters-to-branch-office-munich-2"
    notification = single(news(Kind.DOWN, name))
    assert notification.title == "VPN headquarte…-munich-2 is down"
    assert notification.body == f"The connection was lost.\nIts full name: {name}"
    listed = summary([news(Kind.DOWN, name), news(Kind.DOWN, "site")]).body
    assert listed == "Down: headquarters-t…fice-munich-2, site."


def test_a_name_that_runs_from_right_to_left_stays_in_its_place() -> None:
    notification = single(news(Kind.DOWN, "مكتب"))
    assert notification.title == "VPN \u2068مكتب\u2069 is down"
    assert "\u2068" not in line(notification, 0.0)
    assert "\u2068" not in single(news(Kind.DOWN, "büro")).title


def test_a_notice_is_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        told = line(single(news(Kind.DOWN, reason=Reason.PEER_DEAD)), 1_700_000_000.0)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert told == f"22:13:20  VPN site is down: {PEER_DEAD}".replace("\n", " ")


def test_a_name_that_was_cleaned_keeps_its_escapes_as_they_are() -> None:
    assert single(news(Kind.CONNECTED, r"evil\u202elive")).title.startswith(r"VPN evil\u202elive ")


HOSTILE = st.text(max_size=300) | st.sampled_from(
    ["\x1b[2J", "a\nb is up", "\u202eevil", "\x00", "\ud800", "A" * 65536, "\u200b\u2800", "{n}"]
)


def harmless(text: str) -> bool:
    """Return whether a text has no control, format, private or separating characters.

    The agent's own isolates around names (U+2068, U+2069) are allowed, if they are in pairs.
    """
    found = {unicodedata.category(c) for c in text if c not in "\u2068\u2069"}
    balanced = text.count("\u2068") == text.count("\u2069")
    return balanced and not any(c.startswith("C") or c in ("Zl", "Zp") for c in found)


@settings(deadline=None)
@given(HOSTILE, st.sampled_from(OF_TUNNELS), st.sampled_from(list(Reason)))
def test_no_name_gets_out_of_its_place(name: str, kind: Kind, reason: Reason) -> None:
    told = news(kind, name, reason)
    for notification in (single(told), summary([told] * 30), stopped([told] * 30)):
        assert harmless(notification.title)
        assert len(notification.title) <= 60
        assert len(notification.body) <= notifications.MAX_BODY
        assert all(map(harmless, notification.body.split("\n")))
        assert notification.body.count("\n") <= 4
        assert harmless(line(notification, 0.0))


@settings(deadline=None)
@given(HOSTILE)
def test_no_mistake_in_the_settings_gets_out_of_its_place(mistake: str) -> None:
    notification = bad_settings(mistake)
    assert all(map(harmless, notification.body.split("\n")))
    assert notification.body.count("\n") <= 1
    assert len(notification.body) <= notifications.MAX_BODY
