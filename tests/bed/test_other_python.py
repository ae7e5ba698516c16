# SPDX-License-Identifier: MIT
"""The packages on a system whose own Python is too old, with a newer Python beside it.

The system is Debian 11 (systemd 247) with the Python 3.11 of Debian 12 and its libraries. It has
the oldest systemd of all tests, and no python3-systemd. Its own Python 3.9 can't be run.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.bed.image import MMDEBSTRAP, mirror, run
from tests.support.container import UnbootableError
from tests.support.machine import Machine
from tests.support.packages import DEB_TOOLS, build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.thorough, pytest.mark.slow, pytest.mark.timeout(1200)]

PYTHON = "/usr/bin/python3.11"
NEWER = (
    "python3.11", "python3.11-minimal", "libpython3.11-stdlib", "libpython3.11-minimal", "libc6",
    "libc-bin", "libffi8", "libsqlite3-0", "libexpat1", "libssl3",
)  # fmt: skip
"""All packages of Debian 12 that its Python 3.11 needs."""

ADD_NEWER = f"""
set -e
grep bullseye "$1/etc/apt/sources.list" | head -n 1 | sed s/bullseye/bookworm/ >"$1/newer"
cat "$1/newer" >>"$1/etc/apt/sources.list"
echo 'APT::Default-Release "bullseye";' >"$1/etc/apt/apt.conf.d/99release"
chroot "$1" apt-get -q update
DEBIAN_FRONTEND=noninteractive chroot "$1" apt-get -q -y install --no-install-recommends \\
    {" ".join(f"{name}/bookworm" for name in NEWER)}
chmod 0 "$1/usr/bin/python3.9"
rm -rf "$1"/usr/sbin/policy-rc.d "$1"/var/lib/apt/lists/*
"""

TARGET = """
[Unit]
Requires=basic.target dbus.socket
After=basic.target dbus.socket
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the system's files in a folder, and return the folder."""
    folder = tmp_path_factory.mktemp("bullseye")
    hook = folder / "hook"
    hook.write_text(f"#!/bin/sh\n{ADD_NEWER}")
    hook.chmod(0o755)
    try:
        run(
            *MMDEBSTRAP, "--quiet", "--variant=minbase",
            "--include=systemd-sysv,dbus,python3,libsystemd0,rpm", f"--customize-hook={hook}",
            "bullseye", str(folder / "root"), *mirror(),
        )  # fmt: skip
    except UnbootableError as e:
        pytest.skip(f"no Debian 11 here: {e}")
    return folder / "root"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build a Debian package and an RPM for the newer Python; return the path of each."""
    deb, rpm = tmp_path_factory.mktemp("deb"), tmp_path_factory.mktemp("rpm")
    options = ["--define=rhel 9", "--define=dist .el9"]
    debs = build(deb, "deb", "*.deb", *DEB_TOOLS, PYTHON=PYTHON)
    rpms = build(rpm, "rpm/build", "*.noarch.rpm", "rpmbuild", options=options, PYTHON=PYTHON)
    return {"deb": debs["ipsecwatch"], "rpm": rpms["ipsecwatch"]}


@pytest.fixture
def machine(root: Path, packages: dict[str, Path], tmp_path: Path) -> Iterator[Machine]:
    """Boot the system with both packages in /opt, and yield it."""
    files, units = tmp_path / "files", tmp_path / "units"
    (files / "opt").mkdir(parents=True)
    for family, package in packages.items():
        shutil.copy(package, files / "opt" / f"ipsecwatch.{family}")
    units.mkdir()
    (units / "machine.target").write_text(TARGET)
    try:
        with Machine(tmp_path / "disk", files, units, {}, lower=root) as booted:
            inside(booted, "mount -t tmpfs units /etc/systemd/system")
            yield booted
    except UnbootableError as e:
        pytest.skip(str(e))


def inside(machine: Machine, line: str) -> str:
    """Run a line of shell in the machine, assert that it succeeds, and return its output."""
    done = machine.run("/bin/sh", "-c", f"cd /; {line}")
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("install", "remove"),
    [
        ("dpkg --install /opt/ipsecwatch.deb", "dpkg --purge ipsecwatch"),
        # rpm doesn't know the installed dependencies: they are in dpkg's database. Only on Fedora
        # does a preset start the unit.
        (
            "rpm --install --nodeps /opt/ipsecwatch.rpm && systemctl start ipsecwatch",
            "systemctl stop ipsecwatch; rpm --erase ipsecwatch",
        ),
    ],
    ids=["deb", "rpm"],
)
def test_a_package_for_the_newer_python_runs_beside_the_systems_own(
    install: str, remove: str, machine: Machine
) -> None:
    assert machine.run("python3", "-V").returncode != 0
    inside(machine, install)
    assert inside(machine, "head -n 1 /usr/bin/ipsecwatch") == f"#!{PYTHON} -IB"
    assert inside(machine, "systemctl is-active ipsecwatch") == "active"
    status = inside(machine, "ipsecwatch status --json")
    assert '"source": "service"' in status
    assert '"log": "journal"' in status
    pid = inside(machine, "systemctl show --value --property=MainPID ipsecwatch")
    assert "/libsystemd.so.0" in machine.path(f"/proc/{pid}/maps").read_text()
    inside(machine, "systemctl reload ipsecwatch")
    assert inside(machine, "systemctl show --value --property=MainPID ipsecwatch") == pid
    inside(machine, remove)
    assert inside(machine, "find /etc /run /usr /var/lib -xdev -name '*ipsecwatch*' -type f") == ""
