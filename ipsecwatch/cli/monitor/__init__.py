# SPDX-License-Identifier: MIT
"""``ipsecwatch monitor``: prints the tunnels' states, and then each transition when it happens."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fnmatch
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch import client
from ipsecwatch.cli import suggest
from ipsecwatch.cli.common import ASK_AFTER, reason_json
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.failure import EXIT_OK, EXIT_USAGE, Failure
from ipsecwatch.cli.monitor import hooks
from ipsecwatch.cli.monitor.catching_up import KnownTunnels, Transition
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.tunnels.own_names import Titles, in_pluto
from ipsecwatch.cli.tunnels.source import with_titles
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.reasons import IPSEC, LOG_TEXTS, words_for
from ipsecwatch.sanitize import clean
from ipsecwatch.states import PlutoState, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ipsecwatch.cli.monitor.past import Past, Position

EXAMPLES: Final = (
    ("ipsecwatch monitor", "all tunnels, until Ctrl-C"),
    ("ipsecwatch monitor office 'branch-*'", "only some tunnels"),
    ("ipsecwatch monitor --json", "for programs: JSON"),
    (
        "ipsecwatch monitor --exec /usr/local/bin/on-change",
        "run a program at up, down and stuck",
    ),
)

_NO_ENTRIES: Final = "the journal doesn't reach back to the transition of --since"
SHOWN: Final = 20
"""Up to this number of tunnels, all are listed at the beginning. Of more tunnels, only those that
are neither UP nor WAITING are listed, and again at most this number."""
_WELL: Final = (TunnelState.UP, TunnelState.WAITING)
_LONGEST: Final = 3600.0
_NARROW: Final = 30
"""On a terminal with fewer columns, sentences begin one space behind the time, and not below the
tunnels' names."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "monitor", VERBS["monitor"], run, EXAMPLES)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only these tunnels; * and ? as in a shell"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on each line")
    add_instance(parser)
    parser.add_argument(
        "--since", metavar="RUN_ID:SERIAL",
        help="first print the transitions that the journal has after this one; --json prints the "
        "run_id and serial of each",
    )  # fmt: skip
    parser.add_argument(
        "--exec", metavar="PROGRAM",
        help="run this program when a tunnel comes up, goes down or gets stuck; variables say what "
        "happened (IPSECWATCH_EVENT, IPSECWATCH_TUNNEL, IPSECWATCH_STATE, IPSECWATCH_REASON …). "
        "Nothing is printed then, unless --json is given",
    )  # fmt: skip
    parser.add_argument(
        "--exec-limit", type=_limit, metavar="S", default=hooks.LIMIT,
        help="kill the program after S seconds (default: 30)",
    )  # fmt: skip


def _limit(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} isn't from 0.1 to {_LONGEST:g} seconds")
    return seconds


def run(args: argparse.Namespace) -> int:
    names = in_pluto(args.names, args.instance)
    monitor = Monitor(names, printer(args), _position(args.since), args.instance)
    program = _program(args.exec) if args.exec else None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(monitor.follow(program, args.exec_limit))
    return EXIT_OK


def _program(path: str) -> str:
    """Return ``path``, the program of --exec, unchanged.

    Raise Failure if it isn't an absolute path, or no file that this user may execute.
    """
    if not os.path.isabs(path):
        hint = "Give the path from / on: PATH isn't searched"
        raise Failure(f"--exec {clean(path)} isn't an absolute path", hint, EXIT_USAGE)
    if not os.path.isfile(path):
        raise Failure(f"there is no program {clean(path)}", "Check how it is spelt", EXIT_USAGE)
    if not os.access(path, os.X_OK):
        raise Failure(f"{clean(path)} can't be run", f"Try: chmod +x {clean(path)}", EXIT_USAGE)
    return path


def _position(text: str | None) -> Position | None:
    """Return the value of --since as a Position; None if the option isn't given.

    Raise Failure for a text that isn't RUN_ID:SERIAL.
    """
    if text is None:
        return None
    from ipsecwatch.cli.monitor import past

    if (position := past.parse_position(text)) is None:
        hint = "ipsecwatch monitor --json prints both"
        raise Failure(f"--since {clean(text, 80)} isn't RUN_ID:SERIAL", hint, EXIT_USAGE)
    return position


def printer(args: argparse.Namespace) -> Json | Text:
    """Return the formatter for these options: Json with --json, else Text.

    With --exec and without --json, nothing is printed: the Text is quiet.
    """
    if args.json:
        return Json()
    return Text(terminal.Paint(terminal.colour_wanted()), quiet=bool(args.exec))


class Monitor:
    """Follows the service, and prints its events in the form of ``out``.

    ``names``: the names and patterns of the tunnels to print; empty: all. ``since``: also print the
    transitions after this one, from the journal.
    """

    def __init__(
        self,
        names: Sequence[str],
        out: Json | Text,
        since: Position | None = None,
        instance: str = "",
    ) -> None:
        self._names = names
        self._out = out
        self._since = since
        self._instance = instance
        self._known = KnownTunnels()
        self._pluto: PlutoState | None = None
        self._titles = out.titles
        self._asks_for_titles = isinstance(out, Text) or any(map(_is_pattern, names))

    async def follow(self, program: str | None, limit: float) -> None:
        """Print events until cancelled. Run ``program`` at each TunnelUp, TunnelDown, TunnelStuck.

        ``program`` None: run nothing. ``limit``: the seconds that one run may take. Raise Failure
        as _check() does, and if the journal, which --since needs, can't be read.
        """
        runner = hooks.Hooks(program, limit) if program else None
        try:
            async with contextlib.aclosing(
                client.follow(self._instance, ask_after=ASK_AFTER)
            ) as events:
                async for event in events:
                    if self._asks_for_titles:
                        await self._titles.learn(_names(event))
                    news = self._handle(event, patient=runner is not None)
                    if runner is not None:
                        runner.unit = self._out.unit
                        runner.add([t for t in news if t.told])
        finally:
            if runner is not None:
                await runner.close()

    def _handle(self, event: client.Event, *, patient: bool) -> list[Transition]:
        """Record and print an event. Return the transitions that follow from it.

        These are only of tunnels to print. For the first Snapshot, they are those that --since asks
        for. ``patient`` is explained in _check(). Raise Failure as follow() does.
        """
        first = not self._known.run_id
        news = [t for t in self._known.apply(event, time.time()) if self._wanted(t.name)]
        before = self._pluto
        match event:
            case client.Snapshot():
                self._pluto, self._out.unit = event.pluto_state, event.unit
                news = self._begin(event, first=first, patient=patient) + news
            case client.Pluto():
                self._pluto, self._out.unit = event.state, event.unit
                # Otherwise only the unit changed, which only advice needs.
                if self._pluto is not before:
                    self._print(self._out.event(event))
            case client.Log() | client.Lost():
                self._print(self._out.event(event))
        self._print(self._out.transitions(news))
        return news

    def _begin(self, seen: client.Snapshot, *, first: bool, patient: bool) -> list[Transition]:
        """Print a Snapshot. Return the transitions that --since asks for; [] without --since.

        ``first``: it is the first Snapshot. For later ones, names aren't checked, and --since isn't
        used any more. ``patient`` is explained in _check(). Raise Failure as follow() does.
        """
        if first:
            self._check(seen, patient=patient)
        since = self._since if first else None
        past = None if since is None else _past(since, seen, self._instance)
        views = [v for v in seen.tunnels.values() if self._wanted(v.name)]
        self._print(self._out.snapshot(seen, views, again=not first))
        self._print(self._out.missed(self._known.missed if past is None else past.missed))
        return [t for t in past.transitions if self._wanted(t.name)] if past else []

    def _check(self, seen: client.Snapshot, *, patient: bool) -> None:
        """Raise Failure if a tunnel that the command line names isn't listed.

        A pattern may fit no tunnel. ``patient``, or while pluto isn't running: only print a warning
        on stderr, since the tunnel may be listed later.
        """
        names = {v.name for v in seen.tunnels.values()}
        for name in self._names:
            if name in names or _is_pattern(name):
                continue
            failure = suggest.no_such_tunnel(name, {self._titles.shown(n) for n in names})
            if not patient and seen.pluto_state is PlutoState.RUNNING:
                raise failure
            print(
                f"ipsecwatch: there is no tunnel {clean(name)} yet. {failure.hint}", file=sys.stderr
            )

    def _wanted(self, name: str) -> bool:
        if not self._names or name in self._names:
            return True
        called = {name, self._titles.by_uuid.get(name, name)}
        patterns = filter(_is_pattern, self._names)
        return any(fnmatch.fnmatchcase(each, p) for p in patterns for each in called)

    def _print(self, lines: Iterable[str]) -> None:
        for line in lines:
            print(line, flush=True)


def _names(event: client.Event) -> list[str]:
    """Return pluto's names of the tunnels whose views an event has; [] if it has none."""
    match event:
        case client.Snapshot():
            return [view.name for view in event.tunnels.values()]
        case client.Change() | client.Update():
            return [event.view.name] if event.view is not None else []
    return []


def _is_pattern(name: str) -> bool:
    """Return whether a name is a pattern: it has ``*`` or ``?``. ``rw[3]`` is none."""
    return "*" in name or "?" in name


def _past(since: Position, seen: client.Snapshot, instance: str) -> Past:
    """Return the transitions in the journal from the one after ``since`` up to the Snapshot.

    ``instance``: the service's instance. Raise Failure if the journal can't be read.
    """
    from ipsecwatch.cli.history.reading import Source
    from ipsecwatch.cli.monitor import past

    end = past.Position(seen.run_id, seen.serial)
    return past.between(since, end, Source(instance=instance))


class Text:
    """Formats events as lines for people. A line with the date comes before a day's first event.

    ``quiet``: all methods yield nothing.
    """

    unit = IPSEC
    """The systemd unit that runs pluto. Only Hooks uses it here: the lines have no advice."""

    def __init__(self, paint: terminal.Paint, *, quiet: bool = False) -> None:
        self._paint = paint
        self._quiet = quiet
        self.titles = Titles()
        self._day = ""

    def snapshot(
        self, seen: client.Snapshot, views: Sequence[client.View], *, again: bool
    ) -> Iterator[str]:
        """Yield lines about a Snapshot's tunnels, of which ``views`` are those to print.

        The first line has the number of tunnels in each state, and pluto's state if pluto isn't
        running. ``again`` False (the first Snapshot): a line for each tunnel follows, the worst
        state first. SHOWN says which ones if there are many; the last line has the number of the
        others.
        """
        now = time.time()
        rows = with_titles(map(terminal.Row.of_view, views), self.titles.by_uuid)
        rows.sort(key=_worst_first)
        said = terminal.count(rows) if rows else "no tunnels"
        if seen.pluto_state is not PlutoState.RUNNING:
            said += f"; the IPsec service is {seen.pluto_state.value}"
        yield from self._line(now, said)
        if again:
            return
        shown = rows if len(rows) <= SHOWN else [r for r in rows if r.state not in _WELL][:SHOWN]
        for row in shown:
            yield from self._standing(now, row)
        if len(shown) < len(rows):
            more = f"… and {len(rows) - len(shown):,} more: ipsecwatch status"
            yield from self._line(now, more)

    def _standing(self, now: float, row: terminal.Row) -> Iterator[str]:
        """Yield a line about a tunnel's present state, folded into several on a narrow terminal.

        ``now``, in seconds since the epoch, is printed in front.
        """
        sign = self._paint.state(row.state, terminal.mark(row.state))
        state = self._paint.state(row.state, terminal.pad(row.state.value, 10))
        why = f"  {words}" if (words := terminal.words(row)) else ""
        since = "" if row.age is None else f"  {terminal.how_long(row.age, known=row.since_known)}"
        begin = f"{terminal.clock(now)} {sign} "
        line = f"{begin}{terminal.pad(row.shown, 20)}  {state}{since}{why}".rstrip()
        pieces = [f"{begin}{row.shown}", state.rstrip(), since.strip(), why.strip()]
        yield from self._dated(now, terminal.folded(line, pieces, terminal.terminal_width()))

    def transitions(self, news: Iterable[Transition]) -> Iterator[str]:
        """Yield a line for each transition, with the time at which it happened."""
        for t in [] if self._quiet else news:
            yield from self._date(t.at)
            name = self.titles.shown(t.name)
            yield terminal.transition(
                t.at, name, t.old.value, t.new, t.reason, self._paint, terminal.terminal_width()
            )

    def missed(self, count: int | None) -> Iterator[str]:
        """Yield a line that says how many transitions aren't printed; nothing for ``count`` 0.

        ``count`` None: the line says that the journal doesn't reach back far enough to know it.
        """
        if count is None:
            yield from self._line(time.time(), _NO_ENTRIES)
        elif count:
            what = "1 transition is" if count == 1 else f"{count:,} transitions are"
            yield from self._line(time.time(), f"{what} missing here: ipsecwatch history")

    def event(self, event: client.Event) -> Iterator[str]:
        """Yield a line about a Pluto, Log or Lost event; nothing for any other event."""
        now = time.time()
        match event:
            case client.Pluto():
                yield from self._line(now, f"the IPsec service is {event.state.value}")
            case client.Log():
                yield from self._line(now, LOG_TEXTS[event.state])
            case client.Lost():
                hint = f" ({event.hint})" if event.hint else ""
                yield from self._line(now, f"{event.why}{hint}")

    def _line(self, at: float, text: str) -> Iterator[str]:
        """Yield the time ``at`` and a sentence, folded to the terminal's width.

        This is for sentences on pluto, the service, or all tunnels. ``at``: seconds since the
        epoch.
        """
        wide = terminal.terminal_width()
        begin = terminal.clock(at) + " " * (1 if wide is not None and wide < _NARROW else 3)
        first, *more = [text] if wide is None else terminal.wrap(text, wide - len(begin))
        lines = [f"{begin}{first}", *(f"{' ' * len(begin)}{line}" for line in more)]
        yield from self._dated(at, map(self._paint.dim, lines))

    def _dated(self, at: float, lines: Iterable[str]) -> Iterator[str]:
        if self._quiet:
            return
        yield from self._date(at)
        yield from lines

    def _date(self, at: float) -> Iterator[str]:
        """Yield a line with the local date of ``at``, in seconds since the epoch.

        Yield nothing if the last such line had the same date.
        """
        day = terminal.moment(at).split()[0]
        if day != self._day:
            self._day = day
            yield self._paint.bold(day)


def _worst_first(row: terminal.Row) -> tuple[int, str]:
    order = (
        TunnelState.STUCK, TunnelState.PARTIAL, TunnelState.UNKNOWN, TunnelState.CONNECTING,
        TunnelState.DOWN, TunnelState.WAITING, TunnelState.UP,
    )  # fmt: skip
    return order.index(row.state), row.shown


class Json:
    """Formats events for programs: each as a JSON object on a line of its own."""

    unit = IPSEC
    """The systemd unit that runs pluto, for the advice; "": no unit is known to run it."""

    def __init__(self) -> None:
        self.titles = Titles()
        """NetworkManager's names of tunnels. Patterns may fit them; what is printed are UUIDs."""

    def snapshot(
        self, seen: client.Snapshot, views: Sequence[client.View], *, again: bool
    ) -> Iterator[str]:
        """Yield an object about a Snapshot, with the states of the tunnels in ``views``.

        ``again``, a member of the object: it isn't the first Snapshot. The transitions that weren't
        signalled since the event before it are printed after it.
        """
        yield _object(
            event="snapshot",
            at=time.time(),
            run_id=seen.run_id,
            serial=seen.serial,
            again=again,
            pluto=seen.pluto_state,
            log=seen.log,
            tunnels={v.name: v.state for v in views},
        )

    def transitions(self, news: Iterable[Transition]) -> Iterator[str]:
        """Yield an object for each transition, with the reason's sentence and advice.

        Its member ``caught_up`` is true if no signal reported the transition: it is from the
        journal, or from comparing two Snapshots.
        """
        for t in news:
            yield _object(
                event="transition",
                at=t.at,
                tunnel=t.name,
                old=t.old,
                new=t.new,
                run_id=t.run_id,
                serial=t.serial,
                told=t.told,
                caught_up=t.caught_up,
                **reason_json(t.reason, words_for(t.reason, self.unit)),
            )

    def missed(self, count: int | None) -> Iterator[str]:
        """Yield an object with the number of transitions that aren't printed; nothing for 0.

        ``count`` None: the number isn't known, and is null in the object.
        """
        if count != 0:
            yield _object(event="missed", count=count)

    def event(self, event: client.Event) -> Iterator[str]:
        """Yield an object about a Pluto, Log or Lost event; nothing for any other event."""
        match event:
            case client.Pluto():
                yield _object(event="pluto", at=time.time(), state=event.state)
            case client.Log():
                text = LOG_TEXTS[event.state]
                yield _object(event="log", at=time.time(), state=event.state, sentence=text)
            case client.Lost():
                yield _object(event="lost", at=time.time(), why=event.why)


def _object(**body: Any) -> str:  # noqa: ANN401 - whatever JSON has
    return json.dumps({"format": 1, **body})
