# SPDX-License-Identifier: MIT
"""Tests of the unit templates for waiting and for hooks, with systemd's own check."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from ipsecwatch.cli.main import parser_of
from tests.support.paths import TOP
from tests.system.test_units import analyze, needs_analyze, options

WAIT: Final = TOP / "systemd/ipsecwatch-wait@.service"
HOOK: Final = TOP / "systemd/ipsecwatch-hook@.service"
SYSUSERS: Final = TOP / "systemd/ipsecwatch.sysusers"
SERVICE: Final = TOP / "systemd/ipsecwatch.service"
LIBRESWAN: Final = """
[Unit]
Wants=network-online.target
After=network-online.target
[Service]
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
"""
"""How libreswan's unit is ordered (ipsec.service.in, 3.18 to 5.4)."""
GENERATOR: Final = Path("/usr/lib/systemd/system-generators/systemd-fstab-generator")
MOUNT: Final = re.search(
    r"^    (\S+ +/mnt/nas +.*)$", (TOP / "docs/verbs.md").read_text(), re.MULTILINE
)
"""The line for fstab in docs/verbs.md."""


def mounted(folder: Path, line: str) -> dict[str, str]:
    """Return the name and text of the unit that systemd makes of a line in fstab."""
    fstab, made = folder / "fstab", folder / "generated"
    fstab.write_text(line + "\n")
    made.mkdir()
    told = {**os.environ, "SYSTEMD_FSTAB": str(fstab), "SYSTEMD_LOG_TARGET": "null"}
    subprocess.run([GENERATOR, made, made, made], env=told, check=True)
    [unit] = made.glob("*.mount")
    return {unit.name: unit.read_text(encoding="utf-8")}


def verify(folder: Path, *units: str, more: dict[str, str]) -> str:
    """Return systemd's complaints about our units, with ``more`` and all units of a boot."""
    for unit in (WAIT, HOOK, SERVICE):
        text = unit.read_text(encoding="utf-8").replace("/usr/bin/ipsecwatch", "/bin/true")
        (folder / unit.name).write_text(text, encoding="utf-8")
    more = {"ipsec.service": LIBRESWAN, **more}
    for name, text in more.items():
        (folder / name).write_text(text, encoding="utf-8")
    for name in (*more, SERVICE.name, *units):
        wants = folder / "multi-user.target.wants"
        wants.mkdir(exist_ok=True)
        if name.endswith(".service"):
            template = re.sub("@.+[.]", "@.", name)
            (wants / name).symlink_to(folder / template)
    return analyze(
        "verify", "--system", "--man=no", *units, *more, "multi-user.target",
        runtime=folder, SYSTEMD_UNIT_PATH=f"{folder}:/lib/systemd/system",
    )  # fmt: skip


def cycles(said: str) -> list[str]:
    return [line for line in said.splitlines() if "cycle" in line]


def ours(said: str) -> list[str]:
    return [line for line in said.splitlines() if "ipsecwatch-" in line]


UNITS: Final = ("ipsecwatch-wait@office.service", "ipsecwatch-hook@mail.service")
needs_generator = pytest.mark.skipif(not GENERATOR.exists(), reason=f"there is no {GENERATOR}")


@needs_analyze
@needs_generator
@pytest.mark.parametrize("options", ["_netdev,nofail", "_netdev"])
def test_neither_template_has_a_cycle_with_libreswan_the_service_and_the_documents_mount(
    options: str, tmp_path: Path
) -> None:
    assert MOUNT is not None
    mount = mounted(tmp_path, MOUNT[1].replace("_netdev,nofail", options))
    assert "Requires=ipsecwatch-wait@office.service" in mount["mnt-nas.mount"]
    said = verify(tmp_path, *UNITS, more=mount)
    assert cycles(said) == []
    assert ours(said) == []


@needs_analyze
@needs_generator
def test_a_cycle_is_seen_where_a_mount_is_part_of_the_boot_itself(tmp_path: Path) -> None:
    assert MOUNT is not None
    local = MOUNT[1].replace("_netdev,nofail,", "").replace(" nfs ", " ext4 ")
    assert cycles(verify(tmp_path, *UNITS, more=mounted(tmp_path, local)))


@pytest.mark.parametrize("unit", [WAIT, HOOK])
def test_a_template_is_ordered_after_the_service_alone_and_starts_nothing(unit: Path) -> None:
    told = options(unit)
    assert told["After"] == ["ipsecwatch.service"]
    ordering = {"Before", "Wants", "Requires", "BindsTo", "PartOf", "Requisite", "Upholds"}
    assert ordering & told.keys() == set()


@pytest.mark.parametrize("unit", [WAIT, HOOK])
def test_a_template_runs_as_a_user_without_rights(unit: Path) -> None:
    told = options(unit)
    [user] = re.findall(r"^u (\S+) -", SYSUSERS.read_text(encoding="utf-8"), re.MULTILINE)
    assert told["User"] == [user]
    assert told["DynamicUser"] == told["NoNewPrivileges"] == ["yes"]
    assert told["CapabilityBoundingSet"] == [""]


def command(unit: Path, **environment: str) -> list[str]:
    """Return the command line that systemd makes of a template for the instance ``it``."""
    [line] = options(unit)["ExecStart"]
    words: list[str] = []
    for word in line.replace("%i", "it").split():
        whole = re.fullmatch(r"\$(\w+)", word)
        if whole:
            words += environment[whole[1]].split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda m: environment[m[1]], word))
    return words


def test_the_command_lines_are_ones_that_the_verbs_take() -> None:
    wait = command(WAIT, TIMEOUT="90", NAME="--odd name")
    args = parser_of(wait[1]).parse_args(wait[2:])
    assert (args.names, args.target, args.timeout) == (["--odd name"], "up", 90.0)
    hook = command(HOOK, LIMIT="30", TUNNELS="office gw-*")
    args = parser_of(hook[1]).parse_args(hook[2:])
    assert (args.exec, args.exec_limit) == ("/etc/ipsecwatch/hooks/it", 30.0)
    assert args.names == ["office", "gw-*"]


@pytest.mark.parametrize(("unit", "most"), [(WAIT, 1.0), (HOOK, 3.0)])
@needs_analyze
def test_a_template_is_hardly_exposed(unit: Path, most: float, tmp_path: Path) -> None:
    instance = tmp_path / unit.name.replace("@", "@it")
    shutil.copy(unit, instance)
    said = analyze("security", "--offline=true", instance, runtime=tmp_path)
    level = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert level, said
    assert float(level[1]) <= most, said


@pytest.mark.skipif(not shutil.which("systemd-escape"), reason="systemd-escape isn't installed")
def test_a_name_becomes_an_instance_as_the_template_says() -> None:
    [escape] = re.findall(r"systemd-escape \S+ '(.+)'", WAIT.read_text(encoding="utf-8"))
    run = ["systemd-escape", f"--template={WAIT.name}", escape]
    made = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert made == "ipsecwatch-wait@my\\x20tunnel.service\n"


def test_environments_that_people_are_shown_are_whole_assignments() -> None:
    # systemd ends an assignment at a blank that isn't quoted, and ignores words without "=".
    pages = [TOP / "README.md", *(TOP / "docs").glob("*.md")]
    pages += (TOP / "packaging/examples/hooks").iterdir()
    found = [
        word
        for page in pages
        for shown in re.findall(r"Environment=([^`\n]+)", page.read_text(encoding="utf-8"))
        for word in shlex.split(shown)
    ]
    assert {"TUNNELS=office branch-*", "LIMIT=60", "TUNNELS=office"} <= set(found)
    assert [word for word in found if not re.match(r"[A-Z_]+=", word)] == []
