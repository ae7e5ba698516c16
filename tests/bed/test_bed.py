# SPDX-License-Identifier: MIT
"""The installed package beside a real libreswan: what signals, journal and pluto's log tell.

The test command plays a short form, ``packaging/dev bed`` all of it, on each Debian.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bed.bed import Bed
from tests.bed.image import LIBRESWAN
from tests.bed.play import Play, install
from tests.bed.scenarios import SCENARIOS, Scenario
from tests.support.machine import UnbootableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bed.play import Row

WOKEN = 0.5
"""Seconds after pluto's log within which a signal comes that its log brought about."""
POLLED = 5.0 + 1.0
"""And for one that a poll found: a tick and a second."""

# An image may have to be made first.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.flaky(reruns=2)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    full = metafunc.config.getoption("--bed") == "full"
    if "bed" in metafunc.fixturenames:
        suites = list(LIBRESWAN) if full else ["bookworm"]
        metafunc.parametrize("bed", suites, indirect=True, scope="module")
    if "scenario" in metafunc.fixturenames:
        played = [s for s in SCENARIOS if full or s.short]
        metafunc.parametrize("scenario", played, ids=[s.name for s in played])


@pytest.fixture(scope="module")
def bed(
    request: pytest.FixtureRequest,
    debs: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bed]:
    try:
        with Bed(request.param, tmp_path_factory.mktemp("bed")) as booted:
            install(booted, debs["ipsecwatch"])
            yield booted
    except UnbootableError as e:
        pytest.skip(f"no bed of {request.param} here: {e}")


def test_what_happens_is_told_on_the_bus_and_in_the_journal(
    bed: Bed, scenario: Scenario, request: pytest.FixtureRequest
) -> None:
    play = Play(bed, scenario)
    try:
        play.run()
    except UnbootableError as e:
        pytest.skip(str(e))
    table = request.config.getoption("--bed-table")
    if table:
        with Path(table).open("a", encoding="utf-8") as out:
            out.writelines(_line(bed, row) for row in play.rows)
    if request.config.getoption("--bed") == "full":
        # In the test command it is enough that all comes: others use the machine as well.
        for row in play.rows:
            assert row.late <= (POLLED if row.blind else WOKEN), row


def _line(bed: Bed, row: Row) -> str:
    cells = (
        LIBRESWAN[bed.suite], row.scenario, f"{row.tunnel} {row.state}",
        f"{row.logged:.2f}", f"{row.signal:.2f}", f"{row.late:+.2f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |\n"
