# SPDX-License-Identifier: MIT
"""Tests of mutes: they are kept, they end in time, and a damaged file does no harm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent import mutes
from ipsecwatch.agent.mutes import Mute, MutesError, Until

if TYPE_CHECKING:
    from pathlib import Path

NOON = 1_800_000_000.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "mutes.json"


def written(*entries: object, version: object = 1) -> str:
    return json.dumps({"format": version, "mutes": list(entries)})


def test_a_mute_is_kept_until_it_is_over_or_taken_back(file: Path) -> None:
    assert mutes.load(file, NOON) == ()
    mutes.mute(file, "a", Until.HOUR, NOON)
    mutes.mute(file, "b", Until.LOGIN, NOON)
    mutes.mute(file, "c", Until.EVER, NOON)
    assert [m.name for m in mutes.load(file, NOON + 3599)] == ["a", "b", "c"]
    assert [m.name for m in mutes.load(file, NOON + 3600)] == ["b", "c"]
    mutes.begin_login(file, NOON)
    assert [m.name for m in mutes.load(file, NOON)] == ["a", "c"]
    assert mutes.unmute(file, "a", NOON)
    assert not mutes.unmute(file, "a", NOON)
    assert mutes.load(file, NOON) == (Mute("c", Until.EVER),)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in file.parent.iterdir()] == [file.name]


def test_a_clock_that_was_set_back_makes_no_hour_longer(file: Path) -> None:
    mutes.mute(file, "a", Until.HOUR, NOON)
    (found,) = mutes.load(file, NOON - 86400)
    assert found.left(NOON - 86400) == mutes.HOUR


GOOD = {"name": "a", "for": "ever", "ends": 0}
WRONG = {
    "no JSON": "{",
    "nothing": "",
    "deep": "[" * 100_000,
    "a list": "[]",
    "another version": written(GOOD, version=2),
    "a number for a version": written(GOOD, version=True),
    "no mutes": '{"format": 1}',
    "a text for a mute": written("a"),
    "no name": written(GOOD | {"name": ""}),
    "a number for a name": written(GOOD | {"name": 7}),
    "a long name": written(GOOD | {"name": "a" * 401}),
    "a name that nobody can read": written(GOOD | {"name": "\x1b[31m"}),
    "an unknown time": written(GOOD | {"for": "2h"}),
    "no end of time": written(GOOD | {"ends": float("inf")}),
    "a time before time": written(GOOD | {"ends": -1}),
    "too many": written(*[GOOD | {"name": f"t{n}"} for n in range(1001)]),
    "too large": written(GOOD) + " " * (1 << 20),
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_file_with_a_mistake_is_refused_with_a_line_and_not_written_over(
    text: str, file: Path
) -> None:
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(MutesError) as refused:
        mutes.mute(file, "b", Until.EVER, NOON)
    assert len(str(refused.value).splitlines()) == 1
    assert str(file) in str(refused.value)
    assert file.read_text() == text


def test_more_than_can_be_read_is_not_written(file: Path) -> None:
    mutes.save(file, [Mute(f"t{n}", Until.EVER) for n in range(mutes.MAX_MUTES)])
    with pytest.raises(MutesError, match="more than 1000"):
        mutes.mute(file, "one more", Until.EVER, NOON)
    assert len(mutes.load(file, NOON)) == mutes.MAX_MUTES


def test_a_folder_in_its_place_or_on_its_way_is_told(tmp_path: Path) -> None:
    with pytest.raises(MutesError, match="can't be read"):
        mutes.load(tmp_path, NOON)
    (tmp_path / "file").write_text("")
    with pytest.raises(MutesError, match="can't be"):
        mutes.mute(tmp_path / "file" / "mutes.json", "a", Until.EVER, NOON)


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"HOME": "/home/ann"}, "/home/ann/.local/state/ipsecwatch/mutes.json"),
        ({"HOME": "/home/ann", "XDG_STATE_HOME": "/s"}, "/s/ipsecwatch/mutes.json"),
        ({"HOME": "/a", "XDG_STATE_HOME": "s"}, "/a/.local/state/ipsecwatch/mutes.json"),
        ({}, "/.local/state/ipsecwatch/mutes.json"),
    ],
)  # fmt: skip
def test_the_file_is_where_programs_keep_their_state(
    environment: dict[str, str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(mutes.mutes_file()) == found
