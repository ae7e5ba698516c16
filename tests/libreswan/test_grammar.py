# SPDX-License-Identifier: MIT
"""Tests of the patterns for prefix, name, instance and suffix in libreswan's lines."""

from __future__ import annotations

import re
from typing import Final

import pytest

from ipsecwatch.libreswan import grammar
from tests.support.paths import TOP

PACKAGE: Final = TOP / "ipsecwatch"
NAME: Final = grammar.name()

# A pattern, texts that it must fit as a whole, and texts that it mustn't fit.
PIECES: Final = {
    "a prefix": (grammar.PREFIX, ("", "000 ", "006 "), ("00 ", "0000 ", "000", "000  ", "abc ")),
    "a number": (grammar.NUMBER, ("0", "4294967295"), ("", "42949672950", "-1", "٣")),
    "a name": (NAME, ("a", "a/1x2", "clear#192.1.2.0/24-(0--6--7)", "a\nb"), ('a"',)),
    "a name in a text of lines": (grammar.name(without="\n"), ("a",), ("a\nb", 'a"')),
    "a name that is none if it is long": (grammar.name(length="{1,3}"), ("abc",), ("", "abcd")),
    "instances": (grammar.instances(), ("", "[1]", "[1][2][3]"), ("[]", "[a]", "[1", "[1] ")),
    "two at most": (grammar.instances(2), ("", "[1][2]"), ("[1][2][3]",)),
    "a suffix": (
        grammar.suffix(),
        ("", " 192.0.2.1", " ...192.1.3.33 192.1.3.33", " 10.0.0.1/32=== ...2001:db8::1===10.1/16"),
        ("192.0.2.1", " 192.0.2.1,", " esp.1@192.0.2.1", " a b c d"),
    ),
    "a port": (grammar.PORT, ("500", "65535"), ("", "655350")),
    "TCP": (grammar.TCP, ("(tcp)",), ("tcp",)),
    "an end of a shunt": (
        grammar.SELECTOR, ("10.0.0.1/32:0", "2001:db8::/64", "10.0.0.1"), ("%any", "10.0.0.1/"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_takes_what_libreswan_prints_and_nothing_else(piece: str) -> None:
    pattern, taken, refused = PIECES[piece]
    compiled = re.compile(pattern, re.ASCII)
    assert compiled.groups == 0
    assert [text for text in taken if not compiled.fullmatch(text)] == []
    assert [text for text in refused if compiled.fullmatch(text)] == []


def test_no_other_module_spells_them_out() -> None:
    """When a release changes one of them, only grammar.py has to be changed."""
    spelled = re.compile(
        r'"\(?\[\^"'  # a name
        r"|\(\?:\\d\{+3\}+ \)\?"  # a prefix
        r"|\(\?:\\\[\(?\\d\{+1,10\}+\)?\\\]\)[*{]"  # instances
        r"|[]#$]\??\(\\d\{1,10"  # a serial
    )
    found = [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "grammar.py"
        for line in path.read_text("utf-8").splitlines()
        if spelled.search(line)
    ]
    assert found == []
