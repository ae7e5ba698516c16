# SPDX-License-Identifier: MIT
"""``ipsecwatch explain``: explains a status, a log, a word of either, or a tunnel."""

from __future__ import annotations

import codecs
import os
import sys
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.common import read_input
from ipsecwatch.cli.failure import EXIT_OK, EXIT_USAGE, Failure
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.verbs import VERBS

if TYPE_CHECKING:
    import argparse

EXAMPLES: Final = (
    ("ipsec whack --status | ipsecwatch explain", "explain a status in plain words"),
    ("journalctl -u ipsec | ipsecwatch explain", "pluto's log"),
    ("ipsecwatch explain ticket.txt", "a text that somebody sent you"),
    ("ipsecwatch explain NO_PROPOSAL_CHOSEN", "a word that pluto prints"),
    ("ipsecwatch explain office", "a tunnel's state now, and what to do"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "explain", VERBS["explain"], run, EXAMPLES)
    parser.add_argument(
        "what", nargs="?", metavar="FILE|WORD|NAME", default="-",
        help="a file with the output of `ipsec status` or `ipsec up`, or with a piece of pluto's "
        "log; - (default): stdin. Or a word, such as STATE_MAIN_I3, NO_PROPOSAL_CHOSEN, "
        "RETRANSMIT, stuck. Or the name of a tunnel",
    )  # fmt: skip
    parser.add_argument(
        "--list",
        action="store_true",
        help="list all reasons, each with its sentence and what to do",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_instance(parser)


def run(args: argparse.Namespace) -> int:
    print(_explanation(args))
    return EXIT_OK


def _explanation(args: argparse.Namespace) -> str:
    """Return what ``ipsecwatch explain`` prints for this command line.

    With --list, that is all reasons. With --instance, it is the explanation of a tunnel of that
    instance. Otherwise it explains stdin for ``-``, the file of this name if there is one, and else
    a word or a tunnel. Only the modules that are needed are imported. Raise Failure where a file
    can't be read, or where there is nothing to explain.
    """
    if args.list:
        from ipsecwatch.cli.explain import own_words

        return own_words.listed(as_json=args.json)
    if not args.what.strip():
        from ipsecwatch.cli.explain.word import GIVE

        raise Failure("that is neither a file nor a word", GIVE, EXIT_USAGE)
    if args.instance:
        from ipsecwatch.cli.explain import word

        return word.tunnel(args.what, args.instance, as_json=args.json)
    if args.what != "-" and not os.path.exists(args.what):  # False also for impossible paths
        from ipsecwatch.cli.explain import word

        return word.explanation(args.what, as_json=args.json)
    from ipsecwatch.cli.explain import text

    if args.what == "-" and sys.stdin.isatty():
        print("Paste a status or a piece of pluto's log, then press Ctrl-D.", file=sys.stderr)
    return text.explanation(_decoded(read_input(args.what)), as_json=args.json)


_CONVERT: Final = (
    "Save one with: ipsec status > FILE. If it is UTF-16: iconv -f UTF-16 -t UTF-8 FILE"
)


def _decoded(data: bytes) -> str:
    """Return the text in a file's bytes: UTF-8, or UTF-16, as PowerShell writes it.

    In UTF-8, wrong bytes become surrogates; in UTF-16, they become U+FFFD. Raise Failure for gzip's
    data, and for data that isn't UTF-16 but has zero bytes.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if data.startswith(b"\x1f\x8b"):
        hint = (
            "Unpack it first: zcat FILE | ipsecwatch explain -. If it is a recording: "
            "ipsecwatch replay FILE"
        )
        raise Failure("this is not a status text of libreswan: it is compressed", hint)
    if b"\0" in data:
        from ipsecwatch.cli.explain import unpacking

        if (text := unpacking.utf16(data)) is not None:
            return text
        raise Failure("this is not a status text of libreswan: it is binary", _CONVERT)
    return data.decode("utf-8", "surrogateescape")
