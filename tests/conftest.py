# SPDX-License-Identifier: MIT
"""Fixtures that many tests share, and what pytest does before and after collecting the tests."""

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
from tests.support.leftovers import Leftovers
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
    """Set up the environment of all tests: English, no fixed terminal size, side-by-side workers.

    If the checkout can't be written to, the caches of tools go to a temporary folder.
    """
    os.environ["LANGUAGE"] = "en"  # for the programs that tests start
    for name in ("COLUMNS", "LINES"):  # readline sets them in a worker, and programs would use them
        os.environ.pop(name, None)
    config.pluginmanager.register(Leftovers())
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
    """The paths of ipsecwatch's Debian packages, by package name; they are built once in a run."""
    own = tmp_path_factory.getbasetemp()
    with side_by_side.common_folder(pytestconfig, own, "deb") as folder:
        return built(folder, "*.deb") or build(folder, "deb", "*.deb", *DEB_TOOLS)


@pytest.fixture
def thorough(pytestconfig: pytest.Config) -> bool:
    """Whether to try all cases rather than a sample: with --bed=full (``packaging/dev bed``)."""
    return bool(pytestconfig.getoption("--bed") == "full")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests that are marked ``thorough``, unless --bed=full is given.

    Also set which tests are tried again when they fail.
    """
    if config.getoption("--bed") != "full":
        left_out = [item for item in items if item.get_closest_marker("thorough")]
        items[:] = [item for item in items if item not in set(left_out)]
        config.hook.pytest_deselected(items=left_out)
    give_more_tries(items)


def give_more_tries(items: list[pytest.Item]) -> None:
    """Mark coroutine tests to be run up to two more times if they fail.

    They run against real processes and clocks, and on a machine that stands still for seconds any
    time limit can be exceeded. The tests of the pure core aren't coroutines, and must pass the
    first time. The few other tests with real processes are marked ``flaky`` themselves.
    """
    for item in items:
        if inspect.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture
def system_bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    """A private system bus with our policy.

    For this process and its children, it is the system bus.
    """
    if why := missing():
        pytest.skip(why)
    with PrivateBus(system=True) as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        yield bus


@pytest.fixture
def session_bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    """A private session bus. For this process and its children, it is the session bus."""
    if why := missing():
        pytest.skip(why)
    with PrivateBus(system=False) as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        yield bus
