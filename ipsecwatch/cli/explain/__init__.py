# SPDX-License-Identifier: MIT
"""``ipsecwatch explain``: a status, a log, one word of them, or a tunnel, in plain words."""

from __future__ import annotations

import codecs
import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli import terminal
from ipsecwatch.cli.common import EXIT_OK, EXIT_USAGE, Failure, read_input, verb
from ipsecwatch.cli.explain import live, log_story, lookup, overview, own_words, reading
from ipsecwatch.libreswan import log_text
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.report import Knowledge
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    import argparse

    from ipsecwatch.report import Report
    from ipsecwatch.tunnel import Tunnel

_GIVE: Final = "Give a file, - for stdin, a word of pluto's, or a tunnel's name"

HELP = "say what a status, a piece of the log, or a word of them means, or how a tunnel is"


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "explain", HELP, run)
    parser.add_argument(
        "what", nargs="?", metavar="FILE|WORD|NAME", default="-",
        help="a saved or pasted `ipsec status`, piece of pluto's log, or output of `ipsec up`; "
        "- (default): stdin. Or a word, such as STATE_MAIN_I3, NO_PROPOSAL_CHOSEN, RETRANSMIT, "
        "stuck. Or the name of a tunnel",
    )  # fmt: skip
    parser.add_argument(
        "--list", action="store_true", help="list every reason, with its sentence and what to do"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    if args.list:
        print(_list(as_json=args.json))
        return EXIT_OK
    if not args.what.strip():
        raise Failure("that is neither a file nor a word", _GIVE, EXIT_USAGE)
    if args.what != "-" and not os.path.exists(args.what):  # False for any text
        print(_word(args.what, as_json=args.json))
        return EXIT_OK
    if args.what == "-" and sys.stdin.isatty():
        print("Paste a status or a piece of pluto's log, then press Ctrl-D.", file=sys.stderr)
    print(_text(_decoded(read_input(args.what)), as_json=args.json))
    return EXIT_OK


_CONVERT: Final = (
    "Save one with: ipsec status > FILE. If it is UTF-16: iconv -f UTF-16 -t UTF-8 FILE"
)


def _decoded(data: bytes) -> str:
    """Decode what a file has; PowerShell writes UTF-16. Raise Failure where it is no text."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if data.startswith(b"\x1f\x8b"):
        hint = (
            "Unpack it first: zcat FILE | ipsecwatch explain -; a recording: ipsecwatch replay FILE"
        )
        raise Failure("this is no status text of libreswan's: it is compressed", hint)
    if b"\0" in data:
        raise Failure("this is no status text of libreswan's: it is binary", _CONVERT)
    return data.decode("utf-8", "surrogateescape")


def _list(*, as_json: bool) -> str:
    """List all reasons; as JSON it is what packages install as ``reasons.json``."""
    if as_json:
        return json.dumps(own_words.table(), indent=1)
    paint, wide = terminal.Paint(terminal.colour_wanted()), terminal.columns()
    out = []
    for reason, told in REASON_TEXTS.items():
        rows = [("means", told.sentence), ("what to do", told.advice)]
        out += [paint.bold(reason.value), *terminal.facts(rows, paint, wide), ""]
    return "\n".join(out[:-1])


def _text(text: str, *, as_json: bool) -> str:
    """Tell of a text: its status, its log lines, or both."""
    read = reading.read(text)
    log, report, tunnels = read.log, read.report, read.tunnels
    heading = log_story.heading(log)
    if read.answers:
        return _several(read, heading, as_json=as_json)
    has_status = _has_status(log, report, tunnels, heading)
    if as_json:
        status = overview.as_json(report, tunnels) if has_status else _NO_STATUS
        return json.dumps({**status, "answers": [], "log": log_story.as_json(log)})
    paint, wide = terminal.Paint(terminal.colour_wanted()), terminal.columns()
    lines = overview.lines_of(report, tunnels, paint, wide) if has_status else []
    return "\n".join(_with_log(lines, log, heading, paint, wide))


def _several(read: reading.Reading, heading: str, *, as_json: bool) -> str:
    """Tell of each answer of a text by itself."""
    if as_json:
        found = [{"line": a.line, **overview.as_json(a.report, a.tunnels)} for a in read.answers]
        log = log_story.as_json(read.log)
        return json.dumps({**_NO_STATUS, "why": _SEVERAL, "answers": found, "log": log})
    paint, wide = terminal.Paint(terminal.colour_wanted()), terminal.columns()
    count = len(read.answers)
    lines = terminal.wrap(f"It seems that the text has {count} answers of pluto's. {_APART}", wide)
    for number, a in enumerate(read.answers, 1):
        title = f"Answer {number} of {count}, from line {a.line} of the text on"
        lines += ["", paint.bold(title), "", *overview.lines_of(a.report, a.tunnels, paint, wide)]
    return "\n".join(_with_log(lines, read.log, heading, paint, wide))


_SEVERAL: Final = "more than one answer"
_APART: Final = (
    "They may be of different times, or of different machines, so each is told by itself."
)


def _with_log(
    lines: list[str], log: log_text.LogText, heading: str, paint: terminal.Paint, wide: int
) -> list[str]:
    """Add to what is told of a status what its log lines tell."""
    if not heading:
        return lines
    title = map(paint.bold, terminal.wrap(heading, wide))
    told = [*title, "", *log_story.lines_of(log, paint, wide)]
    return [*lines, "", *told] if lines else told


_NO_STATUS: Final[dict[str, Any]] = {
    "format": 1, "version": None, "command": None, "complete": False, "why": None,
    "knowledge": asdict(Knowledge()), "tunnels": [], "others": {}, "remarks": [],
}  # fmt: skip
"""What is said of the status where a text has none."""


def _has_status(log: log_text.LogText, report: Report, tunnels: list[Tunnel], told: str) -> bool:
    """Return whether there is a status to tell of. Raise Failure where there is nothing at all."""
    try:
        overview.check(report, tunnels)
    except Failure as nothing:
        if told:
            return False
        if log.is_log:
            raise Failure(
                "these are log lines of pluto's, and none of them says how a connection is",
                "Give more of them: journalctl -u ipsec",
            ) from None
        words = lookup.words_in(log.rest)
        if words:
            raise Failure(nothing.message, f"Words in it: explain {', '.join(words)}") from None
        raise
    return True


def _word(word: str, *, as_json: bool) -> str:
    """Tell of a word; where there is none, of a tunnel of that name."""
    if " " in word and log_story.heading(log_text.read(word)):
        return _text(word, as_json=as_json)
    found = lookup.as_json(word)
    paint, wide = terminal.Paint(terminal.colour_wanted()), terminal.columns()
    if found:
        return _words_json(found) if as_json else lookup.told(word, paint, wide)
    answer = live.look_up(word)
    if answer.row is None:
        raise _nothing(word, answer)
    if as_json:
        return _words_json([live.as_json(answer.row)])
    return live.told(answer.row, paint, wide)


def _words_json(found: list[dict[str, Any]]) -> str:
    return json.dumps([{"format": 1, **each} for each in found])


def _nothing(word: str, answer: live.Live) -> Failure:
    """Say that something is no file, no word and no tunnel."""
    within = lookup.words_in(word) if " " in word else []
    if within:
        return Failure("that is a sentence", f"Words in it: explain {', '.join(within)}")
    if "/" in word or "." in word:
        return Failure(f"cannot read {clean(word, 200)}: no such file", _GIVE)
    meant = " or ".join(lookup.similar(word, answer.names))
    hint = f"Did you mean {meant}?" if meant else _GIVE
    kinds = "neither a file nor a word of pluto's"
    if answer.trouble:
        unasked = "" if meant else f" (tunnels can't be looked up: {answer.trouble})"
        return Failure(f"{clean(word, 80)} is {kinds}", hint + unasked)
    return Failure(f"{clean(word, 80)} is {kinds}, nor a tunnel", hint)
