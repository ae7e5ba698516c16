# SPDX-License-Identifier: MIT
"""Fixtures that tests of the service share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.support.journald import PrivateJournald, missing
from tests.support.other_user import OtherUser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.dbus_daemon import PrivateBus


@pytest.fixture(scope="module")
def shared_journald(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateJournald]:
    if why := missing():
        pytest.skip(why)
    with PrivateJournald(tmp_path_factory.mktemp("run")) as journald:
        yield journald


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[PrivateJournald]:
    """A private journald, which the test may stop or restart."""
    if why := missing():
        pytest.skip(why)
    with PrivateJournald(tmp_path / "run") as journald:
        yield journald


@pytest.fixture
def stranger(system_bus: PrivateBus) -> Iterator[OtherUser]:
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    with OtherUser() as made:
        yield made
