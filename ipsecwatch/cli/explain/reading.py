# SPDX-License-Identifier: MIT
"""A text of a person's: its status made whole again, its log lines, and the tunnels of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ipsecwatch.cli.explain import log_story, overview, repair
from ipsecwatch.libreswan import log_text
from ipsecwatch.libreswan.status import parse
from ipsecwatch.report import Extent

if TYPE_CHECKING:
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


def read(text: str) -> Reading:
    """Read a text, whatever it went through on its way."""
    log = _log(text)
    report = repair.read(log.rest)
    if log.lines:
        report = replace(report, knowledge=replace(report.knowledge, log=Extent.PARTIAL))
    return Reading(log, report, log_story.with_reasons(overview.tunnels_of(report), log))


def _log(text: str) -> LogText:
    """Return a text's log lines. In a status that can be read as it is nothing is taken for one."""
    report = parse(text)
    if report.complete and not report.unrecognised_count:
        return log_text.LogText((), (), text)
    return log_text.read(text)
