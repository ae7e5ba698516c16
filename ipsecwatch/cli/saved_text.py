# SPDX-License-Identifier: MIT
"""Reads saved texts for ``status --file``, ``who --file`` and ``parse``, and refuses damaged ones.

These verbs need an answer of pluto's as it was printed. An answer that was quoted in a mail,
indented, logged or cut into pieces is refused with a hint: ``explain`` can repair it. A text that
isn't libreswan's is refused, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.common import read_input
from ipsecwatch.cli.failure import Failure
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
"""Kinds of files that are given by mistake: the first bytes, the kind in words, and a hint."""


def read_report(file: str, command: str | None = None) -> Report:
    """Read the file ``file`` (``-``: stdin) as pluto's answer to ``command``. Return its report.

    ``command`` is a name such as ``status``; None: the text itself shows what it answers. The
    answer may be cut off, or have lines that aren't recognised: the report says so. Raise Failure
    if the file can't be read, if the text isn't one answer of pluto's, or if it must be repaired
    first: ``explain``, which repairs texts, doesn't find one of the report's tunnels, or finds
    another state or reason of it.
    """
    data = _data(file)
    report = _report(data, file, command)
    seen = _seen(report, data)
    if seen is not None and not _verdicts(tunnels_of(report).values()) <= _verdicts(seen):
        raise _damaged(file)
    return report


def read_tunnels(file: str) -> tuple[Report, list[Tunnel]]:
    """Read the file ``file`` (``-``: stdin) as an answer of pluto's. Return its report and tunnels.

    Raise Failure as read_report() does, and also if ``explain`` finds more tunnels: here nobody
    must believe that a tunnel doesn't exist because its line is damaged.
    """
    data = _data(file)
    report = _report(data, file)
    tunnels = list(tunnels_of(report).values())
    seen = _seen(report, data)
    if seen is not None and _verdicts(tunnels) != _verdicts(seen):
        raise _damaged(file)
    return report, tunnels


def _seen(report: Report, data: bytes) -> list[Tunnel] | None:
    """Return the tunnels that ``explain`` finds in a text, after it has repaired the text.

    Return None if that isn't needed: the report is complete, and all lines were recognised.
    """
    if report.complete and not report.unrecognised_count:
        return None
    from ipsecwatch.cli.explain import reading  # most texts are whole

    return reading.read(data.decode("utf-8", "surrogateescape")).tunnels


def _data(file: str) -> bytes:
    """Return the bytes of the file ``file`` (``-``: stdin).

    Raise Failure if they can't be read, are of a kind in _OTHERS, or contain a NUL byte.
    """
    data = read_input(file)
    _refuse_others(data)
    if b"\0" in data:
        raise Failure(f"{_NO_STATUS}: it is binary", _SAVE)
    return data


def _refuse_others(data: bytes) -> None:
    """Raise Failure if ``data`` begin as one of the kinds in _OTHERS does. It says which kind."""
    for begin, what, hint in _OTHERS:
        if data.startswith(begin):
            raise Failure(f"{_NO_STATUS}: it is {what}", hint)


def _report(data: bytes, file: str, command: str | None = None) -> Report:
    """Return the report of a text. Raise Failure if the text isn't one answer of pluto's.

    The Failure says what the text is instead: several answers, pluto's log, a text that must be
    repaired first, or not libreswan's. ``file`` is for its hint.
    """
    report = parse(data, command)
    text = data.decode("utf-8", "surrogateescape")
    if not report.complete:
        _refuse_old_status(text)
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
    from ipsecwatch.cli.explain import other_programs

    if (other := other_programs.kind(text)) is not None:
        raise Failure(f"this is {other.what}", other.hint)
    raise Failure(_NO_STATUS, _SAVE)


def _refuse_old_status(text: str) -> None:
    """Raise Failure if a text is a status of FreeS/WAN's pluto, or of strongSwan's old one."""
    from ipsecwatch.cli.explain import other_programs

    if other_programs.is_old_status(text):
        old = other_programs.OLD_STATUS
        raise Failure(f"this is {old.what}", old.hint)


def _has_several(text: str) -> bool:
    """Return whether a text contains several answers of pluto's, by answers.divide()."""
    from ipsecwatch.cli.explain import answers

    return len(answers.divide(text)) > 1


def _try(file: str) -> str:
    return f"Try: ipsecwatch explain {clean(file, 200)}"


_SA_LINE: Final = re.compile(rf'^{PREFIX}#{NUMBER}: "', re.MULTILINE | re.ASCII)
"""Matches the beginning of a status's lines about SAs. The rest of such a line may be damaged."""


def _is_libreswans(report: Report) -> bool:
    """Return whether the text of this report is taken for an answer of pluto's.

    It is if a connection, an SA, traffic, a pending negotiation or a release was read in the text,
    or if at least half of its lines were recognised. An empty text is, too.
    """
    if report.connections or report.states or report.traffic or report.pending or report.version:
        return True
    return len(report.other) + len(report.shunts) >= report.unrecognised_count


def _verdicts(tunnels: Iterable[Tunnel]) -> set[tuple[str, TunnelState, Reason]]:
    """Return the name, state and reason of each tunnel, to compare two readings of one text."""
    return {(t.name, t.state, t.reason) for t in tunnels}


def _damaged(file: str) -> Failure:
    return Failure(
        "this text isn't as libreswan printed it, and must be repaired first",
        _try(file),
    )
