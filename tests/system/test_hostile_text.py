# SPDX-License-Identifier: MIT
"""Tests that a peer's text changes no other tunnel, and never makes a whole status useless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.libreswan.status import Reader, parse
from ipsecwatch.report import Poll
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import TunnelState
from tests.support.hostile_text import (
    DIALECTS,
    FORGED,
    NASTY,
    OTHERS,
    SLOTS,
    WORDS,
    forged,
    status,
    verdicts,
)


def held(dialect: str, said: dict[str, str], *, lines: bool) -> None:
    """Assert that the other tunnels are as without this text, or that the answer isn't believed.

    Only text in several ``lines`` may lead to the latter.
    """
    text = status(dialect, said)
    expected = verdicts(parse(status(dialect), "status"))
    for report in (parse(text, "status"), parse(text.encode("utf-8", "surrogateescape"), "status")):
        assert report.complete == (report.why is None)
        assert report.complete or lines, report.why
        if report.complete:
            assert verdicts(report) == expected


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_tunnels_are_as_they_should_be_without_a_hostile_one(dialect: str) -> None:
    report = parse(status(dialect), "status")
    assert report.complete
    assert report.unrecognised == ()
    assert {name: seen[0] for name, seen in verdicts(report).items()} == OTHERS
    said = dict.fromkeys(SLOTS, "harmless")
    assert parse(status(dialect, said), "status").complete


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nasty_text_moves_no_other_tunnel(dialect: str) -> None:
    for slot in SLOTS:
        for text in NASTY:
            held(dialect, {slot: text}, lines=False)
            held(dialect, {slot: f"{text} {text}"}, lines=False)


@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_forged_line_moves_no_other_tunnel(dialect: str, what: str) -> None:
    line = forged(dialect, what)
    for slot in SLOTS:
        for text in (f"x\n{line}", f"x\n{line}\n", f"\n{line}\n{line}\n"):
            held(dialect, {slot: text}, lines=True)


def closes(line: str) -> bool:
    return "newest ISAKMP SA:" in line or "   routing:" in line or "newest IKE SA:" in line


@pytest.mark.parametrize("what", FORGED)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_forged_within_a_connection_doesn_t_make_an_answer_doubtful(
    dialect: str, what: str
) -> None:
    """The exception is the line that ends a connection: of two, nobody can say which is pluto's."""
    line = forged(dialect, what)
    for slot in SLOTS:
        text = status(dialect, {slot: f"x\n{line}\n"})
        if slot != "sa-user" and text != status(dialect):  # 3.20 doesn't print all of them
            assert parse(text, "status").complete != closes(line), slot


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_forged_in_two_places_moves_no_other_tunnel(dialect: str, thorough: bool) -> None:
    """One forged line can confirm the other."""
    for n, what in enumerate(FORGED):
        # Each line is tried in each dialect, and each pair of lines in one of them.
        others = list(FORGED) if thorough else list(FORGED)[(n + DIALECTS.index(dialect)) % 5 :: 5]
        for other in others:
            held(
                dialect,
                {
                    "topology": f"x\n{forged(dialect, what)}\n",
                    "sa-user": f"\n{forged(dialect, other)}\n",
                },
                lines=True,
            )


said = st.lists(
    st.one_of(
        st.sampled_from(NASTY[:-4]),
        st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=20),
        st.text(st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=4),
    ),
    max_size=4,
).map("".join)
"""A peer's text in one line, as a real pluto prints it."""

lies = st.lists(
    st.one_of(
        st.sampled_from(list(FORGED)).map(lambda what: f"\n{what}\n"),
        said,
        st.sampled_from(["\n", "\n000 ", "\r\n", '\n000 "november":', '\n"mallory":   ', "\n#6: "]),
    ),
    max_size=5,
)
"""A peer's text in several lines; a text between two line feeds is the name of a forged line."""


def spoken(dialect: str, parts: list[str]) -> str:
    """Return the parts as one text, with each name of a forged line replaced by that line."""
    return "".join(
        f"\n{forged(dialect, part.strip())}\n" if part.strip() in FORGED else part for part in parts
    )


slots = st.sets(st.sampled_from(SLOTS), min_size=1, max_size=3)


@given(st.sampled_from(DIALECTS), slots, said)
def test_whatever_a_peer_says_moves_no_other_tunnel(
    dialect: str, where: set[str], text: str
) -> None:
    held(dialect, dict.fromkeys(where, text), lines=False)


@given(st.sampled_from(DIALECTS), slots, lies)
def test_whatever_a_peer_forges_moves_no_other_tunnel(
    dialect: str, where: set[str], parts: list[str]
) -> None:
    held(dialect, dict.fromkeys(where, spoken(dialect, parts)), lines=True)


@given(st.sampled_from(DIALECTS), slots, st.one_of(said.map(lambda text: [text]), lies))
def test_a_peer_that_comes_and_goes_makes_no_transition_of_another(
    dialect: str, where: set[str], parts: list[str]
) -> None:
    hostile = status(dialect, dict.fromkeys(where, spoken(dialect, parts)))
    tracker, reader = Tracker(), Reader()
    moved = []
    for second, text in enumerate([status(dialect)] * 2 + [hostile] * 3 + [status(dialect)] * 2):
        report = reader.read(text, "status")
        moved += tracker.observe(Poll(1e9 + second, float(second), report, pid=1))
    for change in moved:
        if change.tunnel.key in OTHERS and change.old is not None:
            # If the answer isn't believed, the state is unknown: neither up nor down.
            assert TunnelState.UNKNOWN in (change.old, change.new)
            assert "\n" in "".join(parts)
    now = {key: t.state.value for key, t in tracker.tunnels.items() if key in OTHERS}
    assert now == OTHERS


@given(said)
def test_whatever_a_peer_says_moves_no_other_counter(text: str) -> None:
    lines = [
        "006 #2: \"alpha\", type=ESP, add_time=1, inBytes=10, outBytes=20, id='@east'\n",
        (
            f'006 #4: "mallory"[1] 192.0.2.9, username={text}, type=ESP, add_time=1, inBytes=7, '
            "outBytes=8, lease=10.0.0.1/32\n"
        ),
        (
            f'006 #5: "mallory"[2] 192.0.2.9, type=ESP, add_time=1, inBytes=9, outBytes=5, '
            f"id='{text}', lease=10.0.0.2/32\n"
        ),
        "006 #6: \"november\", type=ESP, add_time=1, inBytes=30, outBytes=40, id='@east'\n",
    ]
    report = parse("".join(lines), "trafficstatus")
    assert report.complete
    assert [(t.serial, t.bytes_in, t.bytes_out) for t in report.traffic] == [
        (2, 10, 20), (4, 7, 8), (5, 9, 5), (6, 30, 40),
    ]  # fmt: skip
    assert report.traffic[1].username == text
    assert report.traffic[2].id == text
    assert [t.lease for t in report.traffic[1:3]] == [("10.0.0.1/32",), ("10.0.0.2/32",)]


def test_counts_that_say_how_many_but_not_which_make_an_answer_doubtful() -> None:
    """After a user name, an attempt of another tunnel follows, and then a forged one."""
    text = status("4.10", {"sa-user": 'x\n000 #82: "mallory":500 ' + WORDS["4.10"]["tries"]})
    tried = next(x for x in text.splitlines(keepends=True) if '#9: "oscar"' in x)
    at = text.index('000 #3: "mallory"')
    text = text[:at].rstrip() + " username=honest\n" + tried + text[at:].replace(tried, "")
    report = parse(text, "status")
    assert report.why == "there are more SAs than pluto counts"
