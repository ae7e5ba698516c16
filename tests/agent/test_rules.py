# SPDX-License-Identifier: MIT
"""Tests of the tables of rules: they are complete, and what they say of each state and reason."""

from __future__ import annotations

import ast

import pytest

from ipsecwatch.agent.rules import FAILURES, LOSSES, MEANT, OF_PLUTO, RULES, Kind, wrong
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.paths import TOP

PURE = (
    "translation",
    "rules", "texts", "machine", "notifications", "policy", "tunnel_notification",
    "service_notification", "template_notification", "selection",
)  # fmt: skip


def test_every_reason_is_of_one_sort() -> None:
    sorts = (MEANT, OF_PLUTO, LOSSES, FAILURES, {Reason.NONE})
    for reason in Reason:
        assert sum(reason in sort for sort in sorts) == 1


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("was_up", [True, False])
def test_what_is_wrong_follows_from_state_and_reason(reason: Reason, *, was_up: bool) -> None:
    found = {state: wrong(state, reason, was_up=was_up) for state in TunnelState}
    assert found[TunnelState.UP] is found[TunnelState.WAITING] is found[TunnelState.UNKNOWN] is None
    assert found[TunnelState.STUCK] is Kind.STUCK
    trouble = reason in LOSSES | FAILURES
    assert (found[TunnelState.PARTIAL] is Kind.PARTIAL) == (
        trouble or (was_up and reason not in MEANT)
    )
    assert (found[TunnelState.CONNECTING] is Kind.RECONNECTING) == (was_up or reason in LOSSES)
    down = found[TunnelState.DOWN]
    assert (down is None) == (reason in MEANT or not (was_up or trouble))


def test_what_lasts_is_bad_and_what_is_bad_lasts() -> None:
    for rule in RULES.values():
        assert rule.lasting == (rule.rank > 0)


@pytest.mark.parametrize("name", PURE)
def test_what_decides_does_no_io_and_reads_no_clock(name: str) -> None:
    tree = ast.parse((TOP / f"ipsecwatch/agent/{name}.py").read_text(encoding="utf-8"))
    imported = {
        found.split(".")[0] if not found.startswith("ipsecwatch") else found
        for node in ast.walk(tree)
        for found in (
            [a.name for a in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    shell = {"asyncio", "os", "time", "socket", "logging", "random", "subprocess", "dbus_fast"}
    assert not imported & shell
    rooms = {m.split(".")[2] for m in imported if m.startswith("ipsecwatch.agent.")}
    assert rooms <= set(PURE)
