# SPDX-License-Identifier: MIT
"""Reads a text that a user has: the status and the log lines in it, and the tunnels in both."""

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
    """What a text contains."""

    log: LogText | None
    """The text's log lines; None for a complete status without an unknown line, which has none."""
    report: Report
    """The rest of the text, read as a status."""
    tunnels: list[Tunnel]
    """The report's tunnels, those with trouble first, with the reasons that the log shows."""
    answers: tuple[Answer, ...] = ()
    """The answers of a text that has several; report and tunnels are empty then. () else."""


def read(text: str) -> Reading:
    """Return what a text contains, which a mail program or a terminal may have changed."""
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

    None: the text is a complete status of which each line is known, and so has no log lines.
    """
    report = parse(text)
    if report.complete and not report.unrecognised_count:
        return None
    from ipsecwatch.libreswan import log_text  # the table of log lines takes 20 ms

    return log_text.read(text)


def _with_reasons(tunnels: list[Tunnel], log: LogText | None) -> list[Tunnel]:
    """Return tunnels with the reasons that the log beside their status shows, if there is one."""
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
