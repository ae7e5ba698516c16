# SPDX-License-Identifier: MIT
"""``ipsecwatch doctor``: finds out why no tunnels are shown, and names what repairs it.

All checks run at the same time, each with a time limit. Their findings are printed in a fixed
order: what other things depend on comes before these, so that the first fault is the first to
repair.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.doctor import desktop, service
from ipsecwatch.cli.doctor.finding import Finding, Mark, bad
from ipsecwatch.cli.doctor.machine import LIMIT, Machine, Places, limited
from ipsecwatch.cli.failure import EXIT_NO, EXIT_OK
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.client import ClientError
from ipsecwatch.dbus.errors import BusError
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import TunnelState

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    Check = Callable[[Machine], Coroutine[Any, Any, list[Finding]]]

EXAMPLES: Final = (
    ("ipsecwatch doctor", "check everything; name the repairs"),
    ("sudo ipsecwatch doctor", "also check what only root can see"),
)

CHECKS: Final = (*service.CHECKS, *desktop.CHECKS)

_MARKS: Final = {Mark.GOOD: "✓", Mark.BAD: "✗", Mark.OFF: "○"}
_LETTERS: Final = {Mark.GOOD: "+", Mark.BAD: "X", Mark.OFF: "o"}
"""The marks that are printed in place of _MARKS if the terminal can't show those."""
_COLOURS: Final = {
    Mark.GOOD: TunnelState.UP,
    Mark.BAD: TunnelState.STUCK,
    Mark.OFF: TunnelState.WAITING,
}
_SUBJECT: Final = 15
_ENOUGH: Final = 60
"""From this width in columns on, a finding's subject and text are on the same line; on a narrower
terminal, the text is below the subject."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "doctor", VERBS["doctor"], run, EXAMPLES)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_instance(parser)


def run(args: argparse.Namespace) -> int:
    findings = asyncio.run(examine(instance=args.instance))
    if args.json:
        print(json.dumps({"format": 1, "findings": [asdict(f) for f in findings]}))
    else:
        print("\n".join(_lines(findings)))
    return EXIT_NO if any(f.mark is Mark.BAD for f in findings) else EXIT_OK


async def examine(places: Places | None = None, instance: str = "") -> list[Finding]:
    """Run all checks at the same time, and return their findings in the order of CHECKS.

    This takes at most a little more than LIMIT seconds. ``places``: the paths of files to check;
    None: the usual ones. ``instance``: the instance of the service to check; "":
    ipsecwatch.service.
    """
    machine = Machine(places, instance)
    try:
        found = await asyncio.gather(*(_run(check, machine) for check in CHECKS))
    finally:
        await machine.close()
    return [finding for findings in found for finding in findings]


async def _run(check: Check, machine: Machine) -> list[Finding]:
    """Run one check, and return its findings.

    If the check takes longer than LIMIT seconds, or raises BusError or ClientError, return one bad
    finding that says so. Its subject is the check's name.
    """
    subject = check.__name__.replace("_", " ")
    try:
        return await limited(check(machine))
    except TimeoutError:
        text = f"no answer in {LIMIT:g} s"
        return [bad(subject, text, "systemctl status dbus ipsecwatch ipsec")]
    except (BusError, ClientError) as e:  # it ended during the check
        return [bad(subject, clean(str(e)), e.hint or "ipsecwatch doctor")]


def _lines(findings: Sequence[Finding]) -> list[str]:
    """Return all findings as lines for the terminal, and below them the number of bad ones."""
    paint = terminal.Paint(terminal.colour_wanted())
    wide = terminal.columns()
    signs, arrow = (_MARKS, "→") if terminal.can_show_symbols() else (_LETTERS, ">")
    indent = " " * (_SUBJECT + 3 if wide >= _ENOUGH else 2)
    lines = []
    for f in findings:
        told = terminal.wrap(f.text, wide - len(indent))
        head = f"{paint.state(_COLOURS[f.mark], signs[f.mark])} {f.subject}"
        if wide >= _ENOUGH:
            head += " " * (_SUBJECT - len(f.subject) + 1) + told.pop(0)
        lines += [head, *(f"{indent}{piece}" for piece in told)]
        if f.mend:  # a command stays on one line, so that it can be copied
            lines.append(f"{indent}{arrow} {f.mend}")
    return [*lines, _summary(findings)]


def _summary(findings: Sequence[Finding]) -> str:
    wrong = sum(f.mark is Mark.BAD for f in findings)
    if not wrong:
        return "Nothing is wrong."
    things = "1 thing is" if wrong == 1 else f"{wrong} things are"
    return f"{things} wrong. Repair the first one first."
