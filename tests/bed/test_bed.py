# SPDX-License-Identifier: MIT
"""The installed package beside a real libreswan: do signals and journal say what pluto's log says?

The test command plays some scenarios. ``packaging/dev bed`` plays all of them, with a package that
was built on the Debian on which it is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bed.bed import Bed
from tests.bed.image import LIBRESWAN, package
from tests.bed.play import Play, install
from tests.bed.scenarios import SCENARIOS, Scenario, Way
from tests.support.container import UnbootableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bed.play import Row

# An image may have to be made first.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.flaky(reruns=2)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    full = metafunc.config.getoption("--bed") == "full"
    if "bed" in metafunc.fixturenames:
        suites = list(LIBRESWAN) if full else ["bookworm"]
        metafunc.parametrize("bed", suites, indirect=True, scope="module")
    if "scenario" in metafunc.fixturenames:
        ways = tuple(Way) if full else (Way.WOKEN,)
        played = [(w, s) for w in ways for s in SCENARIOS if w in s.ways and (full or s.short)]
        ids = [f"{way}-{scenario.name}" for way, scenario in played]
        metafunc.parametrize(("way", "scenario"), played, ids=ids)


@pytest.fixture(scope="module")
def bed(
    request: pytest.FixtureRequest,
    debs: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Bed]:
    suite = request.param
    try:
        # This comes after the fixture debs, which downloads what it needs.
        whole = request.config.getoption("--bed") == "full"
        deb = package(suite, tmp_path_factory.mktemp(suite)) if whole else debs["ipsecwatch"]
        with Bed(suite, tmp_path_factory.mktemp("bed")) as booted:
            install(booted, deb)
            yield booted
    except UnbootableError as e:
        pytest.skip(f"no bed of {suite} here: {e}")


def test_what_happens_is_told_on_the_bus_and_in_the_journal(
    bed: Bed, way: Way, scenario: Scenario, request: pytest.FixtureRequest
) -> None:
    play = Play(bed, scenario, way)
    play.run()
    table = request.config.getoption("--bed-table")
    if table:
        with Path(table).open("a", encoding="utf-8") as out:
            out.writelines(_line(bed, way, row, play.peace) for row in play.rows)
    if request.config.getoption("--bed") == "full":
        # In the test command the signals only have to come: other tests use the machine as well.
        for row in play.rows:
            assert row.late <= row.within + play.peace, row


@pytest.mark.thorough
def test_without_systemd_python_the_same_is_told(bed: Bed) -> None:
    bed.run("dpkg", "--purge", "--force-depends", "python3-systemd")
    bed.run("systemctl", "restart", "ipsecwatch")
    [site, *_] = [s for s in SCENARIOS if s.name == "site"]
    Play(bed, site, Way.WOKEN).run()
    maps = bed.sh("cat /proc/$(systemctl show --value --property=MainPID ipsecwatch)/maps")
    assert "/libsystemd.so.0" in maps
    assert "/dist-packages/systemd/" not in maps


def test_the_package_is_purged_without_a_trace_and_pluto_goes_on(bed: Bed) -> None:
    pluto = "systemctl show --value --property=MainPID ipsec"
    before = bed.sh(pluto)
    bed.run("dpkg", "--purge", "ipsecwatch")
    left = "find /etc /run /usr /var/lib -xdev -name '*ipsecwatch*' ! -path '*/ipsecwatch.toml.d*'"
    assert bed.sh(f"systemctl daemon-reload; {left} -type f") == ""
    assert bed.try_("systemctl", "cat", "ipsecwatch").code != 0
    assert "ipsecwatch1" not in bed.run("busctl", "list", "--no-legend")
    assert bed.sh(pluto) == before != "0\n"


def _line(bed: Bed, way: Way, row: Row, peace: float) -> str:
    cells = (
        LIBRESWAN[bed.suite], way, row.scenario, f"{row.tunnel} {row.state}",
        f"{row.due:.2f}", f"{row.signal:.2f}", f"{row.signal - row.due:+.2f}", f"{row.late:+.2f}",
        f"{peace:.2f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def test_a_container_is_a_bed_as_well(debs: dict[str, Path], tmp_path: Path) -> None:
    """Test that a container boots as a bed, also on a kernel without ESP."""
    [barren, *_] = [s for s in SCENARIOS if s.barren]
    try:
        with Bed("bookworm", tmp_path, contained=True) as booted:
            install(booted, debs["ipsecwatch"])
            Play(booted, barren, Way.WOKEN).run()
    except UnbootableError as e:
        pytest.skip(f"no container here: {e}")
