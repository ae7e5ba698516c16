# SPDX-License-Identifier: MIT
"""Tests of which values pass each check, and of the errors for other values."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

import pytest

from ipsecwatch.jsonutil import (
    Check,
    JsonError,
    any_text,
    each,
    fields,
    flag,
    number,
    one_of,
    optional,
    otherwise,
    row,
    text,
    whole,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


NAN, INF = float("nan"), float("inf")
PORT = whole(0, 65535)
POINT = fields({"x": PORT, "name": optional(text(3))})

PASS: list[tuple[Check[Any], object, object]] = [
    (any_text, "\0\ud800", "\0\ud800"),
    (text(3), "", ""),
    (text(3), "ab\u202e", "ab\u202e"),
    (text(3, raw=True), "\udc80\udcff", "\udc80\udcff"),
    (PORT, 0, 0),
    (PORT, 65535, 65535),
    (whole(), -(10**30), -(10**30)),
    (number(0, 1), 1, 1.0),
    (number(0, 1), 0.5, 0.5),
    (number(), -1e308, -1e308),
    (flag, False, False),
    (one_of(Colour), "red", Colour.RED),
    (one_of(("", "x")), "", ""),
    (optional(PORT), None, None),
    (optional(PORT), 7, 7),
    (otherwise(PORT, -1), 7, 7),
    (otherwise(PORT, -1), "7", -1),
    (otherwise(PORT, -1), None, -1),
    (each(PORT), [], ()),
    (each(PORT), [1, 2], (1, 2)),
    (row(PORT, flag), [1, True], (1, True)),
    (POINT, {"x": 1, "name": None, "more": 2}, {"x": 1, "name": None}),
]

FAIL: list[tuple[Check[Any], object, str]] = [
    (any_text, None, "None is no text"),
    (any_text, b"x", "b'x' is no text"),
    (text(3), "abcd", "4 characters are more than 3"),
    (text(3), "a\0", r"'a\x00' has U+0000 in it"),
    (text(3), "\udc80", r"'\udc80' has U+DC80 in it"),
    (text(3, raw=True), "\udc7f", r"'\udc7f' has U+DC7F in it"),
    (text(3, raw=True), "\udd00", r"'\udd00' has U+DD00 in it"),
    (text(3, raw=True), "\0", r"'\x00' has U+0000 in it"),
    (PORT, 65536, "65536 isn't between 0 and 65535"),
    (PORT, -1, "-1 isn't between 0 and 65535"),
    (PORT, True, "True is no whole number"),
    (PORT, 1.0, "1.0 is no whole number"),
    (PORT, "1", "'1' is no whole number"),
    (PORT, 10**5000, "a huge number isn't between 0 and 65535"),
    (number(0, 1), 1.5, "1.5 isn't between 0 and 1"),
    (number(0, 1), True, "True is no number"),
    (number(0, 1), None, "None is no number"),
    (number(), NAN, "nan is no finite number"),
    (number(), INF, "inf is no finite number"),
    (number(), -INF, "-inf is no finite number"),
    (number(), 10**5000, "a huge number is no finite number"),
    (flag, 1, "1 is neither true nor false"),
    (flag, None, "None is neither true nor false"),
    (one_of(Colour), "green", "'green' is none of the 2 known words"),
    (one_of(Colour), [], "a list is none of the 2 known words"),
    (one_of(Colour), None, "None is none of the 2 known words"),
    (each(PORT), {"x": 1}, "an object is no list"),
    (each(PORT), "12", "'12' is no list"),
    (each(PORT), [1, 2, "x"], "[2]: 'x' is no whole number"),
    (row(PORT, flag), [1], "1 items instead of 2"),
    (row(PORT, flag), [1, 2], "[1]: 2 is neither true nor false"),
    (POINT, [], "a list is no object"),
    (POINT, {"x": 1}, "name: missing"),
    (POINT, {"x": 1, "name": "long"}, "name: 4 characters are more than 3"),
    (fields({"a": each(POINT)}), {"a": [{"x": -1, "name": ""}]},
     "a[0].x: -1 isn't between 0 and 65535"),
    (any_text, ["x"] * 10**6, "a list is no text"),
    (PORT, "\ud800" * 10**6, "'" + r"\ud800" * 40 + "'… is no whole number"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "value", "found"), PASS)
def test_what_passes_is_returned_as_what_it_is(
    check: Check[Any], value: object, found: object
) -> None:
    assert check(value) == found
    assert type(check(value)) is type(found)


@pytest.mark.parametrize(
    ("check", "value", "problem"), FAIL, ids=[problem[:40] for *_, problem in FAIL]
)
def test_what_does_not_pass_is_told_in_a_line_with_its_place(
    check: Check[Any], value: object, problem: str
) -> None:
    with pytest.raises(JsonError) as e:
        check(value)
    assert str(e.value) == problem


def test_a_check_takes_all_that_json_can_hold() -> None:
    values = json.loads(
        '[null, true, 1, -1, 1.5, 1e999, NaN, "", "\\ud800", [], {}, [[]], {"": 1}]'
    )
    checks: list[Check[Any]] = [
        any_text, text(1), PORT, number(), flag, one_of(Colour), each(PORT), row(PORT), POINT
    ]  # fmt: skip
    for check in checks:
        passed = [v for v in values if otherwise(check, values)(v) is not values]
        assert len(passed) < 6
