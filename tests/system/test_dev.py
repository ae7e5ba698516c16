# SPDX-License-Identifier: MIT
"""The contributor's command, as far as it can be tried without setting anything up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.paths import TOP

if TYPE_CHECKING:
    from pathlib import Path

DEV = TOP / "packaging/dev"


def dev(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", DEV, *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
        cwd="/",
    )


def test_its_help_names_every_verb() -> None:
    run = dev("help")
    assert run.returncode == 0
    for verb in ("demo", "test", "check", "bed"):
        assert f"sh packaging/dev {verb} " in run.stdout


def test_an_unknown_verb_is_wrong_usage() -> None:
    run = dev("tset")
    assert run.returncode == 2
    assert run.stderr == "packaging/dev: no verb 'tset': demo, test, check or bed\n"


def tools(folder: Path, *names: str, **stubs: str) -> str:
    """Make a PATH with a few programs of this system's and some of our own."""
    for name in names:
        (folder / name).symlink_to(shutil.which(name) or "/nonexistent")
    for name, script in stubs.items():
        (folder / name.replace("_", "-")).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (folder / name.replace("_", "-")).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize(
    ("manager", "command"),
    [("apt_get", "apt-get update && apt-get install"), ("dnf", "dnf install")],
)
def test_where_it_may_not_install_it_says_what_root_has_to_type(
    manager: str, command: str, tmp_path: Path
) -> None:
    needed = ("dirname", "cat", "stat", "flock", "mktemp", "rm", "readlink", "cksum", "uname")
    path = tools(tmp_path, *needed, id="echo 1000", **{manager: "exit 1"})
    run = dev("demo", PATH=path)
    assert run.returncode == 1
    [line] = run.stderr.splitlines()
    assert "As root: " + command in line
    assert line.endswith(" dbus-daemon")  # the one thing that this PATH lacks


def pins() -> dict[str, str]:
    text = (TOP / "packaging/constraints.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def needs(name: str, extras: frozenset[str], found: dict[str, str]) -> dict[str, str]:
    """Collect all that a distribution needs, directly or not, and the installed versions."""
    for line in metadata.requires(name) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": e}) for e in ("", *extras)):
            continue
        key = canonicalize_name(requirement.name)
        if key not in found:
            found[key] = metadata.version(requirement.name)
            needs(requirement.name, frozenset(requirement.extras), found)
    return found


def test_every_package_that_is_needed_is_pinned_at_the_version_that_is_tested() -> None:
    found = needs("ipsecwatch", frozenset({"agent", "dev"}), {})
    found.pop("systemd-python")  # the distribution's
    pinned = pins()
    assert {"dbus-fast", "desktop-notifier", "pytest", "mypy"} <= found.keys()
    assert found == {name: pinned.get(name) for name in found}


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to hide /sys")
def test_in_a_root_without_sys_what_needs_a_journald_is_skipped_with_a_reason() -> None:
    ask = "import tests.support.journald as j; print(j.missing())"
    run = subprocess.run(
        ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys && exec "$@"', "sh",
         sys.executable, "-c", ask],
        capture_output=True, text=True, check=False, cwd=TOP,
    )  # fmt: skip
    if "unshare" in run.stderr or "mount:" in run.stderr:
        pytest.skip(f"no mount namespaces here: {run.stderr.strip()}")
    assert run.stdout == "there is no /sys/fs/cgroup, and no journald without\n", run.stderr
