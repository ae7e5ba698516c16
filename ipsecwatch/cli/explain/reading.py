# SPDX-License-Identifier: MIT
"""Reads a text that a user has: the status and the log lines in it, and the status's tunnels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipsecwatch.cli.explain import answers, overview, repair, unpacking
from ipsecwatch.cli.explain.answers import Answer
from ipsecwatch.libreswan.status import parse
from ipsecwatch.report import Extent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.libreswan.log_text import LogText
    from ipsecwatch.report import Report
    from ipsecwatch.tunnel import Tunnel


@dataclass(frozen=True, slots=True)
class Reading:
    """What a user's text contains: log lines, and the rest, which is read as a status."""

    log: LogText | None
    """The text divided into its log lines and the rest.

    None for a complete status of which every line is known: it can't have log lines.
    """
    report: Report
    """The rest of the text, repaired where needed, and parsed as a status."""
    tunnels: list[Tunnel]
    """The report's tunnels, those with trouble first. If the log lines show why a tunnel doesn't
    come up, it has that reason."""
    answers: tuple[Answer, ...] = ()
    """pluto's answers, if the text has several of them: then ``report`` and ``tunnels`` are empty.

    () for a text with one answer, or with none.
    """


def read(text: str) -> Reading:
    """Return what a user's text contains: log lines, a status, or several answers of pluto's.

    The text may be wrapped in JSON, and a mail program or a terminal may have changed it: then it
    is unpacked and repaired before it is parsed.
    """
    text = unpacking.out_of_json(text)
    log = _log(text)
    rest = text if log is None else log.rest
    report = repair.read(rest)
    if log is not None and log.lines:
        report = replace(report, knowledge=replace(report.knowledge, log=Extent.PARTIAL))
    numbers = log.rest_numbers if log is not None else ()
    found = () if report.complete else _answers(rest, numbers)
    if len(found) > 1:
        return Reading(log, parse(""), [], found)
    return Reading(log, report, _with_reasons(overview.tunnels_of(report), log))


def _log(text: str) -> LogText | None:
    """Return a text divided into its log lines and the rest.

    Return None for a complete status of which every line is known: it can't have log lines.
    """
    report = parse(text)
    if report.complete and not report.unrecognised_count:
        return None
    from ipsecwatch.libreswan import log_text  # the table of log lines takes 20 ms

    return log_text.read(text)


def _with_reasons(tunnels: list[Tunnel], log: LogText | None) -> list[Tunnel]:
    """Return the tunnels of a status, with the reasons that the same text's log lines show.

    Where ``log`` is None, return the tunnels as they are.
    """
    if log is None:
        return tunnels
    from ipsecwatch.cli.explain import log_story

    return log_story.with_reasons(tunnels, log)


def _answers(rest: str, numbers: Sequence[int]) -> tuple[Answer, ...]:
    """Return pluto's answers in ``rest``, if it has several of them; () if it has one, or none.

    ``rest`` is the user's text without its log lines. ``numbers`` has, for each line of ``rest``,
    its number in the user's text; it is empty where no line was taken out. Reasons that the log
    lines show aren't added to the tunnels: it isn't known to which answer they belong.
    """
    pieces = answers.divide(rest)
    if len(pieces) == 1:
        return ()
    read = [
        (numbers[line - 1] if line <= len(numbers) else line, repair.read(piece))
        for line, piece in pieces
    ]
    return tuple(Answer(line, report, overview.tunnels_of(report)) for line, report in read)
