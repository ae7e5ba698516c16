# SPDX-License-Identifier: MIT
"""The recipe for subscribers in docs/dbus.md, with GLib (gi), as desktop programs use it."""

from __future__ import annotations

import json
import random

from gi.repository import Gio, GLib

NAME, ROOT = "org.ipsecwatch1", "/org/ipsecwatch1"
MANAGER, TUNNEL = f"{NAME}.Manager", f"{NAME}.Tunnel"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"


class Subscriber:
    """Follows the service, and prints the states of all tunnels at each signal."""

    def __init__(self) -> None:
        self.bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
        self.owner = ""
        self.serial: int | None = None
        self.paths: dict[str, str] = {}
        self.states: dict[str, str] = {}
        for interface in (MANAGER, OBJECT_MANAGER):
            self.bus.signal_subscribe(
                NAME, interface, None, ROOT, None, Gio.DBusSignalFlags.NONE, self.heard
            )
        Gio.bus_watch_name_on_connection(
            self.bus, NAME, Gio.BusNameWatcherFlags.NONE, self.appeared, self.vanished
        )

    def appeared(self, _bus: object, _name: str, owner: str) -> None:
        self.owner = owner
        self.look()

    def vanished(self, _bus: object, _name: str) -> None:
        self.owner, self.serial = "", None
        print(json.dumps(None), flush=True)

    def look(self) -> bool:
        """Ask for a snapshot. Return False, so that a timer doesn't call it again."""
        self.serial = None
        self.bus.call(
            NAME, ROOT, MANAGER, "GetSnapshot", None, GLib.VariantType("(sta{oa{sv}})"),
            Gio.DBusCallFlags.NO_AUTO_START, -1, None, self.looked,
        )  # fmt: skip
        return False

    def looked(self, bus: Gio.DBusConnection, result: Gio.AsyncResult) -> None:
        """Record the answer to GetSnapshot, and print the states.

        If the service refused because of too many calls, ask again after some seconds.
        """
        try:
            _, self.serial, found = bus.call_finish(result).unpack()
        except GLib.Error as error:
            if "LimitsExceeded" in str(error):
                GLib.timeout_add(int(random.uniform(1000, 5000)), self.look)
            return  # after other errors, appeared() is called when the name has an owner again
        self.paths = {path: p["Name"] for path, p in found.items()}
        self.states = {p["Name"]: p["State"] for p in found.values()}
        print(json.dumps(self.states), flush=True)

    def heard(
        self,
        _bus: Gio.DBusConnection,
        sender: str,
        _path: str,
        _interface: str,
        member: str,
        parameters: GLib.Variant,
    ) -> None:
        """Record a signal of the service, and print the states.

        If a signal is missing, ask for a snapshot instead.
        """
        if sender != self.owner or self.serial is None:
            return  # the snapshot that was asked for will have it
        body = parameters.unpack()
        if member == "TunnelStateChanged":
            if body[5] > self.serial + 1:
                self.look()
                return
            if body[5] == self.serial + 1:
                self.serial += 1
                self.states[body[1]] = body[3]
        elif member == "InterfacesAdded" and TUNNEL in body[1]:
            added = body[1][TUNNEL]
            self.paths[body[0]] = added["Name"]
            self.states.setdefault(added["Name"], added["State"])
        elif member == "InterfacesRemoved":
            self.states.pop(self.paths.pop(body[0], ""), None)
        print(json.dumps(self.states), flush=True)


subscriber = Subscriber()
GLib.MainLoop().run()
