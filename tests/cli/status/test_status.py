# SPDX-License-Identifier: MIT
"""Tests of ``status`` beside those in test_main.py: names, filters, what isn't well, and rights."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.main import run
from ipsecwatch.cli.tunnels import source
from ipsecwatch.cli.tunnels.found import Depth
from ipsecwatch.reasons import LOG_TEXTS
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import asks_for_details, serving
from tests.support.fake_terminal import FakeTerminal
from tests.support.other_user import NOBODY, starts_as_another_user
from tests.support.small_gateway import OFFICES, road_warriors, show
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.support.bus_service import Service
    from tests.support.dbus_daemon import PrivateBus

UP, DOWN, STUCK = TunnelState.UP, TunnelState.DOWN, TunnelState.STUCK


async def as_another_user(*arguments: str) -> tuple[int, str, str]:
    """Run the command as a user who may not read details.

    Return its exit code, output and error output.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ipsecwatch", *arguments, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL, user=NOBODY,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
async def service(system_bus: PrivateBus) -> AsyncGenerator[Service]:
    async with serving() as service:
        await service.look(
            *(tunnel(f"gw-{n}", UP) for n in range(12)), tunnel("lab", DOWN), tunnel("x[1]", STUCK)
        )
        yield service


async def status(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    code = await asyncio.to_thread(run, ["status", *arguments])
    return code, capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("arguments", "code", "names"),
    [
        ([], 0, ["x[1]", "lab", *(f"gw-{n}" for n in range(12))]),
        (["--state", "stuck,down"], 0, ["x[1]", "lab"]),
        (["--state", "waiting"], 0, []),
        (["--sort", "name", "-r", "gw-1*"], 0, ["gw-11", "gw-10", "gw-1"]),
        (["x[*]"], 1, ["x[1]"]),
        (["gw-*", "lab"], 1, ["lab", *(f"gw-{n}" for n in range(12))]),
        # The exit code is about all named tunnels, also those that a filter has left out.
        (["gw-1", "lab", "--state", "up"], 1, ["gw-1"]),
        (["gw-1"], 0, ["gw-1"]),
    ],
)
async def test_names_alone_are_for_scripts(
    arguments: list[str],
    code: int,
    names: list[str],
    service: Service,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await status(capsys, "--names", *arguments) == (code, names)


async def test_a_pattern_makes_a_table_and_a_name_all_that_is_known(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    code, table = await status(capsys, "gw-?")
    assert code == 0
    assert table[0].split()[0] == "TUNNEL"
    assert "10 tunnels: 10 up; 4 more not shown" in table
    code, named = await status(capsys, "lab", "gw-1")
    assert code == 1
    assert [line for line in named if line.startswith(("○", "●"))] == ["○ lab", "● gw-1"]


async def test_a_name_that_is_not_there_is_an_error_of_one_line(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("gw", "z*", "x\x1b[2J"):
        assert await asyncio.to_thread(run, ["status", name]) == 3
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "\x1b" not in err


@asks_for_details
async def test_what_is_not_well_is_said_below_the_table(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(6):
        await service.become(tunnel("gw-3", DOWN if n % 2 else UP, since=time.time()))
    for n in range(10):
        await service.become(tunnel("gw-4", UP if n % 2 else DOWN, since=time.time()))
    await service.publish(
        [], log=LogState.CUT, unrecognised=3, last_poll=time.time() - 200, complete=False
    )
    _, told = await status(capsys)
    below = told[told.index(next(line for line in told if line.startswith("14 tunnels"))) + 1 :]
    assert below[0].startswith("The IPsec service last answered 3m 2")
    assert below[1:] == [
        "pluto's last answer was incomplete: some states are the last known ones.",
        "3 lines were not recognised.",
        "Went down within the last hour: gw-4 5 times, gw-3 3 times.",
        LOG_TEXTS[LogState.CUT],
    ]  # fmt: skip
    _, [text] = await status(capsys, "--json")
    as_json = json.loads(text)
    assert (as_json["complete"], as_json["unrecognised"]) == (False, 3)
    assert as_json["last_poll"] < time.time() - 199


@asks_for_details
async def test_flaps_are_told_with_the_last_transitions(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    for n in range(6):
        await service.become(
            tunnel("gw-3", UP if n % 2 else DOWN, since=time.time()), reason=Reason.PEER_DEAD
        )
    await service.publish([], last_poll=time.time(), log=LogState.JOURNAL)
    _, told = await status(capsys)
    assert "Went down within the last hour: gw-3 3 times." in told
    _, named = await status(capsys, "gw-3")
    before = named[next(i for i, line in enumerate(named) if line.startswith("  before")) :]
    assert before[0].endswith("down → up: peer-dead")
    assert sum("→" in line for line in before) == 6


@asks_for_details
@starts_as_another_user
async def test_who_may_not_know_details_sees_the_rest_and_the_code_is_the_same(
    system_bus: PrivateBus,
) -> None:
    async with serving() as service:
        await show(service, *OFFICES)
        code, out, err = await as_another_user("status", "paris")
        assert code == 0
        assert "1d 12h" in out
        assert "203.0.113.7" not in out
        assert err.count("\n") == 1
        assert "--details" in err
        # Without a terminal nobody is asked for anything, and nothing waits.
        code, out, err = await as_another_user("status", "office", "--details", "--json")
        assert code == 1
        told = json.loads(out)
        assert told["details_refused"] is True
        assert told["tunnels"][0]["details"] is None
        code, out, err = await as_another_user("status")
        assert (code, err) == (0, "")


@asks_for_details
async def test_named_in_json_it_has_all_details_by_the_keys_of_the_bus(
    system_bus: PrivateBus, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving() as service:
        await show(service, *OFFICES)
        _, [text] = await status(capsys, "--json", "paris")
    [told] = json.loads(text)["tunnels"]
    assert (told["peer"], told["bytes_in"], told["reason"]) == ("203.0.113.7", 7 << 30, "none")
    assert told["details"]["Children"][0]["DpdDelay"] == 5.0
    assert [sa["Kind"] for sa in told["details"]["SAs"]] == ["ike", "child"]


@asks_for_details
async def test_one_that_goes_between_two_questions_takes_no_others_details_along(
    service: Service,
) -> None:
    told, refused = await source.details(Depth.BRIEF, ["gw-1", "gone"], interactive=False)
    assert not refused
    assert told["gw-1"]["Name"] == "gw-1"


async def test_a_list_longer_than_the_terminal_is_given_to_the_pager(
    system_bus: PrivateBus,
) -> None:
    async with serving() as service:
        await show(service, *OFFICES, *road_warriors())
        with FakeTerminal("status", lines=8, PAGER="sed s/^/paged:/") as terminal:
            assert await terminal.ended() == 0
            assert terminal.picture.count("paged:") > 11
        for pager, kind in (
            ("cat", "xterm"),
            ("", "xterm"),
            ("/no/such", "xterm"),
            ("sed", "dumb"),
        ):
            with FakeTerminal("status", lines=8, PAGER=pager, TERM=kind) as terminal:
                assert await terminal.ended() == 0
                assert "11 tunnels" in terminal.picture
        with FakeTerminal("status", lines=40, PAGER="sed s/^/paged:/") as terminal:
            assert await terminal.ended() == 0
            assert "paged:" not in terminal.picture
        # The exit code is the same if the user quits the pager before the end.
        with FakeTerminal("status", "office", lines=4, PAGER="true") as terminal:
            assert await terminal.ended() == 1


async def test_a_terminal_whose_locale_is_c_gets_ascii(system_bus: PrivateBus) -> None:
    async with serving() as service:
        await show(service, *OFFICES)
        await service.become(tunnel("Ûber[31m", STUCK))
        with FakeTerminal("status", LC_ALL="C", COLUMNS="") as terminal:
            assert await terminal.ended() == 0
            assert terminal.sent.isascii()
            assert "x \\xdbber[31m" in terminal.picture


async def test_colours_are_for_terminals_that_want_them(system_bus: PrivateBus) -> None:
    async with serving() as service:
        await show(service, *OFFICES)
        for kind, coloured in (("xterm", True), ("dumb", False)):
            with FakeTerminal("status", NO_COLOR="", TERM=kind) as terminal:
                assert await terminal.ended() == 0
                assert ("\x1b[31m✗" in terminal.sent) == coloured
                assert terminal.wrapped == 0


@asks_for_details
async def test_a_pluto_that_does_not_answer_is_told_on_stderr_of_a_script(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.pluto = PlutoState.UNREACHABLE
    await service.become(
        *(tunnel(f"gw-{n}", TunnelState.UNKNOWN, last_state=UP) for n in range(12))
    )
    assert await asyncio.to_thread(run, ["status", "gw-1"]) == 3
    told = capsys.readouterr()
    assert told.err == "The IPsec service does not answer.\n"
    assert "last known   up" in told.out
