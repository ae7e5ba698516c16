# SPDX-License-Identifier: MIT
"""A system bus on which a test may own systemd's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import dbus_daemon
from tests.support.dbus_daemon import PrivateBus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POLICY = """<busconfig><policy user="root">
  <allow own="org.freedesktop.systemd1"/><allow own="org.freedesktop.login1"/>
</policy><policy context="default">
  <allow send_destination="org.freedesktop.systemd1"/>
</policy></busconfig>
"""


@pytest.fixture
def system_bus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[PrivateBus]:
    if why := dbus_daemon.missing():
        pytest.skip(why)
    policy = tmp_path / "systemd.conf"
    policy.write_text(POLICY)
    with PrivateBus(system=True, policies=(dbus_daemon.POLICY, policy)) as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        yield bus
