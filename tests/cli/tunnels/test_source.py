# SPDX-License-Identifier: MIT
"""Tests of how verbs ask pluto itself when the service doesn't answer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli import main
from ipsecwatch.cli.failure import EXIT_OK, EXIT_UNKNOWN
from ipsecwatch.cli.tunnels import health, source
from ipsecwatch.cli.tunnels.found import Depth
from ipsecwatch.config import Settings
from ipsecwatch.reasons import REASON_TEXTS, advice_about_pluto
from ipsecwatch.states import Reason
from tests.support.bad_pluto import BadPluto
from tests.support.odd_service import odd_service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dbus_daemon import PrivateBus

STOPPED = REASON_TEXTS[Reason.PLUTO_STOPPED].sentence

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="root alone may ask pluto")


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a control socket in the test's folder, and return its path."""
    path = tmp_path / "pluto.ctl"
    settings = Settings(control_socket=str(path), unit="no-such.service")
    monkeypatch.setattr(source, "instance_settings", lambda _: settings)
    return path


async def test_what_pluto_itself_told_is_said_to_be_so(
    system_bus: PrivateBus, control: Path
) -> None:
    with BadPluto(control):
        found = await source.ask(Depth.PUBLIC)
        assert found.source == "pluto"
        said = "ipsecwatch isn't running: pluto itself was asked."
        assert said in health.remarks(found, 0.0)
        async with odd_service() as service:
            service.refuse = "org.freedesktop.DBus.Error.Failed"
            found = await source.ask(Depth.PUBLIC)
    assert found.unwatched.startswith("ipsecwatch can't answer: ")


async def test_where_nobody_answers_both_are_named(system_bus: PrivateBus, control: Path) -> None:
    with pytest.raises(source.PlutoStopped) as raised:
        await source.ask(Depth.PUBLIC)
    assert raised.value.message.startswith("ipsecwatch isn't running, and pluto is not running: ")
    assert (raised.value.found.known, raised.value.found.rows) == (True, [])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], EXIT_OK, f"{STOPPED} {advice_about_pluto(Reason.PLUTO_STOPPED, '')}"),
        (["--state", "up"], EXIT_OK, STOPPED),
        (["office"], EXIT_UNKNOWN, "ipsecwatch isn't running, and pluto is not running: there is"),
    ],
)
def test_status_of_root_knows_that_pluto_is_not_running(
    arguments: list[str],
    code: int,
    said: str,
    system_bus: PrivateBus,
    control: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["status", *arguments]) == code
    told = capsys.readouterr()
    assert said in told.out + told.err
    assert "No tunnels" not in told.out


def test_status_does_not_know_how_a_pluto_is_that_cannot_be_asked(
    system_bus: PrivateBus, control: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    control.symlink_to(control)
    assert main.run(["status"]) == EXIT_UNKNOWN
    assert capsys.readouterr().out == ""
