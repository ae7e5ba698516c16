# SPDX-License-Identifier: MIT
"""The output formats of status bars, and the escaping that each needs. Pure.

Names of tunnels are somebody's text. What a bar would read as its own markup is escaped where the
bar has an escape for it, and replaced by a similar character where it has none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.bar.line import BarState
from ipsecwatch.cli.display import terminal
from ipsecwatch.sanitize import escape_markup
from ipsecwatch.states import TunnelState

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.cli.bar.line import Line

COLOURS: Final = {
    BarState.UP: "#5faf5f",
    BarState.PARTIAL: "#d7af00",
    BarState.CONNECTING: "#d7af00",
    BarState.STUCK: "#ff5f5f",
    BarState.DOWN: "#ff5f5f",
    BarState.UNKNOWN: "#d787d7",
    BarState.LOST: "#d787d7",
}
"""Colours for bars without style sheets. States without one (waiting, none) have the bar's own."""


def waybar(line: Line) -> str:
    """Return waybar's JSON (waybar-custom(5), return-type json), escaped as Pango markup."""
    return json.dumps(
        {
            "text": escape_markup(line.text),
            "alt": line.state.value,
            "class": [line.state.value],
            "tooltip": escape_markup(line.tooltip),
            "percentage": line.percentage,
        }
    )


def i3blocks(line: Line) -> str:
    """Return a block of i3bar's protocol, as i3blocks reads it with ``format=json``."""
    block = {"full_text": _with_icon(line), "markup": "none"}
    if line.state in COLOURS:
        block["color"] = COLOURS[line.state]
    return json.dumps(block)


def polybar(line: Line) -> str:
    """Return a line with polybar's tags, which begin with ``%{``; a text's ``%`` is replaced."""
    text = _with_icon(line).replace("%", "％")
    colour = COLOURS.get(line.state)
    return f"%{{F{colour}}}{text}%{{F-}}" if colour else text


_ANGLES: Final = str.maketrans("<>", "‹›")


def xmobar(line: Line) -> str:
    """Return a line with xmobar's colours; ``<`` and ``>`` in the text are replaced.

    An ``<action=…>`` in a name would be a command.
    """
    text = _with_icon(line).translate(_ANGLES)
    colour = COLOURS.get(line.state)
    return f"<fc={colour}>{text}</fc>" if colour else text


def plain(line: Line) -> str:
    """Return a line without any markup."""
    return _with_icon(line)


FORMATS: Final[dict[str, Callable[[Line], str]]] = {
    "waybar": waybar,
    "i3blocks": i3blocks,
    "polybar": polybar,
    "xmobar": xmobar,
    "plain": plain,
}

NOTHING: Final = {
    "waybar": json.dumps({"text": "", "alt": "", "class": [], "tooltip": "", "percentage": 0}),
    "i3blocks": json.dumps({"full_text": ""}),
}
"""What makes a bar show nothing; the other bars take an empty line."""


def _with_icon(line: Line) -> str:
    return f"{icon(line.state)} {line.text}"


def icon(state: BarState) -> str:
    """Return the sign of a state, the same as ``ipsecwatch status`` shows.

    LOST has that of unknown, and NONE that of down.
    """
    like = {BarState.LOST: TunnelState.UNKNOWN, BarState.NONE: TunnelState.DOWN}
    return terminal.mark(like[state] if state in like else TunnelState(state.value))
