# SPDX-License-Identifier: MIT
"""Runs tests beside each other in the workers of pytest-xdist (pytest -n 2), or one alone.

All tests of a file run in one worker, with their fixtures (addopts: --dist=loadfile). Files with
slow tests are begun first, so that the workers end at about the same time. Files with tests that
are marked ``alone`` come last; while such a test runs, the other workers wait.
"""

from __future__ import annotations

from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_SH, LOCK_UN, lockf
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

_TURN: Final = 0
_QUEUE: Final = 1
"""The bytes of the file that are locked: _TURN while a test runs, _QUEUE while a test waits for its
turn."""


class Turns:
    """Lets the tests of several processes run beside each other, or one of them alone.

    ``path`` is a file in which all of them lock bytes. The locks end with the process that has
    them; a process that it forks doesn't inherit them.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")

    def close(self) -> None:
        """Close the file, and thereby release all locks of this process."""
        self._file.close()

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait until this test may run, and keep its turn while the context lasts.

        ``alone``: wait until no other test runs; no other test begins until the context ends. Once
        a test waits to be alone, no other one begins before it.
        """
        lockf(self._file, LOCK_EX, 1, _QUEUE)
        lockf(self._file, LOCK_EX if alone else LOCK_SH, 1, _TURN)
        lockf(self._file, LOCK_UN, 1, _QUEUE)
        try:
            yield
        finally:
            lockf(self._file, LOCK_UN, 1, _TURN)


class Worker:
    """A plugin for pytest in a worker process. ``folder`` is shared by all workers of a run."""

    def __init__(self, folder: Path) -> None:
        self._turns = Turns(folder / "turns")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort the tests with in_order()."""
        items[:] = in_order(items)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # so that pytest-timeout doesn't count the wait
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait until the test may run, then run it."""
        with self._turns.turn(alone=_is_alone(item)):
            return (yield)

    def pytest_unconfigure(self) -> None:
        """Release all locks when this worker ends, so that the other workers continue."""
        self._turns.close()


def worker(config: pytest.Config) -> Worker | None:
    """Return the plugin if this process is a worker of pytest-xdist, else None.

    Also make the path of a worker's temporary folder shorter. Call this before pytest reads that
    path from the configuration.
    """
    if not _is_worker(config):
        return None
    # Tests make sockets below it, and the kernel allows 107 bytes for a socket's path.
    name = config.workerinput["workerid"].removeprefix("gw")  # type: ignore[attr-defined]
    config.option.basetemp = str(_above(config) / name)
    return Worker(_above(config))


@contextmanager
def common_folder(config: pytest.Config, temporary: Path, name: str) -> Iterator[Path]:
    """Make, lock and yield a folder that all workers of a run share; only one has it at a time.

    If this process isn't a worker, the folder is in ``temporary``.
    """
    folder = (_above(config) if _is_worker(config) else temporary) / name
    folder.mkdir(exist_ok=True)
    with folder.with_name(f"{name}.lock").open("wb") as lock:
        lockf(lock, LOCK_EX)
        yield folder


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _above(config: pytest.Config) -> Path:
    """Return the temporary folder of the run, in which each worker has its own folder."""
    return Path(config.getoption("basetemp")).parent


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests by files: those with slow tests first, those with ``alone`` tests last.

    Within a file, the tests that are marked ``alone`` come last.
    """
    files = [list(of_file) for _, of_file in groupby(items, lambda item: item.path)]
    files.sort(key=lambda of_file: (any(map(_is_alone, of_file)), not any(map(_is_slow, of_file))))
    return [item for of_file in files for item in sorted(of_file, key=_is_alone)]


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None
