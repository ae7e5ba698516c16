# SPDX-License-Identifier: MIT
"""Formats a line for each kind of status bar, and escapes what this bar takes for markup. Pure.

Names of tunnels can contain anything. Characters that the bar would take for markup are escaped,
or, if the bar knows no escape for them, replaced by similar characters.
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
"""The colour of a line by its state, for bars without style sheets. Lines in other states have the
bar's own colour."""


def waybar(line: Line) -> str:
    """Return a line as JSON for a custom module of waybar with ``return-type: json``.

    Text and tooltip are escaped, since waybar reads them as Pango markup.
    """
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
    """Return a line as JSON for i3blocks with ``format=json``: a block of i3bar's protocol."""
    block = {"full_text": _with_icon(line), "markup": "none"}
    if line.state in COLOURS:
        block["color"] = COLOURS[line.state]
    return json.dumps(block)


def polybar(line: Line) -> str:
    """Return a line for polybar, with tags (``%{…}``) for the colour.

    ``%`` in the text is replaced by a similar character.
    """
    text = _with_icon(line).replace("%", "％")
    colour = COLOURS.get(line.state)
    return f"%{{F{colour}}}{text}%{{F-}}" if colour else text


_ANGLES: Final = str.maketrans("<>", "‹›")


def xmobar(line: Line) -> str:
    """Return a line for xmobar, with tags (``<fc=…>``) for the colour.

    ``<`` and ``>`` in the text are replaced by similar characters: ``<action=…>`` in a tunnel's
    name would make xmobar run a command.
    """
    text = _with_icon(line).translate(_ANGLES)
    colour = COLOURS.get(line.state)
    return f"<fc={colour}>{text}</fc>" if colour else text


def plain(line: Line) -> str:
    """Return a line as text without markup, for any other bar."""
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
"""The output that makes a bar show nothing. For bars that aren't here, it is an empty line."""


def _with_icon(line: Line) -> str:
    return f"{icon(line.state)} {line.text}"


def icon(state: BarState) -> str:
    """Return the sign for a state, the same that ``ipsecwatch status`` shows.

    LOST has the sign of UNKNOWN, and NONE has that of DOWN.
    """
    like = {BarState.LOST: TunnelState.UNKNOWN, BarState.NONE: TunnelState.DOWN}
    return terminal.mark(like[state] if state in like else TunnelState(state.value))
