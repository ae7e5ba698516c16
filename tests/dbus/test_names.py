# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ipsecwatch.dbus.names import NAME, bus_name, instance_of, is_instance, socket_name

if TYPE_CHECKING:
    from pathlib import Path

GOOD = ["acme", "tenant-1", "_x", "A_b-C", "agent", "socket", "a" * 239]
BAD = [
    "", "a/b", "../x", "1st", "-x", "a.b", "a b", "ä", "a\n", "a" * 240, "a\\x2db", "%i", "Agent",
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_an_instance_is_called_what_an_element_of_a_bus_name_may_be(name: str) -> None:
    assert is_instance(name)
    assert instance_of(bus_name(name)) == name
    assert len(bus_name(name)) <= 255


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_element_of_a_bus_name_names_no_instance(name: str) -> None:
    assert not is_instance(name)


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        (NAME, ""),
        (f"{NAME}.acme", "acme"),
        (f"{NAME}.", None),
        (f"{NAME}0", None),
        (f"{NAME}.acme.more", None),
        (f"{NAME}.Agent", None),
        (f"x.{NAME}.acme", None),
        (socket_name("/run/pluto/pluto.ctl"), None),
        (":1.7", None),
    ],
)
def test_names_of_others_are_no_instances(name: str, instance: str | None) -> None:
    assert instance_of(name) == instance


def test_a_control_socket_has_one_name_whatever_path_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "pluto").mkdir()
    (tmp_path / "link").symlink_to("pluto")
    path = str(tmp_path / "pluto/pluto.ctl")
    assert socket_name(path) == socket_name(f"{tmp_path}//link/../link/pluto.ctl")
    assert socket_name(path) != socket_name(str(tmp_path / "pluto.ctl"))
    assert len(socket_name("/" + "x" * 4000)) <= 255
