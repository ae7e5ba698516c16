# SPDX-License-Identifier: MIT
"""Explains what a text's log lines show about the IPsec service itself: that it crashed, say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.explain import log_cause
from ipsecwatch.libreswan.service_lines import Fate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.libreswan.log_text import LogTextLine

TITLE: Final = "the IPsec service (pluto)"


@dataclass(frozen=True, slots=True)
class ServiceStory:
    """What log lines show about the IPsec service: the most important line, explained, and advice.

    ``sentence`` says what happened; ``advice`` is "" where there is nothing to do.
    """

    line: LogTextLine
    sentence: str
    advice: str

    @property
    def is_trouble(self) -> bool:
        """Whether the line is about trouble, such as a crash or a service that isn't running.

        False: it only says that the service was started or stopped.
        """
        return self.line.fate not in (Fate.STOPPED, Fate.STARTED)


def story(lines: Sequence[LogTextLine]) -> ServiceStory | None:
    """Return what log lines show about the IPsec service; None: no line is about the service.

    The line whose fate stands first in Fate is chosen: a crash goes before a stop, a stop before a
    start. Of several with this fate, it is the first in which pluto itself says what was wrong, and
    else the first.
    """
    order = list(Fate)
    about = [
        (order.index(x.fate), not x.text.startswith(_PLUTOS_OWN), i)
        for i, x in enumerate(lines)
        if x.fate is not None
    ]
    if not about:
        return None
    at = min(about)[-1]
    line = lines[at]
    sentence = f"{_happened(line)} {_after(lines, at)}".strip()
    return ServiceStory(line, sentence, _ADVICE.get(line.fate, ""))


_PLUTOS_OWN: Final = ("ABORT", "FATAL", "ASSERTION")
"""The beginnings of lines in which pluto itself says what was wrong."""


def _happened(line: LogTextLine) -> str:
    if line.fate is Fate.STARTED:
        return "The IPsec service (pluto) was started."
    return log_cause.service_ended(line.fate)


def _after(lines: Sequence[LogTextLine], at: int) -> str:
    """Return ``Then it was started again.`` if a line after ``lines[at]`` shows a start.

    Return "" where none does, and where ``lines[at]`` is itself about a start.
    """
    if lines[at].fate is Fate.STARTED or not any(x.fate is Fate.STARTED for x in lines[at:]):
        return ""
    return "Then it was started again."


_READ: Final = "What was written before that: journalctl -u ipsec -n 50."
_ADVICE: Final[dict[Fate | None, str]] = {
    Fate.CRASHED: (
        "It is a fault in libreswan, or in a library of it; a packet of the peer's, or a setting, "
        f"may set it off. {_READ} See whether a newer libreswan mends it, and report the line with "
        "the release to the distribution or to libreswan."
    ),
    Fate.KILLED: f"See who did it, such as the kernel for want of memory: dmesg. {_READ}",
    Fate.REFUSED: f"Mend what the line names, then: systemctl restart ipsec. {_READ}",
    Fate.BAD_SETTINGS: (
        "Correct what the line names, and see whether all can be read: ipsec addconn "
        "--checkconfig. Then: systemctl restart ipsec"
    ),
    Fate.FAILED: f"{_READ} See whether the settings can be read: ipsec addconn --checkconfig",
    Fate.NOT_RUNNING: "Start it: systemctl start ipsec. Why it ended: journalctl -u ipsec -n 50",
    Fate.STOPPED: "If it should run: systemctl start ipsec",
}
