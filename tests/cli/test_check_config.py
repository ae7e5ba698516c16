# SPDX-License-Identifier: MIT
"""Tests of check-config: each mistake is printed with its file and line; the exit code is right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.test_main import ipsecwatch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def service(tmp_path: Path) -> Path:
    folder = tmp_path / "service.toml.d"
    folder.mkdir()
    (folder / "10-more.toml").write_text("stuck_after = 60\n")
    file = tmp_path / "service.toml"
    file.write_text("interval = 2\n")
    return file


def test_good_settings_are_listed_and_end_with_0(service: Path, tmp_path: Path) -> None:
    home = str(tmp_path)
    done = ipsecwatch("check-config", "--agent", "--service", service, XDG_CONFIG_HOME=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{service} can be used",
        f"{service}.d/10-more.toml can be used",
        f"{tmp_path}/ipsecwatch/agent.toml doesn't exist: every setting has its default",
    ]


def test_a_file_that_is_named_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = ipsecwatch("check-config", "--service", tmp_path / "none.toml")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith(f"ipsecwatch: there is no {tmp_path}/none.toml. ")


def test_every_mistake_is_a_line_and_the_end_is_1(service: Path, tmp_path: Path) -> None:
    (tmp_path / "service.toml.d/20.toml").write_text("\ninterval = 0\nburst = 1\n")
    agent = tmp_path / "agent.toml"
    agent.write_text("up = \n")
    done = ipsecwatch("check-config", "--service", service, "--agent", agent)
    assert done.returncode == 1
    told = [line.split(": ")[1] for line in done.stderr.splitlines()]
    more = f"{service}.d/20.toml"
    assert told == [f"{more}:2", f"{more}:3", f"{agent}:1"]
    assert done.stdout.count("can be used") == 2


def test_without_options_both_places_are_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "ipsecwatch/agent.toml"
    file.parent.mkdir()
    file.write_text("burst = 0\n")
    done = ipsecwatch("check-config", XDG_CONFIG_HOME=str(tmp_path))
    assert done.returncode == 1
    assert f"{file}:1: burst must be" in done.stderr
    assert "/etc/ipsecwatch/ipsecwatch.toml" in done.stdout


def test_what_cannot_be_read_could_not_be_found_out(service: Path, tmp_path: Path) -> None:
    agent = tmp_path / "agent.toml"
    agent.mkdir()
    done = ipsecwatch("check-config", "--agent", agent)
    assert done.returncode == 3
    assert done.stderr == f"ipsecwatch: {agent}: cannot be read: Is a directory\n"
    folder = service.with_name("loop.toml.d")
    folder.symlink_to(folder)
    service.with_name("loop.toml").touch()
    done = ipsecwatch("check-config", "--service", service.with_name("loop.toml"))
    assert done.returncode == 3
    assert f"{folder}: cannot be read" in done.stderr


@pytest.mark.parametrize("option", ["--service", "--agent"])
def test_a_path_that_cannot_be_looked_up_is_an_error_of_one_line(option: str) -> None:
    path = "a" * 300
    done = ipsecwatch("check-config", option, path)
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert lines
    assert all(line.startswith(f"ipsecwatch: {path}") for line in lines)
    assert all(line.endswith(": cannot be read: File name too long") for line in lines)


@pytest.mark.parametrize("path", ["/", "."])
def test_a_folder_is_no_settings_file(path: str) -> None:
    done = ipsecwatch("check-config", "--service", path)
    said = f"ipsecwatch: {path}: cannot be read: Is a directory\n"
    assert (done.returncode, done.stderr) == (3, said)


def test_json_has_all_of_it(service: Path, tmp_path: Path) -> None:
    service.write_text("interval = 0\n")
    done = ipsecwatch("check-config", "--json", "--service", service)
    assert done.returncode == 1
    first, second = json.loads(done.stdout)["files"]
    assert first["file"] == str(service)
    assert first["present"]
    assert first["problems"] == [f"{service}:1: interval must be from 1.0 to 3600.0"]
    assert second["problems"] == []


def test_an_instance_without_settings_is_an_error() -> None:
    done = ipsecwatch("check-config", "--instance", "no-such")
    assert done.returncode == 3
    assert "/etc/ipsecwatch/instances/no-such.toml" in done.stderr


def test_a_file_that_is_named_is_read_for_an_instance_too(service: Path) -> None:
    done = ipsecwatch("check-config", "--instance", "no-such", "--service", service)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{service} can be used\n")
