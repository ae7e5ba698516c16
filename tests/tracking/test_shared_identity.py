# SPDX-License-Identifier: MIT
"""Tests of devices that share an identity, and of clients that only replace themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import recording
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.newcomers import Replacement
from ipsecwatch.tracking.shared_identity import (
    AGAIN,
    MAX_PAIRS,
    WITHIN,
    SharedIdentities,
    SharedIdentity,
)
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason
from tests.support.recordings import ROOT
from tests.support.reports import START, child, connection, ike, poll

if TYPE_CHECKING:
    from ipsecwatch.report import Connection, SaState

A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def told(*turns: tuple[float, str, str]) -> list[float]:
    """Note replacements at these times; return at which of them a shared identity was announced."""
    identities = SharedIdentities()
    return [
        at
        for n, (at, old, new) in enumerate(turns)
        if identities.note(Replacement(at, f"rw[{n}]", "rw", old, new)) is not None
    ]


@pytest.mark.parametrize(
    ("turns", "at"),
    [
        ([(0, A, B), (200, B, A), (WITHIN, A, B)], [WITHIN]),
        ([(0, A, B), (200, B, A), (WITHIN + 1, A, B)], []),
        ([(0, A, B), (10, B, A)], []),
        ([(0, A, B), (10, B, C), (20, C, A), (30, A, B), (40, B, C)], []),
        ([(0, A, A), (10, A, A), (20, A, A), (30, A, A)], []),
        ([(0, A, ""), (10, "", A), (20, A, "")], []),
    ],
)
def test_two_that_replace_each_other_three_times_in_ten_minutes_are_told(
    turns: list[tuple[float, str, str]], at: list[float]
) -> None:
    assert told(*turns) == at


def test_it_is_told_once_an_hour() -> None:
    turns = [(10.0 * n, *((A, B) if n % 2 else (B, A))) for n in range(1000)]
    first, second, third = told(*turns)
    assert first == 20
    assert second - first == third - second == AGAIN


def test_what_a_poll_shows_of_the_same_end_is_not_counted_again() -> None:
    identities = SharedIdentities()
    found = [
        identities.note(Replacement(10.0 * n + late, f"rw[{n}]", "rw", *ends))
        for n, ends in enumerate([(A, B), (B, A), (A, B)])
        for late in (0.0, 4.0)
    ]
    assert found == [None, None, None, None, SharedIdentity("rw", (A, B)), None]


def test_pairs_are_bounded() -> None:
    identities = SharedIdentities()
    for n in range(3 * MAX_PAIRS):
        identities.note(Replacement(n, f"rw[{n}]", "rw", str(n), str(n + 1)))
    assert len(identities._pairs) == len(identities._recent) == MAX_PAIRS


def test_a_recording_of_two_devices_with_one_identity_says_so() -> None:
    tracker, reader = Tracker(), Reader()
    found: list[SharedIdentity] = []
    for entry in recording.settled(recording.read(ROOT / "minimal/replaced-unloaded.jsonl.gz")[1]):
        if isinstance(entry, LogLine):
            tracker.add_log_line(entry)
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            tracker.observe(recording.poll(entry, reader))
            found += tracker.take_shared_identities()
    assert found == [SharedIdentity("rw", ("192.1.2.23", "192.1.2.88"))]


TEMPLATE = connection("rw", peer="%any", serial=1)


def client(n: int, address: str, who: str = "@road") -> tuple[Connection, list[SaState]]:
    """Return a client that is up: its connection and its SAs."""
    c = connection("rw", instance=(n,), peer=address, serial=n, remote_id=who)
    sas = [ike(2 * n, "rw", instance=(n,)), child(2 * n + 1, "rw", 2 * n, instance=(n,))]
    return c, sas


def loss_of_client_2(*lines: str, version: str = "5.4", who: str = "@road") -> Reason:
    """Return the reason for a client's loss while another one connects."""
    (old, sas), (new, later) = client(2, A), client(3, B, who)
    polls = [
        poll(0, [TEMPLATE]), poll(5, [TEMPLATE, old], sas), poll(10, [TEMPLATE, new], later)
    ]  # fmt: skip
    tracker = Tracker()
    changes = []
    for p in polls:
        assert p.report is not None
        for line in lines if p is polls[-1] else ():
            tracker.add_log_line(LogLine(START + 7, line))
        changes = tracker.observe(replace(p, report=replace(p.report, version=version)))
    assert len(changes) == 2
    return changes[0].reason


HAND = '"rw"[2] 192.0.2.1: terminating SAs using this connection'
DROPPED = (
    '"rw"[2] 192.0.2.1 #4: deleting state (STATE_V2_ESTABLISHED_IKE_SA) aged 9s and NOT sending'
)
BY_PEER = '"rw"[2] 192.0.2.1 #5: ESP traffic information: in=0B out=0B'


def test_up_to_3_32_the_same_identity_as_a_newer_client_has_replaced_what_was_dropped() -> None:
    assert loss_of_client_2(DROPPED, version="3.32") is Reason.REPLACED
    assert loss_of_client_2(DROPPED, version="3.32", who="@another") is Reason.PEER_DELETED
    assert loss_of_client_2(HAND, version="3.32") is Reason.OPERATOR
    assert loss_of_client_2(version="3.32") is Reason.OTHER  # without the log


def test_later_a_dropped_client_was_deleted_by_its_peer() -> None:
    assert loss_of_client_2(DROPPED, version="4.10") is Reason.PEER_DELETED
    assert loss_of_client_2(BY_PEER, version="5.4") is Reason.PEER_DELETED


def test_clients_that_only_polls_see_replaced_are_counted_too() -> None:
    tracker = Tracker()
    found: list[SharedIdentity] = []
    for n in range(2, 8):
        c, sas = client(n, A if n % 2 else B)
        tracker.add_log_line(
            LogLine(
                START + 5 * n, DROPPED.replace("[2]", f"[{n - 1}]").replace("#4", f"#{2 * n - 2}")
            )
        )
        p = poll(5 * n + 1, [TEMPLATE, c], sas)
        assert p.report is not None
        tracker.observe(replace(p, report=replace(p.report, version="3.32")))
        found += tracker.take_shared_identities()
    assert found == [SharedIdentity("rw", (A, B))]
