# SPDX-License-Identifier: MIT
"""Tests of the installed service: with its own unit, and a real systemd, bus and journal."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.config import Settings
from ipsecwatch.history.message_ids import DOWN, UP
from tests.support.container import UnbootableError
from tests.support.machine import Machine
from tests.support.paths import TOP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SOCKET = Settings().control_socket
INSIDE = "/opt/checkout"
"""Where the container has the checkout. It may be in /root, /home or /tmp, which the unit hides."""
PYTHON = sys.executable.replace(f"{TOP}/", f"{INSIDE}/")
RECORDING = f"{INSIDE}/tests/recordings/4.10/site.jsonl.gz"
REFUSES = "opt/refuse-mounts"
DOWN_AT, UP_AT, DOWN_AGAIN_AT = 3, 10, 22
"""Seconds since the recording's start at which the tunnel is in these states (see truth.json)."""

PLUTO = f"""
[Service]
Type=exec
ExecStart={PYTHON} -m tests.support.recorded_pluto {RECORDING} {SOCKET} /run/moment
Environment=PYTHONPATH={INSIDE} PYTHONUNBUFFERED=1
WorkingDirectory={INSIDE}
RuntimeDirectory=pluto
RuntimeDirectoryMode=0700
"""
TENANT = "/run/pluto-acme/pluto.ctl"
TENANTS_PLUTO = (
    PLUTO.replace(SOCKET, TENANT)
    .replace("/run/moment", "/run/acme")
    .replace("Directory=pluto", "Directory=pluto-acme")
)
"""The unit of a second pluto, with an own ``--rundir``."""

NEEDS_SITE = """
[Unit]
Requires=ipsecwatch-wait@site.service
After=ipsecwatch-wait@site.service
[Service]
ExecStart=sleep infinity
"""

HOOK = """#!/bin/sh
echo "$(id -u) $IPSECWATCH_EVENT $IPSECWATCH_TUNNEL $IPSECWATCH_STATE" >>"$STATE_DIRECTORY/told"
"""

TARGET = """
[Unit]
Requires=basic.target dbus.socket
After=basic.target dbus.socket
"""

pytestmark = [pytest.mark.slow, pytest.mark.flaky(reruns=2)]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    yield from booted(tmp_path_factory.mktemp("machine"))


def booted(folder: Path, init: str = "--boot") -> Iterator[Machine]:
    """Boot a machine with the service and a libreswan that plays a recording, both not started."""
    files, units = folder / "files", folder / "units"
    installed = {
        TOP / "systemd/org.ipsecwatch1.conf": "usr/share/dbus-1/system.d",
        TOP / "systemd/ipsecwatch.catalog": "usr/lib/systemd/catalog",
        TOP / "systemd/ipsecwatch.sysusers": "usr/lib/sysusers.d",
    }
    for source, where in installed.items():
        (files / where).mkdir(parents=True)
        shutil.copy(source, files / where)
    command = files / "usr/bin/ipsecwatch"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nPYTHONPATH={INSIDE} exec {PYTHON} -m ipsecwatch "$@"\n')
    command.chmod(0o755)
    (files / "opt").mkdir()
    shutil.copy(TOP / "tests/support/refuse_mounts.py", files / REFUSES)
    (files / REFUSES).chmod(0o755)
    settings = files / "etc/ipsecwatch/ipsecwatch.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("interval = 1\nstopped_after = 0\n")
    instances = settings.parent / "instances"
    instances.mkdir()
    (instances / "acme.toml").write_text(
        f'control_socket = "{TENANT}"\nunit = "pluto-acme.service"\ninterval = 1\n'
    )
    (instances / "same.toml").write_text("interval = 1\n")
    units.mkdir()
    for unit in "ipsecwatch.service", "ipsecwatch@.service":
        shutil.copy(TOP / "systemd" / unit, units)
    soon = units / "ipsecwatch.service.d/soon.conf"
    soon.parent.mkdir()
    soon.write_text("[Service]\nRestartSec=1\n")
    for template in TOP.glob("systemd/ipsecwatch-*@.service"):
        shutil.copy(template, units)
    hook = files / "etc/ipsecwatch/hooks/note"
    hook.parent.mkdir(parents=True)
    hook.write_text(HOOK)
    hook.chmod(0o755)
    (units / "needs-site.service").write_text(NEEDS_SITE)
    (units / "ipsec.service").write_text(PLUTO)
    (units / "pluto-acme.service").write_text(TENANTS_PLUTO)
    (units / "machine.target").write_text(TARGET)
    try:
        with Machine(folder / "disk", files, units, {TOP: INSIDE}, init) as made:
            set_moment(made, DOWN_AT)
            run(made, "systemd-sysusers", "/usr/lib/sysusers.d/ipsecwatch.sysusers")
            set_moment(made, DOWN_AT, "/run/acme")
            yield made
    except UnbootableError as e:
        pytest.skip(str(e))


def set_moment(machine: Machine, second: int, file: str = "/run/moment") -> None:
    """Set a recording's clock: replace its file, which the player else might find empty."""
    path = machine.path(file)
    path.with_name("next").write_text(str(second))
    path.with_name("next").replace(path)


def run(machine: Machine, *argv: str) -> str:
    done = machine.run(*argv)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}{log(machine)}"
    return done.stdout


def log(machine: Machine) -> str:
    return machine.run("journalctl", "--unit=ipsecwatch*", "--no-pager", "--lines=30").stdout


def property_of(machine: Machine, name: str, unit: str = "ipsecwatch") -> str:
    return run(machine, "systemctl", "show", "--value", f"--property={name}", unit).strip()


def tunnels(machine: Machine, instance: str = "") -> dict[str, Any]:
    found = json.loads(run(machine, "ipsecwatch", "status", "--json", "--instance", instance))
    assert found["source"] == "service"
    return {t["name"]: t["state"] for t in found["tunnels"]}


def wait_for(machine: Machine, what: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60  # a slow pluto is asked less often: 2 % of its time
    while not what():
        assert time.monotonic() < give_up, log(machine)
        time.sleep(0.1)


def written(machine: Machine, message_id: str, pid: int) -> dict[str, Any]:
    """Wait for a journal entry with this id by this process, and return the newest one."""
    ask = ("journalctl", f"MESSAGE_ID={message_id}", f"_PID={pid}", "--output=json", "--lines=1")
    wait_for(machine, lambda: run(machine, *ask) != "")
    entry: dict[str, Any] = json.loads(run(machine, *ask))
    return entry


@pytest.fixture
def service(machine: Machine) -> Iterator[int]:
    """Start the service, then libreswan; yield the service's process id, and stop both."""
    set_moment(machine, DOWN_AT)
    run(machine, "systemctl", "start", "ipsecwatch")
    run(machine, "systemctl", "start", "ipsec")
    wait_for(machine, lambda: tunnels(machine) == {"site": "down"})
    yield int(property_of(machine, "MainPID"))
    run(machine, "systemctl", "stop", "ipsecwatch", "ipsec")
    assert property_of(machine, "Result") == "success"


def test_a_tunnel_that_comes_up_is_told_on_the_bus_and_in_the_journal(
    machine: Machine, service: int
) -> None:
    set_moment(machine, UP_AT)
    wait_for(machine, lambda: tunnels(machine) == {"site": "up"})
    entry = written(machine, UP, service)
    assert entry["IPSECWATCH_TUNNEL"] == "site"
    assert entry["_SYSTEMD_UNIT"] == "ipsecwatch.service"
    assert entry["SYSLOG_IDENTIFIER"] == "ipsecwatch"


def test_what_pluto_logs_is_the_reason_for_a_loss(machine: Machine, service: int) -> None:
    set_moment(machine, UP_AT)
    wait_for(machine, lambda: tunnels(machine) == {"site": "up"})
    set_moment(machine, DOWN_AGAIN_AT)
    wait_for(machine, lambda: tunnels(machine) == {"site": "waiting"})
    entry = written(machine, DOWN, service)
    assert entry["IPSECWATCH_REASON"] == "operator"
    assert entry["IPSECWATCH_DETAIL"] == '"site": terminating SAs using this connection'


def test_history_goes_on_through_a_service_that_is_killed(machine: Machine, service: int) -> None:
    set_moment(machine, UP_AT)
    wait_for(machine, lambda: tunnels(machine) == {"site": "up"})
    written(machine, UP, service)
    wait_for(machine, lambda: not machine.path("/run/ipsecwatch/state.behind").exists())
    begin, pid = time.time(), str(service)
    run(machine, "systemctl", "kill", "--signal=KILL", "ipsecwatch")
    wait_for(machine, lambda: property_of(machine, "MainPID") not in (pid, "0"))
    wait_for(machine, lambda: property_of(machine, "ActiveState") == "active")
    time.sleep(1)
    told = json.loads(run(machine, "ipsecwatch", "history", "--json", f"--since=@{begin}"))
    assert [w["end_shown_by"] for w in told["watches"]] == ["systemd", "goes-on"]
    killed, again = told["watches"]
    assert killed["to"] - begin < 2
    assert again["from"] - killed["to"] > 1, "RestartSec="
    (site,) = told["tunnels"]
    assert (site["state"], site["transitions"], site["outages"]) == ("up", [], [])
    assert site["uptime_percent"] == 100
    assert site["known"] == pytest.approx(told["watched"])
    assert "site" in run(machine, "ipsecwatch", "history")


SYSTEMD_PYTHON = "/usr/lib/python3/dist-packages/systemd"


@pytest.fixture
def without_systemd_python(machine: Machine) -> Iterator[None]:
    """Hide systemd-python from the machine's programs during a test."""
    if not machine.path(SYSTEMD_PYTHON).exists():
        pytest.skip(f"there is no {SYSTEMD_PYTHON} to be taken away")
    run(machine, "mv", SYSTEMD_PYTHON, "/opt/away")
    yield
    run(machine, "mv", "/opt/away", SYSTEMD_PYTHON)


@pytest.mark.usefixtures("without_systemd_python")
def test_without_systemd_python_the_same_is_told_under_the_same_sandbox(
    machine: Machine, service: int
) -> None:
    test_what_pluto_logs_is_the_reason_for_a_loss(machine, service)
    libraries = machine.path(f"/proc/{service}/maps").read_text()
    assert "/libsystemd.so.0" in libraries
    assert "/dist-packages/systemd/" not in libraries
    assert property_of(machine, "MemoryDenyWriteExecute") == "yes"


@pytest.mark.usefixtures("service")
def test_libreswan_may_be_restarted_and_its_new_socket_is_found(machine: Machine) -> None:
    # This time libreswan is there first, and so is the folder of its socket.
    run(machine, "systemctl", "restart", "ipsecwatch")
    pid = property_of(machine, "MainPID")
    folder = machine.path("/run/pluto").stat().st_ino
    run(machine, "systemctl", "stop", "ipsec")
    wait_for(machine, lambda: "pluto is stopped" in property_of(machine, "StatusText"))
    set_moment(machine, UP_AT)
    run(machine, "systemctl", "start", "ipsec")
    assert machine.path("/run/pluto").stat().st_ino != folder
    wait_for(machine, lambda: tunnels(machine) == {"site": "up"})
    assert property_of(machine, "MainPID") == pid


def test_settings_are_read_again_on_a_reload_and_the_service_stays(
    machine: Machine, service: int
) -> None:
    run(machine, "systemctl", "reload", "ipsecwatch")
    wait_for(machine, lambda: "settings were read again" in log(machine))
    assert property_of(machine, "ActiveState") == "active"
    assert property_of(machine, "MainPID") == str(service)


def test_a_reload_with_bad_settings_fails_says_why_and_leaves_the_old_ones(
    machine: Machine, service: int
) -> None:
    more = machine.path("/etc/ipsecwatch") / "ipsecwatch.toml.d/more.toml"
    more.parent.mkdir()
    more.write_text("\nstuck_after = 0\n")
    try:
        reload = machine.run("systemctl", "reload", "ipsecwatch")
        assert reload.returncode == 1
        assert "more.toml:2: stuck_after must be from 5.0 to 3600.0" in log(machine)
        assert "settings" not in log(machine).split("stuck_after")[-1]  # it wasn't even asked to
    finally:
        shutil.rmtree(more.parent)
    assert property_of(machine, "ActiveState") == "active"
    assert property_of(machine, "MainPID") == str(service)


@pytest.mark.usefixtures("service")
def test_what_a_restart_is_to_find_again_stays_and_a_stop_clears_it(machine: Machine) -> None:
    (machine.path("/run/ipsecwatch") / "kept").touch()
    run(machine, "systemctl", "restart", "ipsecwatch")
    assert (machine.path("/run/ipsecwatch") / "kept").exists()
    run(machine, "systemctl", "stop", "ipsecwatch")
    assert not machine.path("/run/ipsecwatch").exists()


def test_the_service_may_do_nothing_that_another_root_may(machine: Machine, service: int) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in machine.path(f"/proc/{service}/status").read_text().splitlines()
    )
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    mounts = machine.path(f"/proc/{service}/mountinfo").read_text().splitlines()
    writable = {m.split()[4] for m in mounts if m.split()[5].startswith("rw")}
    assert "/run/ipsecwatch" in writable
    assert not writable & {"/", "/run", "/etc", "/usr", "/var", "/home", "/sys", "/run/systemd"}
    networks = [machine.path(f"/proc/{pid}/ns/net").readlink() for pid in (1, service)]
    assert networks[0] != networks[1]


def waits(machine: Machine, seconds: int) -> None:
    """Set the time limit of ipsecwatch-wait@, as an administrator does."""
    folder = machine.path("/run/systemd/system/ipsecwatch-wait@.service.d")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "limit.conf").write_text(f"[Service]\nEnvironment=TIMEOUT={seconds}\n")
    run(machine, "systemctl", "daemon-reload")


@pytest.mark.usefixtures("service")
def test_what_needs_a_tunnel_starts_when_it_is_up_and_not_before(machine: Machine) -> None:
    waits(machine, 1)
    assert machine.run("systemctl", "start", "needs-site").returncode != 0
    said = machine.run("journalctl", "--unit=ipsecwatch-wait@site", "--output=cat").stdout
    assert "ipsecwatch: timed out: site is down" in said
    waits(machine, 60)
    run(machine, "systemctl", "start", "--no-block", "needs-site")
    state = ("systemctl", "show", "--value", "--property=ActiveState")
    wait_for(machine, lambda: run(machine, *state, "ipsecwatch-wait@site") == "activating\n")
    assert run(machine, *state, "needs-site") == "inactive\n"
    set_moment(machine, UP_AT)
    wait_for(machine, lambda: run(machine, *state, "needs-site") == "active\n")
    run(machine, "systemctl", "stop", "needs-site")


@pytest.mark.usefixtures("service")
def test_a_name_with_blanks_quotes_and_dollars_reaches_the_waiting_command(
    machine: Machine,
) -> None:
    waits(machine, 1)
    name = '--a "b" $HOME ${PATH} %i'
    escape = ("systemd-escape", "--template=ipsecwatch-wait@.service", "--", name)
    unit = run(machine, *escape).strip()
    assert machine.run("systemctl", "start", "--", unit).returncode != 0
    said = machine.run("journalctl", "--output=cat", "--unit", unit).stdout
    assert f"ipsecwatch: no such tunnel: {name}." in said


@pytest.mark.usefixtures("service")
def test_a_hook_runs_without_rights_for_what_happens(machine: Machine) -> None:
    run(machine, "systemctl", "start", "ipsecwatch-hook@note")
    told = machine.path("/var/lib/private/ipsecwatch-hooks/note/told")
    owner = run(machine, "systemctl", "show", "--value", "--property=MainPID", "ipsecwatch-hook@*")
    subscribed = f"/proc/{owner.strip()}/fd"
    wait_for(machine, lambda: "socket" in run(machine, "ls", "-l", subscribed))
    time.sleep(1)  # it has read the snapshot
    set_moment(machine, UP_AT)
    wait_for(machine, told.exists)
    set_moment(machine, DOWN_AGAIN_AT)
    wait_for(machine, lambda: len(told.read_text().splitlines()) == 2)
    run(machine, "systemctl", "stop", "ipsecwatch-hook@note")
    lines = [line.split() for line in told.read_text().splitlines()]
    assert [line[1:] for line in lines] == [["up", "site", "up"], ["down", "site", "waiting"]]
    user = run(machine, "id", "-u", "ipsecwatch").strip()
    assert {line[0] for line in lines} == {user}
    assert user != "0"


# --- Another pluto, and an instance of the service for it ---------------------------------------


@pytest.fixture
def acme(machine: Machine, service: int) -> Iterator[int]:
    """Start a second pluto and a service for it; yield that service's process id, and stop both."""
    set_moment(machine, DOWN_AT, "/run/acme")
    run(machine, "systemctl", "start", "pluto-acme", "ipsecwatch@acme")
    wait_for(machine, lambda: tunnels(machine, "acme") == {"site": "down"})
    pid = int(property_of(machine, "MainPID", "ipsecwatch@acme"))
    assert pid != service
    yield pid
    run(machine, "systemctl", "stop", "ipsecwatch@acme", "pluto-acme")
    assert property_of(machine, "Result", "ipsecwatch@acme") == "success"


def test_an_instance_watches_a_pluto_of_its_own(machine: Machine, acme: int) -> None:
    set_moment(machine, UP_AT, "/run/acme")
    wait_for(machine, lambda: tunnels(machine, "acme") == {"site": "up"})
    assert tunnels(machine) == {"site": "down"}
    set_moment(machine, DOWN_AGAIN_AT, "/run/acme")
    wait_for(machine, lambda: tunnels(machine, "acme") == {"site": "waiting"})
    entry = written(machine, DOWN, acme)
    assert entry["_SYSTEMD_UNIT"] == "ipsecwatch@acme.service"
    assert entry["IPSECWATCH_INSTANCE"] == "acme"
    assert entry["IPSECWATCH_REASON"] == "operator"  # from the log of its own pluto's unit
    # The end of one service doesn't remove the files of the other.
    run(machine, "systemctl", "stop", "ipsecwatch")
    assert not machine.path("/run/ipsecwatch").exists()
    assert (machine.path("/run/ipsecwatch-acme") / "state.json").exists()


@pytest.mark.usefixtures("service")
def test_an_instance_that_cannot_be_is_not_started_again(machine: Machine) -> None:
    cannot_be = {
        "same": f"org.ipsecwatch1 watches the pluto at {SOCKET} already",
        "nobody": "there is no /etc/ipsecwatch/instances/nobody.toml",
        r"tenant\x201": "can't be the name of an instance",  # systemd-escape "tenant 1"
    }
    if int(machine.run("systemctl", "--version").stdout.split()[1]) >= 255:
        # There systemd itself fails at the blank in RuntimeDirectory=, before the service starts.
        del cannot_be[r"tenant\x201"]
    units = [f"ipsecwatch@{instance}.service" for instance in cannot_be]
    assert machine.run("systemctl", "start", *units).returncode != 0
    for unit, why in zip(units, cannot_be.values(), strict=True):
        wait_for(machine, lambda unit=unit: property_of(machine, "ActiveState", unit) == "failed")  # type: ignore[misc]
        assert property_of(machine, "ExecMainStatus", unit) == "2"
        assert property_of(machine, "NRestarts", unit) == "0"
        wait_for(machine, lambda why=why: why in log(machine))  # type: ignore[misc]


# --- A container that allows no sandbox -------------------------------------------------------


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine whose kernel refuses the mounts that sandboxes need."""
    yield from booted(tmp_path_factory.mktemp("refusing"), f"/{REFUSES}")


def test_a_sandbox_that_cannot_be_had_is_tried_once_and_the_drop_in_does_without(
    refusing: Machine,
) -> None:
    assert refusing.run("systemctl", "start", "ipsecwatch").returncode != 0
    assert property_of(refusing, "ExecMainStatus") == "226"
    # If systemd were going to try again, the state would be "activating".
    assert property_of(refusing, "ActiveState") == "failed"
    drop_ins = refusing.path("/run/systemd/system/ipsecwatch.service.d")
    drop_ins.mkdir(parents=True)
    shutil.copy(TOP / "systemd/container.conf", drop_ins)
    run(refusing, "systemctl", "daemon-reload")
    run(refusing, "systemctl", "start", "ipsec", "ipsecwatch")
    wait_for(refusing, lambda: tunnels(refusing) == {"site": "down"})
    pid = property_of(refusing, "MainPID")
    status = refusing.path(f"/proc/{pid}/status").read_text()
    for kept in ("CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert kept in status


def test_monitor_goes_on_where_somebody_has_been_before(machine: Machine, service: int) -> None:
    set_moment(machine, UP_AT)
    run_id = written(machine, UP, service)["IPSECWATCH_RUN_ID"]
    set_moment(machine, DOWN_AGAIN_AT)
    serial = written(machine, DOWN, service)["IPSECWATCH_SERIAL"]
    ask = ("timeout", "4", "ipsecwatch", "monitor", "--json", "--since")
    whole = machine.run(*ask, f"{run_id}:0").stdout.splitlines()
    picture, *told = [json.loads(line) for line in whole]
    assert (picture["event"], picture["run_id"]) == ("snapshot", run_id)
    assert [t["serial"] for t in told] == list(range(1, int(serial) + 1))
    assert {t["told"] for t in told if t["told"]} == {"up", "down"}
    assert all(t["caught_up"] for t in told)
    [picture] = machine.run(*ask, f"{run_id}:{serial}").stdout.splitlines()
    assert json.loads(picture)["serial"] == int(serial)
