# SPDX-License-Identifier: MIT
"""Tests of settings files: all keys with their limits, and the file and line of each mistake."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ipsecwatch import config
from ipsecwatch.config import (
    AgentSettings,
    ConfigError,
    Settings,
    TunnelSettings,
    UnreadableError,
    load_agent,
    load_instance,
    load_service,
    problems,
)

if TYPE_CHECKING:
    from pathlib import Path

BOUNDED = [
    pytest.param(kind, f.name, f.metadata["low"], f.metadata["high"], id=f.name)
    for kind in (Settings, AgentSettings)
    for f in fields(kind)
    if "low" in f.metadata
]


def load(path: Path, kind: type[Any]) -> Any:  # noqa: ANN401 - either kind of settings
    return load_service(path) if kind is Settings else load_agent(path)


def toml(value: object) -> str:
    """Return a default value as TOML; the only lists among them are empty ones."""
    if isinstance(value, bool):
        return str(value).lower()
    return "[]" if value == () else repr(value)


def complaint(path: Path, text: str, kind: type[Any] = Settings) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path, kind)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"{path}:")
    return said.removeprefix(f"{path}:")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ipsecwatch.toml"


def test_without_a_file_every_setting_has_its_default(file: Path) -> None:
    assert load_service(file) == Settings()
    assert load_agent(file) == AgentSettings()


@pytest.mark.parametrize("kind", [Settings, AgentSettings])
def test_every_default_may_be_written_down(kind: type[Any], file: Path) -> None:
    lines = [f"{f.name} = {toml(f.default)}" for f in fields(kind) if f.name != "tunnels"]
    file.write_text("\n".join(lines), encoding="utf-8")
    assert load(file, kind) == kind()


@pytest.mark.parametrize(("kind", "key", "low", "high"), BOUNDED)
def test_a_number_may_be_at_its_bounds_and_not_beyond(
    kind: type[Any], key: str, low: float, high: float, file: Path
) -> None:
    for value in (low, high):
        file.write_text(f"{key} = {value}", encoding="utf-8")
        assert getattr(load(file, kind), key) == value
    step = 1 if isinstance(getattr(kind(), key), int) else 0.001
    for value in (low - step, high + step):
        said = complaint(file, f"# a comment\n\n{key} = {value}", kind)
        assert said == f"3: {key} must be from {low} to {high}"


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_time_is_a_finite_number(value: str, file: Path) -> None:
    assert "must be from" in complaint(file, f"interval = {value}")


def test_a_whole_number_will_do_for_a_time_and_becomes_one(file: Path) -> None:
    file.write_text("interval = 7", encoding="utf-8")
    assert repr(load_service(file).interval) == "7.0"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('interval = "5"', "a number"),
        ("interval = true", "a number"),
        ("interval = 2026-01-01", "a number"),
        ("interval = [5]", "a number"),
        ("interval = {seconds = 5}", "a number"),
        ("max_answer = 100000.0", "a whole number"),
        ("max_answer = false", "a whole number"),
        ("unit = 1", "a string"),
    ],
)
def test_a_value_of_another_type_is_an_error(line: str, what: str, file: Path) -> None:
    key = line.split()[0]
    assert complaint(file, f"# 1\n{line}\n") == f"2: {key} must be {what}"


@pytest.mark.parametrize("line", ["up = 1", 'up = "yes"', "up = 0.0"])
def test_a_switch_is_true_or_false(line: str, file: Path) -> None:
    assert complaint(file, line, AgentSettings) == "1: up must be true or false"


@pytest.mark.parametrize("line", ['ignore = "office"', "ignore = [1]", 'ignore = [["a"]]'])
def test_names_to_ignore_are_a_list_of_strings(line: str, file: Path) -> None:
    assert complaint(file, line, AgentSettings) == "1: ignore must be a list of strings"
    file.write_text('ignore = ["office", "lab*"]', encoding="utf-8")
    assert load_agent(file).ignore == ("office", "lab*")


DOCKER = '"_SYSTEMD_UNIT=docker.service"'
UNTRUSTED = (
    "may have trusted fields (_…) and "
    "CONTAINER_NAME, CONTAINER_ID, CONTAINER_ID_FULL, CONTAINER_TAG"
)
UNSIGNED = "needs one of _SYSTEMD_UNIT, _EXE, _SYSTEMD_CGROUP: any process can send the others"


@pytest.mark.parametrize(
    "matches",
    [
        f'{DOCKER}, "CONTAINER_NAME=vpn"',
        '"_EXE=/usr/bin/conmon", "CONTAINER_ID_FULL=0123456789abcdef"',
        '"_SYSTEMD_CGROUP=/vpn.slice/pluto.service"',
        "",
    ],
)
def test_what_plutos_entries_are_known_by_is_a_list_of_fields(matches: str, file: Path) -> None:
    file.write_text(f"journal_match = [{matches}]", encoding="utf-8")
    assert list(load_service(file).journal_match) == [
        m.strip(' "') for m in matches.split(",") if m
    ]


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ('"_SYSTEMD_UNIT=x"', "must be a list of strings"),
        ("[1]", "must be a list of strings"),
        ('["_SYSTEMD_UNIT"]', "must be a list of FIELD=value, and '_SYSTEMD_UNIT' isn't"),
        ('["=x"]', "must be a list of FIELD=value, and '=x' isn't"),
        ('["_SYSTEMD_UNIT="]', "must be a list of FIELD=value, and '_SYSTEMD_UNIT=' isn't"),
        ('["_systemd_unit=x"]', "must be a list of FIELD=value, and '_systemd_unit=x' isn't"),
        ('["_EXE=a\\nMESSAGE=b"]', "must be a list of FIELD=value, and '_EXE=a\\nMESSAGE=b' isn't"),
        (f'[{DOCKER}, "SYSLOG_IDENTIFIER=pluto"]', f"{UNTRUSTED}, not SYSLOG_IDENTIFIER"),
        ('["CONTAINER_NAME=vpn"]', UNSIGNED),
        ('["_TRANSPORT=journal"]', UNSIGNED),
        (f'[{DOCKER}, "_SYSTEMD_UNIT=x"]', "has _SYSTEMD_UNIT twice, but an entry has it once"),
    ],
)  # fmt: skip
def test_what_anybody_could_log_is_nothing_to_know_pluto_by(
    value: str, wrong: str, file: Path
) -> None:
    assert complaint(file, f"journal_match = {value}") == f"1: journal_match {wrong}"


@pytest.mark.parametrize("key", ["control_socket", "whack"])
def test_a_path_is_absolute(key: str, file: Path) -> None:
    assert complaint(file, f'{key} = "run/x"') == f"1: {key} must be an absolute path"


def test_a_path_may_be_empty_where_that_is_the_default_and_nowhere_else(file: Path) -> None:
    file.write_text('whack = ""', encoding="utf-8")
    assert load_service(file).whack == ""
    assert complaint(file, 'control_socket = ""').endswith("must be an absolute path")


@pytest.mark.parametrize(
    ("text", "key"),
    [("intervall = 5", "intervall"), ("[service]\ninterval = 5", "service"), ("a.b = 1", "a")],
)
def test_an_unknown_setting_is_an_error_that_names_the_known_ones(
    text: str, key: str, file: Path
) -> None:
    said = complaint(file, text)
    assert said.startswith(f"1: unknown setting {key!r}; known: ")
    for f in fields(Settings):
        assert f.name in said


def test_single_tunnels_have_settings_of_their_own_by_glob(file: Path) -> None:
    file.write_text(
        'settle = 5\nup = false\n[tunnels."lab-1"]\nup = true\n'
        '[tunnels."lab-*"]\ndown = false\nsettle = 30\n'
    )
    found = load_agent(file)
    assert found.of("office") is found
    assert found.of("lab-1") == TunnelSettings(up=True, settle=5.0)
    assert found.of("lab-2") == TunnelSettings(up=False, down=False, settle=30.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tunnels = 3", "1: tunnels must be tables"),
        ("\n[tunnels]\nlab = 3", "2: tunnels must be tables"),
        ('up = true\n\n[tunnels."a"]\n\nupp = 3', "5: unknown setting 'upp'"),
        ('[tunnels."a*"]\nup = true\n[tunnels.b]\nup = 1', "4: up must be true or false"),
        ("managed = true", '1: managed must be "losses", "all" or "none"'),
        ("managed = []", '1: managed must be "losses", "all" or "none"'),
        ('up = true\nmanaged = "yes"', '2: managed must be "losses", "all" or "none"'),
        ('[tunnels."a*"]\nignore = []', "2: unknown setting 'ignore'"),
        ('[tunnels."a*"]\nsettle = 61', "2: settle must be from 0.0 to 60.0"),
        ("burst = 4", "1: burst must be from 1 to 3"),
    ],
)
def test_a_mistake_in_settings_of_single_tunnels_has_its_line(
    text: str, said: str, file: Path
) -> None:
    assert complaint(file, text, AgentSettings).startswith(said)


def test_what_is_no_file_is_not_read(file: Path, tmp_path: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(ConfigError, match="it isn't a regular file"):
        load_service(file)
    file.unlink()
    file.symlink_to("/dev/null")
    assert load_service(file) == Settings()
    file.unlink()
    file.write_text("#" * (2 << 20))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load_service(file)


def test_a_setting_of_the_agents_is_unknown_to_the_service(file: Path) -> None:
    assert "unknown setting 'burst'" in complaint(file, "burst = 4")


def test_drop_ins_are_read_after_the_file_in_order_of_name(file: Path) -> None:
    file.write_text("interval = 7\nfast_interval = 2", encoding="utf-8")
    folder = file.with_name("ipsecwatch.toml.d")
    folder.mkdir()
    (folder / "20-b.toml").write_text("interval = 9", encoding="utf-8")
    (folder / "10-a.toml").write_text("interval = 8\nstuck_after = 60", encoding="utf-8")
    (folder / "30-c.toml~").write_text("interval = 99", encoding="utf-8")
    assert load_service(file) == Settings(interval=9, fast_interval=2, stuck_after=60)


@pytest.mark.parametrize("where", ["acme.toml", "acme.toml.d/x.toml"])
def test_an_instance_has_settings_of_its_own(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "INSTANCES", tmp_path)
    monkeypatch.setattr(config, "SERVICE_FILE", tmp_path / "ipsecwatch.toml")
    (tmp_path / "ipsecwatch.toml").write_text("interval = 7", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"there is no /.*/acme\.toml, the settings of acme"):
        load_instance("acme")
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).write_text('control_socket = "/run/a"', encoding="utf-8")
    assert load_instance("acme") == Settings(control_socket="/run/a")
    assert load_instance("") == Settings(interval=7)
    assert load_instance("acme", tmp_path / "ipsecwatch.toml") == Settings(interval=7)


def test_a_mistake_in_a_drop_in_is_told_with_the_drop_ins_name(file: Path) -> None:
    folder = file.with_name("ipsecwatch.toml.d")
    folder.mkdir()
    (folder / "x.toml").write_text("\ninterval = 0", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^/.*/ipsecwatch\.toml\.d/x\.toml:2: interval must"):
        load_service(file)


def test_a_folder_of_drop_ins_that_cannot_be_read_is_an_error_and_no_default(file: Path) -> None:
    folder = file.with_name("ipsecwatch.toml.d")
    folder.symlink_to(folder)
    with pytest.raises(ConfigError, match=r"^/.*/ipsecwatch\.toml\.d: cannot be read: "):
        load_service(file)


def test_a_file_that_cannot_be_read_is_an_error_and_no_default(file: Path) -> None:
    file.mkdir()
    with pytest.raises(UnreadableError, match="cannot be read: "):
        load_service(file)


@pytest.mark.parametrize(
    ("text", "line"),
    [("interval = 5\nfast_interval 1", 2), ("unit = ", 1), ("interval = 5\nunit = [\n\n", 3)],
)
def test_a_mistake_of_grammar_is_told_with_its_line(text: str, line: int, file: Path) -> None:
    said = complaint(file, text)
    assert said.startswith(f"{line}: ")
    assert "(at" not in said


@pytest.mark.parametrize("key", ['"\\u0069nterval"', '"inter\\x"', '  "int\\u0065rval"  '])
def test_a_key_with_escape_sequences_has_its_line(key: str, file: Path) -> None:
    said = complaint(file, f'unit = "a.service"\n\n{key} = 0\n')
    assert said.startswith("3: ")


def test_every_mistake_of_a_file_is_told_at_once(file: Path) -> None:
    file.write_text("interval = 0\nstuck_after = 60\nburst = 4\nunit = 1\n", encoding="utf-8")
    assert [str(p).split(": ")[0] for p in problems(file, Settings)] == [
        f"{file}:{line}" for line in (1, 3, 4)
    ]
    assert problems(file.with_name("none"), Settings) == []


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary() | st.text().map(str.encode))
@example(b"interval = \xff")
@example(b'"a\\nb" = 1')
@example(b"interval = " + b"9" * 5000)
@example(b"unit = " + b"[" * 5000)
def test_whatever_a_file_holds_is_settings_or_one_line(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    said = ""
    try:
        load_service(file)
    except ConfigError as e:
        said = str(e)
    assert "\n" not in said
