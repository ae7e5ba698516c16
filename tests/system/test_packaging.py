# SPDX-License-Identifier: MIT
"""Tests of the packages: they agree with the code and each other, and do no harm to a system."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import __version__
from ipsecwatch.cli.explain import own_words
from ipsecwatch.config import Settings, load_service
from ipsecwatch.history.message_ids import UP
from ipsecwatch.tunnel import TunnelState
from tests.support.bus_service import serving
from tests.support.container import UnbootableError
from tests.support.machine import Machine
from tests.support.packages import build
from tests.support.paths import TOP
from tests.support.tunnels import tunnel
from tests.system.test_units import needs_analyze

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.dbus_daemon import PrivateBus

PACKAGING = TOP / "packaging"
DEBIAN = PACKAGING / "debian"
SPEC = PACKAGING / "rpm/ipsecwatch.spec"
METAINFO = "org.ipsecwatch.agent.metainfo.xml"
PRIVATE = "/usr/share/ipsecwatch/python"
EXAMPLES = "/usr/share/doc/ipsecwatch/examples"
TARGET = """
[Unit]
Requires=basic.target dbus.socket
After=basic.target dbus.socket
"""


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def run(*argv: str | Path, **env: str) -> str:
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **env},
    )  # fmt: skip
    assert done.returncode == 0, f"{argv}: {done.stdout}"
    return done.stdout


# --- The sources of the packages ------------------------------------------------------------


def test_every_package_has_the_programs_version() -> None:
    assert read(DEBIAN / "changelog").startswith(f"ipsecwatch ({__version__}) ")
    assert re.search(rf"^Version: +{re.escape(__version__)}$", read(SPEC), re.MULTILINE)
    assert f"- {__version__}-1\n" in read(SPEC)


def test_a_notification_server_is_recommended_and_not_a_desktop() -> None:
    # A server without a desktop would get the first alternative. GNOME would be 1,000 packages.
    recommended = re.findall(r"^Recommends: (.+)$", read(DEBIAN / "control"), re.MULTILINE)
    assert recommended == ["notification-daemon"]


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==([\w.]+)", read(path), re.MULTILINE))


def test_the_libraries_that_come_along_are_the_tested_ones_and_are_all_named() -> None:
    vendored, tested = pins(PACKAGING / "vendor.txt"), pins(PACKAGING / "constraints.txt")
    assert vendored == {name: tested[name] for name in vendored}
    for name, version in vendored.items():
        assert f"bundled(python3dist({name})) = {version}\n" in read(SPEC)
        assert f"vendor/{name.replace('-', '_')}/*\n" in read(DEBIAN / "copyright")


def test_the_settings_file_names_every_setting_with_its_default(tmp_path: Path) -> None:
    text = read(PACKAGING / "ipsecwatch.toml")
    assert tomllib.loads(text) == {}
    active = tmp_path / "ipsecwatch.toml"
    active.write_text(re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE), encoding="utf-8")
    assert load_service(active) == Settings()
    assert tomllib.loads(read(active)).keys() == {f.name for f in fields(Settings)}


def test_notifications_find_a_name_and_an_icon_under_the_agents_name() -> None:
    pytest.importorskip("desktop_notifier", reason="the extra agent isn't installed")
    from ipsecwatch.agent.desktop import DESKTOP_ENTRY
    from ipsecwatch.agent.texts import APP_NAME

    entry = read(PACKAGING / f"{DESKTOP_ENTRY}.desktop")
    assert f"\nIcon={DESKTOP_ENTRY}\n" in entry
    assert f"\nName={APP_NAME}\n" in entry
    for icon in ("", "-symbolic"):
        ET.parse(PACKAGING / f"icons/{DESKTOP_ENTRY}{icon}.svg")
    if shutil.which("desktop-file-validate"):
        for file in (f"{DESKTOP_ENTRY}.desktop", "autostart.desktop"):
            assert run("desktop-file-validate", PACKAGING / file) == ""


def test_where_systemd_starts_the_agent_the_autostart_file_does_not() -> None:
    entry = read(PACKAGING / "autostart.desktop")
    assert "\nX-systemd-skip=true\n" in entry
    assert "\nExec=ipsecwatch agent\n" in entry


@pytest.mark.skipif(not shutil.which("appstreamcli"), reason="appstreamcli isn't installed")
def test_the_metainfo_is_valid() -> None:
    done = subprocess.run(
        ["appstreamcli", "validate", "--no-net", PACKAGING / METAINFO],
        capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert "Validation" in done.stdout, done.stderr
    # There is no homepage. AppStream 1.0 (Debian 13) warns of that; 0.16 (Debian 12) doesn't know
    # it, and takes no --override of it.
    faults = re.findall(r"^[EW]: .*", done.stdout, re.MULTILINE)
    assert [fault for fault in faults if not fault.endswith(": url-homepage-missing")] == []


@needs_analyze
def test_with_xfrm_events_the_service_is_exposed_to_1_7_of_10_at_most(tmp_path: Path) -> None:
    unit = tmp_path / "ipsecwatch.service"
    shutil.copy(TOP / "systemd" / unit.name, unit)
    drop_ins = unit.with_name(unit.name + ".d")
    drop_ins.mkdir()
    shutil.copy(TOP / "systemd/xfrm.conf", drop_ins)
    said = run("systemd-analyze", "--no-pager", "security", "--offline=true", unit)
    level = re.search(r"exposure level for ipsecwatch\.service: ([0-9.]+)", said)
    assert level, said
    assert 1.0 < float(level[1]) <= 1.7, said  # lower: the drop-in was ignored


# --- The packages themselves ----------------------------------------------------------------


@pytest.fixture(scope="module")
def rpms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return build(tmp_path_factory.mktemp("rpm"), "rpm/build", "*.noarch.rpm", "rpmbuild")


@pytest.mark.slow
@pytest.mark.parametrize("release", ["8", "9"])
def test_an_rpm_for_an_el_whose_python_is_too_old_is_the_same_but_for_that(
    release: str, rpms: dict[str, Path], tmp_path: Path
) -> None:
    if shutil.which("cpio") is None:
        pytest.skip("cpio isn't installed")
    python = "python3.12"
    [source] = rpms["ipsecwatch"].parent.glob("*.src.rpm")
    options = {
        "_topdir": str(tmp_path), "rhel": release, "dist": f".el{release}",
        "build_python": "/usr/bin/python3",
    }  # fmt: skip
    defined = [f"--define={key} {value}" for key, value in options.items()]
    run("rpmbuild", "--rebuild", "--nodeps", "--nocheck", *defined, source)
    made = {path.name.rpartition("-0")[0]: path for path in tmp_path.glob("RPMS/noarch/*.rpm")}
    assert made.keys() == rpms.keys()
    ask = ("rpm", "--query", "--package")
    for package, rpm in made.items():
        assert rpm.name.endswith(f".el{release}.noarch.rpm")
        assert own_files(run(*ask, "--list", rpm)) == own_files(run(*ask, "--list", rpms[package]))
        assert set(re.findall(r"\S*python.*", run(*ask, "--requires", rpm))) <= {
            f"/usr/bin/{python}"
        }
    needed = run(*ask, "--requires", made["ipsecwatch"]).splitlines()
    assert {f"/usr/bin/{python}", "(systemd-libs or libsystemd0)"} <= set(needed)
    assert "python3-systemd" in run(*ask, "--requires", rpms["ipsecwatch"]).splitlines()
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    run("sh", "-c", f"cd {unpacked} && rpm2cpio {made['ipsecwatch']} | cpio --quiet -id")
    examples = [p for p in unpacked.glob("usr/share/doc/**/examples/**/*") if p.is_file()]
    first = [read(script).partition("\n")[0] for script in examples]
    assert {line for line in first if "python" in line} == {f"#!/usr/bin/{python}"}
    launcher = read(unpacked / "usr/bin/ipsecwatch")
    assert launcher.startswith(f"#!/usr/bin/{python} -IB\n")


def own_files(listed: str) -> set[str]:
    """Return the paths without the release in the name of the documentation's folder.

    On Debian, rpm adds it.
    """
    return {re.sub(r"(?<=/ipsecwatch)-[\d.]+-?\w*(\.\w+)?", "", p) for p in listed.split()}


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ("python3.99", "there is no /usr/bin/python3.99. Install it, or unset PYTHON"),
        ("/usr/bin/true", "/usr/bin/true isn't a Python of 3.11 or newer. Name another one"),
    ],
)
@pytest.mark.parametrize("script", ["deb", "rpm/build"])
def test_a_python_that_is_not_there_ends_the_build_with_a_line_and_a_hint(
    script: str, python: str, says: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        ["sh", PACKAGING / script, tmp_path / "out"],
        capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "PYTHON": python},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert says in line


def apart(
    *argv: str | Path, hide: tuple[str, ...] = (), **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a program without network; files and folders in ``hide`` are hidden from it.

    Skip the test if no namespaces can be made.
    """
    mounts = "".join(
        f"mount {'-t tmpfs none' if os.path.isdir(path) else '--bind /dev/null'} {path}; "
        for path in hide
        if os.path.exists(path)
    )
    done = subprocess.run(
        ["unshare", "--mount", "--net", "sh", "-c", f'set -e; {mounts}exec "$@"', "sh", *argv],
        capture_output=True, text=True, check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **env},
    )  # fmt: skip
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    return done


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A checkout with those files that packaging/source reads before it downloads anything."""
    top = tmp_path / "checkout"
    scripts = ("source", "deb", "interpreter", "vendor.txt", "rpm/build")
    for part in ("ipsecwatch/__init__.py", *(f"packaging/{name}" for name in scripts)):
        (top / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / part, top / part)
    return top


@pytest.mark.parametrize(
    ("script", "hide", "says"),
    [
        ("deb", "/usr/bin/dpkg-buildpackage", "no dpkg-buildpackage. Install build-essential"),
        ("deb", "/usr/bin/dh", "no dh. Install build-essential, debhelper"),
        ("rpm/build", "/usr/bin/rpmbuild", "no rpmbuild. Install rpm-build"),
        ("source", "/usr/lib/python3/dist-packages/pip", "no pip. Install python3-pip"),
    ],
)
def test_what_a_build_lacks_is_told_before_anything_is_fetched(
    script: str, hide: str, says: str, sources: Path, tmp_path: Path
) -> None:
    if says.startswith("no dh.") and not os.path.exists("/usr/bin/dpkg-buildpackage"):
        pytest.skip("dpkg-buildpackage isn't installed")
    done = apart("sh", sources / "packaging" / script, tmp_path / "out", hide=(hide,))
    assert (done.returncode != 0, done.stdout) == (True, "")
    [line] = done.stderr.splitlines()
    assert says in line


def test_without_a_network_a_build_says_nothing_of_versions(sources: Path, tmp_path: Path) -> None:
    done = apart(
        "sh", sources / "packaging/source", tmp_path / "out",
        PYTHON=sys.executable, PIP_RETRIES="1", PIP_CONFIG_FILE=os.devnull, PIP_NO_CACHE_DIR="1",
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.endswith("libraries. Is there a way to the package index?\n")
    assert "No matching distribution" not in done.stderr


def test_a_wheel_that_merely_lies_there_gets_into_no_package(sources: Path, tmp_path: Path) -> None:
    """A fake pip downloads one wheel only, since the real libraries may not be available."""
    for part in (
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "pyproject.toml",
    ):
        (sources / part).touch()
    for part in ("docs", "systemd", "tests"):
        (sources / part).mkdir()
    kept = sources / "build/wheels"
    kept.mkdir(parents=True)
    wheel(kept / "planted-1.0-py3-none-any.whl", "planted")
    wheel(tmp_path / "wanted-1.0-py3-none-any.whl", "wanted")
    python = tmp_path / "python"
    python.write_text(
        f"""#!/bin/sh
case "$*" in
    *zipfile*) exec {sys.executable} "$@" ;;
    *download*) while [ "$1" != --dest ]; do shift; done; cp {tmp_path}/*.whl "$2" ;;
esac
""",
        encoding="utf-8",
    )
    python.chmod(0o755)
    tree = run("sh", sources / "packaging/source", tmp_path / "out", PYTHON=str(python)).strip()
    assert os.listdir(f"{tree}/vendor") == ["wanted"]
    assert sorted(path.name.partition("-")[0] for path in kept.iterdir()) == ["planted", "wanted"]


def wheel(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "")
        archive.writestr(f"{name}-1.0.dist-info/licenses/LICENSE", "")


@pytest.mark.slow
def test_lintian_finds_nothing(debs: dict[str, Path]) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian isn't installed")
    [changes] = debs["ipsecwatch"].parent.glob("*.changes")
    said = run("lintian", "--allow-root", "--fail-on=error", changes)
    # Debian 13's also asks appstreamcli (see the test of the metainfo). An override of that would
    # be an error to Debian 12's.
    faults = re.findall(r"^[EW]: .*", said, re.MULTILINE)
    assert [fault for fault in faults if "appstream-metadata-validation-failed" not in fault] == []


@pytest.mark.slow
def test_rpmlint_finds_no_error(rpms: dict[str, Path]) -> None:
    if shutil.which("rpmlint") is None:
        pytest.skip("rpmlint isn't installed")
    done = subprocess.run(
        ["rpmlint", "-r", PACKAGING / "rpm/rpmlintrc", *rpms.values(), SPEC],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # What 2.4 of Debian 12 finds and 2.7 of Debian 13 doesn't, or the other way round, is filtered
    # for both.
    errors = re.findall(r".*: E: (?!unused-rpmlintrc-filter).*", done.stdout)
    assert not errors, done.stdout + done.stderr
    assert " 2 packages and 1 specfiles checked" in done.stdout


def comparable(paths: list[str]) -> set[str]:
    """Return the paths without what each distribution does in its own way.

    That is documentation, licences and compiled files. Also, Debian 12 has system units in /lib, a
    link to /usr/lib. On Debian, rpm doesn't compress manual pages, and zsh has a folder of its own
    for packages' completions.
    """
    own = re.compile("/usr/share/(doc|licenses|lintian|python3)/|__pycache__")
    paths = [re.sub("^/lib/", "/usr/lib/", p).removesuffix(".gz") for p in paths]
    paths = [p.replace("zsh/vendor-completions", "zsh/site-functions") for p in paths]
    return {p for p in paths if not own.search(p)}


@pytest.mark.slow
def test_the_packages_of_both_families_hold_the_examples(
    debs: dict[str, Path], rpms: dict[str, Path]
) -> None:
    folder = PACKAGING / "examples"
    examples = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    in_deb = re.findall(
        rf"^-rwxr-xr-x .* \.{EXAMPLES}/(\S+)$",
        run("dpkg-deb", "--contents", debs["ipsecwatch"]), re.MULTILINE,
    )  # fmt: skip
    # Where rpm is on Debian, its folders of documentation have the version in their names.
    in_rpm = re.findall(
        r"^-rwxr-xr-x .* /usr/share/doc/ipsecwatch[-.\d]*/examples/(\S+)$",
        run("rpm", "--query", "--package", "--list", "--verbose", rpms["ipsecwatch"]), re.MULTILINE,
    )  # fmt: skip
    assert set(in_deb) == set(in_rpm) == examples


@pytest.mark.slow
async def test_an_example_finds_the_libraries_of_the_package(
    debs: dict[str, Path], tmp_path: Path, system_bus: PrivateBus
) -> None:
    run("dpkg-deb", "--extract", debs["ipsecwatch"], tmp_path)
    where = str(tmp_path) + PRIVATE
    example = tmp_path / "follow.py"
    text = read(Path(f"{tmp_path}{EXAMPLES}/follow.py"))
    assert text.count(f'"{PRIVATE}"') == 1
    example.write_text(text.replace(PRIVATE, where), encoding="utf-8")
    async with serving() as service:
        await service.look(tunnel("office", TunnelState.UP))
        process = await asyncio.create_subprocess_exec(
            "/usr/bin/python3", "-IB", example, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.readline(), 20)
        process.kill()
        await process.wait()
    assert said.decode().startswith("office up")


@pytest.mark.slow
def test_the_packages_install_sentence_and_advice_of_every_reason(
    debs: dict[str, Path], tmp_path: Path
) -> None:
    run("dpkg-deb", "--extract", debs["ipsecwatch"], tmp_path)
    installed = json.loads(read(tmp_path / "usr/share/ipsecwatch/reasons.json"))
    assert installed == own_words.table()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ipsecwatch", "ipsecwatch-agent"])
def test_the_packages_of_both_families_hold_the_same_files(
    name: str, debs: dict[str, Path], rpms: dict[str, Path]
) -> None:
    in_deb = [
        line.split(maxsplit=5)[5].removeprefix(".")
        for line in run("dpkg-deb", "--contents", debs[name]).splitlines()
        if line.startswith("-")
    ]
    listed = run("rpm", "--query", "--package", "--list", "--verbose", rpms[name]).splitlines()
    in_rpm = [line.split(maxsplit=8)[8] for line in listed if line.startswith("-")]
    assert comparable(in_deb) ^ comparable(in_rpm) == set()
    assert len(comparable(in_deb)) > 20


@pytest.mark.slow
def test_the_agents_libraries_find_all_they_need(debs: dict[str, Path], tmp_path: Path) -> None:
    for deb in debs.values():
        run("dpkg-deb", "--extract", deb, tmp_path)
    # Only the distribution's standard library may be used: site-packages are for another Python.
    path = f"import sys; sys.path.insert(0, {str(tmp_path) + PRIVATE!r})"
    code = f"{path}; import ipsecwatch.agent.desktop"
    assert run("/usr/bin/python3", "-ISBc", code) == ""


# --- What they do to a system ---------------------------------------------------------------


@pytest.fixture(scope="module")
def machine(debs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    files, units = folder / "files", folder / "units"
    (files / "opt").mkdir(parents=True)
    for name, deb in debs.items():
        shutil.copy(deb, files / "opt" / f"{name}.deb")
    # In images for containers it forbids the start of services.
    policy = files / "usr/sbin/policy-rc.d"
    policy.parent.mkdir(parents=True)
    policy.write_text("#!/bin/sh\nexit 0\n")
    policy.chmod(0o755)
    units.mkdir()
    (units / "machine.target").write_text(TARGET)
    try:
        with Machine(folder / "disk", files, units, {}) as booted:
            # What is enabled is written there.
            inside(booted, "mount", "-t", "tmpfs", "units", "/etc/systemd/system")
            # The index of manual pages would be made anew each time, in some 15 s.
            inside(booted, "rm", "-f", "/var/lib/man-db/auto-update")
            yield booted
    except UnbootableError as e:
        pytest.skip(str(e))


USED = """
set -e
mkdir -p /etc/ipsecwatch/instances /run/pluto-acme
echo 'control_socket = "/run/pluto-acme/pluto.ctl"' >/etc/ipsecwatch/instances/acme.toml
printf '#!/bin/sh\n' >/etc/ipsecwatch/hooks/note
chmod +x /etc/ipsecwatch/hooks/note
systemctl enable --now ipsecwatch@acme ipsecwatch-hook@note
systemctl is-active ipsecwatch@acme ipsecwatch-hook@note
test -d /var/lib/private/ipsecwatch-hooks/note
"""


def inside(machine: Machine, *argv: str) -> str:
    done = machine.run(*argv)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def dpkg(machine: Machine, *argv: str) -> None:
    # The agent's dependencies may be missing here, and it isn't started.
    options = ("--force-unsafe-io", "--force-depends", "--force-confdef")
    inside(machine, "env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *options, *argv)


def imported(said: str) -> set[str]:
    """Return the Python files in the output of ``python3 -v``."""
    found = re.findall(r"# code object from '([^']+\.py)'|# \S+ matches (\S+\.py)", said)
    return {source or compiled for source, compiled in found}


@pytest.mark.slow
def test_a_package_is_installed_upgraded_removed_and_purged(machine: Machine) -> None:
    inside(machine, "sh", "-c", "rm -rf /etc/ipsecwatch")  # the host's, if it has one
    dpkg(machine, "--install", "/opt/ipsecwatch.deb", "/opt/ipsecwatch-agent.deb")
    assert inside(machine, "systemctl", "is-enabled", "ipsecwatch") == "enabled"
    assert inside(machine, "systemctl", "is-active", "ipsecwatch") == "active"
    assert inside(machine, "systemctl", "--global", "is-enabled", "ipsecwatch-agent") == "enabled"
    # Whether libreswan runs here or not, the service answers.
    assert '"source": "service"' in inside(machine, "ipsecwatch", "status", "--json")
    assert "is up" in inside(machine, "journalctl", "--list-catalog", UP)
    seen = machine.run("ipsecwatch", "doctor").stdout
    for subject in ("system bus", "service", "bus name", "bus policy", "versions", "journal"):
        assert f"✓ {subject}" in seen, seen
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    seen = machine.run(*user, "ipsecwatch", "doctor").stdout
    for told in ("✓ service", "✓ bus name", "✓ bus policy", "○ rights", "○ journal"):
        assert told in seen, seen

    # The service uses the libraries of its package, and no other program finds these.
    launcher = inside(machine, "head", "-n1", "/usr/bin/ipsecwatch")
    assert launcher == read(PACKAGING / "launcher").splitlines()[0] == "#!/usr/bin/python3 -IB"
    nothing = machine.run("/usr/bin/python3", "-IBv", "-c", "pass").stderr
    start = ("/usr/bin/python3", "-IBv", "/usr/bin/ipsecwatch", "daemon", "--help")
    files = imported(machine.run(*start).stderr) - imported(nothing)
    assert any(f.startswith(f"{PRIVATE}/dbus_fast/") for f in files)
    standard = re.compile(r"/usr/lib/python3\.\d+/|/usr/lib(64)?/python3.*-packages/systemd/")
    assert {f for f in files if not standard.match(f) and not f.startswith(PRIVATE)} == set()
    assert machine.run("/usr/bin/python3", "-Ic", "import ipsecwatch").returncode == 1

    # The examples run as they are, on what the package brought along, and find the service.
    for name, *arguments in ("follow.py",), ("on-down.sh", "true"):
        command = ("timeout", "3", f"{EXAMPLES}/{name}", *arguments)
        done = machine.run("env", "--chdir=/", *command)
        assert (done.returncode, done.stderr) == (124, ""), name

    inside(machine, "sh", "-c", "echo '# mine' >>/etc/ipsecwatch/ipsecwatch.toml")
    before = inside(machine, "systemctl", "show", "--value", "--property=MainPID", "ipsecwatch")
    dpkg(machine, "--install", "/opt/ipsecwatch.deb")
    after = inside(machine, "systemctl", "show", "--value", "--property=MainPID", "ipsecwatch")
    assert before != after != "0"
    assert "# mine" in inside(machine, "cat", "/etc/ipsecwatch/ipsecwatch.toml")

    inside(machine, "systemctl", "disable", "--now", "ipsecwatch")
    dpkg(machine, "--install", "/opt/ipsecwatch.deb")
    assert machine.run("systemctl", "is-active", "ipsecwatch").stdout == "inactive\n"
    inside(machine, "systemctl", "enable", "--now", "ipsecwatch")

    # An instance and a hook, as the README has them.
    inside(machine, "sh", "-c", USED)
    dpkg(machine, "--remove", "ipsecwatch-agent", "ipsecwatch")
    for unit in ("ipsecwatch", "ipsecwatch@acme", "ipsecwatch-hook@note"):
        assert machine.run("systemctl", "is-active", unit).stdout == "inactive\n", unit
    assert "# mine" in inside(machine, "cat", "/etc/ipsecwatch/ipsecwatch.toml")
    dpkg(machine, "--purge", "ipsecwatch-agent", "ipsecwatch")
    left = inside(machine, "sh", "-c", "find /etc /run /usr /var/lib -xdev -name '*ipsecwatch*'")
    assert left.split() == ["/etc/ipsecwatch"]
    left = inside(machine, "find", "/etc/ipsecwatch", "/etc/systemd/system", "!", "-type", "d")
    assert {path for path in left.split() if "ipsecwatch" in path} == {
        "/etc/ipsecwatch/instances/acme.toml",
        "/etc/ipsecwatch/hooks/note",
    }
