# SPDX-License-Identifier: MIT
"""Runs a command line: finds the verb, imports only this verb's module, and runs it."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

from ipsecwatch import __version__
from ipsecwatch.cli.common import PLAIN_SIGNS, wants_ascii
from ipsecwatch.cli.failure import EXIT_OK, EXIT_USAGE, Failure, fail
from ipsecwatch.cli.parser import Parser
from ipsecwatch.cli.verbs import VERBS

if TYPE_CHECKING:
    import argparse

_EXAMPLES: Final = (
    ("ipsecwatch status", "the state of each tunnel"),
    ("ipsecwatch status office", "all details of one tunnel"),
    ("ipsecwatch help status", "how to use a verb"),
)


def run(argv: list[str]) -> int:
    """Run the command line ``argv``, which begins with the verb, and return the exit code.

    A Failure of the verb is printed; its code is returned. If stdout is a pipe that nobody reads
    any more, the verb ends without a message, and with EXIT_OK. If stdout's disk is full, an error
    is printed. Return 130 after Ctrl-C. Of characters that stdout or stderr can't encode, our own
    signs are written in ASCII, and all others as Python's escape sequences.
    """
    _replace_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale that isn't UTF-8 can't encode “●”
            plain = "ascii" if stream.isatty() and wants_ascii() else None
            stream.reconfigure(encoding=plain, errors=PLAIN_SIGNS)
    # Output into `head` ends quietly, as other tools do.
    try:
        return _run(argv)
    except Failure as failure:
        _print(failure.out)
        return fail(failure)
    except BrokenPipeError:
        _silence()
        return EXIT_OK
    except OSError as e:
        if e.errno not in _FULL:
            raise
        _silence()
        return fail(Failure(f"cannot write: {e.strerror}", "Make room, then try again"))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _replace_closed() -> None:
    """Open /dev/null as stdin, stdout or stderr where they were closed, as by ``>&-``.

    Python has None there: reading would fail, and print() would write an error to stdout.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the end


_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def _print(line: str) -> None:
    """Print a line on stdout, or nothing for "". Raise no error if stdout can't be written."""
    try:
        print(line, end="\n" if line else "", flush=True)
    except OSError:
        _silence()


def _silence() -> None:
    """Connect stdout to /dev/null, so that Python raises no error when it flushes stdout later."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(argv: list[str]) -> int:
    """Run the command line ``argv``, and return the exit code. Errors are left to run().

    If IPSECWATCH_DEBUG is set, debug logging begins before the verb runs.
    """
    verb = argv[0] if argv else ""
    if verb not in VERBS:
        return _without_verb(argv)
    args = parser_of(verb).parse_args(argv[1:])
    if wanted := os.environ.get("IPSECWATCH_DEBUG"):
        from ipsecwatch.cli import debug

        debug.begin(wanted)
    code: int = args.run(args)
    sys.stdout.flush()
    return code


def _without_verb(argv: list[str]) -> int:
    """Handle a command line whose first word isn't a verb.

    If ``argv`` is empty, print the help and return EXIT_USAGE. For --help and --version, print the
    text and raise SystemExit, as argparse does. Raise Failure for an unknown verb or option.
    """
    if argv and not argv[0].startswith("-"):
        from ipsecwatch.cli import suggest

        raise suggest.no_such_verb(argv[0])
    whole = summary()
    whole.parse_args(argv)
    whole.print_help()
    return EXIT_USAGE


def parser_of(verb: str) -> argparse.ArgumentParser:
    """Return the parser of the arguments of ``verb``, which must be one of VERBS.

    The verb's module is imported for it.
    """
    _, verbs = _bare()
    importlib.import_module(f"ipsecwatch.cli.{verb.replace('-', '_')}").add(verbs)
    return verbs.choices[verb]


def summary() -> Parser:
    """Return a parser that prints ``ipsecwatch --help``, and knows --help and --version.

    It has the names and descriptions of all verbs, but not their arguments, for which all modules
    would have to be imported.
    """
    whole, verbs = _bare()
    for name, does in VERBS.items():
        verbs.add_parser(name, help=does)
    return whole


def _bare() -> tuple[Parser, argparse._SubParsersAction[argparse.ArgumentParser]]:
    """Return a parser of the command line that has no verbs yet, and its action that adds verbs."""
    whole = Parser(
        prog="ipsecwatch",
        description="Watch libreswan's IPsec tunnels. Nothing in libreswan is ever changed.",
        examples=_EXAMPLES,
    )
    whole.add_argument("--version", action="version", version=f"ipsecwatch {__version__}")
    verbs: argparse._SubParsersAction[argparse.ArgumentParser] = whole.add_subparsers(
        title="verbs", metavar="VERB", parser_class=Parser
    )
    return whole, verbs
