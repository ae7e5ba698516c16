# SPDX-License-Identifier: MIT
"""``ipsecwatch explain``: a status, a log, one word of them, or a tunnel, in plain words."""

from __future__ import annotations

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
    text = read_input(args.what).decode("utf-8", "surrogateescape")
    print(_text(text, as_json=args.json))
    return EXIT_OK


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
    has_status = _has_status(log, report, tunnels, heading)
    if as_json:
        status = overview.as_json(report, tunnels) if has_status else _NO_STATUS
        return json.dumps({**status, "log": log_story.as_json(log)})
    paint, wide = terminal.Paint(terminal.colour_wanted()), terminal.columns()
    lines = overview.lines_of(report, tunnels, paint, wide) if has_status else []
    if heading:
        title = map(paint.bold, terminal.wrap(heading, wide))
        told = [*title, "", *log_story.lines_of(log, paint, wide)]
        lines += ["", *told] if lines else told
    return "\n".join(lines)


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
