# SPDX-License-Identifier: MIT
"""Tests of strangers' text that is made harmless, and of object paths made of names."""

from __future__ import annotations

import ctypes
import ctypes.util
import html
import re
import unicodedata
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ipsecwatch.sanitize import MAX_SHOWN, clean, escape_markup, path_element

unhurried = settings(deadline=None)
"""No deadline for an example, because other programs may use the machine."""

SHOWABLE = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Zs"} | {
    "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So"
}  # fmt: skip
"""Unicode's categories of letters, marks, numbers, blanks, punctuation and symbols."""

ANY = st.text(st.characters(exclude_categories=()))
"""Any text that a str can hold, also with surrogates."""

BYTES = st.binary().map(lambda raw: raw.decode("utf-8", "surrogateescape"))
"""Any bytes of a peer, as pluto's output is decoded."""


def undo(shown: str) -> str:
    """Return the text from which clean() made ``shown``, by the rules in its docstring."""

    def one(match: re.Match[str]) -> str:
        if match[1]:
            code = int(match[1], 16)
            return chr(code if code < 0x80 else 0xDC00 + code)
        return chr(int(match[2] or match[3], 16)) if match[2] or match[3] else "\\"

    return re.sub(r"\\(?:x(..)|u(....)|U(.{8})|\\)", one, shown)


@unhurried
@given(ANY | BYTES)
@example("\x1b[2J\x07\r\n\x00\x7f\x85\x9b31m")
@example("\u202eevil\u2066\u200b\u2028\ufeff\xad")
@example("\udc9b\udcff\ud800\ue000\U000e0041\U0010ffff")
@example("\u3164\u115f\u034f\ufe0f\u2800")
def test_nothing_that_acts_or_hides_is_left_in_cleaned_text(text: str) -> None:
    shown = clean(text)
    shown.encode("utf-8")
    assert {unicodedata.category(c) for c in shown} <= SHOWABLE
    assert not set(shown) & set("\u3164\u115f\u034f\ufe0f\u2800")


@unhurried
@given(ANY | BYTES, st.integers(8, 300))
@example("A" * 65536, MAX_SHOWN)
@example("\x00" * MAX_SHOWN, MAX_SHOWN)
def test_cleaned_text_keeps_to_the_limit_and_says_where_it_was_cut(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert len(shown) <= limit
    whole = clean(text, 16 * len(text) + 8)
    assert shown == (whole if len(whole) <= limit else whole[: limit - 1] + "…")


@unhurried
@given(BYTES)
@example("\udc85")
@example("\x85")
@example("\\x85")
@example("\\\\x85")
def test_cleaning_can_be_undone_so_no_two_texts_look_the_same(text: str) -> None:
    assert undo(clean(text, 16 * len(text) + 8)) == text


def test_ordinary_names_in_any_script_are_left_alone() -> None:
    for name in ("office", "Büro", "東京-大阪", "сайт", "a b", "l'Aquila", 'say "hi"', "x/1x2"):
        assert clean(name) == name


@unhurried
@given(st.text())
@example('<img src="file:///dev/urandom"><a href=x>&lt;</a><->')
def test_escaped_markup_is_text_and_nothing_else(text: str) -> None:
    escaped = escape_markup(text)
    assert not set("<>") & set(escaped)
    assert html.unescape(escaped) == text


@cache
def libsystemd() -> ctypes.CDLL | None:
    """Load libsystemd, whose encoding of object paths is compared with ours; None: missing."""
    try:
        return ctypes.CDLL("libsystemd.so.0")
    except OSError:
        return None


def sd_bus_path_encode(name: bytes) -> str:
    library = libsystemd()
    assert library is not None
    path = ctypes.c_char_p()
    assert library.sd_bus_path_encode(b"/t", name, ctypes.byref(path)) >= 0
    assert path.value is not None
    return path.value.decode("ascii").removeprefix("/t/")


@pytest.mark.skipif(libsystemd() is None, reason="there is no libsystemd.so.0")
@unhurried
@given(st.binary().filter(lambda raw: b"\0" not in raw))
@example(b"")
@example(b"1st")
@example(b"a1_b/2x3")
@example("東京\xff".encode())
@example(b"\xff\xc3")
def test_an_object_path_is_encoded_as_systemd_does(name: bytes) -> None:
    assert path_element(name.decode("utf-8", "surrogateescape")) == sd_bus_path_encode(name)


@unhurried
@given(BYTES)
def test_an_object_path_can_be_read_back_byte_for_byte(name: str) -> None:
    element = path_element(name)
    assert re.fullmatch("[A-Za-z0-9_]+", element)
    raw = "" if element == "_" else element
    back = re.sub("_(..)", lambda m: chr(int(m[1], 16)), raw).encode("latin-1")
    assert back.decode("utf-8", "surrogateescape") == name
