# SPDX-License-Identifier: MIT
"""``ipsecwatch wait``: waits until tunnels are up, down or stuck, for scripts and units.

It subscribes to signals before it looks at the tunnels' states, so that it misses no change.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch import client
from ipsecwatch.cli import suggest
from ipsecwatch.cli.common import ASK_AFTER, reason_json
from ipsecwatch.cli.failure import EXIT_NO, EXIT_OK, EXIT_UNKNOWN, Failure
from ipsecwatch.cli.monitor.catching_up import KnownTunnels
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.tunnels import selection
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.dbus.names import unit_name
from ipsecwatch.reasons import IPSEC, REASON_TEXTS, words_for
from ipsecwatch.sanitize import clean
from ipsecwatch.states import PlutoState, TunnelState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

EXAMPLES: Final = (
    (
        "ipsecwatch wait office --for up --timeout 90",
        "exit code 0: up; 1: not up in 90 s",
    ),
    ("ipsecwatch wait office --for up && rsync …", "a script that needs the tunnel"),
    ("ipsecwatch wait paris rome --for down --any", "until the first of them is lost"),
    ("ipsecwatch wait 'gw-*' --for up", "all that fit, one at least"),
)

LONGEST: Final = 1e9
"""The largest number of seconds that --timeout accepts."""
FIRST_LOOK: Final = 10.0
"""Seconds to wait for the service's first answer if --timeout is 0."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "wait", VERBS["wait"], run, EXAMPLES)
    parser.add_argument(
        "names", nargs="+", metavar="NAME",
        help="name of a tunnel; with * (any characters) and ? (any one): all loaded tunnels that "
        "fit, and one at least",
    )  # fmt: skip
    parser.add_argument(
        "--for", dest="target", choices=["up", "down", "stuck"], required=True,
        help="the state to wait for; down: any known state except up and partial, or no longer "
        "loaded",
    )  # fmt: skip
    parser.add_argument(
        "--any",
        action="store_true",
        help="wait for any of the tunnels; without: for all at the same time",
    )
    parser.add_argument(
        "--timeout", type=_seconds, metavar="S",
        help="give up after S seconds, with exit code 1, or 3 if a state isn't known. Until then, "
        "also wait for the service to start and for tunnels to be loaded. Without: no limit, but "
        "both must already be there. 0: check once",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the states at the end as JSON")
    add_instance(parser)


def _seconds(text: str) -> float:
    """Return the value of --timeout as a number of seconds.

    Raise argparse.ArgumentTypeError for a text that is no number from 0 to LONGEST.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


def run(args: argparse.Namespace) -> int:
    from ipsecwatch.cli.tunnels.own_names import Titles, in_pluto

    names, titles = tuple(dict.fromkeys(in_pluto(args.names, args.instance))), Titles()
    asyncio.run(titles.learn(names))
    shown = selection.distinct(titles.by_uuid)
    unit = unit_name(args.instance)
    waiting = Waiting(names, args.target, any_=args.any, unit=unit, titles=shown)
    done = asyncio.run(_wait(waiting, args.timeout, args.instance))
    failure = None if done else waiting.failure()
    if args.json:
        print(json.dumps(_json(waiting, failure)))
    if failure is not None:
        raise failure
    return EXIT_OK


async def _wait(waiting: Waiting, limit: float | None, instance: str) -> bool:
    """Follow the service until ``waiting`` is done, and return True; False if time runs out first.

    ``limit`` is in seconds; 0: wait only for the service's first answer; None: there is no limit.
    Raise Failure as _follow() does.
    """
    patience = FIRST_LOOK if limit == 0 else limit
    with contextlib.suppress(TimeoutError):
        following = client.follow(instance, ask_after=ASK_AFTER)
        async with asyncio.timeout(patience), contextlib.aclosing(following) as events:
            return await _follow(waiting, events, limit)
    return False


async def _follow(
    waiting: Waiting, events: AsyncIterator[client.Event], limit: float | None
) -> bool:
    """Pass events to ``waiting`` until it is done, and return True.

    With ``limit`` 0, return False if it isn't done after the first event. With ``limit`` None,
    raise a Failure if the service or a tunnel has never been there (Waiting.absent()); with a
    limit, print that they are waited for.
    """
    async for event in events:
        waiting.record(event, time.time())
        if waiting.is_done():
            return True
        if limit == 0:
            return False
        if limit is None and (absent := waiting.absent()) is not None:
            raise absent
        waiting.print_absent()
    return False


@dataclass(frozen=True, slots=True)
class _Standing:
    """One of the tunnels that are waited for, and its present view; None: it isn't listed."""

    name: str
    view: client.View | None


class Waiting:
    """Decides when the waiting is done: knows the tunnels, their states, and the target.

    ``names`` are names and patterns. ``target`` is ``up``, ``down`` or ``stuck``. ``any_``: one
    tunnel is enough; otherwise, all must be so at the same time. It does no I/O, except for
    messages on stderr.
    """

    def __init__(
        self,
        names: Sequence[str],
        target: str,
        *,
        any_: bool,
        unit: str = "ipsecwatch",
        titles: Mapping[str, str] | None = None,
    ) -> None:
        self._given = names
        self._matchers = {n: selection.matcher(n) for n in names if selection.is_pattern(n)}
        self._titles = titles or {}
        """The names to show for connections of NetworkManager, by their UUIDs, which are pluto's
        names."""
        self._unit = unit
        self.target = target
        self._enough = any if any_ else all
        self._tunnels = KnownTunnels()
        self._stuck: set[str] = set()
        """The tunnels whose last transition is signalled as TunnelStuck: STUCK or PARTIAL ones."""
        self._seen = False
        """Whether the service has sent a Snapshot since the waiting began."""
        self._lost: client.Lost | None = None
        """Why the service can't be followed at present; None: it can, or it isn't known yet."""
        self._pluto = PlutoState.UNREACHABLE
        self.unit = IPSEC
        """The systemd unit that runs pluto, for advice; "": no unit is known to run it."""
        self._said: set[str] = set()

    def record(self, event: client.Event, now: float) -> None:
        """Update what is known about service and tunnels. ``now``: in seconds since the epoch."""
        match event:
            case client.Lost():
                self._lost = event
            case client.Pluto():
                self._pluto, self.unit = event.state, event.unit
            case client.Snapshot():
                self._pluto, self.unit = event.pluto_state, event.unit
                self._lost, self._seen = None, True
        for t in self._tunnels.apply(event, now):
            self._stuck.discard(t.name)
            if t.told == "stuck":
                self._stuck.add(t.name)

    @property
    def names(self) -> list[str]:
        """The names of the tunnels that are waited for at present.

        Instead of a pattern, the names of the tunnels that it fits are here. A pattern that fits no
        tunnel is here itself, and counts as a tunnel that isn't listed.
        """
        return list(dict.fromkeys(name for given in self._given for name in self._meant(given)))

    def _meant(self, given: str) -> list[str]:
        """Return the names of the tunnels for which a name or pattern of the command line stands.

        A pattern stands for the listed tunnels that it fits. If there are none, and the target is
        "down", it stands for tunnels that it fits and that were listed before. A plain name, or a
        pattern that fits no tunnel, is returned unchanged.
        """
        fits = self._matchers.get(given)
        if fits is None or given in self._tunnels.views:
            return [given]
        fitting = sorted(filter(fits, self._tunnels.views), key=selection.natural)
        if not fitting and self.target == "down":
            fitting = sorted(filter(fits, self._tunnels.gone), key=selection.natural)
        return fitting or [given]

    def is_done(self) -> bool:
        """Return whether all tunnels (with ``any_``: at least one) are as the target says: _met().

        Return False while the service can't be followed.
        """
        return self._lost is None and self._enough(map(self._met, self.names))

    def _met(self, name: str) -> bool:
        """Return whether the tunnel ``name`` is as the target says.

        For "up", it must be UP. For "stuck", it must be STUCK, or its last transition must be one
        that is signalled as TunnelStuck. For "down", its state must be known and neither UP nor
        PARTIAL, or it must have been listed before and no longer be listed. Return False for a
        tunnel that was never listed.
        """
        view = self._tunnels.views.get(name)
        if view is None:
            return self.target == "down" and name in self._tunnels.gone
        match self.target:
            case "up":
                return view.state is TunnelState.UP
            case "stuck":
                return view.state is TunnelState.STUCK or name in self._stuck
        return view.state is not TunnelState.UNKNOWN and not view.state.carries

    def absent(self) -> Failure | None:
        """Return a Failure if the service or a tunnel was never there, and may never come.

        Return None if the service has sent a Snapshot, and all tunnels (with ``any_``: at least
        one) have been listed at some time since. A pattern was listed if a tunnel that fits it was.
        """
        if self._lost is not None:
            return None if self._seen else Failure(self._lost.why, self._lost.hint)
        names = self.names
        unknown = [n for n in names if not self._ever_listed(n)]
        if not unknown or (self._enough is any and len(unknown) < len(names)):
            return None
        return self._no_such(unknown[0])

    def _no_such(self, name: str) -> Failure:
        if name in self._matchers:
            return selection.fits_none(name)
        return suggest.no_such_tunnel(name, self._tunnels.views, self._titles.get(name, ""))

    def _ever_listed(self, name: str) -> bool:
        """Return whether the tunnel ``name``, or one that this pattern fits, was ever listed."""
        if (fits := self._matchers.get(name)) and any(map(fits, self._tunnels.gone)):
            return True
        return name in self._tunnels.views or name in self._tunnels.gone

    def print_absent(self) -> None:
        """Print on stderr if the service, or a tunnel that was never listed, is waited for.

        No line is printed twice.
        """
        if self._lost is not None:
            self._say(f"{self._lost.why}: waiting for the service")
            return
        for name in self.names:
            if not self._ever_listed(name):
                shown, hint = self._titles.get(name) or clean(name), self._no_such(name).hint
                what = "tunnel that fits" if name in self._matchers else "tunnel"
                self._say(f"there is no {what} {shown} yet: waiting for it. {hint}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            print(f"ipsecwatch: {text}", file=sys.stderr, flush=True)

    def failure(self) -> Failure:
        """Return the Failure with which the verb ends if time runs out before is_done().

        Its exit code is EXIT_NO if it is known that the tunnels aren't as the target says. It is
        EXIT_UNKNOWN if the service can't be followed, if absent() returns a Failure, or if a tunnel
        that isn't as the target says is UNKNOWN.
        """
        if self._lost is not None:
            return Failure(self._lost.why, self._lost.hint)
        if not self._seen:
            return Failure(
                f"{self._unit} doesn't answer", f"Check it: systemctl status {self._unit}"
            )
        if (absent := self.absent()) is not None:
            return absent
        unmet = [s for s in self.standings() if not self._met(s.name)]
        unclear = [s for s in unmet if s.view and s.view.state is TunnelState.UNKNOWN]
        told = (unclear or unmet)[0]
        more = f", and {len(unmet) - 1} more" if len(unmet) > 1 else ""
        code = EXIT_UNKNOWN if unclear else EXIT_NO
        advice = words_for(told.view.reason, self.unit).advice if told.view else ""
        hint = advice or f"See: ipsecwatch status {clean(told.name)}"
        said = _sentence(told, self._titles.get(told.name, ""))
        return Failure(f"timed out: {said}{more}", hint, code)

    def standings(self) -> Iterable[_Standing]:
        """Return the present view of each tunnel that is waited for, in the order of ``names``."""
        return [_Standing(name, self._tunnels.views.get(name)) for name in self.names]


def _sentence(standing: _Standing, title: str) -> str:
    view = standing.view
    if view is None:
        return f"{title or clean(standing.name)} isn't loaded"
    why = REASON_TEXTS[view.reason].sentence.rstrip(".")
    reason = f" ({why})" if view.reason != "none" else ""
    return f"{title or view.name} is {view.state.value}{reason}"


def _json(waiting: Waiting, failure: Failure | None) -> dict[str, object]:
    return {
        "format": 1,
        "for": waiting.target,
        "done": failure is None,
        "why": failure.message if failure else None,
        "tunnels": [_tunnel(s, waiting.unit) for s in waiting.standings()],
    }


def _tunnel(standing: _Standing, unit: str) -> dict[str, object]:
    """Return a tunnel as an object for JSON. The state of one that isn't listed is null.

    ``unit``: the systemd unit that runs pluto, for the advice.
    """
    view = standing.view
    if view is None:
        return {"name": clean(standing.name), "state": None}
    return {
        "name": view.name,
        "state": view.state,
        **reason_json(view.reason, words_for(view.reason, unit)),
    }
