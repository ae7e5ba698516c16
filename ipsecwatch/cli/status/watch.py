# SPDX-License-Identifier: MIT
"""``ipsecwatch status --watch``: shows the tunnels on the whole screen, and updates them.

If the command line names tunnels, and has no pattern, everything that is known about these tunnels
is shown. Otherwise, there is a table with a line for each tunnel. States are updated by the
service's signals, ages by the clock. Details (peers, traffic) are asked for every few seconds, if
this user may see them: for the named tunnels or those in sight, or for all if order or filter
depend on details.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipsecwatch import client
from ipsecwatch.cli.common import ASK_AFTER
from ipsecwatch.cli.display import keys, terminal
from ipsecwatch.cli.display.screen import Screen, require_terminal
from ipsecwatch.cli.display.terminal import Row
from ipsecwatch.cli.failure import EXIT_OK
from ipsecwatch.cli.tunnels import facts, health, listing, selection, source
from ipsecwatch.cli.tunnels.found import Depth, Found
from ipsecwatch.client.connection_names import ConnectionNames
from ipsecwatch.sanitize import clean
from ipsecwatch.states import PlutoState, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipsecwatch.cli.display.table import Layout
    from ipsecwatch.cli.tunnels.found import Details
    from ipsecwatch.cli.tunnels.selection import Selection

FRAME: Final = 0.1
"""Seconds after drawing the screen until it may be drawn again; all changes in them are drawn
together."""
SHARE: Final = 4
"""If drawing takes long, the pause after it is longer than FRAME: so many times as long as the
drawing took."""
ASK_EVERY: Final = 5.0
"""Seconds between two requests for the details of the same tunnels."""
LOOK: Final = 0.25
"""Seconds between two checks whether other tunnels are in sight, as the user may have scrolled."""
MANY: Final = 1000
"""If there are more tunnels than this, only the details of those in sight are asked for, even if
order or filter depend on details."""

_CLOCK: Final = 40
"""From this width in columns on, the first line also shows the time of day."""

HELP: Final = (
    ("q", "quit"),
    ("up, down", "scroll a line; also k and j"),
    ("page up", "and page down: scroll a page; also b and the space bar"),
    ("home, end", "to the beginning, to the end; also g and G"),
    ("s", "sort by the next key: " + ", ".join(selection.ORDERS)),
    ("r", "reverse the order"),
    ("/", "show tunnels with this text in name, peer, state or reason; * and ? as in a shell"),
    ("escape", "show all again"),
    ("?", "this help; any key closes it"),
)


def run(chosen: Selection, *, interactive: bool, instance: str = "") -> int:
    """Show the chosen tunnels on the whole screen until the user quits. Return EXIT_OK.

    ``interactive``: first ask for a password, if this user needs one to see details. Raise Failure
    if stdin or stdout isn't a terminal that can be drawn on.
    """
    require_terminal()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(chosen, interactive=interactive, instance=instance))
    return EXIT_OK


async def _watch(chosen: Selection, *, interactive: bool, instance: str) -> None:
    """Ask for a password if ``interactive``, then show the tunnels until the user quits."""
    # The user is asked before the screen is taken. A service that isn't there yet is waited for.
    if interactive:
        await source.details(Depth.BRIEF, None, interactive=True, instance=instance)
    await Watch(chosen, terminal.Paint(terminal.colour_wanted()), instance).run()


class Picture:
    """What the screen shows: the known tunnels, their order, the filter, and the scroll position.

    It handles events and keys, and returns the screen as lines of text; it doesn't use the
    terminal. It reads clocks for the tunnels' ages, and for the time of day.
    """

    def __init__(self, chosen: Selection) -> None:
        self.chosen = chosen
        self.found = Found([], "service")
        """What the service reports, except for tunnels: those are in ``views``. ``pluto`` in it is
        None until the service has answered."""
        self.views: dict[str, client.View] = {}
        """All listed tunnels, shown or not, by object path."""
        self.details: dict[str, Details] = {}
        """Details of those tunnels for which they were asked, by pluto's names."""
        self.titles: dict[str, str] = {}
        """NetworkManager's names of tunnels, by pluto's name, which is a UUID."""
        self.called: dict[str, str] = {}
        """The same as they are shown: selection.distinct()."""
        self.lost: str | None = None
        """Why the service can't be followed at present; None: it can."""
        self.wanted = ""
        """The text by which the user filters tunnels; "": there is no filter."""
        self.typing = False
        """Whether the user is typing the filter, so that keys are letters and not commands."""
        self.help = False
        """Whether the help is shown instead of the tunnels."""
        self.top = 0
        """How many lines are scrolled away above the first one in sight."""
        self.sorted: list[client.View] = []
        """The tunnels to show, by command line and filter, in the order of the screen."""
        self.count = 0
        """The number of all lines through which the user can scroll, in sight or not."""
        self.layout: Layout[Row] | None = None
        """The table's columns; None: arrange() wasn't called yet, so there is no table."""
        self.counted = ""
        """How many of all listed tunnels, shown or not, are in each state, in words."""

    def record(self, event: client.Event) -> None:
        """Update what is known about tunnels, pluto and the service. arrange() shows it."""
        match event:
            case client.Snapshot():
                self.views = dict(event.tunnels)
                self.found, self.lost = source.of_snapshot(event), None
            case client.Change():
                self.views[event.path] = event.view
            case client.Update(view=None):
                self.views.pop(event.path, None)
            case client.Update(view=view) if view is not None:
                self.views[event.path] = view
            case client.Pluto():
                remark = health.ILL.get(event.state, "")
                self.found = replace(self.found, pluto=event.state, remark=remark, unit=event.unit)
            case client.Log():
                self.found = replace(self.found, log=event.state)
            case client.Answer():
                self.found = replace(
                    self.found, complete=event.complete, unrecognised=event.unrecognised
                )
            case client.Lost():
                self.lost = f"{event.why}. {event.hint}" if event.hint else event.why

    def name(self, titles: dict[str, str]) -> None:
        """Use these as NetworkManager's names of tunnels. arrange() shows them."""
        self.titles, self.called = titles, selection.distinct(titles)

    def arrange(self, paint: terminal.Paint, wide: int) -> None:
        """Filter and sort the tunnels again, and lay out the table for ``wide`` columns.

        This is needed after each change, except scrolling. Details of tunnels that are no longer
        listed are removed.
        """
        rows = [(self.row(v), v) for v in self.views.values()]
        by_name = {row.name: view for row, view in rows}
        kept = self.chosen.filter(self._wanted_rows(row for row, _ in rows))
        self.sorted = [by_name[row.name] for row in self.chosen.sort(kept)]
        self.count = len(self.sorted)
        self.layout = listing.lay_out(kept, paint, wide, all_=bool(self.details))
        none = "asking the service" if self.found.pluto is None else "no tunnels"
        self.counted = terminal.count([row for row, _ in rows]) if rows else none
        names = {v.name for v in self.views.values()}
        self.details = {name: told for name, told in self.details.items() if name in names}

    def row(self, view: client.View) -> Row:
        """Return a tunnel's row, with its age at this moment, and its details if they are known."""
        title, called = self.titles.get(view.name, ""), self.called.get(view.name, "")
        row = replace(Row.of_view(view), title=title, called=called)
        told = self.details.get(view.name)
        return row if told is None else source.with_details([row], {row.name: told})[0]

    def _wanted_rows(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that the command line names and that fit the filter ``wanted``.

        If the command line has no names, all rows count as named. A row fits if one of its texts
        (_filter_texts()) contains the filter, or, if the filter has ``*`` or ``?``, matches it.
        Without a filter, all rows fit.
        """
        if self.chosen.names:
            is_named = selection.any_of(self.chosen.names)
            rows = [row for row in rows if is_named(row.name) or is_named(row.title or row.name)]
        if not self.wanted:
            return list(rows)
        text = self.wanted.lower()
        fits = selection.matcher(text if selection.is_pattern(text) else f"*{text}*")
        return [row for row in rows if any(map(fits, _filter_texts(row)))]

    def in_sight(self, room: int) -> list[client.View]:
        """Return the tunnels in the rows that are in sight.

        ``room`` is the number of rows that the screen has for tunnels. If so few tunnels are left
        that rows would stay empty, first scroll back as far as needed.
        """
        self.top = max(0, min(self.top, len(self.sorted) - room))
        return self.sorted[self.top :][:room]

    def press(self, key: str, room: int) -> bool:
        """Handle a pressed key. Return whether arrange() must be called afterwards.

        ``room`` is the number of rows that the screen has for tunnels. The key q, which quits, is
        handled by Watch.
        """
        if self.help:
            self.help = False
        elif self.typing:
            return self._type(key)
        elif key in ("?", "h"):
            self.help = True
        elif key == "/":
            self.typing, self.wanted = True, ""
            return True
        elif key == "s":
            orders = list(selection.ORDERS)
            after = (orders.index(self.chosen.order) + 1) % len(orders)
            self.chosen = replace(self.chosen, order=orders[after], backwards=False)
            return True
        elif key == "r":
            self.chosen = replace(self.chosen, backwards=not self.chosen.backwards)
            return True
        elif key == keys.ESCAPE:
            self.wanted = ""
            return True
        else:
            self._scroll(key, room)
        return False

    def _type(self, key: str) -> bool:
        """Handle a key while the user types a filter, and scroll to the top.

        Return True, as arrange() must be called.
        """
        if key in (keys.ENTER, keys.ESCAPE):
            self.typing = False
            self.wanted = "" if key == keys.ESCAPE else self.wanted
        elif key == keys.BACKSPACE:
            self.wanted = self.wanted[:-1]
        elif len(key) == 1 and len(self.wanted) < 100:
            self.wanted += key
        self.top = 0
        return True

    def _scroll(self, key: str, room: int) -> None:
        """Scroll as the key asks, as far as there are lines. Other keys don't scroll."""
        page = max(1, room - 1)
        by = {
            keys.UP: -1, "k": -1, keys.DOWN: 1, "j": 1, keys.PAGE_UP: -page, "b": -page,
            keys.PAGE_DOWN: page, " ": page, keys.HOME: -self.count, "g": -self.count,
            keys.END: self.count, "G": self.count,
        }  # fmt: skip
        self.top = max(0, min(self.top + by.get(key, 0), self.count - room))

    # --- what is drawn ----------------------------------------------------------------------

    def troubles(self) -> list[str]:
        """Return remarks on pluto, its answers, its log and tunnels that flap, one line each.

        While the service can't be followed, return only why. Return [] if nothing is wrong.
        """
        if self.lost is not None:
            return [self.lost]
        rows = [self.row(v) for v in self.views.values() if v.name in self.details]
        found = replace(self.found, rows=rows, last_poll=None)
        return health.troubles(found, 0.0)

    def lines(self, paint: terminal.Paint, wide: int, high: int) -> list[str]:
        """Return the lines of the whole screen, of ``wide`` columns and ``high`` lines.

        They show the tunnels and the troubles, or, after the key ``?``, the help.
        """
        if self.help:
            return terminal.facts(HELP, paint, wide)
        troubles = [paint.state(TunnelState.STUCK, terminal.cut(x, wide)) for x in self.troubles()]
        troubles = troubles[: max(0, high - 4)]
        room = max(0, high - 3 - len(troubles))
        detailed = self.chosen.names_tunnels
        rows = self._all_of_each(paint, wide, room) if detailed else self._table(paint, room)
        body = [self._title(paint, wide), *rows]
        shown = len(body) - 2
        body += [""] * (high - 1 - len(troubles) - len(body))
        return [*[*body, *troubles][: high - 1], self._foot(paint, wide, shown)]

    def _table(self, paint: terminal.Paint, room: int) -> list[str]:
        if self.layout is None:
            return [""]
        rows = [self.layout.line(self.row(v)) for v in self.in_sight(room)]
        if self.lost is not None:
            rows = [paint.dim(line) for line in rows]
        return [self.layout.head(paint), *rows]

    def _all_of_each(self, paint: terminal.Paint, wide: int, room: int) -> list[str]:
        """Return a blank line, and below it up to ``room`` lines about the named tunnels.

        These begin at ``top``, which is corrected if it is too far down. A named tunnel that isn't
        listed has a line that says so.
        """
        lines: list[str] = []
        for view in self.sorted:
            told, unit = self.details.get(view.name), self.found.unit
            lines += facts.lines(self.row(view), told, unit, paint, max(20, wide))
        listed = {view.name for view in self.sorted}
        listed |= {self.titles[name] for name in listed & self.titles.keys()}
        absent = [name for name in self.chosen.names if name not in listed]
        lines += [terminal.cut(f"{clean(name)} isn't listed.", wide) for name in absent]
        self.count = len(lines)
        self.top = max(0, min(self.top, self.count - room))
        return ["", *lines[self.top :][:room]]

    def room(self, high: int) -> int:
        """Return how many rows of tunnels fit on a screen of ``high`` lines, at least 1.

        The other lines are the first and the last one, the table's head, and the troubles.
        """
        return max(1, high - 3 - min(len(self.troubles()), max(0, high - 4)))

    def _title(self, paint: terminal.Paint, wide: int) -> str:
        now = terminal.clock(time.time())
        waiting = self.lost is not None and not self.views
        counted = "waiting for the service" if waiting else self.counted
        if wide < _CLOCK:
            return paint.bold(terminal.cut(counted, wide))
        text = terminal.cut(counted, wide - len(now) - 2)
        return paint.bold(terminal.pad(text, wide - len(now))) + now

    def _foot(self, paint: terminal.Paint, wide: int, shown: int) -> str:
        """Return the screen's last line: which rows are in sight, the order, and some keys.

        While the user types a filter, it shows only the filter. ``shown`` is the number of rows in
        sight.
        """
        if self.typing:
            return terminal.cut(f"/{self.wanted}_", wide)
        first, last = self.top + 1 if shown else 0, self.top + shown
        order = self.chosen.order + (" reversed" if self.chosen.backwards else "")
        found = f'  "{self.wanted}"' if self.wanted else ""
        where = f"{first}-{last} of {self.count}{found}"
        return paint.dim(
            terminal.cut(f"{where}  by {order}  q quit  s sort  / filter  ? help", wide)
        )


def _filter_texts(row: Row) -> Iterator[str]:
    """Yield a tunnel's names, peer, state and reason in lower case: the filter looks in these."""
    for text in (row.shown, row.name, row.peer or "", row.state.value, row.reason.value):
        yield text.lower()


class Watch:
    """Runs ``status --watch``: follows the service, handles keys, and draws the screen."""

    def __init__(self, chosen: Selection, paint: terminal.Paint, instance: str = "") -> None:
        self._picture = Picture(chosen)
        self._paint = paint
        self._instance = instance
        self._end = asyncio.Event()
        self._wakeup = asyncio.Event()
        """Set if the screen must be drawn again before the next full second."""
        self._changed = True
        """Whether Picture.arrange() must be called before the screen is drawn next."""
        self._screen: Screen

    async def run(self) -> None:
        """Show the tunnels until the user presses q, a signal ends it, or the terminal is gone."""
        async with Screen(self._press, self._resized, self._end.set) as screen:
            self._screen = screen
            tasks = [
                asyncio.create_task(work)
                for work in (self._end.wait(), self._follow(), self._draw(), self._ask())
            ]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)

    async def _follow(self) -> None:
        """Pass the service's events and NetworkManager's names to the picture, until cancelled."""

        def named(_: object) -> None:
            self._picture.name({uuid: k.name for uuid, k in names.known.items()})
            self._arrange()

        names = ConnectionNames(named)
        following = client.follow(self._instance, ask_after=ASK_AFTER)
        async with contextlib.aclosing(names), contextlib.aclosing(following) as events:
            async for event in events:
                self._picture.record(event)
                if not isinstance(event, client.Change):
                    names.keep(view.name for view in self._picture.views.values())
                self._arrange()

    def _arrange(self) -> None:
        """Make _draw() arrange and draw the tunnels soon."""
        self._changed = True
        self._wakeup.set()

    async def _draw(self) -> None:
        """Draw the screen after each change and at each full second, until cancelled.

        After each drawing there is a pause: FRAME seconds, or SHARE times as long as the drawing
        took, if that is longer.
        """
        while True:
            began = time.perf_counter()
            if self._changed:
                self._changed = False
                self._picture.arrange(self._paint, self._screen.size[0])
            self._wakeup.clear()
            wide, high = self._screen.size
            self._screen.draw(self._picture.lines(self._paint, wide, high))
            took = time.perf_counter() - began
            await asyncio.sleep(max(FRAME, SHARE * took))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0 - time.time() % 1.0):  # until the next full second
                    await self._wakeup.wait()

    def _press(self, key: str) -> None:
        """Handle a pressed key: q quits, others change what is shown."""
        if key == "q" and not self._picture.typing:
            self._end.set()
            return
        room = self._picture.room(self._screen.size[1])
        self._changed = self._picture.press(key, room) or self._changed
        self._draw_now()

    def _draw_now(self) -> None:
        """Draw the screen at once, so that a key has an effect without delay.

        If the tunnels must be arranged first, which may take long, leave the drawing to _draw().
        """
        if not self._changed:
            wide, high = self._screen.size
            self._screen.draw(self._picture.lines(self._paint, wide, high))
        self._wakeup.set()

    def _resized(self) -> None:
        self._changed = True
        self._wakeup.set()

    async def _ask(self) -> None:
        """Ask the service for details every ASK_EVERY seconds, until cancelled.

        They are those of the tunnels in _asked_for(). If there is a tunnel among them for which the
        last request didn't ask, ask again within LOOK seconds. If this user may not see details,
        remove all, and stop asking.
        """
        depth = Depth.FULL if self._picture.chosen.names_tunnels else Depth.BRIEF
        asked: set[str] = set()
        due = 0.0
        while True:
            names = self._asked_for()
            if names and (time.monotonic() >= due or not asked.issuperset(names)):
                told, refused = await source.details(
                    depth, names, interactive=False, instance=self._instance
                )
                if refused:
                    return await self._without_details()
                self._picture.details.update(told)
                self._changed = True
                self._wakeup.set()
                asked, due = set(names), time.monotonic() + ASK_EVERY
            await asyncio.sleep(LOOK)

    async def _without_details(self) -> None:
        """Remove all details from the screen, and wait until cancelled."""
        self._picture.details.clear()
        self._changed = True
        self._wakeup.set()
        await asyncio.Event().wait()

    def _asked_for(self) -> list[str]:
        """Return pluto's names of the tunnels whose details the screen needs at present.

        Return [] while the service can't be followed, or pluto isn't running.
        """
        picture = self._picture
        if picture.lost is not None or picture.found.pluto is not PlutoState.RUNNING:
            return []
        if picture.chosen.names_tunnels:
            return [v.name for v in picture.sorted]
        by_details = picture.chosen.order in ("traffic", "peer") or bool(picture.wanted)
        if by_details and len(picture.views) <= MANY:
            return [v.name for v in picture.views.values()]
        return [v.name for v in picture.in_sight(picture.room(self._screen.size[1]))]
