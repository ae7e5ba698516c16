# SPDX-License-Identifier: MIT
"""Tests of the cheap question, asked through a fake whack that logs its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch.libreswan.status import parse
from ipsecwatch.pluto.probe import LONGEST, Probe
from ipsecwatch.pluto.query import Answer, Command, PlutoClient, Via
from ipsecwatch.recording.fake_pluto import FakePluto
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from pathlib import Path

    from ipsecwatch.report import Report

SAMPLES = statuses(ROOT / "4.10/site.jsonl.gz")
DOWN, UP = SAMPLES[0].stdout, SAMPLES[10].stdout
LATER = SAMPLES[12].stdout


def states(text: str) -> str:
    return "".join(line + "\n" for line in text.splitlines() if line.startswith("000 #"))


def status(text: str, *, cost: float) -> tuple[Answer, Report]:
    return Answer(Command.STATUS, text, cost, 0.0, Via.SOCKET), parse(text, "status")


def cheap(text: str) -> tuple[Answer, Report]:
    return Answer(Command.STATES, text, 0.001, 0.0, Via.WHACK), parse(text, "showstates")


class Whack:
    """A fake whack of a release; ``states`` is the file with its answer to --showstates."""

    def __init__(self, folder: Path, version: str = "4.10") -> None:
        self.path = folder / "whack"
        self.log = folder / "asked"
        self.states = folder / "states"
        self.states.write_text(states(UP))
        self.path.write_text(
            f'#!/bin/sh\necho "$*" >>{self.log}\n'
            f'case "$1" in --version) echo "Libreswan {version}" ;; *) cat {self.states} ;; esac\n'
        )
        self.path.chmod(0o755)

    def asked(self) -> list[str]:
        """Return the arguments of all calls, oldest first."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def whack(tmp_path: Path) -> Whack:
    return Whack(tmp_path)


async def asked(whack: Whack, cost: float, now: float = 1.0) -> Command:
    """Return the command that is asked next, after a status that took pluto ``cost`` seconds."""
    pluto_client = PlutoClient(
        str(whack.path.parent / "pluto.ctl"), whack=str(whack.path), timeout=5.0
    )
    tiers = Probe(pluto_client, interval=5.0)
    async with FakePluto(str(whack.path.parent / "pluto.ctl"), lambda _: UP, lambda: 0.0):
        tiers.learn(*status(UP, cost=cost), 0.0)
        return (await tiers.ask(now)).command


async def test_a_small_status_is_asked_for_every_time(whack: Whack) -> None:
    assert await asked(whack, cost=0.004) is Command.STATUS
    assert whack.asked() == []


async def test_a_large_status_is_not_asked_for_while_nothing_moves(whack: Whack) -> None:
    assert await asked(whack, cost=0.5) is Command.STATES
    where = f"--ctlsocket {whack.path.parent}/pluto.ctl"
    assert whack.asked() == ["--version", f"{where} --showstates"]


async def test_after_a_while_the_whole_status_is_asked_for_all_the_same(whack: Whack) -> None:
    assert await asked(whack, cost=0.5, now=LONGEST) is Command.STATUS


async def test_a_whack_of_another_version_is_never_asked(tmp_path: Path) -> None:
    whack = Whack(tmp_path, version="5.2")
    assert await asked(whack, cost=0.5) is Command.STATUS
    assert whack.asked() == ["--version"]


async def test_a_whack_that_finds_no_pluto_says_nothing_of_the_one_that_answers_us(
    whack: Whack,
) -> None:
    script = whack.path.read_text()
    lost = "*) echo 'whack: Pluto is not running' >&2; exit 33 ;;"
    whack.path.write_text(script.replace(f"*) cat {whack.states} ;;", lost))
    assert await asked(whack, cost=0.5) is Command.STATUS
    assert len(whack.asked()) == 2


async def test_a_refresh_asks_for_the_whole_status(whack: Whack) -> None:
    tiers = Probe(PlutoClient(whack=str(whack.path)), interval=5.0)
    tiers.learn(*status(UP, cost=0.5), 0.0)
    assert tiers._cheap_will_do(1.0)
    tiers.whole()
    assert not tiers._cheap_will_do(1.0)


def test_timers_and_counters_are_no_move() -> None:
    assert UP != LATER
    tiers = Probe(PlutoClient(), interval=5.0)
    tiers.learn(*status(UP, cost=0.5), 0.0)
    assert tiers.learn(*cheap(states(LATER)), 5.0)


MOVED = {
    "all gone": "",
    "a serial": states(UP).replace("#2:", "#7:"),
    "a story": states(UP).replace("established Child SA", "STATE_CHILDSA_DEL"),
    "cut off": states(UP)[:-40],
}


@pytest.mark.parametrize("case", MOVED)
def test_whatever_else_changes_is_a_move(case: str) -> None:
    tiers = Probe(PlutoClient(), interval=5.0)
    tiers.learn(*status(UP, cost=0.5), 0.0)
    assert not tiers.learn(*cheap(MOVED[case]), 5.0)
    assert not tiers._cheap_will_do(6.0)
