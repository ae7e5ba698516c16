# SPDX-License-Identifier: MIT
"""Tests of NetworkManager's names for tunnels: verbs print them, and understand them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.libreswan.status import parse
from ipsecwatch.tracking.single_report import tunnels_of
from ipsecwatch.tunnel import TunnelState
from tests.cli.monitor.test_monitor import monitoring
from tests.support import networkmanager
from tests.support.bus_service import asks_for_details, serving
from tests.support.fake_terminal import FakeTerminal
from tests.support.networkmanager import HOME, OFFICE, NetworkManager
from tests.support.odd_service import odd_service
from tests.support.recordings import ROOT, statuses
from tests.support.small_gateway import road_warriors, show
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UP = TunnelState.UP
EVIL = "<b>evil</b>\x1b[2J"
SAYS_SO = "NetworkManager"
"""The manager of a tunnel whose status says ``nm-configured: yes``; releases before 5.3 don't say
it."""
THIRD = "00000000-0000-4000-8000-000000000003"


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[NetworkManager]:
    if why := networkmanager.missing():
        pytest.skip(why)
    with networkmanager.networkmanager(monkeypatch) as manager:
        yield manager


async def said(*arguments: str) -> tuple[int | None, str, str]:
    """Run the command; return its exit code, output and error output."""
    pipe = asyncio.subprocess.PIPE
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ipsecwatch", *arguments, stdout=pipe, stderr=pipe, env=env
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), err.decode()


async def test_people_see_its_name_and_programs_the_uuid(manager: NetworkManager) -> None:
    await manager.runs()
    await manager.add(OFFICE, "Office")
    await manager.add(HOME, EVIL, networkmanager.L2TP)
    async with serving() as service:
        await service.look(tunnel(OFFICE, UP, managed="NetworkManager"), tunnel(HOME, UP))
        _, out, _ = await said("status")
        assert ("Office" in out, r"<b>evil</b>\x1b[2J" in out, OFFICE in out) == (True, True, False)
        _, out, _ = await said("status", "--json")
        assert {t["name"] for t in json.loads(out)["tunnels"]} == {OFFICE, HOME}
        assert "Office" not in out
        assert sorted((await said("status", "--names", "Off*"))[1].split()) == [OFFICE]
        code, out, _ = await said("status", "Office")
        assert code == 0
        assert "Office" in out.splitlines()[0]
        assert f"in pluto     {OFFICE}" in out
        assert (await said("status", OFFICE))[1] == out
        code, out, _ = await said("explain", "Office")
        assert code == 0
        assert out.splitlines()[0] == "● Office"
        assert f"in pluto     {OFFICE}" in out
        assert (await said("explain", OFFICE))[1] == out
        _, out, _ = await said("bar", "--once", "Office")
        assert out == "● VPN Office\n"
        _, out, _ = await said("bar", "--once", "--format", "waybar", HOME)
        assert "&lt;b&gt;evil" in json.loads(out)["tooltip"]
        assert "Office" not in (await said("metrics"))[1]


@pytest.mark.parametrize(
    "verb",
    [("status",), ("wait", "--for", "up", "--timeout", "9"), ("check",), ("bar", "--once")],
    ids=lambda verb: verb[0],
)
async def test_verbs_take_both_names_and_refuse_one_that_two_have(
    verb: tuple[str, ...], manager: NetworkManager
) -> None:
    await manager.runs()
    await manager.add(OFFICE, "Office")
    await manager.add(HOME, "site", networkmanager.L2TP)
    async with serving() as service:
        await service.look(tunnel(OFFICE, UP), tunnel("site", UP), tunnel(THIRD, UP))
        # pluto's own name comes first
        told = await asyncio.gather(*(said(*verb, name) for name in ("Office", "site")))
        assert [code for code, _, _ in told] == [0, 0]
        await manager.add(THIRD, "Office", networkmanager.L2TP)
        (code, out, err), by_uuid = await asyncio.gather(said(*verb, "Office"), said(*verb, OFFICE))
        assert by_uuid[0] == 0
        assert code == 3
        # What monitoring systems read is on stdout.
        refused, silent = (out, err) if verb == ("check",) else (err, out)
        assert silent == ""
        assert f"{THIRD} or {OFFICE}" in refused


@pytest.mark.parametrize(
    ("verb", "shows_both"),
    [
        (("status",), True),
        (("status", "Off*"), True),
        (("status", OFFICE, THIRD), True),
        (("status", THIRD), False),
        (("explain", THIRD), False),
        (("wait", THIRD, OFFICE, "--for", "down", "--timeout", "0"), False),
        (("bar", "--once", "--format", "waybar"), True),
        (("bar", "--once", THIRD), False),
    ],
)
async def test_of_two_that_are_called_the_same_people_see_the_uuid_too(
    verb: tuple[str, ...], shows_both: bool, manager: NetworkManager
) -> None:
    await manager.runs()
    for uuid, name in ((OFFICE, "Office"), (HOME, "Home"), (THIRD, "Office")):
        await manager.add(uuid, name)
    async with serving() as service:
        await service.look(tunnel(OFFICE, UP), tunnel(HOME, UP), tunnel(THIRD, UP))
        _, out, err = await said(*verb)
    # A long name may be cut in its middle.
    seen = re.findall(r"Office \([-0-9a-f]+(?:…[-0-9a-f]*)?([0-9a-f]{4})\)", out + err)
    assert sorted(seen) == sorted({THIRD[-4:], OFFICE[-4:]} if shows_both else {THIRD[-4:]})
    assert not re.search(r"Office(?! \()|Home \(", out + err)


@asks_for_details
async def test_who_finds_instances_by_both_names_of_their_template(
    manager: NetworkManager,
) -> None:
    await manager.runs()
    await manager.add(OFFICE, "Office")
    async with serving() as service:
        guest = replace(road_warriors(("alice",))[0], name=OFFICE)
        await show(service, guest, *road_warriors(("bob",)))
        await service.become(tunnel(OFFICE, TunnelState.WAITING, instances=1))
        told = await asyncio.gather(
            *(said("who", *names) for names in (["Office"], [OFFICE], ["Off*"], ["Office", "rw"]))
        )
        by_name, by_uuid, by_pattern, both = (out for _, out, _ in told)
        assert by_name.splitlines()[1].split()[-1] == "Office[1]"
        assert by_name == by_uuid == by_pattern
        assert "1 peer: 1 connected; 1 more not shown" in by_name
        assert ("alice" in both, "bob" in both) == (True, True)
        _, out, _ = await said("who", "--json", "Office")
        [peer] = json.loads(out)["peers"]
        assert (peer["tunnel"], peer["template"]) == (f"{OFFICE}[1]", OFFICE)
        assert "Office" not in out


@asks_for_details
async def test_who_tells_apart_the_instances_of_two_templates_that_are_called_the_same(
    manager: NetworkManager,
) -> None:
    await manager.runs()
    for uuid, name in ((OFFICE, "Office"), (HOME, "Home"), (THIRD, "Office")):
        await manager.add(uuid, name)
    async with serving() as service:
        users = road_warriors(("alice", "bob", "carol"))
        guests = [replace(u, name=n) for u, n in zip(users, (OFFICE, HOME, THIRD), strict=True)]
        await show(service, *guests)
        templates = [tunnel(t.name, TunnelState.WAITING, instances=1) for t in guests]
        await service.become(*templates)
        _, out, _ = await said("who", "Office", "Home")
        ends = [re.sub(r"\([-0-9a-f]+(…[-0-9a-f]+)?(?=....\))", "(", r) for r in out.splitlines()]
        shown = [row.split("  ")[-1].strip() for row in ends[1:4]]
        assert shown == [f"Office ({OFFICE[-4:]})[1]", "Home[2]", f"Office ({THIRD[-4:]})[3]"]
        assert "Office" not in (await said("who", "--json"))[1]


@pytest.mark.parametrize("verb", ["status", "explain"])
async def test_json_has_nothing_more_of_two_that_are_called_the_same(
    verb: str, manager: NetworkManager
) -> None:
    await manager.runs()
    async with serving() as service:
        await manager.add(OFFICE, "Office")
        await manager.add(THIRD, "Office")
        await service.look(tunnel(OFFICE, UP), tunnel(THIRD, UP))
        code, out, _ = await said(verb, "--json", OFFICE)
    assert (code, OFFICE in out, "Office (" in out) == (0, True, False)


async def test_people_who_wait_read_its_name_and_programs_the_uuid(
    manager: NetworkManager,
) -> None:
    await manager.runs()
    await manager.add(OFFICE, "Office")
    await manager.add(HOME, EVIL, networkmanager.L2TP)
    async with serving() as service:
        await service.look(tunnel(OFFICE, TunnelState.DOWN))
        late, absent = await asyncio.gather(
            said("wait", "Office", "--for", "up", "--timeout", "0", "--json"),
            said("wait", HOME, "--for", "up"),
        )
    assert late[2].startswith("ipsecwatch: timed out: Office is down")
    assert json.loads(late[1])["tunnels"][0]["name"] == OFFICE
    assert absent[2].startswith(r"ipsecwatch: no such tunnel: <b>evil</b>\x1b[2J. There are: ")


async def test_check_waits_no_longer_than_it_was_told_for_a_name_of_networkmanager(
    manager: NetworkManager,
) -> None:
    await manager.runs()
    await manager.add(OFFICE, "Office")
    async with odd_service() as service:
        service.silent = True
        began = time.monotonic()
        code, out, _ = await said("check", "-t", "0.5", "Office")
    assert time.monotonic() - began < 5  # client.snapshot() waits as long for a silent service
    assert (code, out) == (3, "IPSEC UNKNOWN - ipsecwatch doesn't answer within 0.5 s\n")


async def test_monitor_tells_people_its_name_also_of_one_that_comes_later(
    manager: NetworkManager,
) -> None:
    await manager.runs()
    for uuid, name in ((OFFICE, "Office"), (HOME, "Home"), (THIRD, "Office")):
        await manager.add(uuid, name)
    async with serving() as service:
        await service.look(tunnel(OFFICE, UP), tunnel("site", UP))
        async with monitoring("Off*") as people, monitoring("--json", "Off*") as program:
            day, _, row = [await people.line() for _ in range(3)]
            assert row.split()[1:4] == ["●", "Office", "up"]
            assert (await program.object())["tunnels"] == {OFFICE: "up"}
            await service.become(tunnel(HOME, UP))
            await service.become(tunnel(OFFICE, TunnelState.DOWN))
            assert await people.line() != day  # another day
            assert (await people.line()).split()[1:4] == ["○", "Office", "up"]
            assert (await program.object())["tunnel"] == OFFICE
            # Of two that are called the same the UUID tells which one it is.
            await service.become(tunnel(THIRD, UP))
            assert f"Office ({THIRD})" in await people.line()
            assert (await program.object())["tunnel"] == THIRD


@pytest.mark.parametrize(("release", "marked"), [("4.10", ""), ("5.2", ""), ("5.4", SAYS_SO)])
async def test_a_status_as_the_plugin_leaves_it_is_recognised_with_or_without_the_mark(
    release: str, marked: str, manager: NetworkManager
) -> None:
    text = statuses(ROOT / release / "site.jsonl.gz")[-1].stdout
    text = text.replace('"site"', f'"{OFFICE}"').replace("nm-configured: no", "nm-configured: yes")
    (found,) = tunnels_of(parse(text, "status")).values()
    assert (found.name, found.managed) == (OFFICE, marked)
    await manager.runs()
    await manager.add(OFFICE, "Office")
    async with serving() as service:
        await service.look(found)
        _, out, _ = await said("status", "Office")
        assert "Office" in out.splitlines()[0]


async def test_what_is_muted_is_known_by_the_name_that_the_agent_shows(
    manager: NetworkManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    await manager.runs()
    await manager.add(OFFICE, "Office")
    assert (await said("mute", OFFICE))[1].startswith("Office")
    assert (await said("mute", HOME))[1].startswith(HOME)
    assert "Office" in (await said("mute"))[1]
    assert (await said("mute", "--undo", OFFICE))[1].startswith("Office: not muted")
    await manager.add(HOME, "Home")  # its mute is older, and has the UUID
    assert (await said("mute", "--undo", HOME))[1].startswith(f"{HOME}: not muted")
    assert (await said("mute"))[1] == "Nothing is muted.\n"


async def test_its_name_is_watched_live(manager: NetworkManager) -> None:
    await manager.runs()
    await manager.add(OFFICE, "Office")
    async with serving() as service:
        await service.look(tunnel(OFFICE, UP), tunnel("site", UP))
        with FakeTerminal("status", "--watch") as terminal:
            await terminal.until(lambda: any("● Office " in row for row in terminal.rows))
        with FakeTerminal("status", "--watch", "Office") as terminal:
            await terminal.until(lambda: any("● Office" in row for row in terminal.rows))
            assert not any("site" in row for row in terminal.rows)
        await manager.add(THIRD, "Office")
        await service.look(tunnel(OFFICE, UP), tunnel(THIRD, UP))
        with FakeTerminal("status", "--watch", "Off*") as terminal:
            await terminal.until(lambda: sum("● Office (" in row for row in terminal.rows) == 2)


async def test_status_does_not_wait_for_one_that_hangs(manager: NetworkManager) -> None:
    await manager.runs()
    async with serving() as service:
        await service.look(tunnel("site", UP))
        await said("status")
        began = time.monotonic()
        await said("status")
        usual = time.monotonic() - began
        await service.look(tunnel(OFFICE, UP))
        manager.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        code, out, _ = await said("status")
        assert time.monotonic() - began < usual + 1.0  # 0.2 s on a machine of one's own
        assert code == 0
        assert OFFICE[:8] in out
