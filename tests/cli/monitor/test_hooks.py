# SPDX-License-Identifier: MIT
"""Tests of ``ipsecwatch monitor --exec``, with real programs, good and bad ones."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch.cli.monitor import hooks
from ipsecwatch.cli.monitor.catching_up import Transition
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

DOWN: Final = Transition(
    "office", TunnelState.UP, TunnelState.DOWN, Reason.PEER_DEAD, 1_700_000_000.25, 7, "down", "run"
)


def numbered(name: str, *serials: int) -> list[Transition]:
    return [replace(DOWN, name=name, serial=n) for n in serials]


def program(folder: Path, body: str) -> str:
    file = folder / "hook"
    file.write_text(f"#!/bin/sh\ncd '{folder}' || exit\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


@asynccontextmanager
async def running(folder: Path, body: str, limit: float = 20.0) -> AsyncGenerator[hooks.Hooks]:
    made = hooks.Hooks(program(folder, body), limit)
    try:
        yield made
    finally:
        await made.close()


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def test_the_program_learns_what_happened_by_its_environment(tmp_path: Path) -> None:
    async with running(tmp_path, "env -0 >env.new; mv env.new env; echo $#, $(cat) >rest") as made:
        made.add([DOWN])
        await until((tmp_path / "rest").exists)
        told = dict(x.split("=", 1) for x in (tmp_path / "env").read_text().split("\0") if x)
        await until(lambda: lines(tmp_path / "rest") == ["0,"])
    ours = {k.removeprefix("IPSECWATCH_"): v for k, v in told.items() if k.startswith("IPSEC")}
    assert ours == {
        "EVENT": "down", "TUNNEL": "office", "STATE": "down", "OLD_STATE": "up",
        "REASON": "peer-dead", "SENTENCE": "The peer stopped answering.",
        "ADVICE": "Check the network between the two sides, and whether the peer is running.",
        "SERIAL": "7", "RUN_ID": "run", "AT": "1700000000.250000",
    }  # fmt: skip
    assert told["PATH"] == os.environ["PATH"]


NAMES = ["a b", "$HOME; reboot", "'\"`x`", "東京", "x=y", "-n", "\\x0a", "e\udcff"]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_of_any_kind_arrives_as_it_is(name: str, tmp_path: Path) -> None:
    async with running(tmp_path, 'printf %s "$IPSECWATCH_TUNNEL" >new; mv new name') as made:
        made.add(numbered(name, 1))
        await until((tmp_path / "name").exists)
    assert (tmp_path / "name").read_bytes() == name.encode("utf-8", "backslashreplace")


async def test_programs_of_one_tunnel_run_in_order_and_of_several_at_once(tmp_path: Path) -> None:
    body = """echo "begin $IPSECWATCH_SERIAL" >>$IPSECWATCH_TUNNEL
    [ $IPSECWATCH_TUNNEL = b ] || until [ -e b.done ]; do sleep 0.02; done
    echo "end $IPSECWATCH_SERIAL" >>$IPSECWATCH_TUNNEL
    [ $IPSECWATCH_TUNNEL != b ] || touch b.done"""
    async with running(tmp_path, body) as made:
        made.add(numbered("a", 1, 2, 4))
        made.add(numbered("b", 3))
        await until(lambda: len(lines(tmp_path / "a")) == 6)
    assert lines(tmp_path / "a") == [f"{w} {n}" for n in (1, 2, 4) for w in ("begin", "end")]


async def test_a_program_that_hangs_is_killed_with_all_that_it_started(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    body = """[ $IPSECWATCH_SERIAL = 1 ] || { touch second; exit; }
    trap '' TERM; sleep 1000 & echo $! >child; wait; sleep 1000"""
    async with running(tmp_path, body, limit=0.3) as made:
        made.add(numbered("a", 1, 2))
        await until((tmp_path / "second").exists)
        child = int((tmp_path / "child").read_text())
        await until(lambda: not alive(child))
    assert "was killed: over 0.3 s" in capfd.readouterr().err


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def test_a_program_that_fails_is_told_of_and_the_next_one_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path, "echo >>runs; exit $IPSECWATCH_SERIAL") as made:
        made.add(numbered("a\x1b", 3, 0))
        await until(lambda: len(lines(tmp_path / "runs")) == 2)
    assert "failed: exit code 3" in capfd.readouterr().err


async def test_a_program_that_is_gone_is_told_of(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = hooks.Hooks(f"{tmp_path}/none\x1b")
    made.add([DOWN])
    err = ""
    async with asyncio.timeout(10):
        while "\n" not in err:
            await asyncio.sleep(0.02)
            err += capfd.readouterr().err
    assert r"none\x1b can't be run: " in err
    assert "\x1b" not in err
    await made.close()


async def test_of_a_flood_the_newest_are_kept_and_the_rest_is_counted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    body = "echo $IPSECWATCH_SERIAL >>runs; until [ -e go ]; do sleep 0.02; done"
    async with running(tmp_path, body) as made:
        made.add(numbered("a", 0))
        await until(lambda: lines(tmp_path / "runs") == ["0"])
        made.add(numbered("a", *range(1, 10_001)))
        (tmp_path / "go").touch()
        await until(lambda: len(lines(tmp_path / "runs")) == 1 + hooks.WAITING)
    newest = range(10_001 - hooks.WAITING, 10_001)
    assert lines(tmp_path / "runs") == ["0", *map(str, newest)]
    assert f"changes too fast: {10_000 - hooks.WAITING} transitions" in capfd.readouterr().err


async def test_thousands_of_tunnels_start_few_programs_at_a_time(tmp_path: Path) -> None:
    async with running(tmp_path, "echo >>runs; until [ -e go ]; do sleep 0.02; done") as made:
        for n in range(5000):
            made.add(numbered(f"gw-{n}", n))
        await until(lambda: len(lines(tmp_path / "runs")) == hooks.AT_ONCE)
        await asyncio.sleep(0.3)
        assert len(lines(tmp_path / "runs")) == hooks.AT_ONCE
        began = time.monotonic()
        await made.close()
        assert time.monotonic() - began < 2 * hooks.GRACE + 3
