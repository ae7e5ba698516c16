# SPDX-License-Identifier: MIT
"""What the agent says, and that nobody else can put words into its mouth."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsecwatch.agent import notifications
from ipsecwatch.agent.notifications import (
    News,
    NewsKind,
    Urgency,
    line,
    pluto_stopped,
    single,
    summary,
    unwatched,
)
from ipsecwatch.client.events import Lost
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.tunnel import Reason
from tests.support.fake_events import view

STATES = {NewsKind.DOWN: "down", NewsKind.STUCK: "stuck", NewsKind.PARTIAL: "partial"}


def news(
    kind: NewsKind,
    name: str = "site",
    reason: Reason = Reason.NONE,
    *,
    state: str = "",
    away: float | None = None,
    times: int = 1,
    **more: object,
) -> News:
    return News(kind, view(name, state or STATES.get(kind, "up"), **more), reason, away, times)


PEER_DEAD = """\
The peer stopped answering.
Check the network between the two sides, and whether the peer is running."""
TRYING_AGAIN = """\
The peer closed the tunnel. It is being set up again.
Ask its administrator why, if it does not come back by itself."""


@pytest.mark.parametrize(
    ("told", "title", "body"),
    [
        (news(NewsKind.UP), "site is up", "The tunnel is established."),
        (news(NewsKind.UP, away=42.4), "site is up", "It was down for 42 s."),
        (news(NewsKind.UP, away=3600 * 3 + 300), "site is up", "It was down for 3 h 5 min."),
        (news(NewsKind.UP, away=86400 * 2.5), "site is up", "It was down for 2 d 12 h."),
        (news(NewsKind.UP, away=3599), "site is up", "It was down for 1 h."),
        (
            news(NewsKind.UP, children=3, children_up=3),
            "site is up",
            "3 of 3 subnets are connected.",
        ),
        (news(NewsKind.BLIP, away=0.2), "site is up again", "It was lost for 1 s."),
        (
            news(NewsKind.BLIP, away=2.0, times=4),
            "site is up again",
            "It was lost for 2 s. It happened 4 times lately.",
        ),
        (
            news(NewsKind.DOWN, reason=Reason.PEER_DEAD),
            "site is down",
            PEER_DEAD,
        ),
        (news(NewsKind.DOWN), "site is down", "The tunnel was lost."),
        (
            news(NewsKind.DOWN, state="waiting"),
            "site is down",
            "The tunnel was lost. It comes back when it is needed.",
        ),
        (
            news(NewsKind.DOWN, reason=Reason.PEER_DELETED, state="connecting"),
            "site is down",
            TRYING_AGAIN,
        ),
        (
            news(NewsKind.STUCK),
            "site is stuck",
            "It has been trying to connect, without success so far.",
        ),
        (
            news(NewsKind.PARTIAL, children=2, children_up=1),
            "site is partly up",
            "1 of 2 subnets is connected.",
        ),
        (news(NewsKind.PARTIAL), "site is partly up", "Some of its subnets are not connected."),
    ],
)
def test_each_thing_that_happens_has_its_words(told: News, title: str, body: str) -> None:
    notice = single(told)
    assert (notice.title, notice.body) == (title, body)
    assert notice.key == told.view.path


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.NONE])
def test_every_reason_is_told_with_what_to_do_about_it(reason: Reason) -> None:
    for kind in (NewsKind.DOWN, NewsKind.STUCK, NewsKind.PARTIAL):
        body = single(news(kind, reason=reason)).body
        assert REASON_TEXTS[reason].sentence in body
        assert body.endswith(REASON_TEXTS[reason].advice)
        assert len(body) < notifications.MAX_BODY


def test_what_asks_for_nothing_is_quiet_or_goes_by_itself() -> None:
    def manner(told: News) -> tuple[Urgency, bool]:
        notice = single(told)
        return notice.urgency, notice.transient

    assert manner(news(NewsKind.UP)) == (Urgency.NORMAL, True)
    assert manner(news(NewsKind.BLIP, away=1)) == (Urgency.LOW, True)
    assert manner(news(NewsKind.DOWN, reason=Reason.PEER_DEAD)) == (Urgency.NORMAL, False)
    assert manner(news(NewsKind.DOWN, reason=Reason.OPERATOR)) == (Urgency.LOW, False)
    assert manner(news(NewsKind.STUCK)) == (Urgency.NORMAL, False)


def test_categories_and_icons_tell_up_from_down_from_trouble() -> None:
    looks = {k: (single(news(k)).category, single(news(k)).icon) for k in NewsKind}
    assert looks == {
        NewsKind.UP: ("network.connected", "network-vpn"),
        NewsKind.BLIP: ("network.connected", "network-vpn"),
        NewsKind.DOWN: ("network.disconnected", "network-offline"),
        NewsKind.STUCK: ("network.error", "dialog-warning"),
        NewsKind.PARTIAL: ("network.error", "dialog-warning"),
    }


def test_a_summary_tells_the_worst_first_and_names_a_few() -> None:
    told = summary(
        [
            news(NewsKind.UP, "office"),
            *[news(NewsKind.DOWN, f"branch-{n}", Reason.PEER_DEAD) for n in range(9)],
        ]
    )
    assert told.key == notifications.SUMMARY
    assert told.title == "9 tunnels are down, 1 up"
    assert told.body.split("\n") == [
        "Down: branch-0, branch-1, branch-2, branch-3, branch-4 and 4 more.",
        "Up: office.",
        "The peer stopped answering.",
        "Check the network between the two sides, and whether the peer is running.",
    ]
    assert told.category == "network.disconnected"


def test_a_summary_of_one_kind_needs_no_headings() -> None:
    told = summary([news(NewsKind.UP, "a"), news(NewsKind.UP, "b"), news(NewsKind.UP, "c")])
    assert (told.title, told.body) == ("3 tunnels are up", "a, b and c.")


def test_a_summary_gives_no_reason_where_there_are_several() -> None:
    told = summary(
        [news(NewsKind.DOWN, "a", Reason.PEER_DEAD), news(NewsKind.STUCK, "b", Reason.PROPOSAL)]
    )
    assert told.body == "Down: a.\nStuck: b."


def test_the_end_of_pluto_names_what_went_with_it() -> None:
    told = pluto_stopped([news(NewsKind.DOWN, "site"), news(NewsKind.DOWN, "office")])
    assert told.title == "The IPsec service stopped"
    assert told.body == "site and office are down.\nStart it: systemctl start ipsec"
    assert pluto_stopped([news(NewsKind.DOWN)]).body.startswith("site is down.\n")


def test_that_nobody_watches_says_what_to_do() -> None:
    told = unwatched(Lost("ipsecwatch isn't running", "Start it with: systemctl start ipsecwatch"))
    assert told.body == "ipsecwatch isn't running.\nStart it with: systemctl start ipsecwatch"
    assert unwatched(Lost("no bus")).body == "no bus."


def test_a_long_name_is_cut_in_its_middle_and_told_in_full_below() -> None:
    name = "headquarters-to-branch-office-munich-2"
    notice = single(news(NewsKind.DOWN, name))
    assert notice.title == "headquar…unich-2 is down"
    assert notice.body == f"{name}\nThe tunnel was lost."
    listed = summary([news(NewsKind.DOWN, name), news(NewsKind.DOWN, "site")]).body
    assert listed == "headquarters-t…fice-munich-2 and site."
    longer = single(news(NewsKind.DOWN, "x" * 10 + "y" * 200 + "z" * 10))
    assert longer.title == "xxxxxxxx…zzzzzzz is down"


def test_a_notice_is_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        told = line(single(news(NewsKind.DOWN, reason=Reason.PEER_DELETED)), 1_700_000_000.0)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert told == (
        "22:13:20  site is down: The peer closed the tunnel. "
        "Ask its administrator why, if it does not come back by itself."
    )


def test_a_name_that_was_cleaned_keeps_its_escapes_as_they_are() -> None:
    assert single(news(NewsKind.UP, r"evil\u202elive")).title == r"evil\u202elive is up"


HOSTILE = st.text(max_size=300) | st.sampled_from(
    ["\x1b[2J", "a\nb is up", "\u202eevil", "\x00", "\ud800", "A" * 65536, "\u200b\u2800"]
)


def harmless(text: str) -> bool:
    """No control, format, bidirectional, private, undecodable or separating character."""
    found = {unicodedata.category(c) for c in text}
    return not any(c.startswith("C") or c in ("Zl", "Zp") for c in found)


@settings(deadline=None)
@given(HOSTILE, st.sampled_from(list(NewsKind)), st.sampled_from(list(Reason)))
def test_no_name_gets_out_of_its_place(name: str, kind: NewsKind, reason: Reason) -> None:
    told = news(kind, name, reason)
    for notice in (single(told), summary([told] * 30), pluto_stopped([told] * 30)):
        assert harmless(notice.title)
        assert len(notice.title) <= 60
        assert len(notice.body) <= notifications.MAX_BODY
        assert all(map(harmless, notice.body.split("\n")))
        assert notice.body.count("\n") <= 4
        assert harmless(line(notice, 0.0))


@settings(deadline=None)
@given(HOSTILE, HOSTILE)
def test_no_error_message_gets_out_of_its_place(why: str, hint: str) -> None:
    notice = unwatched(Lost(why, hint))
    assert all(map(harmless, notice.body.split("\n")))
    assert notice.body.count("\n") <= 1
    assert len(notice.body) <= notifications.MAX_BODY
