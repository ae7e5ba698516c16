# SPDX-License-Identifier: MIT
"""``ipsecwatch check``: a monitoring plugin for Nagios, Icinga and compatible programs.

As the Monitoring Plugins Development Guidelines say, it prints one line on stdout, with performance
data behind a ``|``, and its exit code is the result. If the state of a tunnel that counts isn't
known, the result is never OK.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch import __version__
from ipsecwatch.cli.check.threshold import Threshold
from ipsecwatch.cli.display.terminal import Row, ago, count
from ipsecwatch.cli.failure import Failure
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.tunnels import source
from ipsecwatch.cli.tunnels.found import Depth
from ipsecwatch.cli.tunnels.selection import is_pattern, matcher, template_of
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.report import PlutoState
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipsecwatch.cli.tunnels.found import Found

EXAMPLES: Final = (
    ("ipsecwatch check", "all tunnels, each by its state"),
    ("ipsecwatch check office 'branch-*'", "these must exist and be up"),
    (
        "ipsecwatch check -w 45: -c 40: 'branch-*'",
        "at least 40 up, better 45",
    ),
)

TIMEOUT: Final = 10.0
"""Seconds without an answer, after which the result is UNKNOWN, unless --timeout says otherwise.
Monitoring systems kill a plugin somewhat later."""
TOLD: Final = 5
"""The line has the texts of so many findings at most, and the number of the others."""


class Level(IntEnum):
    """The result of a monitoring plugin. The value is the plugin's exit code.

    Results aren't sorted by these values: _WORST_FIRST has their order.
    """

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_WORST_FIRST: Final = (Level.CRITICAL, Level.UNKNOWN, Level.WARNING, Level.OK)

_LEVELS: Final = {
    TunnelState.UP: Level.OK,
    TunnelState.WAITING: Level.OK,
    TunnelState.PARTIAL: Level.WARNING,
    TunnelState.CONNECTING: Level.WARNING,
    TunnelState.STUCK: Level.CRITICAL,
    TunnelState.DOWN: Level.CRITICAL,
    TunnelState.UNKNOWN: Level.UNKNOWN,
}
"""The result for a tunnel in each state, if nothing excuses the state (_judge())."""

_SHOWN: Final = (TunnelState.UP, *(s for s in TunnelState if s is not TunnelState.UP))

_DELIBERATE: Final = frozenset({Reason.NONE, Reason.OPERATOR})
"""Reasons that excuse a tunnel that is DOWN: nobody has tried to bring it up, or it was taken down
on this machine."""

_PLUTO: Final = {
    PlutoState.STOPPED: (Level.CRITICAL, Reason.PLUTO_STOPPED),
    PlutoState.STARTING: (Level.WARNING, Reason.PLUTO_STARTING),
    PlutoState.UNREACHABLE: (Level.UNKNOWN, Reason.PLUTO_UNREACHABLE),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the arguments of ``check`` require of the tunnels."""

    names: tuple[str, ...] = ()
    """Names and patterns of tunnels that must exist, and be UP or WAITING; (): all tunnels count,
    and some that aren't up are excused (_judge())."""
    warning: Threshold | None = None
    """A range: the result is WARNING if it alerts on the number of tunnels that are UP; None: -w
    isn't given."""
    critical: Threshold | None = None
    """A range: if it alerts on this number, the result is CRITICAL, even if ``warning`` alerts;
    None: -c isn't given."""

    @property
    def counts(self) -> bool:
        """Whether the number of tunnels that are UP is checked, and not the state of each."""
        return self.warning is not None or self.critical is not None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that isn't as required, with the result that it leads to."""

    level: Level
    text: str


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "check", VERBS["check"], run, EXAMPLES, _wrong_usage)
    parser.add_argument(
        "names", nargs="*", metavar="NAME",
        help="tunnels that must exist, and be up or waiting for traffic; * stands for any "
        "characters, ? for any one. Without: all tunnels; but one that nobody tried to bring up, "
        "or that was taken down on this machine, may be down, and a template's client in any state",
    )  # fmt: skip
    parser.add_argument(
        "-w", "--warning", type=_threshold, metavar="RANGE",
        help="WARNING if the number of tunnels that are up is outside of this range (10: is 10 or "
        "more). With a range, only this number is checked, and not each tunnel's state",
    )  # fmt: skip
    parser.add_argument(
        "-c", "--critical", type=_threshold, metavar="RANGE", help="the same, for CRITICAL"
    )
    parser.add_argument(
        "-t", "--timeout", type=_seconds, metavar="S", default=TIMEOUT,
        help=f"UNKNOWN if there is no answer after S seconds (default: {TIMEOUT:g})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_instance(parser)
    parser.add_argument("-V", "--version", action="version", version=f"ipsecwatch {__version__}")


def run(args: argparse.Namespace) -> int:
    wanted = Wanted(tuple(args.names), args.warning, args.critical)
    answer = _answer(wanted, args.timeout, args.instance)
    print(json.dumps(answer.as_json()) if args.json else answer.line())
    return answer.level


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of the check: its findings, in the order of _WORST_FIRST; (): all is well."""

    findings: tuple[Finding, ...]
    rows: tuple[Row, ...] = ()
    """The tunnels that were checked, also those without a finding."""
    performance: str = ""
    """The performance data: the text behind the ``|``; "": there are none."""

    @property
    def level(self) -> Level:
        """The result: the level of the worst finding, or OK if there is none."""
        return self.findings[0].level if self.findings else Level.OK

    def line(self) -> str:
        """Return the line to print: result, findings, tunnels in each state, performance data."""
        told = [f.text for f in self.findings[:TOLD]]
        if len(self.findings) > TOLD:
            told.append(f"and {len(self.findings) - TOLD} more")
        text = "; ".join([*told, *([count(self.rows)] if self.rows else [])])
        # Text after a bar would be read as performance data.
        line = f"IPSEC {self.level.name} - {text.replace('|', chr(0xA6))}"
        return f"{line} | {self.performance}" if self.performance else line

    def as_json(self) -> dict[str, Any]:
        """Return the object that ``--json`` prints; it has all findings."""
        return {
            "format": 1,
            "level": self.level.name.lower(),
            "findings": [{"level": f.level.name.lower(), "text": f.text} for f in self.findings],
            "tunnels": Counter([row.state for row in self.rows]),
        }


def _wrong_usage(message: str, hint: str) -> Failure:
    """Return the Failure for a wrong command line: result UNKNOWN.

    Monitoring systems read only stdout, so the Failure has the plugin's line for it.
    """
    return Failure(message, hint, Level.UNKNOWN, _unknown(message, hint).line())


def _unknown(message: str, hint: str) -> Answer:
    """Return the result UNKNOWN. ``message`` says why, and ``hint`` what to do."""
    return Answer((Finding(Level.UNKNOWN, f"{message}. {hint}" if hint else message),))


def _answer(wanted: Wanted, within: float, instance: str) -> Answer:
    """Ask for the tunnels, check them, and return the result.

    It is UNKNOWN if asking fails, or takes longer than ``within`` seconds.
    """
    try:
        found, names = asyncio.run(_ask(wanted.names, within, instance))
    except Failure as e:
        return _unknown(e.message, e.hint)
    except TimeoutError:
        return Answer((Finding(Level.UNKNOWN, f"ipsecwatch doesn't answer within {within:g} s"),))
    pluto = found.pluto or PlutoState.RUNNING  # pluto itself answered
    wanted = replace(wanted, names=tuple(names))
    chosen, missing = choose(found.rows, wanted.names)
    level = Level.CRITICAL if pluto is PlutoState.RUNNING else Level.UNKNOWN
    findings = [Finding(level, f"no such tunnel: {clean(name)}") for name in missing]
    findings += judge(chosen, pluto, wanted)
    findings.sort(key=lambda f: _WORST_FIRST.index(f.level))
    return Answer(tuple(findings), tuple(chosen), performance(chosen, wanted))


async def _ask(names: Sequence[str], within: float, instance: str) -> tuple[Found, list[str]]:
    """Return what source.ask() returns (all tunnels), and ``names`` as pluto knows them.

    The names of NetworkManager's connections become UUIDs. Raise Failure if nobody answers, and
    TimeoutError after ``within`` seconds.
    """
    from ipsecwatch.cli.tunnels.own_names import find_in_pluto

    async with asyncio.timeout(within):
        in_pluto = await find_in_pluto(names, instance)
        return await source.ask(Depth.PUBLIC, instance=instance), in_pluto


def _threshold(text: str) -> Threshold:
    try:
        return Threshold.parse(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(clean(str(e))) from e


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"not a number of seconds: {clean(text)}")
    return seconds


def choose(rows: Sequence[Row], names: Sequence[str]) -> tuple[list[Row], list[str]]:
    """Return the tunnels that these names and patterns mean, and those names that mean no tunnel.

    Without names, return all tunnels, and [].
    """
    if not names:
        return list(rows), []
    found = {name: [row for row in rows if _fits(row.name, name)] for name in names}
    chosen = {row.name: row for fitting in found.values() for row in fitting}
    return list(chosen.values()), [name for name, fitting in found.items() if not fitting]


def performance(rows: Sequence[Row], wanted: Wanted) -> str:
    """Return the plugin's performance data: the number of tunnels in each state.

    The thresholds are given with the number of tunnels that are UP.
    """
    states = Counter([row.state for row in rows])
    warning, critical = (t.text if t else "" for t in (wanted.warning, wanted.critical))
    bounds = {TunnelState.UP: f"{warning};{critical}"}
    return " ".join(
        f"{state}={states[state]};{bounds.get(state, ';')};0;{len(rows)}" for state in _SHOWN
    )


def judge(rows: Sequence[Row], pluto: PlutoState, wanted: Wanted) -> list[Finding]:
    """Return findings on what isn't as ``wanted``: pluto isn't running, or tunnels aren't up.

    If ``wanted`` has a threshold, the number of tunnels that are UP is checked, else each tunnel.
    Without thresholds and names, it is also a finding if pluto is running and there are no tunnels.
    """
    findings = []
    if ill := _PLUTO.get(pluto):
        level, reason = ill
        findings.append(Finding(level, REASON_TEXTS[reason].sentence.rstrip(".")))
    if wanted.counts:
        return [*findings, *_judge_number(rows, wanted)]
    if not rows and not wanted.names and not ill:
        findings.append(Finding(Level.WARNING, "no tunnels are configured"))
    judged = [f for row in rows for f in _judge(row, required=bool(wanted.names))]
    return findings + judged


def _judge_number(rows: Sequence[Row], wanted: Wanted) -> Iterator[Finding]:
    """Yield a finding if one of the two ranges alerts on the number of tunnels that are UP.

    If both do, it is CRITICAL. Yield another finding if some tunnels are UNKNOWN, since more may be
    up then.
    """
    up = sum(row.state is TunnelState.UP for row in rows)
    text = f"{up} up"
    if wanted.critical and wanted.critical.alerts(up):
        yield Finding(Level.CRITICAL, f"{text} (critical: {wanted.critical.text})")
    elif wanted.warning and wanted.warning.alerts(up):
        yield Finding(Level.WARNING, f"{text} (warning: {wanted.warning.text})")
    unknown = sum(row.state is TunnelState.UNKNOWN for row in rows)
    if unknown:
        yield Finding(Level.UNKNOWN, f"{unknown} not known")


def _judge(row: Row, *, required: bool) -> Iterator[Finding]:
    """Yield a finding if the level of a tunnel's state (_LEVELS) isn't OK.

    ``required``: the command line names the tunnel. If it doesn't, yield nothing for a tunnel that
    is DOWN for a reason in _DELIBERATE, or for a template's client, as clients come and go.
    """
    level = _LEVELS[row.state]
    if not required and (
        (row.state is TunnelState.DOWN and row.reason in _DELIBERATE) or template_of(row.name)
    ):
        return
    if level is not Level.OK:
        yield Finding(level, _text(row))


def _fits(name: str, wanted: str) -> bool:
    return name == wanted or (is_pattern(wanted) and matcher(wanted)(name))


def _text(row: Row) -> str:
    """Return a text such as ``office is stuck for 5m (The peer doesn't answer)``.

    The time is left out if it isn't known exactly.
    """
    age = f" for {ago(row.age)}" if row.age is not None and row.since_known else ""
    why = "" if row.reason is Reason.NONE else f" ({REASON_TEXTS[row.reason].sentence.rstrip('.')})"
    return f"{row.name} is {row.state}{age}{why}"
