# SPDX-License-Identifier: MIT
"""Tests of what monitor reads in the journal about the time since it was last used.

A real journald writes the journal.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.history.reading import Source
from ipsecwatch.cli.monitor import past
from ipsecwatch.cli.monitor.past import Position
from ipsecwatch.service.journal import Journal
from ipsecwatch.service.journald import Sender
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.journald import PrivateJournald, missing
from tests.support.paths import TOP
from tests.support.tunnels import transition

if TYPE_CHECKING:
    from collections.abc import Iterator

UP, DOWN = TunnelState.UP, TunnelState.DOWN
ODD = "a b\\x1b"


ANNOUNCE = f"""
import sys
from ipsecwatch.service.journal import Journal
from ipsecwatch.service.journald import Sender
from ipsecwatch.tunnel import Reason, TunnelState as T
from tests.support.tunnels import transition

sender, odd = Sender(sys.argv[1]), {ODD!r}
one, two = Journal(sender, "one"), Journal(sender, "two")
one.announce(transition(T.DOWN, T.CONNECTING, name=odd), 1)
one.announce(transition(T.CONNECTING, T.UP, name=odd), 2)
one.pluto_back("5.2")
acme = Journal(sender, "of-acme", "acme")
acme.announce(transition(T.UP, T.DOWN, name="theirs"), 1)
one.announce(transition(T.UP, T.DOWN, Reason.PEER_DEAD, name=odd), 3)
two.announce(transition(T.DOWN, T.STUCK, Reason.NO_ANSWER, name="site"), 1)
two.announce(transition(T.DOWN, T.UP, name="site"), 3)
sender.flush()
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """The journal of two runs of a service, with an entry of the second one missing.

    There are also entries of another user, which must be ignored.
    """
    if why := missing():
        pytest.skip(why)
    with PrivateJournald(tmp_path_factory.mktemp("run")) as journald:
        stranger = Sender(journald.socket)  # journald doesn't know the user: it isn't root
        Journal(stranger, "one").announce(transition(UP, DOWN, name="forged"), 2)
        stranger.flush()
        stranger.close()
        announce = [*journald.within(), sys.executable, "-c", ANNOUNCE, journald.socket]
        subprocess.run(announce, check=True, cwd=TOP)
        journald.wait_for(7, "IPSECWATCH_RUN_ID=one", "IPSECWATCH_RUN_ID=two")
        journald.wait_for(1, "IPSECWATCH_RUN_ID=of-acme")
        yield Source(journald.logs, any_unit=True)


@pytest.mark.parametrize(
    ("begin", "end", "told", "missed"),
    [
        (("one", 1), ("one", 3), [("one", 2, "up"), ("one", 3, "down")], 0),
        (("one", 0), ("one", 2), [("one", 1, None), ("one", 2, "up")], 0),
        (("one", 2), ("two", 1), [("one", 3, "down"), ("two", 1, "stuck")], 0),
        (("one", 3), ("two", 3), [("two", 1, "stuck"), ("two", 3, "up")], 1),
        (("two", 1), ("two", 5), [("two", 3, "up")], 3),
        (("two", 3), ("two", 3), [], 0),
        (("zero", 4), ("two", 3), [], None),
        (("one", 3), ("three", 0), [("two", 1, "stuck"), ("two", 3, "up")], 1),
    ],
)
def test_what_was_told_between_two_positions_is_found(
    begin: tuple[str, int],
    end: tuple[str, int],
    told: list[tuple[str, int, str | None]],
    missed: int | None,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(past, "LATE", 0.2)
    found = past.between(Position(*begin), Position(*end), source)
    assert [(t.run_id, t.serial, t.told) for t in found.transitions] == told
    assert found.missed == missed


def test_a_transition_is_what_it_was_when_it_was_told(source: Source) -> None:
    (found,) = past.between(Position("one", 2), Position("one", 3), source).transitions
    assert (found.name, found.old, found.new, found.reason) == (ODD, UP, DOWN, Reason.PEER_DEAD)
    assert found.caught_up
    assert 0 <= time.time() - found.at < 600


def test_what_an_instance_told_is_its_own(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "LATE", 0.2)
    theirs = replace(source, instance="acme")
    (found,) = past.between(Position("of-acme", 0), Position("of-acme", 1), theirs).transitions
    assert found.name == "theirs"
    plain = past.between(Position("one", 0), Position("two", 3), source).transitions
    assert {t.name for t in plain} == {ODD, "site"}


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("ab:12", Position("ab", 12)), ("a:b:0", Position("a:b", 0)), ("ab", None), (":1", None),
        ("ab:", None), ("ab:x", None), ("ab:-1", None), ("ab:٣", None), ("ab:" + "9" * 99, None),
    ],
)  # fmt: skip
def test_a_position_is_a_run_and_a_number(text: str, position: Position | None) -> None:
    assert past.parse_position(text) == position
