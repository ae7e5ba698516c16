# SPDX-License-Identifier: MIT
"""Tests of NetworkManager's names in the agent's events: known at once, later, or by the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch.agent.named_tunnels import NamedTunnels
from ipsecwatch.client.connection_names import L2TP, LIBRESWAN
from ipsecwatch.client.events import Change, Event, Update
from ipsecwatch.client.views import Snapshot
from tests.support import networkmanager
from tests.support.fake_events import Story, path
from tests.support.networkmanager import HOME, OFFICE, NetworkManager
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[NetworkManager]:
    if why := networkmanager.missing():
        pytest.skip(why)
    with networkmanager.networkmanager(monkeypatch) as manager:
        yield manager


async def test_a_tunnel_is_told_of_once_more_when_it_has_a_name(manager: NetworkManager) -> None:
    await manager.runs()
    await manager.add(OFFICE, "Office")
    await manager.add(HOME, "Home", networkmanager.L2TP)
    story, told = Story(), list[Event]()
    names = NamedTunnels(told.append)
    first = names.named(story.look(site="up", **{OFFICE: "up"}))
    assert isinstance(first, Snapshot)
    assert [view.name for view in first.tunnels.values()] == ["site", OFFICE]
    await until(lambda: told)
    (named,) = told
    assert isinstance(named, Update)
    assert named.view is not None
    assert (named.path, named.view.name, named.view.managed) == (path(OFFICE), "Office", LIBRESWAN)
    assert named.view.names == ("Office", OFFICE)

    change = names.named(story.become(OFFICE, "down", "peer-dead"))
    assert isinstance(change, Change)
    assert (change.view.name, change.view.state) == ("Office", "down")
    names.named(story.listed(HOME, "up"))
    await until(lambda: len(told) == 2)
    again = names.named(story.snapshot())
    assert isinstance(again, Snapshot)
    assert {(view.name, view.managed) for view in again.tunnels.values()} == {
        ("site", ""),
        ("Office", LIBRESWAN),
        ("Home", L2TP),
    }
    # When a tunnel comes back, its name is asked for again: it may have been renamed.
    assert names.named(story.gone(OFFICE)) == Update(path(OFFICE), None)
    back = names.named(story.listed(OFFICE, "up"))
    assert isinstance(back, Update)
    assert back.view is not None
    assert back.view.name == OFFICE
    await until(lambda: len(told) == 3)
    await names.aclose()
