# SPDX-License-Identifier: MIT
"""Tests of ``explain NAME``, with a tunnel of a service on a private bus."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from ipsecwatch.cli import main
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import serving
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.support.dbus_daemon import PrivateBus


async def explain(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = await asyncio.to_thread(main.run, ["explain", *words])
    return (code, *capsys.readouterr())


async def test_a_tunnel_is_told_in_plain_words(
    system_bus: PrivateBus, capsys: pytest.CaptureFixture[str]
) -> None:
    office = tunnel(
        "office", TunnelState.STUCK, reason=Reason.AUTHENTICATION, since=time.time() - 125,
        attempts=4,
    )  # fmt: skip
    async with serving() as service:
        await service.look(office, tunnel("home", TunnelState.UP), tunnel("net.work"))
        code, out, _ = await explain(capsys, "office")
        assert code == 0
        for text in ("stuck", "2m 05s", "4", "identity was refused", "Compare leftid"):
            assert text in out
        code, out, _ = await explain(capsys, "home")
        assert (code, "why" in out, "Every pair of subnets" in out) == (0, False, True)
        (told,) = json.loads((await explain(capsys, "--json", "office"))[1])
        assert (told["kind"], told["state"], told["reason"]) == (
            "tunnel", "stuck", "authentication",
        )  # fmt: skip
        assert (await explain(capsys, "net.work"))[0] == 0


async def test_a_file_comes_first_then_a_word_then_a_tunnel(
    system_bus: PrivateBus,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    async with serving() as service:
        await service.look(tunnel("stuck"), tunnel("office"))
        assert "30 seconds or longer" in (await explain(capsys, "stuck"))[1]
        (tmp_path / "office").write_text('"site" #1: initiating IKEv2 connection\n')
        assert "site" in (await explain(capsys, "office"))[1]


async def test_a_name_that_is_nearly_a_tunnels_is_told_what_was_meant(
    system_bus: PrivateBus, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving() as service:
        await service.look(tunnel("office-berlin"))
        code, out, err = await explain(capsys, "office-berlim")
        assert (code, out) == (3, "")
        assert err == (
            "ipsecwatch: office-berlim is neither a file nor a word that pluto prints, nor a "
            "tunnel. "
            "Did you mean office-berlin?\n"
        )
        code, _, err = await explain(capsys, "frobnicate")
        assert (code, err.count("\n")) == (3, 1)
        assert "nor a tunnel. Give a file" in err


async def test_without_a_service_that_is_said_in_the_same_line(
    system_bus: PrivateBus, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = await explain(capsys, "frobnicate")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "tunnels can't be looked up: ipsecwatch isn't running" in err
