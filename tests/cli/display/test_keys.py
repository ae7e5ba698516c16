# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from ipsecwatch.cli.display import keys
from ipsecwatch.cli.display.keys import decode


@pytest.mark.parametrize(
    ("sent", "pressed", "left"),
    [
        ("q/", ["q", "/"], ""),
        ("\x1b[A\x1bOB", [keys.UP, keys.DOWN], ""),
        ("\x1b[5~\x1b[6~\x1b[H\x1b[4~", [keys.PAGE_UP, keys.PAGE_DOWN, keys.HOME, keys.END], ""),
        ("\x1b[1;5A", [keys.UP], ""),
        ("\r\n\x7f\b", [keys.ENTER, keys.ENTER, keys.BACKSPACE, keys.BACKSPACE], ""),
        ("\x0c", [keys.REDRAW], ""),
        ("a\x1b[", ["a"], "\x1b["),
        ("\x1b", [], "\x1b"),
        ("\x1b[5", [], "\x1b[5"),
        ("\x1bq", [keys.ESCAPE, "q"], ""),
        ("\x1b[15~x", ["x"], ""),
        ("\x00\x01é山", ["é", "山"], ""),
        ("\x9b\u202e", [], ""),
        ("", [], ""),
    ],
)  # fmt: skip
def test_keys_are_read_from_what_terminals_send(sent: str, pressed: list[str], left: str) -> None:
    assert decode(sent) == (pressed, left)


def test_a_sequence_may_come_in_pieces() -> None:
    pressed, left = decode("\x1b[")
    assert decode(left + "6~") == ([keys.PAGE_DOWN], "")
    assert pressed == []


def test_endless_numbers_are_no_sequence() -> None:
    _, left = decode("\x1b[" + "1" * 10_000)
    assert left == ""
