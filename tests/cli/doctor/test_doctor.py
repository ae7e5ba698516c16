# SPDX-License-Identifier: MIT
"""Tests of doctor on a real bus: it reports each fault once, with its repair, and in time."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import tempfile
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import __version__
from ipsecwatch.agent.mutes import Until, mute
from ipsecwatch.agent.session import NAME as AGENT
from ipsecwatch.cli import doctor
from ipsecwatch.cli.doctor import desktop, machine
from ipsecwatch.cli.doctor import service as doctor_service
from ipsecwatch.cli.doctor.finding import Finding, Mark
from ipsecwatch.cli.doctor.machine import LIMIT, Places, in_thread
from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.tunnel import TunnelState
from tests.cli.test_main import ipsecwatch
from tests.support.bus_service import serving
from tests.support.fake_notification_server import notification_server
from tests.support.fake_systemd import FakeSystemd, systemd
from tests.support.odd_service import odd_service
from tests.support.other_user import OtherUser
from tests.support.paths import TOP
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from tests.support.bus_service import Service
    from tests.support.dbus_daemon import PrivateBus

SERVICE = "ipsecwatch.service"


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """The files and folders of a machine on which doctor finds no fault."""
    policies = tmp_path / "system.d"
    policies.mkdir()
    (policies / "org.ipsecwatch1.conf").touch()
    entries = tmp_path / "journal/0123"
    entries.mkdir(parents=True)
    (entries / "system.journal").touch()
    settings = tmp_path / "ipsecwatch.toml"
    settings.write_text(f'control_socket = "{tmp_path}/pluto.ctl"\n')
    journald = tmp_path / "socket"
    journald.touch()
    with socket.socket(socket.AF_UNIX) as pluto:
        pluto.bind(f"{tmp_path}/pluto.ctl")
        yield Places(
            settings, tmp_path / "agent.toml", (policies,), journald, entries.parent,
            tmp_path / "volatile", tmp_path / "mutes.json",
        )  # fmt: skip


needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="the name of a service that isn't root's is told as a fault"
)


@asynccontextmanager
async def healthy() -> AsyncGenerator[tuple[FakeSystemd, Service]]:
    """Run a service, and fakes of systemd, agent and notification server, without any fault.

    Yield the fake systemd and the service.
    """
    async with AsyncExitStack() as stack:
        units = await stack.enter_async_context(systemd(""))
        units.add(SERVICE, "active")
        units.add("ipsec.service", "active")
        await stack.enter_async_context(notification_server())
        session = await connect("session")
        stack.push_async_callback(session.close)
        await session.call_bus("RequestName", "su", AGENT, 4)
        service = await stack.enter_async_context(serving())
        service.tunnels = {"a": tunnel("a", TunnelState.UP)}
        await service.publish([], log=LogState.JOURNAL, last_poll=time.time())
        yield units, service


def wrong(findings: list[Finding]) -> dict[str, str]:
    """Return what doctor found wrong, by subject. Assert that each fault has a repair."""
    assert all(f.mend for f in findings if f.mark is Mark.BAD)
    return {f.subject: f.text for f in findings if f.mark is Mark.BAD}


def off(findings: list[Finding]) -> set[str]:
    return {f.subject for f in findings if f.mark is Mark.OFF}


@needs_root
@pytest.mark.usefixtures("system_bus", "session_bus")
async def test_where_all_is_well_nothing_is_wrong(places: Places) -> None:
    async with healthy():
        findings = await doctor.examine(places)
    assert wrong(findings) == {}
    assert {f.subject for f in findings} >= {
        "libreswan", "control socket", "system bus", "service", "bus name", "bus policy", "answers",
        "rights", "versions", "settings", "pluto's log", "lines", "journal", "agent",
        "notifications",
    }  # fmt: skip
    assert off(findings) == {"kernel events", "polkit"}
    shown = {f.subject: f.text for f in findings}
    assert shown["answers"] == "1 tunnel: 1 up"
    assert shown["notifications"] == "shown by fake 1.0 (tests)"


@needs_root
@pytest.mark.usefixtures("system_bus", "session_bus")
@pytest.mark.parametrize("packaged", [True, False], ids=["from packages", "from source"])
async def test_the_drop_in_for_the_kernels_events_is_copied_to_where_nothing_is(
    packaged: bool, places: Places, tmp_path: Path
) -> None:
    places = replace(places, packaged=TOP / "systemd" if packaged else tmp_path)
    async with healthy():
        findings = await doctor.examine(places)
    (mend,) = [f.mend for f in findings if f.subject == "kernel events"]
    assert packaged is not mend.startswith("in a checkout: ")
    copies = (
        mend.removeprefix("in a checkout: ")
        .partition("; systemctl ")[0]
        .replace("/etc/systemd/system", str(tmp_path))
    )
    subprocess.run(["/bin/sh", "-ec", copies], check=True, cwd="/" if packaged else TOP)  # noqa: ASYNC221
    assert (tmp_path / f"{SERVICE}.d/xfrm.conf").exists()


@needs_root
@pytest.mark.usefixtures("system_bus", "session_bus")
async def test_each_fault_is_told_once_with_what_mends_it(places: Places) -> None:
    async with healthy() as (units, service):
        units.add("ipsec.service", "inactive")
        service.pluto = PlutoState.STOPPED
        await service.publish([], last_poll=time.time())
        assert set(wrong(await doctor.examine(places))) == {"libreswan"}

        service.tunnels = {}
        await service.publish([], last_poll=time.time())
        findings = await doctor.examine(places)
        assert set(wrong(findings)) == {"libreswan"}
        assert "no tunnels" in {f.text for f in findings if f.subject == "answers"}

        service.tunnels = {"a": tunnel("a", TunnelState.UP)}
        service.pluto = PlutoState.RUNNING
        now = time.time()
        for faulty, subject, word in (
            ({"log": LogState.NONE, "last_poll": now}, "pluto's log", "guesses"),
            ({"unrecognised": 3, "last_poll": now}, "lines", "3 lines"),
            ({"complete": False, "last_poll": now}, "lines", "incomplete"),
            ({"last_poll": now - 1000}, "answers", "16m 40s old"),
        ):  # fmt: skip
            await service.publish([], **{"log": LogState.JOURNAL, **faulty})
            found = wrong(await doctor.examine(places))
            assert set(found) == {subject}
            assert word in found[subject]


@needs_root
@pytest.mark.usefixtures("system_bus", "session_bus")
async def test_what_is_wrong_on_the_disk_is_told(places: Places, tmp_path: Path) -> None:
    places.service_settings.write_text("interval = 0\n")
    places.agent_settings.write_text("\nburst = 0\n")
    places.journal.unlink()
    async with healthy() as (units, _):
        # libreswan's socket isn't known, because the settings that name it can't be used.
        units.add("ipsec.service", "inactive")
        findings = await doctor.examine(places)
    texts = [f.text for f in findings if f.subject == "settings"]
    assert [text.split(": ")[0] for text in texts] == [
        f"{places.service_settings}:1", f"{places.agent_settings}:2",
    ]  # fmt: skip
    assert set(wrong(findings)) == {"settings", "journal"}


UNITS: dict[str, tuple[dict[str, Variant] | None, str]] = {
    "missing": (None, "apt install ipsecwatch"),
    "inactive": ({}, "enable --now"),
    "failed": ({"Result": Variant("s", "exit-code")}, "journalctl -u ipsecwatch"),
}


@pytest.mark.usefixtures("system_bus", "session_bus")
@pytest.mark.parametrize("state", UNITS)
async def test_a_service_that_does_not_run_is_the_one_fault(state: str, places: Places) -> None:
    more, mend = UNITS[state]
    async with systemd("") as units, notification_server():
        units.add("ipsec.service", "active")
        if more is not None:
            units.add(SERVICE, state, **more)
        findings = await doctor.examine(places)
    found = {f.subject: f.mend for f in findings if f.mark is Mark.BAD}
    # In this test, nobody answers on pluto's socket.
    found.pop("libreswan", None)
    assert set(found) == {"service", "agent"}
    assert mend in found["service"]


@needs_root
@pytest.mark.usefixtures("system_bus", "session_bus")
async def test_a_service_of_another_version_is_to_be_restarted(places: Places) -> None:
    async with systemd("") as units, odd_service() as service:
        units.add(SERVICE, "active")
        service.manager["Version"] = Variant("s", "0.0.9\x1b[2J")
        findings = await doctor.examine(places)
    [told] = [f for f in findings if f.subject == "versions"]
    assert told.text == rf"the service is 0.0.9\x1b[2J, and this command {__version__}"
    assert told.mend == "systemctl restart ipsecwatch"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (machine, desktop):
        monkeypatch.setattr(module, "ASKING", 0.5)


@pytest.mark.usefixtures("session_bus", "impatient")
async def test_a_bus_that_hangs_keeps_it_from_nothing(
    system_bus: PrivateBus, places: Places
) -> None:
    system_bus.pause()
    try:
        began = time.monotonic()
        findings = await doctor.examine(places)
        assert time.monotonic() - began < LIMIT + 2
    finally:
        system_bus.resume()
    assert "system bus" in wrong(findings)


@pytest.mark.usefixtures("system_bus", "session_bus", "impatient")
async def test_a_service_and_a_notification_server_that_hang_are_told(places: Places) -> None:
    async with notification_server(hangs=True), odd_service() as service:
        service.silent = True
        findings = await doctor.examine(places)
    assert {"answers", "notifications"} <= set(wrong(findings))


@needs_root
@pytest.mark.usefixtures("system_bus", "session_bus")
async def test_an_instance_is_looked_at_by_its_own_names(places: Places) -> None:
    async with systemd("") as units, serving(instance="lab") as service:
        units.add("ipsecwatch@lab.service", "failed")
        service.tunnels = {"a": tunnel("a", TunnelState.UP)}
        await service.publish([], last_poll=time.time())
        findings = await doctor.examine(places, "lab")
    told = {f.subject: f for f in findings}
    assert told["bus name"].text == "org.ipsecwatch1.lab belongs to root"
    assert told["answers"].text == "1 tunnel: 1 up"
    assert told["service"].mend == "journalctl -u ipsecwatch@lab -n 20"


async def test_an_instance_without_settings_is_a_fault(places: Places) -> None:
    places.service_settings.unlink()
    assert wrong(await doctor_service.settings_files(machine.Machine(places))) == {}
    found = wrong(await doctor_service.settings_files(machine.Machine(places, "lab")))
    assert found["settings"].startswith(f"there is no {places.service_settings}, ")


@pytest.mark.usefixtures("system_bus", "session_bus")
async def test_that_tunnels_are_muted_is_told_and_is_no_fault(places: Places) -> None:
    async def told() -> list[tuple[Mark, str, str]]:
        findings = await desktop.mutes(machine.Machine(places))
        return [(f.mark, f.text, f.mend) for f in findings]

    assert await told() == []
    mute(places.mutes, "lab", Until.EVER, time.time())
    assert await told() == [(Mark.OFF, "1 tunnel is muted", "ipsecwatch mute")]
    mute(places.mutes, "office", Until.HOUR, time.time())
    assert await told() == [(Mark.OFF, "2 tunnels are muted", "ipsecwatch mute")]
    mute(places.mutes, "office", Until.HOUR, time.time() - 3601)
    assert await told() == [(Mark.OFF, "1 tunnel is muted", "ipsecwatch mute")]
    places.mutes.write_text("\x1b[2J")
    [(mark, text, _)] = await told()
    assert mark is Mark.BAD
    assert "has a mistake" in text


async def test_work_that_never_ends_is_left_behind() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await in_thread(lambda: time.sleep(3600))


async def test_a_policy_that_lets_only_a_group_ask_is_told_to_the_others(
    system_bus: PrivateBus, session_bus: PrivateBus, places: Places
) -> None:
    async with odd_service() as service:
        service.refuse = "org.freedesktop.DBus.Error.AccessDenied"
        findings = await doctor.examine(places)
    assert "bus policy" in wrong(findings)
    assert "answers" not in wrong(findings)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.usefixtures("system_bus", "session_bus")
async def test_an_ordinary_user_is_told_what_he_may_see(places: Places, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if Path(tempfile.gettempdir()) in folder.parents:  # a worker has a folder more than pytest
            folder.chmod(0o755)
    async with healthy():
        with OtherUser() as nobody:
            findings: list[Finding] = await nobody.run(doctor.examine, places)
    told = {f.subject: f for f in findings}
    assert told["rights"].mark is Mark.OFF
    assert told["answers"].text == "1 tunnel: 1 up"
    assert told["libreswan"].mark is Mark.GOOD


@pytest.mark.usefixtures("system_bus")
def test_the_verb_prints_marks_and_ends_with_1_where_something_is_wrong(tmp_path: Path) -> None:
    folders = ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME")
    nobody = dict.fromkeys(folders, str(tmp_path))
    done = ipsecwatch("doctor", DBUS_SESSION_BUS_ADDRESS="", **nobody)
    assert (done.returncode, done.stderr) == (1, "")
    assert "✗ " in done.stdout
    assert "○ agent" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("Repair the first one first.")
    plain = ipsecwatch("doctor", PYTHONIOENCODING="ascii", **nobody)
    assert plain.returncode == 1
    assert "\nX " in plain.stdout
    assert plain.stdout.isascii()
    assert "\\u" not in plain.stdout
    as_json = ipsecwatch("doctor", "--json", **nobody)
    assert as_json.returncode == 1
    assert {"bad", "off"} <= {f["mark"] for f in json.loads(as_json.stdout)["findings"]}
