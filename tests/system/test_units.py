# SPDX-License-Identifier: MIT
"""Tests of the systemd units: systemd accepts them, and they agree with the code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from ipsecwatch.cli.failure import EXIT_USAGE
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.config import Settings
from tests.support.paths import TOP

SERVICE = TOP / "systemd/ipsecwatch.service"
INSTANCE = TOP / "systemd/ipsecwatch@.service"
AGENT = TOP / "systemd/ipsecwatch-agent.service"

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None
    or not (os.geteuid() == 0 or Path("/run/systemd").is_dir()),
    reason="systemd-analyze isn't installed, or needs root: there is no /run/systemd",
)


def options(unit: Path) -> dict[str, list[str]]:
    """Return the settings of a unit, each with all its values in order."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def analyze(*args: str | Path, runtime: Path, **env: str) -> str:
    """Return the output of systemd-analyze. A complaint doesn't always change its exit code."""
    run = subprocess.run(
        ["systemd-analyze", "--no-pager", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        # Without a session it has no folder for the user's manager.
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime), **env},
    )
    return run.stdout


def verify(unit: Path, scope: str, tmp_path: Path, more: str = "") -> str:
    """Return systemd's complaints about one of our units, among the units of systemd itself.

    Units that are enabled on this machine are left out. If two of them are notification servers,
    systemd complains that both have one name, whatever unit is verified.
    """
    known = tmp_path / "known"
    known.mkdir()
    for theirs in Path(f"/usr/lib/systemd/{scope}").iterdir():
        if theirs.is_file():
            (known / theirs.name).symlink_to(theirs)
    # The program isn't installed where the unit expects it; any program that is will do.
    text = unit.read_text(encoding="utf-8").replace("/usr/bin/ipsecwatch", "/bin/true") + more
    (tmp_path / unit.name).write_text(text, encoding="utf-8")
    said = analyze(
        "verify", f"--{scope}", "--man=no", tmp_path / unit.name,
        runtime=tmp_path, SYSTEMD_UNIT_PATH=f"{tmp_path}:{known}",
    )  # fmt: skip
    return "" if NEWER.fullmatch(said) else said


NEWER = re.compile(r"(.*: Unknown key (name )?'Restart(Steps|MaxDelaySec)' in section .*\n){2}")
"""What systemd before 254 prints about the two settings with which the service is restarted ever
more slowly. It ignores them."""


SCOPES = pytest.mark.parametrize(
    ("unit", "scope"), [(SERVICE, "system"), (INSTANCE, "system"), (AGENT, "user")]
)


@needs_analyze
@SCOPES
def test_systemd_has_nothing_to_say_against_the_unit(
    unit: Path, scope: str, tmp_path: Path
) -> None:
    assert verify(unit, scope, tmp_path) == ""


@needs_analyze
@SCOPES
def test_what_systemd_has_to_say_against_a_unit_is_seen(
    unit: Path, scope: str, tmp_path: Path
) -> None:
    assert "Nonsense" in verify(unit, scope, tmp_path, more="\nNonsense=yes\n")


@needs_analyze
def test_two_notification_servers_that_quarrel_are_not_held_against_the_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = tmp_path / "config/systemd/user"
    wanted = units / "graphical-session.target.wants"
    wanted.mkdir(parents=True)
    server = "[Service]\nType=dbus\nBusName=org.freedesktop.Notifications\nExecStart=/bin/true\n"
    for name in ("one.service", "another.service"):
        (units / name).write_text(server, encoding="utf-8")
        (wanted / name).symlink_to(units / name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert verify(AGENT, "user", tmp_path) == ""


@needs_analyze
def test_the_service_is_exposed_to_1_0_of_10_at_most(tmp_path: Path) -> None:
    said = analyze("security", "--offline=true", SERVICE, runtime=tmp_path)
    if "unrecognized option" in said:
        pytest.skip("systemd-analyze before 250 cannot judge a file")
    level = re.search(r"exposure level for ipsecwatch\.service: ([0-9.]+)", said)
    assert level, said
    assert float(level[1]) <= 1.0, said


@pytest.mark.parametrize("unit", [SERVICE, INSTANCE, AGENT])
def test_the_unit_starts_a_verb_of_the_installed_command(unit: Path) -> None:
    [command] = options(unit)["ExecStart"]
    path, verb, *_ = command.split()
    scripts = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert Path(path).parent == Path("/usr/bin")
    assert Path(path).name in scripts["scripts"]
    assert verb in VERBS


def test_an_instance_is_the_service_but_for_what_is_its_own() -> None:
    service, instance = options(SERVICE), options(INSTANCE)
    own = {k for k in service.keys() | instance.keys() if service.get(k) != instance.get(k)}
    assert own == {"Description", "ExecStart", "ExecReload", "RuntimeDirectory"}
    assert instance["ExecStart"] == [service["ExecStart"][0] + " --instance %i"]
    check, *rest = service["ExecReload"]
    assert instance["ExecReload"] == [check.replace("--service", "--instance %i"), *rest]
    # Not below the service's own folder, which is removed when that one stops.
    assert instance["RuntimeDirectory"] == ["ipsecwatch-%i"]


@pytest.mark.parametrize("unit", [SERVICE, AGENT])
def test_settings_that_cannot_be_used_are_no_reason_to_start_over_and_over(unit: Path) -> None:
    assert options(unit)["Restart"] == ["on-failure"]
    assert str(EXIT_USAGE) in options(unit)["RestartPreventExitStatus"][0].split()


MOUNTING = re.compile("Protect(?!Clock|Hostname)|Private|.*Paths$|ProcSubset|TemporaryFile|Dynamic")
"""Settings for which systemd makes a mount namespace."""


@pytest.mark.parametrize("unit", sorted(TOP.glob("systemd/*.service")), ids=lambda u: u.name)
def test_a_sandbox_that_cannot_be_had_is_not_tried_over_and_over(unit: Path) -> None:
    found = options(unit)
    if found.get("Restart", ["no"]) != ["no"] and any(map(MOUNTING.match, found)):
        assert {"225", "226"} <= set(found["RestartPreventExitStatus"][0].split())


def test_what_the_containers_drop_in_undoes_is_all_that_takes_a_namespace() -> None:
    service, drop_in = options(SERVICE), options(TOP / "systemd/container.conf")
    assert drop_in.keys() == {key for key in service if MOUNTING.match(key)}


def test_the_service_neither_starts_nor_stops_libreswan_nor_goes_with_it() -> None:
    service = options(SERVICE)
    assert {k for k, v in service.items() if any(Settings().unit in w.split() for w in v)} == {
        "After"
    }


def test_the_service_is_root_without_capabilities_and_without_a_network() -> None:
    service = options(SERVICE)
    assert "User" not in service
    assert service["CapabilityBoundingSet"] == [""]
    assert "AmbientCapabilities" not in service
    assert service["NoNewPrivileges"] == ["yes"]
    assert service["PrivateNetwork"] == ["yes"]
    assert service["RestrictAddressFamilies"] == ["AF_UNIX"]


def test_no_mount_option_of_the_service_stands_between_it_and_plutos_socket() -> None:
    mounts = "Bind|Inaccessible|ReadOnly|ReadWrite|Exec|NoExec"
    named = [
        path.lstrip("-+")
        for key, values in options(SERVICE).items()
        if re.fullmatch(rf"(?:{mounts})Paths|BindReadOnlyPaths|TemporaryFileSystem", key)
        for value in values
        for path in value.split()
    ]
    assert "/run" in named  # ProtectSystem=strict alone can leave it out: see the unit
    assert [path for path in named if path.startswith("/run/")] == []
    assert not Settings().control_socket.startswith(tuple(set(named) - {"/run"}))


def test_the_watchdog_waits_longer_than_one_answer_of_plutos_may_take() -> None:
    [seconds] = options(SERVICE)["WatchdogSec"]
    assert float(seconds) > 2 * Settings().timeout


def test_nothing_starts_the_service_by_a_message_on_the_bus() -> None:
    assert "BusName" not in options(SERVICE)
    units = [*TOP.glob("systemd/**/*.service"), *TOP.glob("packaging/**/*.service")]
    assert SERVICE in units
    assert [u for u in units if "[D-BUS Service]" in u.read_text(encoding="utf-8")] == []


def test_the_agent_comes_and_goes_with_a_persons_graphical_session() -> None:
    agent = options(AGENT)
    for key in ("PartOf", "After", "WantedBy"):
        assert agent[key] == ["graphical-session.target"]
    assert agent["ConditionUser"] == ["!@system"]


def test_the_agents_unit_asks_for_nothing_that_takes_a_user_namespace() -> None:
    # A user's systemd can't mount anything. If it can't make a user namespace either, a unit with
    # such options doesn't start, or systemd ignores them and logs that at each start.
    mounting = re.compile("Protect|PrivateTmp|PrivateDevices|PrivateNetwork|PrivateUsers|.*Paths")
    assert [key for key in options(AGENT) if mounting.match(key)] == []
