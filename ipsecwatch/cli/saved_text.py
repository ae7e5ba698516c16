# SPDX-License-Identifier: MIT
"""Reads saved texts for the verbs that need them unchanged: ``status --file`` and ``parse``.

Such a text is what libreswan printed, from the first line to the last. A text that was quoted,
indented, logged or cut into pieces is for ``explain``, which repairs it and says so. A text that
isn't libreswan's is refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.common import Failure, read_input
from ipsecwatch.libreswan.grammar import NUMBER, PREFIX
from ipsecwatch.libreswan.status import parse
from ipsecwatch.sanitize import clean
from ipsecwatch.tracking.single_report import tunnels_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.report import Report
    from ipsecwatch.tunnel import Reason, Tunnel, TunnelState

_SAVE: Final = "Save one with: ipsec whack --status > FILE"

_NO_STATUS: Final = "this is not a status text of libreswan"

_OTHERS: Final = (
    (b"\x1f\x8b", "compressed", "Unpack it first. If it is a recording: ipsecwatch replay FILE"),
    (b'{"format": 1, "kind": "ipsecwatch-recording"', "a recording", "Try: ipsecwatch replay FILE"),
    (b"\xff\xfe", "UTF-16", "Convert it first: iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "UTF-16", "Convert it first: iconv -f UTF-16 -t UTF-8"),
)  # fmt: skip
"""Other kinds of files: their first bytes, what they are, and a hint what to do with them."""


def read_report(file: str, command: str | None = None) -> Report:
    """Read a file, or stdin for ``-``, as the answer to a command, and return its report.

    ``command`` None: recognise it by the text. Where lines can't be read, tunnels may be missing,
    and the report isn't complete. Raise Failure where the text isn't libreswan's, or where
    ``explain``, which repairs texts, finds one of its tunnels otherwise: not at all, or with
    another state or reason.
    """
    data = _data(file)
    report = _report(data, file, command)
    seen = _seen(report, data)
    if seen is not None and not _verdicts(tunnels_of(report).values()) <= _verdicts(seen):
        raise _damaged(file)
    return report


def read_tunnels(file: str) -> tuple[Report, list[Tunnel]]:
    """Read a file, or stdin for ``-``; return its report and its tunnels.

    Raise Failure where the text isn't libreswan's, or where ``explain``, which repairs texts, finds
    other tunnels, states or reasons in it.
    """
    data = _data(file)
    report = _report(data, file)
    tunnels = list(tunnels_of(report).values())
    seen = _seen(report, data)
    if seen is not None and _verdicts(tunnels) != _verdicts(seen):
        raise _damaged(file)
    return report, tunnels


def _seen(report: Report, data: bytes) -> list[Tunnel] | None:
    """Return the tunnels that ``explain`` finds in a text.

    Return None where the report is complete, and all its lines were recognised: explain isn't
    asked then.
    """
    if report.complete and not report.unrecognised_count:
        return None
    from ipsecwatch.cli.explain import reading  # most texts are whole

    return reading.read(data.decode("utf-8", "surrogateescape")).tunnels


def _data(file: str) -> bytes:
    """Return the bytes of a file.

    Raise Failure where it can't be read, is of another known format, or has a NUL byte.
    """
    data = read_input(file)
    _refuse_others(data)
    if b"\0" in data:
        raise Failure(f"{_NO_STATUS}: it is binary", _SAVE)
    return data


def _refuse_others(data: bytes) -> None:
    """Raise Failure for a file of another known format."""
    for begin, what, hint in _OTHERS:
        if data.startswith(begin):
            raise Failure(f"{_NO_STATUS}: it is {what}", hint)


def _report(data: bytes, file: str, command: str | None = None) -> Report:
    """Return the report of a text. Raise Failure where it isn't one answer of libreswan's.

    The Failure says what it is: several answers, a log, a text that must be repaired, or another.
    """
    report = parse(data, command)
    text = data.decode("utf-8", "surrogateescape")
    if not report.complete and _has_several(text):
        raise Failure("this text contains more than one answer of pluto", _try(file))
    # The parser ignores a last line without a line end.
    if _is_libreswans(parse(data + b"\n") if data.strip() else report) or _SA_LINE.search(text):
        return report
    from ipsecwatch.cli.explain import reading

    seen = reading.read(text)
    if seen.log is not None and seen.log.lines:
        raise Failure("this is a piece of pluto's log, and not a status text", _try(file))
    if seen.tunnels or _is_libreswans(seen.report):
        raise _damaged(file)
    raise Failure(_NO_STATUS, _SAVE)


def _has_several(text: str) -> bool:
    """Return whether a text has more than one answer of pluto's, as answers.divide() finds them."""
    from ipsecwatch.cli.explain import answers

    return len(answers.divide(text)) > 1


def _try(file: str) -> str:
    return f"Try: ipsecwatch explain {clean(file, 200)}"


_SA_LINE: Final = re.compile(rf'^{PREFIX}#{NUMBER}: "', re.MULTILINE | re.ASCII)
"""Matches the beginning of libreswan's lines about SAs, also where the rest can't be read."""


def _is_libreswans(report: Report) -> bool:
    """Return whether a text counts as an answer of libreswan's.

    It does if a connection, an SA, its traffic, a pending negotiation or a version was read in it,
    or if no more lines are unrecognised than recognised; so an empty text does, too.
    """
    if report.connections or report.states or report.traffic or report.pending or report.version:
        return True
    return len(report.other) + len(report.shunts) >= report.unrecognised_count


def _verdicts(tunnels: Iterable[Tunnel]) -> set[tuple[str, TunnelState, Reason]]:
    """Return name, state and reason of each tunnel: what two readings of a text must agree on."""
    return {(t.name, t.state, t.reason) for t in tunnels}


def _damaged(file: str) -> Failure:
    return Failure(
        "this text isn't as libreswan printed it, and must be repaired first",
        _try(file),
    )
