# SPDX-License-Identifier: MIT
"""Tests of `--details` at a terminal, with a real polkitd and polkit's own agent for terminals."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support import dbus_daemon, polkitd
from tests.support.bus_service import serving
from tests.support.fake_terminal import FakeTerminal
from tests.support.other_user import NOBODY, starts_as_another_user
from tests.support.polkitd import PrivatePolkit
from tests.support.small_gateway import OFFICES, road_warriors, show

if TYPE_CHECKING:
    from collections.abc import Iterator

YES = "return polkit.Result.YES;"
NO = "return polkit.Result.NO;"

pytestmark = starts_as_another_user


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[dbus_daemon.PrivateBus]:
    if why := dbus_daemon.missing() or polkitd.missing():
        pytest.skip(why)
    if shutil.which("pkttyagent") is None:
        pytest.skip("pkttyagent isn't installed")
    policies = (dbus_daemon.POLICY, polkitd.BUS_POLICY)
    with dbus_daemon.PrivateBus(system=True, policies=policies) as made:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
        yield made


async def test_somebody_at_a_terminal_is_asked_for_a_password(bus: dbus_daemon.PrivateBus) -> None:
    with PrivatePolkit(bus):
        async with serving() as service:
            await show(service, *OFFICES)
            with FakeTerminal("status", "paris", "--details", user=NOBODY) as terminal:
                await terminal.until(lambda: "Password:" in terminal.picture)
                assert "read addresses, identities and counters" in terminal.picture
                terminal.press("\x03")
                assert await terminal.ended() == 130
                assert terminal.settings_are_as_before()


async def test_nobody_is_asked_without_need(bus: dbus_daemon.PrivateBus) -> None:
    with PrivatePolkit(bus, YES):
        async with serving() as service:
            await show(service, *OFFICES)
            with FakeTerminal("status", "paris", "--details", user=NOBODY) as terminal:
                assert await terminal.ended() == 0
                assert "Password" not in terminal.picture
                assert "203.0.113.7, as @paris" in terminal.picture


@pytest.mark.parametrize("verb", ["status paris", "who"])
async def test_a_refusal_is_not_followed_by_the_advice_to_do_the_same_again(
    bus: dbus_daemon.PrivateBus, verb: str
) -> None:
    with PrivatePolkit(bus, NO):
        async with serving() as service:
            await show(service, *OFFICES, *road_warriors())

            async def told(*options: str, shell: str = '"$@"') -> str:
                with FakeTerminal(*verb.split(), *options, user=NOBODY, shell=shell) as terminal:
                    await terminal.ended()
                    return terminal.picture.replace("\n", "")

            assert "Try it with --details" in await told()
            refused = await told("--details")
            assert "The authorization failed: try it again, or as root" in refused
            assert "--details" not in refused
            piped = await told("--details", shell='"$@" | cat')
            assert "--details asks for a password only at a terminal" in piped
