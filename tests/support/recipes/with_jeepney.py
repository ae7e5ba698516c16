# SPDX-License-Identifier: MIT
"""The recipe for subscribers in docs/dbus.md, with jeepney.

The program blocks while it waits. It answers no calls, not even Peer.Ping.
"""

from __future__ import annotations

import json
import random
import time
from collections import deque

from jeepney import DBusAddress, MatchRule, MessageType, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.low_level import HeaderFields, Message

NAME, ROOT = "org.ipsecwatch1", "/org/ipsecwatch1"
MANAGER, TUNNEL = f"{NAME}.Manager", f"{NAME}.Tunnel"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
RULES = (
    MatchRule(type="signal", sender="org.freedesktop.DBus", member="NameOwnerChanged"),
    MatchRule(type="signal", sender=NAME, path=ROOT, interface=MANAGER),
    MatchRule(type="signal", sender=NAME, path=ROOT, interface=OBJECT_MANAGER),
)
ANY_SIGNAL = MatchRule(type="signal")


def main() -> None:
    """Follow the service for ever, also when it restarts."""
    bus = open_dbus_connection(bus="SYSTEM")
    signals: deque[Message] = deque()
    RULES[0].add_arg_condition(0, NAME)
    with bus.filter(ANY_SIGNAL, queue=signals):
        for rule in RULES:
            bus.send_and_get_reply(message_bus.AddMatch(rule))
        while True:
            service = DBusAddress(ROOT, bus_name=NAME, interface=MANAGER)
            reply = bus.send_and_get_reply(new_method_call(service, "GetSnapshot"))
            if reply.header.message_type is MessageType.error:
                if reply.header.fields[HeaderFields.error_name].endswith("LimitsExceeded"):
                    time.sleep(random.uniform(1, 5))
                    continue
                print(json.dumps(None), flush=True)
                while True:
                    signal = bus.recv_until_filtered(signals)
                    member = signal.header.fields[HeaderFields.member]
                    if member == "NameOwnerChanged" and signal.body[2]:
                        break
                continue
            follow(bus, signals, reply)


def follow(bus: DBusConnection, signals: deque[Message], reply: Message) -> None:
    """Print the states of a snapshot, the reply to GetSnapshot, and those at each signal.

    Return when the service's name has another owner, or none, or when a signal is missing.
    """
    owner = reply.header.fields[HeaderFields.sender]
    _, serial, found = reply.body
    paths = {path: p["Name"][1] for path, p in found.items()}
    states = {p["Name"][1]: p["State"][1] for p in found.values()}
    print(json.dumps(states), flush=True)
    while True:
        signal = bus.recv_until_filtered(signals)
        fields, body = signal.header.fields, signal.body
        member, sender = fields[HeaderFields.member], fields[HeaderFields.sender]
        if member == "NameOwnerChanged":
            if body[0] == NAME and body[2] != owner:
                return
        elif sender != owner:
            continue
        elif member == "TunnelStateChanged":
            if body[5] > serial + 1:
                return
            if body[5] == serial + 1:
                serial += 1
                states[body[1]] = body[3]
        elif member == "InterfacesAdded" and TUNNEL in body[1]:
            added = dict(body[1])[TUNNEL]
            paths[body[0]] = added["Name"][1]
            states.setdefault(added["Name"][1], added["State"][1])
        elif member == "InterfacesRemoved":
            states.pop(paths.pop(body[0], ""), None)
        print(json.dumps(states), flush=True)


main()
