# SPDX-License-Identifier: MIT
"""Tests of what the service still knows after its own restart."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from ipsecwatch import recording
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import LogLine
from ipsecwatch.service.daemon import SAVE_EVERY
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import TunnelState
from tests.support.model_pluto import ModelPluto
from tests.support.recordings import ROOT
from tests.support.reports import START, child, connection, cut, ike, no_answer, poll

SITE = connection("site")
UP = (ike(1, "site"), child(2, "site", 1))


def again(tracker: Tracker) -> Tracker:
    """Return a tracker that was restored from what another one saved, through JSON."""
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


@pytest.mark.parametrize(("pid", "reason"), [(7, "operator"), (8, "pluto-restarted")])
def test_what_the_log_told_before_holds_for_the_same_pluto_alone(pid: int, reason: str) -> None:
    tracker = Tracker()
    tracker.observe(poll(0, [SITE], UP, pid=7))
    tracker.add_log_line(LogLine(START + 1, '"site": initiating delete of connection\'s IKE SA #1'))
    tracker.observe(poll(5, [SITE], UP, pid=7))
    (change,) = again(tracker).observe(poll(30, [SITE], pid=pid))
    assert change.reason == reason


def test_a_tunnel_that_was_taken_down_by_hand_is_so_after_a_restart_of_ours() -> None:
    wanted = connection("site", policy="IKEv2+UP")
    tracker = Tracker()
    tracker.observe(poll(0, [wanted], UP, pid=7))
    tracker.observe(poll(5, [SITE], UP, pid=7))
    (change,) = again(tracker).observe(poll(30, [SITE], pid=7))
    assert change.reason == "operator"


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
    """The file can be 30 s old, because it isn't written more often between two transitions."""
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
            tracker.add_log_line(lines[heard])
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
                other.add_log_line(line)
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


def test_whatever_a_tracker_saves_is_taken_back() -> None:
    """Otherwise a restart would begin without any knowledge."""
    saves, states = 0, set[TunnelState]()
    for path in sorted(ROOT.glob("*/*.jsonl.gz")):
        tracker, reader = Tracker(), Reader()
        for entry in recording.settled(recording.read(path)[1]):
            if isinstance(entry, LogLine):
                tracker.add_log_line(entry)
            elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
                tracker.observe(recording.poll(entry, reader))
                assert again(tracker).save() == tracker.save(), path
                saves += 1
                states |= {t.state for t in tracker.tunnels.values()}
    assert saves > 2000
    assert states == set(TunnelState)


NAMES = ["a$5", "$", "$7", "rw[1]", "\\", "caf\udce9", "\u202e", "x" * 300, "x" * 1000, "²$²", ""]


@pytest.mark.parametrize("name", NAMES)
def test_a_tunnel_of_any_name_is_taken_back(name: str) -> None:
    tracker = Tracker()
    client = connection(name, peer="192.0.2.7", serial=9, instance=(1,), policy="UP")
    tracker.observe(poll(0, [connection(name, peer="%any", serial=7), client]))
    assert len(tracker.tunnels) == 2
    assert again(tracker).save() == tracker.save()


def test_random_histories_are_taken_back_whether_pluto_answers_or_not() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        pluto, tracker = ModelPluto(rng, tells_pid=seed % 2 == 0), Tracker()
        for step in range(20):
            for conns in pluto.tunnels.values():
                c = rng.choice(conns)
                if rng.random() < 0.5:
                    pluto.answer(c, child_too=rng.random() < 0.8)
                elif rng.random() < 0.4:
                    pluto.take_down(c, all_of_it=rng.random() < 0.5)
            good = pluto.report(step * 7.0)
            bad = rng.choice((cut(good), no_answer(step * 7.0), replace(good, pid=step)))
            tracker.observe(bad if rng.random() < 0.3 else good)
            assert again(tracker).save() == tracker.save(), (seed, step)


def test_a_later_release_may_keep_more() -> None:
    tracker, other = Tracker(), Tracker()
    tracker.observe(poll(0, [SITE], UP))
    saved = tracker.save()
    other.restore({**saved, "more": 1, "tunnels": [{**t, "more": 1} for t in saved["tunnels"]]})
    assert other.save() == saved
