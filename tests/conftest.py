# SPDX-License-Identifier: MIT
"""Fixtures that many tests share."""

from __future__ import annotations

import inspect
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from tests.support import side_by_side
from tests.support.dbus_daemon import PrivateBus, missing
from tests.support.packages import DEB_TOOLS, build, built
from tests.support.paths import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bed", "two hosts with libreswan")
    group.addoption("--bed", choices=["short", "full"], default="short", help="how much is played")
    group.addoption("--bed-rest", default="20", metavar="S", help="between two things, for history")
    group.addoption("--bed-table", metavar="FILE", help="write when each signal came")


def pytest_configure(config: pytest.Config) -> None:
    """Speak English, and write caches elsewhere where the checkout can't be written to."""
    os.environ["LANGUAGE"] = "en"  # what tests start speaks to nobody else
    for name in ("COLUMNS", "LINES"):  # in a worker readline sets them; programs believe them
        os.environ.pop(name, None)
    if worker := side_by_side.worker(config):
        config.pluginmanager.register(worker)
    if os.access(TOP, os.W_OK):
        return
    caches = tempfile.mkdtemp(prefix="ipsecwatch-caches-")
    config.add_cleanup(lambda: shutil.rmtree(caches))
    os.environ["MYPY_CACHE_DIR"] = os.environ["RUFF_CACHE_DIR"] = caches
    set_hypothesis_home_dir(caches)


@pytest.fixture(scope="session")
def debs(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Debian's packages, by name."""
    own = tmp_path_factory.getbasetemp()
    with side_by_side.common_folder(pytestconfig, own, "deb") as folder:
        return built(folder, "*.deb") or build(folder, "deb", "*.deb", *DEB_TOOLS)


@pytest.fixture
def thorough(pytestconfig: pytest.Config) -> bool:
    """Whether all there is of a kind is to be tried, rather than a sample."""
    return bool(pytestconfig.getoption("--bed") == "full")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only packaging/dev bed tries, and let the rest have its chance."""
    if config.getoption("--bed") != "full":
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)
    give_more_tries(items)


def give_more_tries(items: list[pytest.Item]) -> None:
    """Give tests that run against real processes and the clock two more tries; see the summary.

    On a machine that stands still for seconds any deadline can pass. The pure core knows no time:
    its tests, which aren't coroutines, have to pass at once. The few other tests of real processes
    carry the marker themselves.
    """
    for item in items:
        if inspect.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture
def system_bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    """A system bus of our own, with our policy; what this process takes for the system bus."""
    if why := missing():
        pytest.skip(why)
    with PrivateBus(system=True) as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        yield bus


@pytest.fixture
def session_bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    """A session bus of our own; what this process takes for the session's."""
    if why := missing():
        pytest.skip(why)
    with PrivateBus(system=False) as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        yield bus
