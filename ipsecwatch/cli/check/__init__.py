# SPDX-License-Identifier: MIT
"""``ipsecwatch check``: a monitoring plugin for Nagios, Icinga and their kin.

One line on stdout, performance data behind a ``|``, and the exit code is the answer (Monitoring
Plugins Development Guidelines). Where nothing could be found out that is UNKNOWN, and never OK.
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
from ipsecwatch.cli.common import Failure, add_instance, verb
from ipsecwatch.cli.display.terminal import Row, ago, count
from ipsecwatch.cli.tunnels import source
from ipsecwatch.cli.tunnels.found import Depth
from ipsecwatch.cli.tunnels.selection import is_pattern, matcher
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
    ("ipsecwatch check office 'branch-*'", "these have to be there and up"),
    ("ipsecwatch check -w 45: -c 40: 'branch-*'", "at least 40 of them, better 45"),
)

TIMEOUT: Final = 10.0
"""Seconds after which the answer is UNKNOWN; plugins are killed some time later."""
TOLD: Final = 5
"""Tunnels that are named in the line."""


class Level(IntEnum):
    """What a plugin answers; the value is the exit code."""

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
"""What a state means for a tunnel that is to be there."""

_SHOWN: Final = (TunnelState.UP, *(s for s in TunnelState if s is not TunnelState.UP))

_DELIBERATE: Final = frozenset({Reason.NONE, Reason.OPERATOR})
"""Why a tunnel may be down without any need to tell: it was never tried, or taken down by hand."""

_PLUTO: Final = {
    PlutoState.STOPPED: (Level.CRITICAL, Reason.PLUTO_STOPPED),
    PlutoState.STARTING: (Level.WARNING, Reason.PLUTO_STARTING),
    PlutoState.UNREACHABLE: (Level.UNKNOWN, Reason.PLUTO_UNREACHABLE),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be so."""

    names: tuple[str, ...] = ()
    """Tunnels that are to be there and up, or to wait for traffic; names and patterns."""
    warning: Threshold | None = None
    critical: Threshold | None = None

    @property
    def counts(self) -> bool:
        """Whether it is the number of tunnels that are up which matters, and not each of them."""
        return self.warning is not None or self.critical is not None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is to be told."""

    level: Level
    text: str


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "check", VERBS["check"], run, EXAMPLES, _wrong_usage)
    parser.add_argument(
        "names", nargs="*", metavar="NAME",
        help="tunnels that are to be there, and up or waiting for traffic; * and ? stand for "
        "others. Without: all, and one that is down for no fault or by hand is OK",
    )  # fmt: skip
    parser.add_argument(
        "-w", "--warning", type=_threshold, metavar="RANGE",
        help="WARNING where the number of tunnels that are up is outside of this range, whatever "
        "the state of each; 10: is fewer than 10",
    )  # fmt: skip
    parser.add_argument(
        "-c", "--critical", type=_threshold, metavar="RANGE", help="the same for CRITICAL"
    )
    parser.add_argument(
        "-t", "--timeout", type=_seconds, metavar="S", default=TIMEOUT,
        help=f"UNKNOWN after so many seconds (default: {TIMEOUT:g})",
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
    """What there is to tell, the worst first."""

    findings: tuple[Finding, ...]
    rows: tuple[Row, ...] = ()
    """The tunnels that were looked at."""
    performance: str = ""

    @property
    def level(self) -> Level:
        """The worst of all."""
        return self.findings[0].level if self.findings else Level.OK

    def line(self) -> str:
        """Write it as plugins do."""
        told = [f.text for f in self.findings[:TOLD]]
        if len(self.findings) > TOLD:
            told.append(f"and {len(self.findings) - TOLD} more")
        text = "; ".join([*told, *([count(self.rows)] if self.rows else [])])
        # What is behind a bar is for the program that draws curves.
        line = f"IPSEC {self.level.name} - {text.replace('|', chr(0xA6))}"
        return f"{line} | {self.performance}" if self.performance else line

    def as_json(self) -> dict[str, Any]:
        """Write it for programs."""
        return {
            "format": 1,
            "level": self.level.name.lower(),
            "findings": [{"level": f.level.name.lower(), "text": f.text} for f in self.findings],
            "tunnels": Counter([row.state for row in self.rows]),
        }


def _wrong_usage(message: str, hint: str) -> Failure:
    """Return how it ends at wrong usage: with an answer that monitoring systems show, too."""
    return Failure(message, hint, Level.UNKNOWN, _unknown(message, hint).line())


def _unknown(message: str, hint: str) -> Answer:
    """Return that nothing could be found out, and why."""
    return Answer((Finding(Level.UNKNOWN, f"{message}. {hint}" if hint else message),))


def _answer(wanted: Wanted, within: float, instance: str) -> Answer:
    from ipsecwatch.cli.tunnels.own_names import in_pluto

    try:
        wanted = replace(wanted, names=tuple(in_pluto(wanted.names, instance)))
        found = asyncio.run(_ask(within, instance))
    except Failure as e:
        return _unknown(e.message, e.hint)
    except TimeoutError:
        return Answer((Finding(Level.UNKNOWN, f"ipsecwatch doesn't answer within {within:g} s"),))
    pluto = found.pluto or PlutoState.RUNNING  # it was pluto itself that answered
    chosen, missing = choose(found.rows, wanted.names)
    level = Level.CRITICAL if pluto is PlutoState.RUNNING else Level.UNKNOWN
    findings = [Finding(level, f"no such tunnel: {clean(name)}") for name in missing]
    findings += judge(chosen, pluto, wanted)
    findings.sort(key=lambda f: _WORST_FIRST.index(f.level))
    return Answer(tuple(findings), tuple(chosen), performance(chosen, wanted))


async def _ask(within: float, instance: str) -> Found:
    async with asyncio.timeout(within):
        return await source.ask(Depth.PUBLIC, instance=instance)


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
    """Find tunnels by names and patterns, no names: all; and the names that fit none."""
    if not names:
        return list(rows), []
    found = {name: [row for row in rows if _fits(row.name, name)] for name in names}
    chosen = {row.name: row for fitting in found.values() for row in fitting}
    return list(chosen.values()), [name for name, fitting in found.items() if not fitting]


def performance(rows: Sequence[Row], wanted: Wanted) -> str:
    """Write how many tunnels are in each state as performance data, with their bounds."""
    states = Counter([row.state for row in rows])
    warning, critical = (t.text if t else "" for t in (wanted.warning, wanted.critical))
    bounds = {TunnelState.UP: f"{warning};{critical}"}
    return " ".join(
        f"{state}={states[state]};{bounds.get(state, ';')};0;{len(rows)}" for state in _SHOWN
    )


def judge(rows: Sequence[Row], pluto: PlutoState, wanted: Wanted) -> list[Finding]:
    """Say what is wrong with these tunnels."""
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
    """Say what is wrong with a tunnel, if anything."""
    level = _LEVELS[row.state]
    if not required and (
        (row.state is TunnelState.DOWN and row.reason in _DELIBERATE) or is_client(row.name)
    ):
        return
    if level is not Level.OK:
        yield Finding(level, _text(row))


def is_client(name: str) -> bool:
    """Return whether a tunnel is a client of a template, which comes and goes: ``rw[3]``."""
    return name.endswith("]") and name.rpartition("[")[2][:-1].isdigit()


def _fits(name: str, wanted: str) -> bool:
    return name == wanted or (is_pattern(wanted) and matcher(wanted)(name))


def _text(row: Row) -> str:
    age = f" for {ago(row.age)}" if row.age is not None and row.since_known else ""
    why = "" if row.reason is Reason.NONE else f" ({REASON_TEXTS[row.reason].sentence.rstrip('.')})"
    return f"{row.name} is {row.state}{age}{why}"
