# SPDX-License-Identifier: MIT
"""Make the manual page of the D-Bus interfaces, org.ipsecwatch1(5), from their commented XML."""

from __future__ import annotations

import inspect
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import roff

from ipsecwatch import __version__

sys.path.append(str(Path(__file__).parents[1]))
import reference

HEADINGS = {"method": "Methods", "signal": "Signals", "property": "Properties"}


def page() -> str:
    """Return the page org.ipsecwatch1(5)."""
    return "\n".join([
        roff.title("org.ipsecwatch1", 5, __version__, "D-Bus interface of ipsecwatch"),
        roff.section(
            "description",
            roff.paragraph("What other programs can ask the service, and what it announces to "
                           "them, on the system bus. The same is installed as "
                           "``/usr/share/dbus-1/interfaces/org.ipsecwatch1.*.xml``."),
        ),
        *map(interface, reference.INTERFACES),
        roff.section(
            "examples",
            roff.verbatim(
                "busctl call org.ipsecwatch1 /org/ipsecwatch1 org.ipsecwatch1.Manager GetSnapshot\n"
                "busctl monitor --match \"type='signal',interface='org.ipsecwatch1.Manager'\""
            ),
            roff.paragraph("Subscribers in Python and shell are in "
                           "``/usr/share/doc/ipsecwatch/examples``."),
        ),
        roff.see_also("ipsecwatch(1)", "ipsecwatch(8)", "busctl(1)"),
    ])  # fmt: skip


def interface(name: str) -> str:
    """Return the section about one interface, with its methods, signals and properties."""
    members = reference.described(reference.parse(name))
    parts = [roff.blocks(introduction(name))]
    for kind, heading in HEADINGS.items():
        those = [member(element, comment) for element, comment in members if element.tag == kind]
        if those:
            parts.append(roff.subsection(heading, *those))
    return roff.section(f"Interface {name}", *parts)


def introduction(name: str) -> str:
    """Return the comment above an interface in its XML, without the name at its beginning."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))  # noqa: S314 - our own file
    root = ET.parse(reference.FILES / f"{name}.xml", parser).getroot()  # noqa: S314
    above = [e.text or "" for e in root if e.tag is ET.Comment]
    text = inspect.cleandoc(above[-1]).removeprefix(f"{name}: ")
    return text[:1].upper() + text[1:]


def member(element: ET.Element, comment: str) -> str:
    """Return the description of a method, signal or property, and of its arguments."""
    arguments = re.findall(r"^@(\w+): (.*\n?(?:[ ]{2,}.*\n?)*)", comment, re.MULTILINE)
    parts = [roff.listed(dict(arguments))] if arguments else []
    return "\n".join([
        roff.tagged(reference.signature(element).replace("`", "").replace(" → ", " -> ")),
        roff.indented(roff.blocks(reference.explained(comment)), *parts),
    ])  # fmt: skip
