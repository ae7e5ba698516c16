# SPDX-License-Identifier: MIT
"""A demo whose bus can't be started: the error says why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli import demo
from ipsecwatch.cli.failure import Failure

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo no such limit >&2; exit 1", "dbus-daemon ended at once: no such limit"),
        ("exit 1", "dbus-daemon ended at once"),
        ("exec sleep 60", "dbus-daemon doesn't listen"),
    ],
)
def test_a_bus_that_does_not_start_is_an_error_of_one_line(
    script: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start() -> None:
        async with demo.private_bus(tmp_path):
            pass

    program = tmp_path / "dbus-daemon"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(demo, "BUS_LIMIT", 0.5)
    with pytest.raises(Failure) as ended:
        asyncio.run(start())
    assert ended.value.message == said
    assert ended.value.hint == "Try it: dbus-daemon --session --nofork --print-address"
