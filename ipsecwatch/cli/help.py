# SPDX-License-Identifier: MIT
"""``ipsecwatch help [VERB]``: prints the same as ``VERB --help``; without VERB, lists all verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.cli import main, suggest
from ipsecwatch.cli.failure import EXIT_OK
from ipsecwatch.cli.parser import verb
from ipsecwatch.cli.verbs import VERBS

if TYPE_CHECKING:
    import argparse

EXAMPLES: Final = (
    ("ipsecwatch help", "all verbs"),
    ("ipsecwatch help status", "how to use one verb"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "help", VERBS["help"], run, EXAMPLES)
    parser.add_argument("verb", nargs="?", metavar="VERB", help="one of: " + ", ".join(VERBS))


def run(args: argparse.Namespace) -> int:
    if args.verb is None:
        main.summary().print_help()
        return EXIT_OK
    if args.verb not in VERBS:
        raise suggest.no_such_verb(args.verb)
    main.parser_of(args.verb).print_help()
    return EXIT_OK
