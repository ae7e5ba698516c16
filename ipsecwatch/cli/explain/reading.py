# SPDX-License-Identifier: MIT
"""A text of a person's: its status made whole again, its log lines, and the tunnels of both."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipsecwatch.cli.explain import answers, log_story, overview, repair
from ipsecwatch.cli.explain.answers import Answer
from ipsecwatch.libreswan import log_text
from ipsecwatch.libreswan.status import parse
from ipsecwatch.report import Extent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.libreswan.log_text import LogText
    from ipsecwatch.report import Report
    from ipsecwatch.tunnel import Tunnel


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says."""

    log: LogText
    report: Report
    """What the rest of it says, as a status."""
    tunnels: list[Tunnel]
    """Those of the report, trouble first, with the reasons that the log tells."""
    answers: tuple[Answer, ...] = ()
    """Each answer of a text that has several, of which report and tunnels say nothing then."""


def read(text: str) -> Reading:
    """Read a text, whatever it went through on its way."""
    log = _log(_out_of_json(text))
    report = repair.read(log.rest)
    if log.lines:
        report = replace(report, knowledge=replace(report.knowledge, log=Extent.PARTIAL))
    found = () if report.complete else _answers(log.rest)
    if len(found) > 1:
        return Reading(log, parse(""), [], found)
    return Reading(log, report, log_story.with_reasons(overview.tunnels_of(report), log))


def _log(text: str) -> LogText:
    """Return a text's log lines. In a status that can be read as it is nothing is taken for one."""
    report = parse(text)
    if report.complete and not report.unrecognised_count:
        return log_text.LogText((), (), text)
    return log_text.read(text)


def _answers(text: str) -> tuple[Answer, ...]:
    """Read each answer of a text by itself. None has the reasons of the log: whose isn't known."""
    pieces = answers.divide(text)
    if len(pieces) == 1:
        return ()
    read = [(line, repair.read(piece)) for line, piece in pieces]
    return tuple(Answer(line, report, overview.tunnels_of(report)) for line, report in read)


def _out_of_json(text: str) -> str:
    """Return the strings of a text that is JSON, as programs save what a command printed."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return "\n".join(_strings(json.loads(text)))
    except (ValueError, RecursionError):
        return text


def _strings(value: object) -> Iterator[str]:
    """List all strings in a value, in their order; names of members aren't among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
