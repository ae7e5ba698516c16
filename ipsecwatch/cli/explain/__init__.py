# SPDX-License-Identifier: MIT
"""``ipsecwatch explain``: raw status in plain words, or one word of it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli import terminal
from ipsecwatch.cli.common import EXIT_OK, EXIT_USAGE, Failure, read_input, verb
from ipsecwatch.cli.explain import lookup, overview, repair
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    import argparse

_GIVE: Final = "Give a file, - for stdin, or a state's name"

HELP = "say what a status text, or a word of it, means"


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "explain", HELP, run)
    parser.add_argument(
        "what", nargs="?", metavar="FILE|WORD", default="-",
        help="a saved or pasted `ipsec status`; - (default): stdin. Or a word of it, such as "
        "STATE_MAIN_I3, 'sent IKE_AUTH request', RETRANSMIT, erouted",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    if not args.what.strip():
        raise Failure("that is neither a file nor a word", _GIVE, EXIT_USAGE)
    if args.what != "-" and not os.path.exists(args.what):  # False for any text
        print(_word(args.what, as_json=args.json))
        return EXIT_OK
    if args.what == "-" and sys.stdin.isatty():
        print("Paste the output of `ipsec status`, then press Ctrl-D.", file=sys.stderr)
    report = repair.read(read_input(args.what).decode("utf-8", "surrogateescape"))
    tunnels = overview.tunnels_of(report)
    overview.check(report, tunnels)
    if args.json:
        print(json.dumps(overview.as_json(report, tunnels)))
    else:
        paint = terminal.Paint(terminal.colour_wanted())
        lines = overview.lines_of(report, tunnels, paint, terminal.columns())
        print("\n".join(lines))
    return EXIT_OK


def _word(word: str, *, as_json: bool) -> str:
    found = lookup.as_json(word)
    if found:
        paint = terminal.Paint(terminal.colour_wanted())
        return json.dumps(found) if as_json else lookup.told(word, paint, terminal.columns())
    if "/" in word or "." in word:
        shown = clean(word, 200)
        raise Failure(f"cannot read {shown}: no such file", "Give a file, or - for stdin")
    meant = " or ".join(lookup.similar(word))
    hint = f"Did you mean {meant}?" if meant else _GIVE
    raise Failure(f"{clean(word, 80)} is neither a file nor a word of pluto's", hint)
