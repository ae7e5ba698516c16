# SPDX-License-Identifier: MIT
"""Tests of what each status bar gets, and that no name is read as the bar's markup."""

from __future__ import annotations

import json
import re

import pytest

from ipsecwatch.cli.bar import formats
from ipsecwatch.cli.bar.line import BarState, Line, Picture
from tests.support.fake_events import Story

HOSTILE = [
    "<b>evil</b> & <img src=x>", "&amp;", "a\nb", "\x1b[31m", "\u202egnp.exe", "A" * 65536, "",
    "{name}", "%s %n", "%{A1:reboot:}x%{A}", "%%{F-}", "<action=`reboot`>x</action>",
    "</fc><fc=red>", '"}', "\\u202e",
]  # fmt: skip


@pytest.mark.parametrize("state", list(BarState))
def test_each_state_has_a_class_and_a_sign(state: BarState) -> None:
    line = Line(state, "VPN", "tooltip", 50)
    told = json.loads(formats.waybar(line))
    assert told == {
        "text": "VPN", "alt": state.value, "class": [state.value], "tooltip": "tooltip",
        "percentage": 50,
    }  # fmt: skip
    assert formats.plain(line).endswith(" VPN")


@pytest.mark.parametrize("form", formats.FORMATS)
@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_taken_for_markup_or_for_another_line(form: str, name: str) -> None:
    story = Story()
    seen = Picture(lambda _: True, {"a": name})
    seen.record(story.look(a="stuck", b="up"))
    told = formats.FORMATS[form](seen.line())
    assert "\n" not in told
    assert told.isprintable()
    if form == "polybar":
        assert re.findall(r"%\{.*?\}", told) == ["%{F#ff5f5f}", "%{F-}"]
        assert told.count("%") == 2
    if form == "xmobar":
        assert re.findall(r"<.*?>", told) == ["<fc=#ff5f5f>", "</fc>"]
        assert told.count("<") == 2
    if form == "waybar":
        shown = json.loads(told)
        for text in shown["text"], shown["tooltip"]:
            assert "<" not in text
            assert re.findall(r"&(?!lt;|gt;|amp;)", text) == []
    if form == "i3blocks":
        assert json.loads(told)["markup"] == "none"
