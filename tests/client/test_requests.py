# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch import client
from ipsecwatch.client import requests
from ipsecwatch.client.views import log_state
from ipsecwatch.report import LogState
from ipsecwatch.tunnel import TunnelState
from tests.support.bus_service import asks_for_details, serving
from tests.support.odd_service import odd_service
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from tests.support.dbus_daemon import PrivateBus

UP = TunnelState.UP

pytestmark = pytest.mark.usefixtures("system_bus")


async def test_asking_without_a_service_or_a_bus_is_one_line_and_a_hint(
    system_bus: PrivateBus,
) -> None:
    with pytest.raises(client.ServiceUnavailableError, match="isn't running") as caught:
        await client.snapshot()
    assert caught.value.hint == "Start it with: systemctl start ipsecwatch"
    system_bus.stop()
    with pytest.raises(client.ServiceUnavailableError, match="system bus can't be reached"):
        await client.refresh()


async def test_the_service_says_which_run_of_it_this_is() -> None:
    async with serving():
        assert await client.run_id() == (await client.snapshot()).run_id != ""


@asks_for_details
async def test_details_of_all_are_fetched_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "PAGE", 2)
    async with serving() as service:
        await service.look(*(tunnel(n, peer=f"192.0.2.{i}") for i, n in enumerate("abcd")))
        told = await client.details()
        assert {name: d["PeerAddress"] for name, d in told.items()} == {
            n: f"192.0.2.{i}" for i, n in enumerate("abcd")
        }
        assert list(await client.details(["c", "a", "d"])) == ["c", "a", "d"]
        with pytest.raises(client.NoSuchTunnelError):
            await client.details(["x"])


async def test_a_snapshot_tells_where_the_log_is_heard() -> None:
    async with serving() as service:
        for state in LogState:
            await service.publish([], log=state)
            assert (await client.snapshot()).log is state


@pytest.mark.parametrize("word", [None, "", "telepathy"])
def test_what_an_older_or_newer_service_tells_of_the_log_may_be_nothing(word: str | None) -> None:
    assert log_state(word) is None


async def test_refresh_answers_the_serial() -> None:
    async with serving() as service:
        await service.look(tunnel("office"))
        await service.become(tunnel("office", UP))
        assert await client.refresh() == 1


@pytest.mark.parametrize(
    ("error", "kind", "hint"),
    [
        ("org.freedesktop.DBus.Error.AccessDenied", client.NotAllowedError, "root"),
        ("org.ipsecwatch1.Error.NoSuchTunnel", client.NoSuchTunnelError, "ipsecwatch status"),
        ("org.ipsecwatch1.Error.PlutoUnavailable", client.PlutoUnavailableError, "ipsec"),
        ("org.example.Whatever", client.ServiceUnavailableError, "systemctl status ipsecwatch"),
    ],
)
async def test_refusals_become_words_with_a_hint(
    error: str, kind: type[client.ClientError], hint: str
) -> None:
    async with odd_service() as service:
        service.refuse = error
        for question in client.snapshot(), client.refresh(), client.details(["x"]):
            with pytest.raises(kind) as caught:
                await question
            assert str(caught.value).isprintable()
            assert hint in caught.value.hint


async def test_a_service_that_does_not_answer_is_given_up() -> None:
    async with odd_service() as service:
        service.silent = True
        with pytest.raises(client.ServiceUnavailableError, match="doesn't answer"):
            await client.snapshot(within=0.1)
