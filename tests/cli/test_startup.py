# SPDX-License-Identifier: MIT
"""Verbs that people wait for import what they use, and nothing else.

Times are the benchmark's (tests/bench/startup.py): on a busy machine they would say nothing here.
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
"""What reads pluto's log."""
REPAIR: Final = {"ipsecwatch.cli.explain.reading", "ipsecwatch.cli.explain.repair"}
"""What reads a text that isn't as libreswan printed it."""
FOLLOWING: Final = {f"ipsecwatch.client.{part}" for part in ("events", "subscription")}
"""What a program that asks once has no use for."""
DETAILS: Final = {"ipsecwatch.service", "ipsecwatch.service.details"}
"""Pure: what a text tells of a tunnel, by the keys of the bus."""
ALWAYS_LATE: Final = {"shutil", "difflib"} | SERVICE
"""What no verb needs that gives an answer."""


def imported(code: str) -> set[str]:
    """Return the modules that a Python of its own has after this code."""
    report = "import sys; print(*sys.modules, file=sys.stderr)"
    run = [sys.executable, "-c", f"{code}\n{report}"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stderr.split())


def imported_by(*arguments: str) -> set[str]:
    code = f"from ipsecwatch.cli.main import run; assert run({list(arguments)!r}) == 0"
    return imported(code) - imported("pass")


def needless(modules: set[str], others: set[str]) -> set[str]:
    """Return which of these, or what is in them, was imported."""
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
"""Arguments, modules that they have no use for, and how many more than Python's own are enough."""


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
