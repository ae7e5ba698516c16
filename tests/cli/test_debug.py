# SPDX-License-Identifier: MIT
"""Tests of ``IPSECWATCH_DEBUG``: what is logged and where, and that no text in it does harm."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli import debug
from ipsecwatch.service.journald import Sender, log_to

if TYPE_CHECKING:
    from collections.abc import Iterator

PEERS = "it's\nme\x1b[2J\u202e"
"""A text that a peer may choose."""


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Restore the levels and handlers of the loggers after a test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    for name in ("", ".pluto", ".service", ".service.bus", ".dbus"):
        logging.getLogger(f"ipsecwatch{name}").setLevel(logging.NOTSET)


def begin(value: str) -> None:
    """Set up debugging as in a new process, whose root logger has no handlers."""
    logging.getLogger().handlers = []
    debug.begin(value)


def log(module: str) -> None:
    logging.getLogger(f"ipsecwatch.{module}").debug("heard %s", PEERS)


@pytest.mark.parametrize(
    ("value", "logged"),
    [
        ("", []),
        ("pluto", ["pluto.poller"]),
        ("service.bus,  pluto", ["pluto.poller", "service.bus"]),
        ("service", ["service.bus", "service.daemon"]),
        ("all", ["pluto.poller", "service.bus", "service.daemon"]),
    ],
)
def test_only_the_named_modules_log(
    value: str, logged: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    begin(value)
    for module in ("pluto.poller", "service.bus", "service.daemon"):
        log(module)
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines == [f"ipsecwatch.{m}: heard it's\\nme\\x1b[2J\\u202e" for m in logged]


@pytest.mark.parametrize("name", ["plutoo", "../agent", "pluto/query", "service..bus", "a\x1b[2J"])
def test_an_unknown_name_is_said_in_a_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    begin(f"{name},pluto")
    log("pluto.poller")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("ipsecwatch.cli.debug: IPSECWATCH_DEBUG: there is no module “")
    assert "”, but: all, agent, cli, client, dbus," in first
    assert first.isprintable()
    assert second.startswith("ipsecwatch.pluto.poller: heard")


def test_every_module_can_be_named() -> None:
    for name in ("pluto", "pluto.wakers.journal", "cli.explain", "cli", "config"):
        assert debug.is_module(name)
    assert "libreswan" in debug.folders()


def test_a_traceback_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    begin("pluto")
    try:
        raise ValueError(PEERS)
    except ValueError as e:
        logging.getLogger("ipsecwatch.pluto").debug("failed", exc_info=e)
    said = capsys.readouterr().err
    assert "\nTraceback (most recent call last):\n" in said
    assert "\x1b" not in said


def test_the_service_logs_in_its_own_way_what_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin("pluto")
    log_to(Sender(None))
    for module in ("pluto.poller", "service.bus"):
        log(module)
    assert capsys.readouterr().err == "<7>heard it's\n<7>me\\x1b[2J\\u202e\n"


def test_a_verb_logs_to_stderr_alone() -> None:
    env = {**os.environ, "IPSECWATCH_DEBUG": "dbus", "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/none"}
    plain = {k: v for k, v in env.items() if k != "IPSECWATCH_DEBUG"}
    told = [
        subprocess.run(
            [sys.executable, "-m", "ipsecwatch", "explain", "NO_PROPOSAL_CHOSEN"],
            capture_output=True, text=True, env=e, check=True,
        )
        for e in (env | {"IPSECWATCH_DEBUG": "no-such"}, plain)
    ]  # fmt: skip
    assert told[0].stdout == told[1].stdout
    assert told[0].stderr.startswith("ipsecwatch.cli.debug: IPSECWATCH_DEBUG: there is no module")
    assert told[1].stderr == ""
