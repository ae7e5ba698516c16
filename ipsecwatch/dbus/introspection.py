# SPDX-License-Identifier: MIT
"""The interfaces as their XML files tell them. The files are the source; code asks here.

Signatures of methods, properties and signals are written nowhere else.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MANAGER: Final = "org.ipsecwatch1.Manager"
TUNNEL: Final = "org.ipsecwatch1.Tunnel"
PEER: Final = "org.freedesktop.DBus.Peer"
INTROSPECTABLE: Final = "org.freedesktop.DBus.Introspectable"
PROPERTIES: Final = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER: Final = "org.freedesktop.DBus.ObjectManager"

FILES: Final = Path(__file__).with_name("interfaces")

_DOCTYPE: Final = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    '"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)
_EMITS: Final = "org.freedesktop.DBus.Property.EmitsChangedSignal"


@dataclass(frozen=True, slots=True)
class Method:
    """What a method takes and answers, as signatures."""

    takes: str
    answers: str


@dataclass(frozen=True, slots=True)
class Property:
    """A property's signature, and whether PropertiesChanged tells of it: true, const or false."""

    signature: str
    emits: str


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface: its members by name, and its XML without comments."""

    name: str
    methods: dict[str, Method]
    properties: dict[str, Property]
    signals: dict[str, str]
    xml: str


@cache
def interfaces() -> dict[str, Interface]:
    """Read all interfaces, by name."""
    found = {}
    for file in sorted(FILES.glob("*.xml")):
        # S314 is about XML from strangers; these files are part of the program.
        for element in ET.parse(file).getroot().iter("interface"):  # noqa: S314
            interface = _interface(element)
            found[interface.name] = interface
    return found


def describe(names: Iterable[str], children: Iterable[str] = ()) -> str:
    """Write the introspection data of an object: its interfaces and the nodes below it."""
    body = "".join(interfaces()[name].xml for name in names)
    nodes = "".join(f'  <node name="{child}"/>\n' for child in children)
    return f"{_DOCTYPE}<node>\n{body}{nodes}</node>\n"


def _interface(element: ET.Element) -> Interface:
    ET.indent(element, level=1)
    element.tail = "\n"
    return Interface(
        name=element.attrib["name"],
        methods={
            m.attrib["name"]: Method(_signature(m, "in"), _signature(m, "out"))
            for m in element.iter("method")
        },
        properties={p.attrib["name"]: _property(p) for p in element.iter("property")},
        signals={s.attrib["name"]: _signature(s) for s in element.iter("signal")},
        xml="  " + ET.tostring(element, encoding="unicode"),
    )


def _signature(member: ET.Element, direction: str | None = None) -> str:
    return "".join(
        arg.attrib["type"]
        for arg in member.iter("arg")
        if direction is None or arg.attrib["direction"] == direction
    )


def _property(element: ET.Element) -> Property:
    assert element.attrib["access"] == "read", "nothing can be set: it watches"
    emits = [a.attrib["value"] for a in element.iter("annotation") if a.attrib["name"] == _EMITS]
    return Property(element.attrib["type"], emits[0] if emits else "true")
