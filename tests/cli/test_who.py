# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.main import run
from tests.cli.status.test_status import as_another_user
from tests.support.bus_service import asks_for_details, serving
from tests.support.other_user import starts_as_another_user
from tests.support.recordings import ROOT, statuses
from tests.support.small_gateway import OFFICES, road_warriors, show

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dbus_daemon import PrivateBus


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """Return the path of a file with the status of a server that has one client."""
    text = next(
        s.stdout
        for s in statuses(ROOT / "4.10/xauth-server.jsonl.gz")
        if "username=paula" in s.stdout
    )
    file = tmp_path / "status"
    file.write_text(text)
    return str(file)


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert run(["who", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_client_is_shown_with_user_address_and_lease(
    saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    head, row, count = lines(capsys, "--file", saved)
    assert head.split() == ["USER", "ADDRESS", "LEASE", "SINCE", "IN", "OUT", "IDLE", "TUNNEL"]
    assert row.split()[:5] == ["●", "paula", "192.1.2.45", "192.0.3.10", "-"]
    assert row.split()[-1] == "xauth[1]"
    assert count == "1 peer: 1 connected"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("PAULA", 1), ("192.1.2.*", 1), ("192.0.3.10", 1), ("xauth", 1), ("xauth[*]", 1), ("pau", 0),
     ("@road", 1)],
)  # fmt: skip
def test_a_pattern_fits_anything_that_is_known_of_a_peer(
    pattern: str, found: int, saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = lines(capsys, "--file", saved, pattern)
    assert sum("paula" in line for line in told) == found
    assert told[-1].startswith(f"{found} peer")
    assert ("1 more not shown" in told[-1]) == (not found)


def test_as_json_the_same_is_told_by_keys(saved: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(lines(capsys, "--file", saved, "--json")[0])
    [peer] = told["peers"]
    assert (told["format"], told["source"], told["details_refused"]) == (1, "file", False)
    assert {k: peer[k] for k in ("tunnel", "template", "state", "username", "identity")} == {
        "tunnel": "xauth[1]", "template": "xauth", "state": "up", "username": "paula",
        "identity": "@road",
    }  # fmt: skip
    assert (peer["since"], peer["idle"]) == (None, None)  # one text tells nothing of the time


def test_where_nobody_is_there_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    up = statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout
    assert "site" in up
    assert run(["who", "--state", "nonsense"]) == 2
    assert "no such state" in capsys.readouterr().err


@asks_for_details
async def test_500_peers_are_sorted_as_one_likes(
    system_bus: PrivateBus, capsys: pytest.CaptureFixture[str]
) -> None:
    users = tuple(f"user-{n}" for n in range(500))
    async with serving() as service:
        await show(service, *OFFICES, *road_warriors(users))
        for order, backwards, first in (
            ("user", [], "user-0"), ("user", ["-r"], "user-499"), ("since", [], "user-0"),
            ("address", [], "user-0"), ("tunnel", ["-r"], "user-499"),
        ):  # fmt: skip
            out = await in_thread(capsys, "--json", "--sort", order, *backwards)
            peers = json.loads(out)["peers"]
            assert len(peers) == 500
            assert peers[0]["username"] == first, (order, backwards)


async def in_thread(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    import asyncio

    assert await asyncio.to_thread(run, ["who", *arguments]) == 0
    return capsys.readouterr().out


@asks_for_details
@starts_as_another_user
async def test_who_may_not_know_sees_how_many_there_are_and_a_hint(
    system_bus: PrivateBus,
) -> None:
    async with serving() as service:
        await show(service, *OFFICES, *road_warriors())
        code, out, err = await as_another_user("who")
    assert code == 3
    assert out.splitlines()[1].split()[-1] == "rw[1]"
    assert "5 peers: 5 connected" in out
    assert "alice" not in out
    assert err.count("\n") == 1
    assert "--details" in err
