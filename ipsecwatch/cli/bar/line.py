# SPDX-License-Identifier: MIT
"""What a status bar shows for all tunnels together: one state, a short text, and a tooltip. Pure.

If something is wrong with some tunnels, by the agent's rules, the worst of these decides the state.
Nothing is wrong with a tunnel that waits for traffic, or that was taken down by hand: it never
makes the bar red. If there is no tunnel, or a state isn't known, the bar says so, and isn't green.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ipsecwatch import client
from ipsecwatch.agent import notifications, rules, texts
from ipsecwatch.agent.translation import Plural, translated
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.display.terminal import Row
from ipsecwatch.cli.tunnels import selection
from ipsecwatch.sanitize import MAX_SHOWN
from ipsecwatch.states import PlutoState, TunnelState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAX_NAME: Final = 24
"""The number of characters of a tunnel's name in the bar, at most."""
MAX_LISTED: Final = 20
"""A tooltip is about so many tunnels at most; if there are more, it says how many it leaves out."""


class BarState(StrEnum):
    """The state that the bar shows. The value is also the class for waybar's style sheet."""

    UP = "up"
    PARTIAL = "partial"
    CONNECTING = "connecting"
    STUCK = "stuck"
    DOWN = "down"
    WAITING = "waiting"
    UNKNOWN = "unknown"
    LOST = "lost"
    """The service can't be followed, so that nothing is known about tunnels."""
    NONE = "none"
    """There is no tunnel to show."""

    @property
    def is_well(self) -> bool:
        """Whether the bar shows nothing with --quiet: the state is UP or WAITING."""
        return self in (BarState.UP, BarState.WAITING)


_WORST_FIRST: Final = (
    TunnelState.STUCK, TunnelState.DOWN, TunnelState.UNKNOWN, TunnelState.PARTIAL,
    TunnelState.CONNECTING,
)  # fmt: skip
"""If something is wrong with some tunnels (_is_ill()), the bar shows the first of these states that
one of them has."""
_BEST_FIRST: Final = (TunnelState.UP, TunnelState.PARTIAL, TunnelState.WAITING, TunnelState.DOWN)
"""If nothing is wrong with any tunnel, the bar shows the first of these states that one has."""

# Whole texts, each of which can be translated as it stands.
ONE: Final = {
    BarState.UP: "VPN {name}",
    BarState.PARTIAL: "VPN {name} in part",
    BarState.CONNECTING: "VPN {name} connecting",
    BarState.STUCK: "VPN {name} stuck",
    BarState.DOWN: "VPN {name} down",
    BarState.WAITING: "VPN {name} waiting",
    BarState.UNKNOWN: "VPN {name} unknown",
}
"""The bar's text by state, if there is only one tunnel, or if something is wrong with only one."""
MANY: Final = "VPN {up}/{all}"
NO_TUNNEL: Final = "VPN off"
NOBODY_KNOWS: Final = "VPN ?"

NO_TUNNELS: Final = "No VPN is set up or connected."
TUNNEL: Final = {
    TunnelState.UP: "{name}: connected",
    TunnelState.PARTIAL: "{name}: works in part",
    TunnelState.CONNECTING: "{name}: connecting",
    TunnelState.STUCK: "{name}: can't connect",
    TunnelState.DOWN: "{name}: disconnected",
    TunnelState.WAITING: "{name}: connects when it is used",
    TunnelState.UNKNOWN: "{name}: unknown",
}
MORE: Final = Plural("{n} more", "{n} more")
OF_PLUTO: Final = {
    PlutoState.STOPPED: texts.STOPPED.sentence,
    PlutoState.STARTING: "The VPN service on this computer is starting.",
    PlutoState.UNREACHABLE: texts.UNREACHABLE.sentence,
}
TRANSLATED: Final = (ONE, MANY, NO_TUNNEL, NOBODY_KNOWS, NO_TUNNELS, TUNNEL, MORE, OF_PLUTO)
"""The texts that are translated. States stay English, since style sheets and scripts use them."""


@dataclass(frozen=True, slots=True)
class Line:
    """What the bar shows, before it is escaped for a certain bar.

    Only the tooltip may have several lines.
    """

    state: BarState
    text: str
    tooltip: str
    percentage: int
    """How many per cent of the tunnels are UP, rounded down; 0 also if there is no tunnel, or the
    service can't be followed."""


@dataclass(slots=True)
class Picture:
    """What is known about all tunnels, from the service's events. line() returns what to show."""

    wanted: Callable[[str], bool]
    """Returns whether to show a tunnel of this name. It is called with pluto's name and, if that
    isn't to be shown, with the name that people see."""
    names: Mapping[str, str] = field(default_factory=dict)
    """NetworkManager's names of tunnels, by pluto's name, which is a UUID."""
    views: dict[str, client.View] = field(default_factory=dict)
    """All listed tunnels by object path, also those that aren't to be shown."""
    pluto: PlutoState = PlutoState.UNREACHABLE
    lost: str | None = "It isn't known yet."
    """Why the service can't be followed at present; None: it can. Before the first event, it says
    that this isn't known yet."""
    _called: Mapping[str, str] = field(default_factory=dict)
    """``names`` as they are shown: selection.distinct()."""
    _were_up: set[str] = field(default_factory=set)
    """Object paths of the tunnels that were UP or PARTIAL at some time since this program began.

    A tunnel is removed when it waits for traffic, or isn't up for a reason in rules.MEANT, such as
    that it was taken down by hand.
    """

    def record(self, event: client.Event) -> None:
        """Update what is known about tunnels, pluto and the service."""
        match event:
            case client.Snapshot():
                self.views, self.lost, self.pluto = dict(event.tunnels), None, event.pluto_state
                self._were_up &= self.views.keys()
            case client.Change():
                self.views[event.path] = event.view
            case client.Update(view=None):
                self.views.pop(event.path, None)
            case client.Update(view=view) if view is not None:
                self.views[event.path] = view
            case client.Pluto():
                self.pluto = event.state
            case client.Lost():
                self.lost = f"{event.why}. {event.hint}" if event.hint else event.why
                return
        self._note_up()

    def _note_up(self) -> None:
        """Update ``_were_up`` for the present states and reasons of all tunnels."""
        for path, view in self.views.items():
            if view.state.carries:
                self._were_up.add(path)
            elif view.reason in rules.MEANT or view.state is TunnelState.WAITING:
                self._were_up.discard(path)

    def line(self) -> Line:
        """Return what to show about the wanted tunnels, or, if there are none, about pluto.

        While the service can't be followed, the line says only that.
        """
        if self.lost is not None:
            return Line(BarState.LOST, translated(NOBODY_KNOWS), self.lost, 0)
        self._called = selection.distinct(self.names)
        views = [view for view in self.views.values() if self._is_wanted(view)]
        rows = [Row.of_view(view) for view in views]
        ill = [row for row, view in zip(rows, views, strict=True) if self._is_ill(view)]
        of_pluto = translated(OF_PLUTO.get(self.pluto, ""))
        if not rows:
            unsure = self.pluto in (PlutoState.UNREACHABLE, PlutoState.STARTING)
            state = BarState.UNKNOWN if unsure else BarState.NONE
            text = translated(NOBODY_KNOWS if unsure else NO_TUNNEL)
            return Line(state, text, of_pluto or translated(NO_TUNNELS), 0)
        state = _state(rows, ill)
        up = sum(row.state is TunnelState.UP for row in rows)
        tooltip = "\n".join(filter(None, (of_pluto, *self._listed(rows, ill))))
        return Line(state, self._text(state, rows, ill, up), tooltip, 100 * up // len(rows))

    def _is_wanted(self, view: client.View) -> bool:
        return self.wanted(view.name) or self.wanted(self.names.get(view.name, view.name))

    def _is_ill(self, view: client.View) -> bool:
        """Return whether something is wrong with a tunnel, so that it decides the bar's state.

        This is so if the tunnel is CONNECTING or UNKNOWN, or if rules.wrong() says so.
        """
        if view.state in (TunnelState.UNKNOWN, TunnelState.CONNECTING):
            return True
        was_up = view.path in self._were_up
        return rules.wrong(view.state, view.reason, was_up=was_up) is not None

    def _name(self, name: str) -> str:
        """Return the name to show for a tunnel: NetworkManager's, or pluto's if there is none."""
        return notifications.shown(self._called.get(name, name), MAX_SHOWN)

    def _text(self, state: BarState, rows: Sequence[Row], ill: Sequence[Row], up: int) -> str:
        """Return the bar's text: one tunnel's name and state, or how many tunnels are up.

        One tunnel is named if something is wrong with only one (``ill``), or, if nothing is wrong,
        if there is only one (``rows``).
        """
        told = ill or rows
        if len(told) == 1:
            name = terminal.cut(self._name(told[0].name), MAX_NAME, both_ends=True)
            return translated(ONE[state]).format(name=notifications.isolated(name))
        return translated(MANY).format(up=up, all=len(rows))

    def _listed(self, rows: Sequence[Row], ill: Sequence[Row]) -> list[str]:
        """Return the tooltip's texts: one for each tunnel in ``rows``, those in ``ill`` first.

        The text of a tunnel in ``ill`` has a second line with the reason. If there are more than
        MAX_LISTED tunnels, the last text says how many aren't listed.
        """
        wrong = {row.name for row in ill}
        first = selection.Selection().sort(rows)
        first.sort(key=lambda row: row.name not in wrong)
        few = first if len(first) <= MAX_LISTED else first[: MAX_LISTED - 1]
        lines = [self._tunnel(row, ill=row.name in wrong) for row in few]
        more = len(first) - len(few)
        return [*lines, MORE.of(more).format(n=more)] if more else lines

    def _tunnel(self, row: Row, *, ill: bool) -> str:
        told = translated(TUNNEL[row.state]).format(
            name=notifications.isolated(self._name(row.name))
        )
        sentence = translated(texts.REASONS[row.reason].sentence) if ill else ""
        return f"{told}\n    {sentence}" if sentence else told


def _state(rows: Sequence[Row], ill: Sequence[Row]) -> BarState:
    """Return the state that the bar shows for these tunnels.

    It is the first of _WORST_FIRST that a tunnel in ``ill`` has. If ``ill`` is empty, it is the
    first of _BEST_FIRST that a tunnel in ``rows`` has.
    """
    found, order = (ill, _WORST_FIRST) if ill else (rows, _BEST_FIRST)
    states = {row.state for row in found}
    return BarState(next(state for state in order if state in states))
