# SPDX-License-Identifier: MIT
"""The service's D-Bus interfaces, read from their XML files.

The files are the only place with the signatures of methods, properties and signals.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dbus_fast.introspection import Node

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbus_fast import introspection

FILES: Final = Path(__file__).with_name("interfaces")

_DOCTYPE: Final = (
    '<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"\n'
    '"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">\n'
)
_EMITS: Final = "org.freedesktop.DBus.Property.EmitsChangedSignal"


@dataclass(frozen=True, slots=True)
class Interface:
    """One D-Bus interface: its methods, properties and signals by name, and its XML.

    ``xml`` is the ``<interface>`` element as introspection data has it, without comments.
    """

    name: str
    methods: dict[str, introspection.Method]
    properties: dict[str, introspection.Property]
    signals: dict[str, str]
    """The signatures of the signals, by name."""
    xml: str


@cache
def interfaces() -> dict[str, Interface]:
    """Return all interfaces that the XML files describe, by name. The files are read only once."""
    nodes = [Node.parse(file.read_text(encoding="utf-8")) for file in sorted(FILES.glob("*.xml"))]
    return {i.name: _interface(i) for node in nodes for i in node.interfaces}


def emits(prop: introspection.Property) -> str:
    """Return how a property's changes are signalled, as its EmitsChangedSignal annotation says.

    The result is ``true`` (by PropertiesChanged), ``const`` (the property never changes) or
    ``false`` (no signal). A property without the annotation has ``true``.
    """
    return prop.annotations.get(_EMITS, "true")


def describe(names: Iterable[str], children: Iterable[str] = ()) -> str:
    """Return the introspection XML of an object, as the method Introspect returns it.

    ``names``: the names of the object's interfaces. ``children``: the last elements of the object
    paths right below the object.
    """
    body = "".join(interfaces()[name].xml for name in names)
    nodes = "".join(f'  <node name="{child}"/>\n' for child in children)
    return f"{_DOCTYPE}<node>\n{body}{nodes}</node>\n"


def _interface(parsed: introspection.Interface) -> Interface:
    """Return an interface as an Interface, from what the library made of its XML."""
    element = parsed.to_xml()
    ET.indent(element, level=1)
    return Interface(
        name=parsed.name,
        methods={m.name: m for m in parsed.methods},
        properties={p.name: p for p in parsed.properties},
        signals={s.name: s.signature for s in parsed.signals},
        xml=f"  {ET.tostring(element, encoding='unicode')}\n",
    )
