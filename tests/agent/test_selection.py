# SPDX-License-Identifier: MIT
"""Tests of which tunnels the user wants notifications of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ipsecwatch.agent.selection import Selection
from ipsecwatch.client.connection_names import L2TP, LIBRESWAN
from ipsecwatch.config import AgentSettings, TunnelSettings
from tests.support.fake_events import view


def selection(**settings: object) -> Selection:
    return Selection(replace(AgentSettings(), **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("glob", ["site", "si*", "*"])
def test_an_ignored_tunnel_is_left_out(glob: str) -> None:
    assert selection(ignore=("lab", glob)).leaves_out(view("site", "up"))
    assert not selection(ignore=("lab",)).leaves_out(view("site", "up"))


@pytest.mark.parametrize("name", ["rw[3]", "rw"])
def test_an_instance_is_left_out_with_its_template(name: str) -> None:
    ours = selection()
    ours.muted = {"rw": 100.0}
    assert ours.leaves_out(view(name, "up"))
    assert not ours.leaves_out(view("rw2", "up"))


def test_a_name_of_networkmanagers_is_never_an_instance() -> None:
    ours = selection(ignore=("rw",))
    assert not ours.leaves_out(view("rw[3]", "up", managed=LIBRESWAN))


@pytest.mark.parametrize(
    ("setting", "managed", "left_out", "only_losses"),
    [
        ("all", LIBRESWAN, False, False),
        ("losses", LIBRESWAN, False, True),
        ("losses", L2TP, True, True),
        ("none", LIBRESWAN, True, False),
        ("none", "", False, False),
    ],
)
def test_of_networkmanagers_tunnels_is_selected_what_is_set(
    setting: str, managed: str, left_out: bool, only_losses: bool
) -> None:
    ours = selection(managed=setting)
    seen = view("site", "up", managed=managed)
    assert (ours.leaves_out(seen), ours.only_losses(seen)) == (left_out, only_losses)


def test_trouble_is_wanted_where_it_is_of_any_tunnel() -> None:
    assert not selection(down=False, stuck=False).wants_trouble
    one = (("site", TunnelSettings(stuck=True)),)
    assert selection(down=False, stuck=False, tunnels=one).wants_trouble
