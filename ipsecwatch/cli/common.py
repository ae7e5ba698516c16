# SPDX-License-Identifier: MIT
"""What the verbs share: exit codes, reading input, errors that end in a hint."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from ipsecwatch.config import ConfigError
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ipsecwatch.reasons import ReasonText
    from ipsecwatch.tunnel import Reason

EXIT_OK: Final = 0
EXIT_NO: Final = 1
"""The answer is no."""
EXIT_USAGE: Final = 2
EXIT_UNKNOWN: Final = 3
"""Could not find out."""

MAX_INPUT: Final = 256 << 20
"""Bytes of a file or a pipe that are read; the largest status that pluto can give is smaller."""


S = TypeVar("S")


class Failure(Exception):  # noqa: N818 - it isn't only errors that end a verb
    """Ends a verb with one line, a hint, and an exit code."""

    def __init__(self, message: str, hint: str = "", code: int = EXIT_UNKNOWN) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code


def fail(failure: Failure) -> int:
    """Say on stderr why a verb ends, and answer its exit code."""
    line = f"ipsecwatch: {failure.message}"
    if failure.hint:
        line += f". {failure.hint}"
    print(line, file=sys.stderr)
    return failure.code


def verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    help_: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """Add a verb to the command line."""
    parser = verbs.add_parser(name, help=help_, description=help_[:1].upper() + help_[1:] + ".")
    parser.set_defaults(run=run)
    return parser


def reason_json(reason: Reason, told: ReasonText) -> dict[str, str]:
    """Return a reason for ``--json``: its code, and what to tell a person."""
    return {"reason": reason.value, **asdict(told)}


def load_settings(load: Callable[[], S]) -> S:
    """Return what ``load`` reads from a settings file. Raise Failure where that can't be used."""
    try:
        return load()
    except ConfigError as e:
        raise Failure(str(e), "Mend it, or remove it for the defaults", EXIT_USAGE) from e


def read_input(file: str) -> bytes:
    """Read a file, or stdin for ``-``. Raises Failure."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read(MAX_INPUT + 1)
        else:
            with Path(file).open("rb") as f:
                data = f.read(MAX_INPUT + 1)
    except OSError as e:
        raise Failure(
            f"cannot read {clean(file)}: {e.strerror}", "Give a file, or - for stdin"
        ) from e
    if len(data) > MAX_INPUT:
        raise Failure(f"{clean(file)} is larger than {MAX_INPUT >> 20} MiB")
    return data
