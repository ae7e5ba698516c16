# SPDX-License-Identifier: MIT
"""``ipsecwatch explain FILE``: explains a status, a piece of pluto's log, or both."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.explain import describe, other_programs, overview, reading
from ipsecwatch.cli.failure import Failure
from ipsecwatch.report import Knowledge

if TYPE_CHECKING:
    from collections.abc import Collection

    from ipsecwatch.libreswan.log_text import LogText
    from ipsecwatch.report import Report
    from ipsecwatch.tunnel import Tunnel


def is_log(text: str) -> bool:
    """Return whether a text has log lines of pluto's from which something can be explained.

    Such lines are about a connection, about packets that fit no connection, or about what happened
    to the IPsec service itself: a start, a stop, a crash.
    """
    from ipsecwatch.libreswan import log_text

    return bool(_heading(log_text.read(text)))


def explanation(text: str, *, as_json: bool) -> str:
    """Return the explanation of a text that a user gave: for people, or as a JSON object.

    Raise Failure where it has neither a status nor log lines from which something can be explained.
    """
    read = reading.read(text)
    log, report, tunnels = read.log, read.report, read.tunnels
    has_tunnels = read.answers or report.connections or report.states
    if has_tunnels and other_programs.is_old_status(text):
        raise Failure(f"this is {other_programs.OLD_STATUS.what}", other_programs.OLD_STATUS.hint)
    heading = _heading(log)
    program = "Openswan" if other_programs.is_openswan(text) else overview.LIBRESWAN
    if read.answers:
        return _several(read, heading, program, as_json=as_json)
    has_status = _has_status(text, log, report, tunnels, heading)
    if as_json:
        import json

        status = overview.as_json(report, tunnels, program) if has_status else _NO_STATUS
        if not has_status and program != overview.LIBRESWAN:
            status = {**status, "remarks": [overview.as_if(program)]}
        return json.dumps({**status, "answers": [], **_log_json(log)})
    paint, wide = terminal.Paint(terminal.colour_wanted()), terminal.columns()
    lines = overview.lines_of(report, tunnels, paint, wide, program) if has_status else []
    lines = _with_log(lines, log, heading, paint, wide, describe.names_up(tunnels))
    if not has_status and program != overview.LIBRESWAN:
        lines += ["", *terminal.facts([("note", overview.as_if(program))], paint, wide)]
    return "\n".join(lines)


def _several(read: reading.Reading, heading: str, program: str, *, as_json: bool) -> str:
    """Return the explanation of a text with several answers of pluto's: of each by itself.

    The explanation of the text's log lines follows. ``heading``: the line above that; "": no log
    line shows anything. ``program``: whose pluto it is.
    """
    if as_json:
        import json

        found = [
            {"line": a.line, **overview.as_json(a.report, a.tunnels, program)} for a in read.answers
        ]
        return json.dumps({**_NO_STATUS, "why": _SEVERAL, "answers": found, **_log_json(read.log)})
    paint, wide = terminal.Paint(terminal.colour_wanted()), terminal.columns()
    count = len(read.answers)
    lines = terminal.wrap(f"It seems that the text has {count} answers of pluto's. {_APART}", wide)
    for number, a in enumerate(read.answers, 1):
        title = f"Answer {number} of {count}, from line {a.line} of the text on"
        lines += [
            "",
            paint.bold(title),
            "",
            *overview.lines_of(a.report, a.tunnels, paint, wide, program),
        ]
    return "\n".join(_with_log(lines, read.log, heading, paint, wide))


_SEVERAL: Final = "more than one answer"
_APART: Final = (
    "They may be of different times, or of different machines, so each is explained separately."
)


def _with_log(
    lines: list[str],
    log: LogText | None,
    heading: str,
    paint: terminal.Paint,
    wide: int,
    up: Collection[str] = (),
) -> list[str]:
    """Return ``lines``, which explain a status, and below them the explanation of the log lines.

    ``heading``: the line above the latter; "": no log line shows anything, and ``lines`` are
    returned as they are. ``up``: names of the connections that are up by the status.
    """
    if log is None or not heading:
        return lines
    from ipsecwatch.cli.explain import log_overview

    title = map(paint.bold, terminal.wrap(heading, wide))
    told = [*title, "", *log_overview.lines_of(log, paint, wide, up)]
    return [*lines, "", *told] if lines else told


def _heading(log: LogText | None) -> str:
    """Return in one line what a text's log lines are about; "" where no line shows anything.

    ``log`` None: the text is a complete status, and so has no log lines.
    """
    if log is None:
        return ""
    from ipsecwatch.cli.explain import log_overview  # a whole status has no log

    return log_overview.heading(log)


def _log_json(log: LogText | None) -> dict[str, Any]:
    """Return the members ``log`` and ``service`` of the JSON object, which explain log lines.

    Where there are no log lines about connections, or about the service, they are [] and None.
    """
    if log is None:
        return {"log": [], "service": None}
    from ipsecwatch.cli.explain import log_overview

    return {"log": log_overview.as_json(log), "service": log_overview.service_json(log)}


_NO_STATUS: Final[dict[str, Any]] = {
    "format": 1, "version": None, "command": None, "complete": False, "why": None,
    "knowledge": asdict(Knowledge()), "tunnels": [], "others": {}, "remarks": [],
}  # fmt: skip
"""The members of the JSON object that explain a status, for a text without one. A text with several
answers has them, too, with another ``why``: each answer has members of its own."""


def _has_status(
    text: str, log: LogText | None, report: Report, tunnels: list[Tunnel], told: str
) -> bool:
    """Return True if a text has a status to explain, and False if it has only log lines.

    ``told``: the heading of its log lines; "": no log line shows anything. Raise Failure where
    there is neither a status nor a log line to explain; its message says what the text is instead.
    """
    try:
        overview.check(report, tunnels)
    except Failure as nothing:
        if told:
            return False
        rest = "" if log is None else log.rest
        if (other := other_programs.kind(rest)) is not None:
            raise Failure(f"this is {other.what}", other.hint) from None
        if log is not None and log.is_log:
            fault = ", but pluto found a fault in itself (EXPECTATION FAILED)"
            raise Failure(
                "these are log lines of pluto's, and none of them says how a connection is"
                + (fault if "EXPECTATION FAILED: " in text else ""),
                "Give more of them: journalctl -u ipsec",
            ) from None
        from ipsecwatch.cli.explain import lookup

        words = lookup.words_in(rest)
        if words:
            raise Failure(nothing.message, f"Words in it: explain {', '.join(words)}") from None
        raise
    return True
