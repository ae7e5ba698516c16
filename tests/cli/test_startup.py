# SPDX-License-Identifier: MIT
"""Tests that verbs for which people wait import only what they use.

Times are measured by the benchmark (tests/bench/startup.py). On a busy machine they would prove
nothing here.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.tunnel import TunnelState
from tests.support.bus_service import asks_for_details, serving
from tests.support.paths import TOP
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from tests.support.dbus_daemon import PrivateBus

SAVED: Final = str(TOP / "tests/fixtures/answers/5.4/status.txt")

BUS: Final = {"asyncio", "dbus_fast", "socket", "ipsecwatch.client", "ipsecwatch.dbus"}
PLUTO: Final = {"ipsecwatch.config", "ipsecwatch.pluto", "tomllib"}
SERVICE: Final = {"ipsecwatch.service", "ipsecwatch.agent", "systemd", "desktop_notifier"}
READER: Final = {"ipsecwatch.libreswan", "ipsecwatch.tracking", "ipsecwatch.report"}
LOG: Final = {f"ipsecwatch.libreswan.log_{part}" for part in ("table", "lines", "text", "attempts")}
"""The modules that read pluto's log."""
REPAIR: Final = {"ipsecwatch.cli.explain.reading", "ipsecwatch.cli.explain.repair"}
"""The modules that read damaged texts."""
FOLLOWING: Final = {f"ipsecwatch.client.{part}" for part in ("events", "subscription")}
"""The modules that a program needs only to follow the service."""
DETAILS: Final = {"ipsecwatch.service", "ipsecwatch.service.details"}
"""Modules of the service that don't need the bus: they read details from pluto's texts."""
ALWAYS_LATE: Final = {"shutil", "difflib"} | SERVICE
"""Modules that no verb needs for an answer."""


def imported(code: str) -> set[str]:
    """Return the modules that a new Python process has loaded after this code."""
    report = "import sys; print(*sys.modules, file=sys.stderr)"
    run = [sys.executable, "-c", f"{code}\n{report}"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stderr.split())


def imported_by(*arguments: str) -> set[str]:
    code = f"from ipsecwatch.cli.main import run; assert run({list(arguments)!r}) == 0"
    return imported(code) - imported("pass")


def needless(modules: set[str], others: set[str]) -> set[str]:
    """Return those of ``modules`` that are in ``others``, or in a package that is."""
    return {m for m in modules if any(m == o or m.startswith(f"{o}.") for o in others)}


CASES = {
    "explain a word": (["explain", "no-answer"], BUS | PLUTO | {"ipsecwatch.report"}, 78),
    "explain a saved text": (["explain", SAVED], BUS | PLUTO | LOG | {"html", "json"}, 105),
    "status of a saved text": (
        ["status", "--file", SAVED],
        BUS | PLUTO | LOG | REPAIR | {"html", "json"},
        105,
    ),
    "help of a verb": (["help", "status"], BUS | PLUTO | READER, 75),
}
"""By name: arguments, modules that mustn't be imported for them, and how many modules may be
imported beyond those of Python itself."""


@pytest.mark.parametrize("case", CASES)
def test_a_verb_without_the_bus_imports_what_it_uses(case: str) -> None:
    arguments, others, enough = CASES[case]
    modules = imported_by(*arguments)
    assert needless(modules - DETAILS, others | ALWAYS_LATE) == set()
    assert len(modules) <= enough


@asks_for_details
@pytest.mark.parametrize("arguments", [["status"], ["status", "office"]])
async def test_status_imports_nothing_that_reads_libreswans_text(
    arguments: list[str], system_bus: PrivateBus
) -> None:
    async with serving() as service:
        await service.look(tunnel("office", TunnelState.UP))
        modules = await asyncio.to_thread(imported_by, *arguments)
    others = PLUTO | READER | FOLLOWING | ALWAYS_LATE
    others |= {"json", "html", "ipsecwatch.dbus.introspection", "ipsecwatch.sa_states"}
    assert needless(modules, others) == set()
    libraries = await asyncio.to_thread(imported, "import asyncio, dbus_fast.aio")
    assert len(modules - libraries) <= 45


def test_help_imports_no_verb() -> None:
    code = "from ipsecwatch.cli import main; main.summary().format_help()"
    modules = imported(code)
    assert {f"ipsecwatch.cli.{v.replace('-', '_')}" for v in VERBS} & modules == set()
