# SPDX-License-Identifier: MIT
"""What the service knows again after its own restart."""

from __future__ import annotations

import json
import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import recording
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import LogLine
from ipsecwatch.service.daemon import SAVE_EVERY
from ipsecwatch.service.state_file import Saved, StateFile
from ipsecwatch.tracking.tracker import Tracker
from tests.support.model_pluto import ModelPluto
from tests.support.recordings import ROOT
from tests.support.reports import child, connection, ike, no_answer, poll

if TYPE_CHECKING:
    from pathlib import Path

SITE = connection("site")
UP = (ike(1, "site"), child(2, "site", 1))


def again(tracker: Tracker) -> Tracker:
    """Take what a tracker saved through JSON into another one."""
    other = Tracker()
    other.restore(json.loads(json.dumps(tracker.save())))
    return other


def test_what_has_not_changed_is_not_told_again() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE], UP))
    assert again(tracker).observe(poll(5, [SITE], UP)) == []


def test_what_changed_meanwhile_is_told() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE], UP))
    (change,) = again(tracker).observe(poll(5, [SITE]))
    assert change.goes_down
    assert change.announced


def test_a_pluto_that_was_restarted_meanwhile_is_noticed() -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE], UP, pid=7))
    changes = again(tracker).observe(poll(5, [SITE], UP, pid=8))
    assert [(c.goes_down, c.goes_up) for c in changes] == [(True, False), (False, True)]


def test_a_pluto_that_has_gone_is_not_told_of_again() -> None:
    tracker = Tracker(stopped_after=15)
    tracker.observe(poll(0, [SITE], UP))
    gone = []
    for second in (5, 20):
        tracker.observe(no_answer(second))
        gone.append(tracker.gone)
    assert gone == [False, True]
    other = again(tracker)
    assert other.observe(no_answer(25)) == []
    (change,) = other.observe(poll(30, [SITE], UP))
    assert change.goes_up


@pytest.mark.parametrize("release", ["4.10", "5.4"])
def test_a_service_that_takes_over_anywhere_in_rekeys_tells_nothing(release: str) -> None:
    """The file may be 30 s old: between two transitions it is written no more often."""
    entries = list(recording.settled(recording.read(ROOT / release / "rekey.jsonl.gz")[1]))
    lines = [e for e in entries if isinstance(e, LogLine)]
    answers = [
        e for e in entries if isinstance(e, recording.RecordedAnswer) and e.command == "status"
    ]
    reader = Reader()
    polls = [recording.poll(answer, reader) for answer in answers]
    tracker, heard, restarts = Tracker(), 0, 0
    saved_at, saved = float("-inf"), ""
    for n, look in enumerate(polls[:-3]):
        while heard < len(lines) and lines[heard].at <= look.at:
            tracker.hear(lines[heard])
            heard += 1
        if any(c.announced for c in tracker.observe(look)) or look.at - saved_at > SAVE_EVERY:
            saved_at, saved = look.at, json.dumps(tracker.save())
        if not tracker.tunnels["rekey"].last_state.carries:
            continue
        later = polls[n + 2 : n + 4]
        other = Tracker()
        other.restore(json.loads(saved))
        for line in lines:
            if saved_at <= line.at <= later[-1].at:
                other.hear(line)
        assert [told for poll in later for told in other.observe(poll)] == [], look.at
        restarts += 1
    assert restarts > 90


def test_the_time_of_trying_goes_on() -> None:
    tracker = Tracker(stuck_after=30)
    wanted = connection("site", policy="UP")
    tracker.observe(poll(0, [wanted]))
    (change,) = again(tracker).observe(poll(30, [wanted]))
    assert change.gets_stuck


def test_random_histories_go_on_as_if_there_had_been_no_restart() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        pluto = ModelPluto(rng, tells_pid=True)
        one, other = Tracker(), Tracker()
        for step in range(12):
            for conns in pluto.tunnels.values():
                c = rng.choice(conns)
                if rng.random() < 0.5:
                    pluto.answer(c, child_too=True)
                elif rng.random() < 0.3:
                    pluto.take_down(c, all_of_it=rng.random() < 0.5)
                elif rng.random() < 0.3:
                    pluto.rekey_ike(c)
            report = pluto.report(step * 5.0)
            told = [(c.old, c.new) for c in one.observe(report)]
            assert [(c.old, c.new) for c in other.observe(report)] == told, seed
            other = again(other)


BAD = {
    "no object": "[]",
    "another format": '{"format": 2}',
    "a number where a name should be": '{"format": 1, "tunnels": [{"key": 7}], "pluto": {}}',
    "half of it": '{"format": 1, "tunnels": [',
    "nothing": "",
    "a lone surrogate": '{"format": "\\udc80"}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("case", BAD)
def test_a_corrupt_file_is_put_aside_with_a_warning(
    case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state.json").write_text(BAD[case])
    kept = StateFile(tmp_path)
    saved = kept.read()
    if saved is not None:
        with pytest.raises(ValueError, match=r".") as why:
            Tracker().restore(saved.data)
        kept.put_aside(str(why.value))
    assert [p.name for p in tmp_path.iterdir()] == ["state.bad"]
    assert "beginning afresh" in caplog.text


def test_what_is_old_is_worth_nothing_and_a_touch_keeps_it_fresh(tmp_path: Path) -> None:
    kept = StateFile(tmp_path)
    kept.write({"a": 1}, 1e9)
    assert kept.read() == Saved({"a": 1}, 1e9)
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    old = time.time() - 61
    os.utime(tmp_path / "state.json", (old, old))
    assert kept.read() is None
    kept.touch()
    assert kept.read() is not None


def test_where_nothing_can_be_kept_nothing_ends(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "missing"):
        kept = StateFile(folder)
        kept.write({"a": 1}, 1e9)
        kept.touch()
        assert kept.read() is None
