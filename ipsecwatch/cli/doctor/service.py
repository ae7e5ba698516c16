# SPDX-License-Identifier: MIT
"""The doctor's checks of the machine: libreswan, the service, the system bus, and the logs.

Each check is about one thing. If a thing that a check needs is faulty, the check returns no
finding, because another check reports that fault. So one fault gives one ✗.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Final

from ipsecwatch import __version__, client, config
from ipsecwatch.cli import check_config
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.doctor.finding import Finding, bad, good, off
from ipsecwatch.cli.doctor.machine import ASKING, in_thread
from ipsecwatch.dbus.errors import BusError
from ipsecwatch.dbus.names import NAME
from ipsecwatch.pluto import whack
from ipsecwatch.pluto.query import AskError, PlutoClient
from ipsecwatch.reasons import LOG_TEXTS
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from pathlib import Path

    from ipsecwatch.cli.doctor.machine import Machine, Unit

POLICY: Final = f"{NAME}.conf"
POLKIT: Final = "org.freedesktop.PolicyKit1"
QUIET: Final = 180.0
"""While the service says that pluto is running, its last answer from pluto may be this many seconds
old, or three times its polling interval if that is more. An older one is a fault."""


async def libreswan(machine: Machine) -> list[Finding]:
    """Return a finding on whether libreswan is installed, and whether pluto runs.

    If the service says that pluto is running, that is believed. Otherwise, pluto itself is asked if
    the user is root; other users see only the state of pluto's systemd unit.
    """
    seen = await _snapshot(machine)
    settings = await machine.settings()
    subject = "libreswan"
    if seen is not None and seen.pluto_state is PlutoState.RUNNING:
        return [good(subject, f"runs: {clean(seen.pluto_version or 'version not known')}")]
    unit = await _unit(machine, settings.unit)
    found = await in_thread(lambda: whack.find(settings.whack))
    if not found and (unit is None or not unit.installed):
        return [bad(subject, "isn't installed", "apt install libreswan, or dnf install libreswan")]
    if machine.root:
        return [await _asked(settings)]
    return [_by_unit(subject, settings.unit, unit)]


async def _asked(settings: config.Settings) -> Finding:
    """Ask pluto itself, and return a finding on whether it answers. Only root can use this."""
    asker = PlutoClient(settings.control_socket, whack=settings.whack, timeout=ASKING)
    try:
        await asker.ask()
    except AskError as e:
        return bad("libreswan", clean(str(e)), e.hint or "systemctl status ipsec")
    finally:
        await asker.close()
    return good("libreswan", "runs and answers")


def _by_unit(subject: str, name: str, unit: Unit | None) -> Finding:
    """Return a finding on whether pluto's systemd unit ``name`` is active.

    ``unit`` None: systemd couldn't be asked. The finding is OFF then.
    """
    if unit is None:
        return off(subject, "only root, or the service, can see whether it runs")
    if unit.active == "active":
        return good(subject, f"its unit {name} is active")
    return bad(subject, f"its unit {name} is {unit.active}", f"systemctl start {name}")


async def control_socket(machine: Machine) -> list[Finding]:
    """Return a finding on whether pluto's control socket is where the settings say.

    It is good if this user may not look there, as that is usual. Return no finding if there is no
    socket, and pluto's unit isn't active either, or its state isn't known.
    """
    settings = await machine.settings()
    subject, path = "control socket", settings.control_socket
    try:
        mode = (await in_thread(lambda: os.stat(path))).st_mode
    except PermissionError:
        return [good(subject, f"{path} can be used by root only, as it should be")]
    except OSError as e:
        unit = await _unit(machine, settings.unit)
        if unit is None or unit.active != "active":
            return []
        mend = "ss -xl | grep pluto.ctl, and write its path into control_socket of the settings"
        return [bad(subject, f"{path}: {e.strerror}, though libreswan runs", mend)]
    if not stat.S_ISSOCK(mode):
        return [bad(subject, f"{path} isn't a socket", f"rm {path}; systemctl restart ipsec")]
    return [good(subject, path)]


async def rights(machine: Machine) -> list[Finding]:
    """Return a finding on whether this user may see the details of tunnels, such as addresses.

    If the service doesn't answer, the finding says that pluto itself answers only root. Return no
    finding if the service answers, but asking for details fails for another reason than rights.
    """
    subject = "rights"
    if machine.root:
        return [good(subject, "you are root: you can see all details, and ask pluto itself")]
    seen = await _snapshot(machine)
    if seen is None:
        return [off(subject, "you aren't root, and pluto itself answers only root")]
    try:
        await client.details(
            [v.name for v in seen.tunnels.values()][:1], within=ASKING, instance=machine.instance
        )
    except client.NotAllowedError:
        text = "you can see states and reasons; for addresses and identities you must be root"
        return [off(subject, text, "sudo ipsecwatch status NAME")]
    except client.ClientError:
        return []
    return [good(subject, "you may see all details")]


async def system_bus(machine: Machine) -> list[Finding]:
    """Return a finding on whether the system bus can be reached."""
    try:
        await machine.bus("system")
    except BusError as e:
        given = "DBUS_SYSTEM_BUS_ADDRESS" in os.environ
        mend = "unset DBUS_SYSTEM_BUS_ADDRESS" if given else "systemctl start dbus.socket dbus"
        return [bad("system bus", clean(str(e)), mend)]
    return [good("system bus", "can be reached")]


async def service(machine: Machine) -> list[Finding]:
    """Return findings on whether the service's unit is installed, runs, and starts at boot.

    A service that runs without a unit is good, too. Return no finding if systemd can't be asked.
    """
    unit = await _unit(machine, machine.service)
    if unit is None:
        return []
    subject = "service"
    if not unit.installed:
        if await machine.owner(machine.name):
            return [good(subject, f"runs, not as {machine.service}")]
        mend = "apt install ipsecwatch, or dnf install ipsecwatch"
        return [bad(subject, f"{machine.service} isn't installed", mend)]
    if unit.load == "masked":
        mend = f"systemctl unmask {machine.unit_name}; systemctl enable --now {machine.unit_name}"
        return [bad(subject, f"{machine.service} is masked", mend)]
    if unit.active in ("active", "reloading"):
        found = [good(subject, f"{machine.service} is {unit.active}")]
        if unit.enabled not in ("enabled", "enabled-runtime", "static"):
            text = "won't be started at the next boot"
            found.append(off(subject, text, f"systemctl enable {machine.unit_name}"))
        return found
    return [_not_running(machine, unit)]


def _not_running(machine: Machine, unit: Unit) -> Finding:
    """Return a bad finding that the service's unit was not started, or in which state it is."""
    if unit.active == "inactive":
        mend = f"systemctl enable --now {machine.unit_name}"
        return bad("service", f"{machine.service} isn't started", mend)
    why = f": {unit.result}" if unit.result not in ("", "success") else ""
    mend = f"journalctl -u {machine.unit_name} -n 20"
    return bad("service", f"{machine.service} is {unit.active}{why}", mend)


async def bus_name(machine: Machine) -> list[Finding]:
    """Return a finding on whether a program of root's owns the service's bus name.

    Return no finding if the bus can't be reached, or if nobody owns the name and the service's unit
    isn't active: other checks report these faults.
    """
    subject = "bus name"
    try:
        owner = await machine.owner(machine.name)
    except BusError:
        return []
    if owner is None:
        unit = await _unit(machine, machine.service)
        if unit is None or unit.active == "active":
            mend = f"systemctl restart {machine.unit_name}"
            return [bad(subject, f"no program has the name {machine.name}", mend)]
        return []  # reported by service()
    bus = await machine.bus("system")
    uid = (await bus.call_bus("GetConnectionUnixUser", "s", owner)).body[0]
    if uid != 0:
        text = f"{machine.name} belongs to user {uid}, and not to root"
        return [bad(subject, text, f"busctl status {machine.name}")]
    return [good(subject, f"{machine.name} belongs to root")]


async def bus_policy(machine: Machine) -> list[Finding]:
    """Return a finding on whether the bus policy lets this user call the service.

    If the service doesn't answer, the finding is on whether the policy's file exists: without it,
    the service can't get its bus name.
    """
    subject, places = "bus policy", machine.places.policies
    try:
        await machine.snapshot()
    except client.NotAllowedError as e:
        mend = (
            "ask the administrator: /etc/dbus-1/system.d may let only some groups ask the service"
        )
        return [bad(subject, f"you may not ask the service: {e}", mend)]
    except client.ClientError:
        if not await in_thread(lambda: any((place / POLICY).exists() for place in places)):
            text = f"{POLICY} is missing in {places[0]}, so the service can't have its name"
            return [bad(subject, text, "apt reinstall ipsecwatch; systemctl reload dbus")]
        return [good(subject, f"{POLICY} exists")]
    return [good(subject, "you may ask the service")]


async def answers(machine: Machine) -> list[Finding]:
    """Return a finding on whether the service answers, with the number of tunnels in each state.

    While pluto runs, it is BAD if pluto's last answer to the service is too old (QUIET), or if no
    tunnel is loaded. Return no finding if another check reports why the service doesn't answer.
    """
    subject = "answers"
    try:
        owner = await machine.owner(machine.name)
        seen = await machine.snapshot()
    except client.NotAllowedError:
        return []  # reported by bus_policy()
    except client.ClientError as e:
        return [bad(subject, str(e), f"systemctl status {machine.unit_name}")] if owner else []
    except BusError:
        return []
    age = time.time() - seen.last_poll if seen.last_poll else 0.0
    quiet = max(QUIET, 3 * (await machine.settings()).interval)
    if seen.pluto_state is PlutoState.RUNNING and age > quiet:
        text = f"the service's last answer from pluto is {terminal.ago(age)} old"
        return [bad(subject, text, f"systemctl restart {machine.unit_name}")]
    if not seen.tunnels and seen.pluto_state is PlutoState.RUNNING:
        text = "libreswan has loaded no connection"
        return [
            bad(subject, text, "ipsec auto --add NAME, or write auto=add into /etc/ipsec.d/*.conf")
        ]
    rows = [terminal.Row.of_view(view) for view in seen.tunnels.values()]
    return [good(subject, terminal.count(rows) if rows else "no tunnels")]


async def versions(machine: Machine) -> list[Finding]:
    """Return findings on whether service and pluto run in the versions that are installed.

    There is one bad finding for each that must be restarted after an upgrade. If the service
    doesn't answer, return a good one with the version of this command.
    """
    seen = await _snapshot(machine)
    if seen is None:
        return [good("versions", f"this is ipsecwatch {__version__}")]
    found = []
    runs = seen.version
    if runs not in ("", __version__):
        text = f"the service is {clean(runs)}, and this command {__version__}"
        found.append(bad("versions", text, f"systemctl restart {machine.unit_name}"))
    settings = await machine.settings()
    installed, pluto = await _whack_versions(settings.whack), seen.pluto_version
    if installed and pluto and pluto not in installed:
        told = clean(" and ".join(sorted(installed)))
        text = f"libreswan {clean(pluto)} runs, and {told} is installed"
        found.append(bad("versions", text, "systemctl restart ipsec"))
    return found or [good("versions", f"ipsecwatch {__version__}, here and in the service")]


async def _whack_versions(configured: str) -> set[str]:
    """Return the versions of all whack programs on this machine. ``configured``: a path, or "".

    They are asked one after another, for half of ASKING in all. A program that hasn't told its
    version by then is left out.
    """
    versions = whack.Versions()
    deadline = time.monotonic() + ASKING / 2  # asyncio uses the same clock
    paths = await in_thread(lambda: whack.find(configured))
    told = [await versions.of(path, deadline) for path in paths]
    return {version for version in told if version}


async def settings_files(machine: Machine) -> list[Finding]:
    """Return findings on the settings files of the service and of this user's agent.

    There is one for each mistake and each file without mistakes, and one if an instance lacks its
    file. A file that this user may not read is OFF. Without any files, one finding says so.
    """
    places = machine.places
    checked = await in_thread(
        lambda: check_config.check(places.service_settings, places.agent_settings)
    )
    found = []
    if machine.instance and not any(f.present for f in checked if f.file != places.agent_settings):
        name = clean(str(places.service_settings))
        text = f"there is no {name}, and without it the service doesn't start"
        found.append(bad("settings", text, f"sudoedit {name}"))
    for file in checked:
        for problem in file.problems:
            if isinstance(problem, config.UnreadableError):
                found.append(off("settings", clean(str(problem), 500)))
            else:
                editor = "$EDITOR" if file.file == places.agent_settings else "sudoedit"
                mend = f"{editor} {clean(str(file.file))}"
                found.append(bad("settings", clean(str(problem), 500), mend))
        if file.present and not file.problems:
            found.append(good("settings", f"{clean(str(file.file))} can be used"))
    return found or [good("settings", "there are no settings files: every setting has its default")]


async def pluto_log(machine: Machine) -> list[Finding]:
    """Return a finding on whether the service can read pluto's log, and where it reads it.

    Return no finding if the service doesn't answer or doesn't say, or if pluto isn't running.
    """
    seen = await _snapshot(machine)
    if seen is None or seen.log is None or seen.pluto_state is not PlutoState.RUNNING:
        return []
    text, mend = LOG_TEXTS[seen.log], _LOG_MENDS.get(seen.log)
    return [bad("pluto's log", text, mend) if mend else good("pluto's log", text)]


_LOG_MENDS: Final = {
    LogState.NONE: "grep logfile= /etc/ipsec.conf /etc/ipsec.d/*.conf, and write that path into "
    "log_file of the settings; or remove logfile= there",
    LogState.CUT: "systemctl edit ipsec, and write LogRateLimitIntervalSec=0 below [Service]",
}


async def lines(machine: Machine) -> list[Finding]:
    """Return findings on whether pluto's last answer was complete, and its lines were recognised.

    Return no finding if the service doesn't answer, or if pluto isn't running.
    """
    seen = await _snapshot(machine)
    if seen is None or seen.pluto_state is not PlutoState.RUNNING:
        return []
    found = []
    report = "ipsec whack --status | ipsecwatch redact - FILE, then report it with FILE"
    if not seen.complete:
        found.append(
            bad("lines", "pluto's last answer was incomplete, or contradicted itself", report)
        )
    if seen.unrecognised:
        what = "1 line" if seen.unrecognised == 1 else f"{seen.unrecognised} lines"
        found.append(bad("lines", f"not recognised in pluto's last answer: {what}", report))
    return found or [good("lines", "all of pluto's last answer was recognised")]


async def journal(machine: Machine) -> list[Finding]:
    """Return findings on whether journald runs, and this user may read the journal.

    If the user may, another finding says if the journal is lost at a reboot.
    """
    return await in_thread(lambda: _journal(machine))


def _journal(machine: Machine) -> list[Finding]:
    """Return the findings of journal(). Runs in a thread, as reading folders may block."""
    subject, places = "journal", machine.places
    if not places.journal.exists():
        text = "journald doesn't run, so there will be no history"
        return [bad(subject, text, "systemctl start systemd-journald")]
    files = [f for place in (places.kept, places.volatile) for f in _journal_files(place)]
    if not any(os.access(file, os.R_OK) for file in files):
        text = "you may not read it, so ipsecwatch history can't"
        return [off(subject, text, "sudo usermod -aG systemd-journal $USER, then log in again")]
    found = [good(subject, "you may read it")]
    if not _journal_files(places.kept):
        mend = "mkdir -p /var/log/journal; journalctl --flush"
        found.append(off(subject, "it is lost at a reboot", mend))
    return found


def _journal_files(place: Path) -> list[Path]:
    try:
        return list(place.glob("*/system.journal"))
    except OSError:
        return []


async def kernel_events(machine: Machine) -> list[Finding]:
    """Return a finding on whether the service receives the kernel's XFRM events.

    It receives them if its unit doesn't run in a network namespace of its own. Return no finding if
    the unit isn't active, or its state isn't known.
    """
    unit = await _unit(machine, machine.service)
    if unit is None or unit.active != "active" or unit.private_network is None:
        return []
    if not unit.private_network:
        return [good("kernel events", "the service receives XFRM events")]
    where, drop_in = "", str(machine.places.packaged / "xfrm.conf")
    if not await in_thread(lambda: os.path.exists(drop_in)):
        where, drop_in = "in a checkout: ", "systemd/xfrm.conf"  # it was installed from source
    folder = f"/etc/systemd/system/{machine.service}.d"
    mend = (
        f"{where}mkdir -p {folder}; cp {drop_in} {folder}; "
        f"systemctl daemon-reload; systemctl restart {machine.unit_name}"
    )
    return [off("kernel events", "not received: the service uses the log and polls instead", mend)]


async def polkit(machine: Machine) -> list[Finding]:
    """Return a finding on whether polkit runs, or is started when it is called.

    polkit decides which users except root may see details. Return no finding if the bus can't be
    reached.
    """
    try:
        there = await machine.owner(POLKIT) or await machine.starts(POLKIT)
    except BusError:
        return []
    if there:
        return [good("polkit", "decides who may see addresses and identities")]
    text = "isn't installed: only root may see addresses and identities"
    return [off("polkit", text, "apt install polkitd, or dnf install polkit")]


async def _snapshot(machine: Machine) -> client.Snapshot | None:
    """Return the service's Snapshot; None if it doesn't answer, or may not be asked."""
    try:
        return await machine.snapshot()
    except client.ClientError:
        return None


async def _unit(machine: Machine, name: str) -> Unit | None:
    """Return the state of a unit of the system's systemd; None if systemd can't be asked."""
    try:
        return await machine.unit(name)
    except BusError:
        return None


CHECKS: Final = (
    libreswan, control_socket, system_bus, service, bus_name, bus_policy, answers, rights, versions,
    settings_files, pluto_log, lines, journal, kernel_events, polkit,
)  # fmt: skip
