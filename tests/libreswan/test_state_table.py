# SPDX-License-Identifier: MIT
"""Tests of the table of SA states, against outputs, and against others' reading of the source."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch import recording
from ipsecwatch.libreswan.releases import MAIN, RELEASES
from ipsecwatch.libreswan.state_table import (
    NAMELESS,
    STATE_TABLE,
    StateInfo,
    Wording,
    find,
    index,
    meaning,
)
from ipsecwatch.libreswan.status import parse
from ipsecwatch.report import Role, SaKind, Stage
from tests.support.corpus import CORPUS, SHARED, needs_corpus, outputs
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.report import SaState

LAST_NAMED: Final = "5.3.2"
"""The last release that prints the names of states."""


HEAD_FOLLOWS: Final = "5.4"
"""The release that prints the same states as libreswan's main branch did when it was read ("HEAD").
A newer release doesn't change this value."""


def order(tag: str) -> int:
    """Return the place of a release, or of its tag, among all releases."""
    return RELEASES.index(HEAD_FOLLOWS if tag == "HEAD" else tag.removeprefix("v"))


def prints(wordings: Iterable[Wording], text: str | None, tag: str) -> bool:
    """Return whether one of these wordings has this text and is printed by this release."""
    return any(w.text == text and order(w.first) <= order(tag) <= order(w.last) for w in wordings)


def known(s: SaState, tag: str) -> bool:
    """Return whether a row of the table has this state's name and story, both in this release."""
    return any(
        prints(row.stories, s.story, tag)
        and (s.state_name is None or prints(row.names, s.state_name, tag))
        for row in find(s.story)
    )


def test_every_state_of_the_recordings_is_on_the_table() -> None:
    seen = set()
    for path in sorted(ROOT.glob("*/*.gz")):
        head, _ = recording.read(path)
        tag = "HEAD" if head.libreswan == MAIN else str(head.libreswan)
        for answer in statuses(path):
            for s in parse(answer.stdout).states:
                assert known(s, tag), (path, s.state_name, s.story)
                assert not s.guessed
                seen.add((s.state_name, s.story))
    assert len(seen) > 25


@needs_corpus
def test_every_state_line_of_any_release_is_on_the_table() -> None:
    count, strange = 0, set()
    for output in (o for o in outputs(strict=False) if not o.stale):
        for s in parse(output.text, output.command).states:
            count += 1
            if s.guessed or not known(s, output.tag):
                strange.add((output.tag, s.state_name, s.story))
    assert strange == set()
    assert count > 2000


def source() -> list[tuple[str, int, str, str]]:
    """Return the states in the source of each release, as (tag, IKE version, name, story)."""
    lines = (CORPUS / "states.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    return [(tag, int(ike), name, story) for tag, ike, name, story, *_ in rows]


@needs_corpus
def test_every_state_of_every_releases_source_is_on_the_table_with_that_range() -> None:
    missing = []
    for tag, ike, name, story in source():
        rows = [r for r in STATE_TABLE if prints(r.stories, story, tag)]
        if order(tag) <= order(LAST_NAMED):
            rows = [r for r in rows if prints(r.names, name, tag)]
        if not any(r.ike_version in (ike, None) or r.stage is Stage.UNKNOWN for r in rows):
            missing.append((tag, ike, name, story))
    assert missing == []


@needs_corpus
def test_nothing_is_on_the_table_that_no_release_prints() -> None:
    tags = sorted({tag for tag, *_ in source()}, key=order)
    printed = {(tag, story) for tag, _, _, story in source()}
    named = {(tag, name) for tag, _, name, _ in source() if order(tag) <= order(LAST_NAMED)}
    invented = [
        (w.text, tag)
        for texts, wordings in (
            (printed, [w for row in STATE_TABLE for w in row.stories]),
            (named, [w for row in STATE_TABLE for w in row.names]),
        )
        for w in wordings
        for tag in tags
        if order(w.first) <= order(tag) <= order(w.last) and (tag, w.text) not in texts
    ]
    assert invented == []


# --- STATUS-FORMAT.md, appendix A -------------------------------------------------------------

FORMAT = SHARED / "STATUS-FORMAT.md"
needs_format = pytest.mark.skipif(not FORMAT.exists(), reason="STATUS-FORMAT.md isn't here")

ROLES = {"initiator": Role.INITIATOR, "client": Role.INITIATOR, "responder": Role.RESPONDER,
         "server": Role.RESPONDER}  # fmt: skip
STAGES = {
    "half-open": Stage.HALF_OPEN, "open": Stage.OPEN, "authenticating": Stage.AUTHENTICATING,
    "established": Stage.ESTABLISHED, "config": Stage.CONFIG, "rekeying": Stage.REKEYING,
    "negotiating child": Stage.NEGOTIATING_CHILD, "deleting": Stage.DELETING,
    "informational": Stage.INFORMATIONAL, "never shown": Stage.UNKNOWN,
}  # fmt: skip


def appendix() -> list[list[str]]:
    """Return the rows of STATUS-FORMAT.md's table.

    These are: names, stories, IKE version, role, kind, stage, meaning, sticking.
    """
    table = FORMAT.read_text().partition("## Appendix A")[2].partition("## Appendix B")[0]
    rows = (line for line in table.splitlines() if line.startswith(("| `", "| (`")))
    return [row.strip("|").split(" | ") for row in rows]


def wordings(cell: str) -> list[tuple[str, str, str]]:
    """Return the texts in a cell like ``TEXT [v3.18–v5.3.2]``, with their first and last tag."""
    found = re.findall(r"`([^`]+)` \[v([\d.]+)(?:–(?:v([\d.]+)|HEAD))?\]", cell)
    spans = re.findall(r"\[v[\d.]+(–)?", cell)
    out = []
    for (text, first, last), dash in zip(found, spans, strict=False):
        out.append((text, first, last or ("HEAD" if dash else first)))
    return out


def rows_of(cells: list[str]) -> list[StateInfo]:
    """Return the rows of our table that share a name with a row of STATUS-FORMAT.md.

    If that row has no names, they share a story.
    """
    names = [text for text, _, _ in wordings(cells[0])]
    texts = names or [text for text, _, _ in wordings(cells[1])]
    return [
        r for r in STATE_TABLE if {w.text for w in (r.names if names else r.stories)} & set(texts)
    ]


@needs_format
def test_the_appendix_has_as_many_rows_as_expected() -> None:
    assert len(appendix()) > 50


@needs_format
@pytest.mark.parametrize("cells", appendix() if FORMAT.exists() else [], ids=lambda c: c[0][:40])
def test_each_row_of_the_appendix_is_on_the_table(cells: list[str]) -> None:
    ours = rows_of(cells)
    assert ours
    for column, texts in ((0, [w for r in ours for w in r.names]),
                          (1, [w for r in ours for w in r.stories])):  # fmt: skip
        for text, first, last in wordings(cells[column]):
            assert prints(texts, text, first), text
            assert prints(texts, text, last), text
    for row in ours:
        assert str(row.ike_version or "-") == cells[2].strip()


@needs_format
@pytest.mark.parametrize("cells", appendix() if FORMAT.exists() else [], ids=lambda c: c[0][:40])
def test_each_row_of_the_appendix_means_the_same(cells: list[str]) -> None:
    role, kind, stage = (cell.strip() for cell in cells[3:6])
    for row in rows_of(cells):
        if role.split(" ")[0] in ROLES:
            assert row.role is ROLES[role.split(" ")[0]]
        if kind in ("IKE", "CHILD"):
            assert row.kind is SaKind(kind.lower())
        fits = [mine for word, mine in STAGES.items() if re.search(rf"\b{word}\b", stage)]
        assert row.stage in fits or not fits, stage


# --- The look-up ------------------------------------------------------------------------------

GUESSES = {
    "splendidly established Child SA": (SaKind.CHILD, None, Stage.ESTABLISHED, 2),
    "established a new kind of IKE SA": (SaKind.IKE, None, Stage.ESTABLISHED, 2),
    "sent IKE_FANCY request": (SaKind.IKE, Role.INITIATOR, Stage.HALF_OPEN, 2),
    "sent CREATE_CHILD_SA request for new Child SA": (
        SaKind.CHILD, Role.INITIATOR, Stage.NEGOTIATING_CHILD, 2,
    ),
    "sent IKE_AUTH_TWICE response": (SaKind.IKE, Role.RESPONDER, Stage.AUTHENTICATING, 2),
    "sent CREATE_CHILD_SA request to rekey Child SA": (
        SaKind.CHILD, Role.INITIATOR, Stage.REKEYING, 2,
    ),
    "sent Quick Mode III request": (SaKind.CHILD, Role.INITIATOR, Stage.NEGOTIATING_CHILD, 1),
    "deleting IKE SA": (SaKind.IKE, None, Stage.DELETING, 2),
    "having a rest": (None, None, Stage.UNKNOWN, None),
}  # fmt: skip


@pytest.mark.parametrize("story", GUESSES)
def test_an_unknown_story_is_classed_by_its_words(story: str) -> None:
    m = meaning(None, story)
    assert m.guessed
    assert (m.kind, m.role, m.stage, m.ike_version) == GUESSES[story]


def test_of_a_story_that_states_share_only_what_they_agree_on_is_said() -> None:
    # Main and Aggressive Mode, both roles; 5.4 prints no more.
    m = meaning(None, "ISAKMP SA established")
    assert (m.ike_version, m.kind, m.role, m.stage) == (1, SaKind.IKE, None, Stage.ESTABLISHED)
    assert not m.guessed


def test_ranges_are_in_order_and_names_end_with_the_release_that_dropped_them() -> None:
    for row in STATE_TABLE:
        for w in (*row.names, *row.stories):
            assert order(w.first) <= order(w.last), w
        assert all(order(w.last) <= order(LAST_NAMED) for w in row.names)


def test_a_story_that_a_later_release_words_anew_keeps_its_meaning_in_the_older_one() -> None:
    [row] = find("sent IKE_SA_INIT request")
    ended = tuple(replace(w, last=NAMELESS) for w in row.stories)
    _, by_story = index([replace(row, stories=ended)])
    assert by_story["sent IKE_SA_INIT request"].stage is Stage.HALF_OPEN
