# SPDX-License-Identifier: MIT
"""The doctor's checks in the user's session: the agent, and the notification server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from ipsecwatch.agent.mutes import MutesError, load
from ipsecwatch.agent.session import NAME as AGENT
from ipsecwatch.cli.doctor.finding import Finding, bad, good, off
from ipsecwatch.cli.doctor.machine import ASKING, in_thread
from ipsecwatch.dbus.errors import BusError
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from ipsecwatch.cli.doctor.machine import Machine

UNIT: Final = "ipsecwatch-agent.service"
SERVER: Final = "org.freedesktop.Notifications"
_PATH: Final = "/org/freedesktop/Notifications"


async def agent(machine: Machine) -> list[Finding]:
    """Return a finding on whether the agent runs in this session.

    It is OFF if there is no session bus, or if the agent isn't installed; it is BAD if an installed
    agent doesn't run.
    """
    subject = "agent"
    try:
        if await machine.owner(AGENT, "session"):
            return [good(subject, "runs in this session")]
    except BusError:
        text = "there is no desktop session here: run this as the user, in the session"
        return [off(subject, text)]
    try:
        unit = await machine.unit(UNIT, "session")
    except BusError:
        return [bad(subject, "doesn't run in this session", "ipsecwatch agent")]
    if not unit.installed:
        return [
            off(
                subject,
                "isn't installed",
                "apt install ipsecwatch-agent, or dnf install ipsecwatch-agent",
            )
        ]
    if unit.active == "failed":
        return [bad(subject, "has failed", f"journalctl --user -u {UNIT} -n 20")]
    return [bad(subject, "doesn't run in this session", f"systemctl --user start {UNIT}")]


async def notification_server(machine: Machine) -> list[Finding]:
    """Return a finding on which program shows the desktop's notifications, and whether it answers.

    It is also good if the session bus would start such a program. Return no finding if there is no
    session bus: agent() reports this.
    """
    subject = "notifications"
    try:
        there = await machine.owner(SERVER, "session")
        if there is None and await machine.starts(SERVER, "session"):
            return [good(subject, "the notification server starts when it is needed")]
    except BusError:
        return []  # reported by agent()
    if there is None:
        text = "there is no notification server in this session"
        return [bad(subject, text, "apt install dunst, or install your desktop's own")]
    bus = await machine.bus("session")
    try:
        reply = await bus.call(SERVER, _PATH, SERVER, "GetServerInformation", within=ASKING)
    except BusError as e:
        return [bad(subject, clean(str(e)), f"busctl --user status {SERVER}")]
    name, vendor, version, _ = (clean(str(word), 60) for word in reply.body)
    return [good(subject, f"shown by {name} {version} ({vendor})")]


async def mutes(machine: Machine) -> list[Finding]:
    """Return a finding with the number of tunnels that this user has muted.

    Return no finding if no tunnel is muted. The finding is BAD if the file of mutes can't be read.
    """
    subject = "mutes"
    try:
        muted = await in_thread(lambda: load(machine.places.mutes, time.time()))
    except MutesError as e:
        return [bad(subject, clean(str(e), 400), "Remove the file if nothing else helps")]
    if not muted:
        return []
    text = "1 tunnel is muted" if len(muted) == 1 else f"{len(muted)} tunnels are muted"
    return [off(subject, text, "ipsecwatch mute")]


CHECKS: Final = (agent, notification_server, mutes)
