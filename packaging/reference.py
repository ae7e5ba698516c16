#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Print the reference of the D-Bus API in Markdown, from the commented XML that is its source.

    python3 packaging/reference.py [--brief]

--brief: only the first sentence of what the XML says of each member, as docs/dbus.md has it.
"""

from __future__ import annotations

import re
import sys
import textwrap
import xml.etree.ElementTree as ET
from pathlib import Path

FILES = Path(__file__).parents[1] / "ipsecwatch/dbus/interfaces"
INTERFACES = ("org.ipsecwatch1.Manager", "org.ipsecwatch1.Tunnel")
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"
ANNOUNCED = {"true": "", "const": ", never changes", "false": ", not announced"}


def parse(interface: str) -> ET.Element:
    """Return the ``interface`` element of an interface's XML file, with its comments."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))  # noqa: S314 - our own file
    root = ET.parse(FILES / f"{interface}.xml", parser).getroot()  # noqa: S314
    found = root.find("interface")
    assert found is not None
    return found


def described(interface: ET.Element) -> list[tuple[ET.Element, str]]:
    """Return each member of an interface with the last comment before it.

    Members between two comments share the first of these.
    """
    members, comment = [], ""
    for element in interface:
        if element.tag is ET.Comment:
            comment = textwrap.dedent(element.text or "").strip()
        else:
            members.append((element, comment))
    return members


def signature(member: ET.Element) -> str:
    """Return a member's name and types in a short form for people, in backquotes."""
    name = member.attrib["name"]
    if member.tag == "property":
        emits = [a.attrib["value"] for a in member.iter("annotation") if a.attrib["name"] == EMITS]
        return f"`{name} {member.attrib['type']}`{ANNOUNCED[emits[0] if emits else 'true']}"
    takes = arguments(member, "out")
    answers = arguments(member, "in") if member.tag == "method" else ""
    return f"`{name}({takes})" + (f" → ({answers})`" if answers else "`")


def arguments(member: ET.Element, other: str) -> str:
    """Return a member's arguments as text, without those of the direction ``other``."""
    found = [a for a in member.iter("arg") if a.attrib.get("direction") != other]
    return ", ".join(f"{a.attrib['type']} {a.attrib['name']}" for a in found)


def explained(comment: str) -> str:
    """Return the explanation in a member's comment, without its name and its lines of arguments."""
    text = re.sub(r"\A\w+:\s*", "", comment)
    text = re.sub(r"^@\w+:.*\n(?:[ ]{2,}.*\n)*", "", text, flags=re.MULTILINE)
    return text.strip()


def sentence(text: str) -> str:
    """Return the first sentence of a text, on one line and without its full stop or colon."""
    line = " ".join(text.split("\n\n")[0].split())
    end = re.search(r"[.:](?= [A-Z]|$)", line)
    return line[: end.start()] if end else line


def brief(interface: str) -> str:
    """Return an interface's members as a Markdown table."""
    rows = [f"| `{interface}` | |", "|---|---|"]
    for member, comment in described(parse(interface)):
        said = sentence(explained(comment)).replace("|", "\\|")
        rows.append(f"| {member.tag} {signature(member)} | {said} |")
    return "\n".join(rows)


def whole(interface: str) -> str:
    """Return an interface's members in Markdown, each with its whole explanation."""
    parts = [f"## {interface}"]
    for member, comment in described(parse(interface)):
        said = textwrap.indent(explained(comment), "    ")
        parts.append(f"### {member.tag} {signature(member)}\n\n{said}")
    return "\n\n".join(parts)


def main() -> None:
    """Print the reference, whole or brief as the command line says."""
    write = brief if "--brief" in sys.argv[1:] else whole
    print("\n\n".join(write(interface) for interface in INTERFACES))


if __name__ == "__main__":
    main()
