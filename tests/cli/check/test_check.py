# SPDX-License-Identifier: MIT
"""Tests of the monitoring plugin: one line, performance data, and the exit code."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.cli.check import Level, Wanted, choose, judge, performance
from ipsecwatch.cli.check.threshold import Threshold
from ipsecwatch.cli.display.terminal import Row
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.cli.test_main import ipsecwatch, no_pluto
from tests.support.bus_service import serving
from tests.support.odd_service import odd_service
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from tests.support.dbus_daemon import PrivateBus

LINE = re.compile(
    r"IPSEC (OK|WARNING|CRITICAL|UNKNOWN) - [^|\n]+( \|( '?[\w-]+'?=\d+;[^; ]*;[^; ]*;\d+;\d+)+)?\n"
)
"""The form that the Monitoring Plugins guidelines require of a plugin's output."""


def row(name: str, state: TunnelState, **more: Any) -> Row:  # noqa: ANN401
    return Row.of_tunnel(tunnel(name, state, **more))


ANYTHING = Wanted()


def levels(
    *rows: Row, pluto: PlutoState = PlutoState.RUNNING, wanted: Wanted = ANYTHING
) -> set[str]:
    return {f.level.name for f in judge(rows, pluto, wanted)}


STATES = {
    TunnelState.UP: ("", ""),
    TunnelState.WAITING: ("", ""),
    TunnelState.PARTIAL: ("WARNING", "WARNING"),
    TunnelState.CONNECTING: ("WARNING", "WARNING"),
    TunnelState.STUCK: ("CRITICAL", "CRITICAL"),
    TunnelState.DOWN: ("", "CRITICAL"),
    TunnelState.UNKNOWN: ("UNKNOWN", "UNKNOWN"),
}


@pytest.mark.parametrize("state", TunnelState)
def test_each_state_has_its_level_alone_and_where_it_is_required(state: TunnelState) -> None:
    one, required = STATES[state]
    assert "".join(levels(row("a", state))) == one
    assert "".join(levels(row("a", state), wanted=Wanted(("a",)))) == required


def test_a_tunnel_that_was_lost_is_critical_and_one_taken_down_by_hand_is_not() -> None:
    assert levels(row("a", TunnelState.DOWN, reason=Reason.PEER_DEAD)) == {"CRITICAL"}
    assert levels(row("a", TunnelState.DOWN, reason=Reason.OPERATOR)) == set()


def test_a_client_of_a_template_comes_and_goes_and_is_no_alarm_unless_it_is_named() -> None:
    gone = row("rw[3]", TunnelState.DOWN, reason=Reason.PEER_DEAD)
    assert levels(gone) == set()
    assert levels(gone, wanted=Wanted(("rw[3]",))) == {"CRITICAL"}
    # Only a number in brackets makes a client's name.
    assert levels(row("3]", TunnelState.DOWN, reason=Reason.PEER_DEAD)) == {"CRITICAL"}


@pytest.mark.parametrize(
    ("pluto", "level"),
    [("running", "WARNING"), ("starting", "WARNING"), ("stopped", "CRITICAL"),
     ("unreachable", "UNKNOWN")],
)  # fmt: skip
def test_no_tunnel_at_all_and_a_pluto_that_is_ill_are_told(pluto: str, level: str) -> None:
    assert levels(pluto=PlutoState(pluto)) == {level}


def test_with_bounds_it_is_the_number_that_counts() -> None:
    rows = [row("a", TunnelState.UP), row("b", TunnelState.UP), row("c", TunnelState.STUCK)]
    for warning, critical, level in (
        ("2:", "1:", set()), ("3:", "1:", {"WARNING"}), ("4:", "3:", {"CRITICAL"}),
        (None, "@2", {"CRITICAL"}), ("1", None, {"WARNING"}),
    ):  # fmt: skip
        wanted = Wanted((), *(Threshold.parse(t) if t else None for t in (warning, critical)))
        assert levels(*rows, wanted=wanted) == level
        assert performance(rows, wanted).startswith(f"up=2;{warning or ''};{critical or ''};0;3 ")
    unknown = row("d", TunnelState.UNKNOWN)
    assert levels(unknown, wanted=Wanted((), Threshold.parse("0:"))) == {"UNKNOWN"}


def test_names_and_patterns_choose_and_what_fits_none_is_missing() -> None:
    rows = [row(name, TunnelState.UP) for name in ("site-1", "site-2", "rw[1]", "lab")]
    chosen, missing = choose(rows, ["site-*", "rw[1]", "sight", "x?"])
    assert [r.name for r in chosen] == ["site-1", "site-2", "rw[1]"]
    assert missing == ["sight", "x?"]
    assert choose(rows, []) == (rows, [])


def answered(done: subprocess.CompletedProcess[str], level: Level) -> str:
    assert done.returncode == level
    assert done.stderr == ""
    found = LINE.fullmatch(done.stdout)
    assert found, done.stdout
    assert found[1] == level.name
    return done.stdout


async def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(ipsecwatch, "check", *arguments)


async def test_the_verb_asks_the_service(system_bus: PrivateBus) -> None:
    async with serving() as service:
        stuck = tunnel("b|x", TunnelState.STUCK, reason=Reason.NO_ANSWER)
        await service.look(tunnel("a", TunnelState.UP), stuck)
        said = answered(await check(), Level.CRITICAL)
        assert "b¦x is stuck for " in said
        assert "(The peer does not answer); 2 tunnels: 1 up, 1 stuck | up=1;;;0;2 " in said
        answered(await check("a"), Level.OK)
        answered(await check("-w", "1:", "-c", "1:"), Level.OK)
        assert "2: up=" not in answered(await check("-w", "2:"), Level.WARNING)
        as_json = json.loads((await check("--json")).stdout)
        assert (as_json["level"], as_json["tunnels"]) == ("critical", {"up": 1, "stuck": 1})
        assert [f["level"] for f in as_json["findings"]] == ["critical"]
        assert "no such tunnel: sight" in answered(await check("a", "sight"), Level.CRITICAL)
        service.pluto = PlutoState.UNREACHABLE
        await service.look()
        answered(await check("a"), Level.UNKNOWN)


async def test_many_tunnels_are_one_line_that_names_a_few(system_bus: PrivateBus) -> None:
    async with serving() as service:
        await service.look(*(tunnel(f"t{n}", TunnelState.STUCK) for n in range(500)))
        said = answered(await check(), Level.CRITICAL)
    assert "and 495 more; 500 tunnels: 500 stuck" in said
    assert len(said) < 500


async def test_a_service_that_does_not_answer_in_time_is_unknown(system_bus: PrivateBus) -> None:
    async with odd_service() as service:
        service.silent = True
        assert "within 0.5 s" in answered(await check("-t", "0.5"), Level.UNKNOWN)
        service.silent, service.refuse = False, "org.freedesktop.DBus.Error.AccessDenied"
        answered(await check(), Level.UNKNOWN)


@no_pluto
@pytest.mark.usefixtures("system_bus")
def test_without_a_service_it_is_unknown_with_a_hint() -> None:
    said = answered(ipsecwatch("check"), Level.UNKNOWN)
    # Where there is no service, root asks pluto itself.
    hint = "pluto is not running: " if os.getuid() == 0 else "systemctl start ipsecwatch"
    assert hint in said


@pytest.mark.parametrize(
    "arguments", [["-w", "ten"], ["-c", "20:10"], ["--nonsense"], ["-t", "0"], ["-w"]], ids=" ".join
)
def test_wrong_usage_is_unknown_and_no_warning(arguments: list[str]) -> None:
    """Monitoring systems show only stdout, and people look at stderr: both have the message."""
    done = ipsecwatch("check", *arguments)
    assert done.returncode == Level.UNKNOWN
    for said, begins in ((done.stdout, "IPSEC UNKNOWN - "), (done.stderr, "ipsecwatch: ")):
        assert said.startswith(begins)
        assert said.count("\n") == 1
        assert said.endswith("See: ipsecwatch check --help\n")


def test_no_bar_in_what_was_wrong_begins_performance_data() -> None:
    done = ipsecwatch("check", "-w", "1|2")
    assert done.stdout.startswith("IPSEC UNKNOWN - ")
    assert "|" not in done.stdout


def test_wrong_usage_ends_as_such_where_nobody_reads_what_is_wrong() -> None:
    command = f"{sys.executable} -m ipsecwatch check --nonsense"
    for script in (f"{command} >&-", f"{command} >/dev/full", f"{{ sleep 0.2; {command}; }} | :"):
        whole = f"set -o pipefail; {script}"
        done = subprocess.run(["bash", "-c", whole], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (Level.UNKNOWN, 1), script
