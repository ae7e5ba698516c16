# SPDX-License-Identifier: MIT
"""Runs tests beside each other in the workers of pytest-xdist (pytest -n 2), or one alone.

A file of tests stays in one worker, with its fixtures (addopts: --dist=loadfile). Files with slow
tests are begun first, so that the workers end together. Tests that are marked ``alone`` come last,
and while one runs the other workers wait.
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
"""Bytes of the file that are locked."""


class Turns:
    """Lets the tests of several processes run beside each other, or one of them alone.

    ``path`` is a file that all of them lock: its locks end with the process that has them, and a
    process that is forked meanwhile has none.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")

    def close(self) -> None:
        """Close the file, and so release all locks."""
        self._file.close()

    @contextmanager
    def turn(self, *, alone: bool) -> Iterator[None]:
        """Wait for this test's turn, and hold it while the context lasts.

        ``alone``: no other test runs then. No test begins before one that waits to be alone.
        """
        lockf(self._file, LOCK_EX, 1, _QUEUE)
        lockf(self._file, LOCK_EX if alone else LOCK_SH, 1, _TURN)
        lockf(self._file, LOCK_UN, 1, _QUEUE)
        try:
            yield
        finally:
            lockf(self._file, LOCK_UN, 1, _TURN)


class Worker:
    """A plugin for pytest, in a worker. ``folder`` is the same for all workers of a run."""

    def __init__(self, folder: Path) -> None:
        self._turns = Turns(folder / "turns")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Sort the tests into the order in which their files are begun."""
        items[:] = in_order(items)

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # around pytest-timeout, which is not to count it
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait for the test's turn, then run it."""
        with self._turns.turn(alone=_is_alone(item)):
            return (yield)

    def pytest_unconfigure(self) -> None:
        """Release all locks at this worker's end, so that the other workers continue."""
        self._turns.close()


def worker(config: pytest.Config) -> Worker | None:
    """Return the plugin for this process if it is a worker, else None; shorten its tests' paths.

    Call this before pytest reads its temporary folder from the configuration.
    """
    if not _is_worker(config):
        return None
    # Tests have sockets below it, of whose paths the kernel takes 107 bytes.
    name = config.workerinput["workerid"].removeprefix("gw")  # type: ignore[attr-defined]
    config.option.basetemp = str(_above(config) / name)
    return Worker(_above(config))


@contextmanager
def common_folder(config: pytest.Config, temporary: Path, name: str) -> Iterator[Path]:
    """Lock and yield a folder that all workers of a run share; one of them has it at a time.

    Where this process isn't a worker, the folder is in ``temporary``.
    """
    folder = (_above(config) if _is_worker(config) else temporary) / name
    folder.mkdir(exist_ok=True)
    with folder.with_name(f"{name}.lock").open("wb") as lock:
        lockf(lock, LOCK_EX)
        yield folder


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _above(config: pytest.Config) -> Path:
    """Return the temporary folder of the run, in which each worker has its own."""
    return Path(config.getoption("basetemp")).parent


def in_order(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return files with slow tests first and those with alone ones last, which end each file."""
    files = [list(of_file) for _, of_file in groupby(items, lambda item: item.path)]
    files.sort(key=lambda of_file: (any(map(_is_alone, of_file)), not any(map(_is_slow, of_file))))
    return [item for of_file in files for item in sorted(of_file, key=_is_alone)]


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None
