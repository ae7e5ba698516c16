# SPDX-License-Identifier: MIT
"""Tests that the pages about the D-Bus API agree with the XML, which is their source."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from ipsecwatch.dbus.introspection import interfaces
from ipsecwatch.dbus.names import MANAGER, TUNNEL
from tests.support.paths import TOP

PAGE = (TOP / "docs/dbus.md").read_text(encoding="utf-8")
MARK = "<!-- packaging/reference.py --brief -->"
"""The script's output stands between two such lines in the page."""


def reference(*options: str) -> str:
    command = [sys.executable, str(TOP / "packaging/reference.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def types(arguments: str) -> str:
    """Return the signature in a list of arguments such as "(s name, t serial)": here "st"."""
    return "".join(a.split()[0] for a in arguments.strip("()").split(", ") if a)


@pytest.mark.parametrize("options", [(), ("--brief",)])
def test_the_reference_has_every_member_with_its_signature_and_says_what_it_is(
    options: tuple[str, ...],
) -> None:
    told = reference(*options)
    for interface in (MANAGER, TUNNEL):
        described = interfaces()[interface]
        for name, signature in described.signals.items():
            [arguments] = re.findall(rf"signal `{name}\((.*)\)`", told)
            assert types(arguments) == signature
        for name, method in described.methods.items():
            [(takes, answers)] = re.findall(rf"method `{name}\((.*?)\) → \((.*)\)`", told)
            assert (types(takes), types(answers)) == (method.in_signature, method.out_signature)
        for name, described_property in described.properties.items():
            assert f"property `{name} {described_property.signature}`" in told
    for row in re.findall(r"^\| (?:method|signal|property) .*$", told, re.MULTILINE):
        assert re.search(r"\| [^|]{10,300} \|$", row), row


def test_the_page_names_every_member() -> None:
    for interface in (MANAGER, TUNNEL):
        described = interfaces()[interface]
        for name in [*described.signals, *described.methods]:
            assert f"`{name}" in PAGE
    for name in interfaces()[TUNNEL].properties:
        assert f"`{name}" in PAGE


def test_the_pages_signatures_are_those_of_the_xml() -> None:
    described = interfaces()[MANAGER]
    seen = set()
    for name, takes, answers in re.findall(r"`(\w+)\((.*?)\)(?: → ([^`]*))?`", PAGE):
        if name in described.signals:
            assert types(takes) == described.signals[name], name
        elif name in described.methods:
            method = described.methods[name]
            assert types(takes) == method.in_signature, name
            assert not answers or types(answers) == method.out_signature, name
        seen.add(name)
    assert {*described.signals, *described.methods} <= seen


def test_what_the_page_has_of_the_script_is_what_the_script_prints() -> None:
    parts = PAGE.split(MARK)[1::2]
    assert parts
    for part in parts:
        assert part.strip() == reference("--brief").strip()
