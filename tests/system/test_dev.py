# SPDX-License-Identifier: MIT
"""Tests of packaging/dev, as far as they are possible without installing anything."""

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


def dev(*args: str, script: Path = DEV, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", script, *args],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
        cwd="/",
    )


VERBS = {"demo", "check", "test", "bed", "bench"}


def test_its_help_names_every_verb() -> None:
    run = dev("help")
    assert run.returncode == 0
    assert set(re.findall(r"^  sh packaging/dev (\w+) ", run.stdout, re.MULTILINE)) == VERBS


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_what_people_read_names_verbs_that_there_are(page: str) -> None:
    named = set(re.findall(r"packaging/dev (\w+)", (TOP / page).read_text(encoding="utf-8")))
    assert named <= VERBS
    if page == "CONTRIBUTING.md":
        assert named == VERBS


def test_an_unknown_verb_is_wrong_usage() -> None:
    run = dev("tset")
    assert run.returncode == 2
    assert run.stderr == "packaging/dev: no verb 'tset': demo, check, test, bed or bench\n"


def test_an_unknown_benchmark_is_wrong_usage() -> None:
    run = dev("bench", "laetncy")
    assert run.returncode == 2
    assert run.stderr == (
        "packaging/dev: no benchmark 'laetncy': "
        "parser, startup, history, loop, bus, latency or cost\n"
    )


def tools(folder: Path, *names: str, **stubs: str) -> str:
    """Make a folder with some programs of this system and some scripts; return it as a PATH."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).symlink_to(shutil.which(name) or "/nonexistent")
    for name, script in stubs.items():
        stub = folder / name.replace("_", "-")
        # Through a link to one of the system's programs, root would overwrite the program itself.
        stub.touch(exist_ok=False)
        stub.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        stub.chmod(0o755)
    return str(folder)


SHELL_NEEDS = ("dirname", "cat", "stat", "flock", "mktemp", "rm", "readlink", "cksum", "uname")


@pytest.mark.parametrize(
    ("manager", "command"),
    [("apt_get", "apt-get update && apt-get install"), ("dnf", "dnf install")],
)
def test_where_it_may_not_install_it_says_what_root_has_to_type(
    manager: str, command: str, tmp_path: Path
) -> None:
    path = tools(tmp_path, *SHELL_NEEDS, id="echo 1000", **{manager: "exit 1"})
    run = dev("demo", PATH=path)
    assert run.returncode == 1
    [line] = run.stderr.splitlines()
    assert "As root: " + command in line
    assert line.endswith(" dbus-daemon")  # the one thing that this PATH lacks


PRINTS = '#!/bin/sh\necho "$*"\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that is completely set up, with a fake Python that prints its arguments."""
    parts = (
        "pyproject.toml",
        "ipsecwatch/__init__.py",
        "packaging/constraints.txt",
        "packaging/dev",
    )
    top = tmp_path / "checkout"
    for part in (*parts, ".venv/bin/python"):
        (top / part).parent.mkdir(parents=True, exist_ok=True)
    for part in parts:
        shutil.copy(TOP / part, top / part)
    python = top / ".venv/bin/python"
    python.write_text(PRINTS, encoding="utf-8")
    python.chmod(0o755)
    content = b"".join((top / part).read_bytes() for part in parts)
    found = subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout
    place = f"{top} with {os.path.realpath('/usr/bin/python3')}\n"
    (top / ".venv/set-up").write_text(f"{place}{found.decode()}test\n", encoding="utf-8")
    return top


def test_a_check_and_a_benchmark_want_none_of_the_packages_that_tests_do(
    checkout: Path, tmp_path: Path
) -> None:
    never = "echo installing; exit 1"
    path = tools(tmp_path / "bin", *SHELL_NEEDS, "id", dbus_daemon="exit 1", apt_get=never)
    script = checkout / "packaging/dev"
    check = dev("check", "-x", script=script, PATH=path)
    assert (check.returncode, check.stderr) == (0, "")
    assert "tests/system/test_linters.py" in check.stdout
    assert check.stdout.endswith(" -x\n")
    bench = dev("bench", "parser", "--rounds", "1", script=script, PATH=path)
    assert (bench.stdout, bench.stderr) == ("-m tests.bench --rounds 1\n", "")
    every = dev("bench", script=script, PATH=path).stdout.splitlines()
    names = ["", ".startup", ".loop", ".bus", ".latency"]
    assert every[1::2] == [f"-m tests.bench{name}" for name in names]


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ((), "--numprocesses=2"),
        (("--pdb",), "--pdb"),
        (("tests/agent", "-k", "mute"), "tests/agent -k mute"),
    ],
    ids=["none", "one", "some"],
)
def test_all_tests_run_two_files_at_a_time_and_with_options_one_test_after_the_other(
    options: tuple[str, ...], given: str, checkout: Path, tmp_path: Path
) -> None:
    stubs = {"id": "echo 1000", "dbus_daemon": "exit 1", "apt_get": "exit 1"}
    path = tools(tmp_path / "bin", *SHELL_NEEDS, **stubs)
    run = dev("test", *options, script=checkout / "packaging/dev", PATH=path)
    assert (run.returncode, run.stdout) == (0, f"-m pytest {given}\n")


@pytest.mark.parametrize("sudo", [{}, {"sudo": "exit 1"}], ids=["no sudo", "sudo says no"])
def test_where_it_may_not_install_what_only_tests_need_the_others_run(
    sudo: dict[str, str], checkout: Path, tmp_path: Path
) -> None:
    stubs = {"id": "echo 1000", "dbus_daemon": "exit 1", "apt_get": "exit 1", **sudo}
    path = tools(tmp_path / "bin", *SHELL_NEEDS, **stubs)
    run = dev("test", "-x", script=checkout / "packaging/dev", PATH=path)
    assert (run.returncode, run.stdout) == (0, "-m pytest -x\n")
    [line] = run.stderr.splitlines()
    assert "tests that need them are skipped. As root: apt-get update" in line
    assert " xvfb" in line


@pytest.mark.skipif(not os.path.exists("/usr/sbin/mke2fs"), reason="e2fsprogs isn't installed")
def test_a_program_that_an_ordinary_users_path_lacks_is_found(
    checkout: Path, tmp_path: Path
) -> None:
    path = tools(
        tmp_path / "bin", *SHELL_NEEDS, id="echo 1000", dbus_daemon="exit 1", apt_get="exit 1"
    )
    run = dev("test", script=checkout / "packaging/dev", PATH=path)
    assert " mmdebstrap" in run.stderr
    assert " e2fsprogs" not in run.stderr


def test_in_a_checkout_that_cannot_be_written_to_the_hint_is_to_copy_it(
    checkout: Path, tmp_path: Path
) -> None:
    shutil.rmtree(checkout / ".venv")
    path = tools(tmp_path / "bin", *SHELL_NEEDS, "id", dbus_daemon="exit 1")
    script = checkout / "packaging/dev"
    if os.getuid() != 0:
        checkout.chmod(0o555)
        run = dev("demo", script=script, PATH=path)
        checkout.chmod(0o755)
    else:
        mount = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'
        run = subprocess.run(
            ["unshare", "--mount", "sh", "-c", f'{mount} && PATH=$3 exec /bin/sh "$2" demo', "sh",
             checkout, script, path],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if "unshare" in run.stderr or "mount:" in run.stderr:
            pytest.skip(f"no mount namespaces here: {run.stderr.strip()}")
    assert run.returncode == 1
    [line] = run.stderr.splitlines()
    assert line.endswith(f"Try: cp -r '{checkout}' ~/ipsecwatch")


def test_an_environment_of_somebody_elses_is_to_be_removed(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv/set-up").write_text("under way\n", encoding="utf-8")
    path = tools(
        tmp_path / "bin", *SHELL_NEEDS, id="echo 1000", dbus_daemon="exit 1", mkdir="exit 1"
    )
    run = dev("demo", script=checkout / "packaging/dev", PATH=path)
    assert run.returncode == 1
    [line] = run.stderr.splitlines()
    assert line.endswith(f"Try: sudo rm -rf '{checkout}/.venv'")


NOTES = """
[ "$1" != -m ] || [ "$2" != pip ] || { echo "$*" >>"$0.log"; cat "$0.says" 2>/dev/null && exit 1; }
exit 0
"""
UNREACHED = """\
WARNING: Retrying (Retry(total=1, connect=None)) after connection broken by 'NewConnectionError'
WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError'
ERROR: No matching distribution found for dbus-fast==5.2.0
"""
CONTRADICTED = """\
WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by 'NewConnectionError'
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.
"""


@pytest.fixture
def stale(checkout: Path) -> Path:
    """A checkout whose .venv is of another version, with a fake Python that records pip's calls."""
    stamp = checkout / ".venv/set-up"
    stamp.write_text(f"{stamp.read_text().splitlines()[0]}\nanother\ntest\n", encoding="utf-8")
    (checkout / ".venv/pyvenv.cfg").touch()
    for name in ("python", "ipsecwatch"):
        program = checkout / ".venv/bin" / name
        program.write_text(f"#!/bin/sh\n{NOTES}", encoding="utf-8")
        program.chmod(0o755)
    return checkout


def set_up(
    verb: str, checkout: Path, tmp_path: Path, machine: str
) -> subprocess.CompletedProcess[str]:
    needs = [name for name in SHELL_NEEDS if name != "uname"]
    stubs = {"dbus_daemon": "exit 1", "uname": f"echo {machine}"}
    path = tools(tmp_path / "bin", *needs, "id", "sed", "grep", **stubs)
    return dev(verb, script=checkout / "packaging/dev", PATH=path)


@pytest.mark.parametrize("machine", ["x86_64", "riscv64"])
@pytest.mark.parametrize("verb", ["demo", "check"])
def test_what_is_fetched_has_a_hash_where_there_is_one(
    verb: str, machine: str, stale: Path, tmp_path: Path
) -> None:
    run = set_up(verb, stale, tmp_path, machine)
    assert run.returncode == 0, run.stderr
    assert ("no hashes of wheels for riscv64" in run.stderr) == (machine == "riscv64")
    fetched, built = (stale / ".venv/bin/python.log").read_text().splitlines()
    assert fetched.endswith(f"--requirement {stale}/.venv/pins.txt")
    assert built.endswith(f"--no-deps --no-build-isolation --no-index --editable {stale}")
    found = pins((stale / ".venv/pins.txt").read_text(encoding="utf-8"))
    assert {"dbus-fast", "desktop-notifier", "hatchling", "pluggy"} <= found.keys()
    assert ("pytest" in found) == (verb == "check")
    assert {bool(hashes) for _, hashes in found.values()} == {machine == "x86_64"}


@pytest.mark.parametrize(
    ("pip", "last", "shown"),
    [
        (UNREACHED, "the package index was not reached. Is there a network?", False),
        (CONTRADICTED, "pip failed", True),
    ],
)
def test_without_a_network_nothing_is_said_of_versions(
    pip: str, last: str, shown: bool, stale: Path, tmp_path: Path
) -> None:
    (stale / ".venv/bin/python.says").write_text(pip, encoding="utf-8")
    run = set_up("demo", stale, tmp_path, "x86_64")
    assert run.returncode == 1
    assert run.stderr.endswith(f"\npackaging/dev: {last}\n")
    assert (pip.splitlines()[-1] in run.stderr) == shown


def pins(text: str) -> dict[str, tuple[str, list[str]]]:
    """Return the version and hashes of each distribution in a constraints file."""
    lines = text.replace("\\\n", "").splitlines()
    found = (re.match(r"([\w.-]+)==(\S+)(.*)", line) for line in lines)
    return {
        canonicalize_name(m[1]): (m[2], re.findall(r"--hash=sha256:([0-9a-f]{64})\b", m[3]))
        for m in found
        if m
    }


def needs(name: str, extras: frozenset[str], found: dict[str, str]) -> dict[str, str]:
    """Return a distribution's dependencies, direct or not, with the installed version of each.

    They are added to ``found``.
    """
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
    pinned = pins((TOP / "packaging/constraints.txt").read_text(encoding="utf-8"))
    assert {"dbus-fast", "desktop-notifier", "pytest", "mypy"} <= found.keys()
    assert found == {name: pinned.get(name, ("nothing",))[0] for name in found}
    assert {name for name, (_, hashes) in pinned.items() if not hashes} == set()


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
