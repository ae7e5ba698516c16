# SPDX-License-Identifier: MIT
"""How a verb ends: its exit code, and a Failure with a hint instead of a traceback."""

from __future__ import annotations

import sys
from typing import Final

EXIT_OK: Final = 0
EXIT_NO: Final = 1
"""Exit code of a verb that found an answer, and the answer is no: a named tunnel is down, for
example."""
EXIT_USAGE: Final = 2
EXIT_UNKNOWN: Final = 3
"""Exit code of a verb that couldn't find the answer: the service doesn't answer, for example."""


class Failure(Exception):  # noqa: N818 - it isn't only errors that end a verb
    """Raised to end a verb: run() in main.py prints ``message`` and ``hint`` as one line on stderr.

    ``hint`` says what to do; "": nothing is known to help. ``code`` is the exit code.
    """

    def __init__(
        self, message: str, hint: str = "", code: int = EXIT_UNKNOWN, out: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.out = out
        """A line to print on stdout, for a monitoring system that doesn't read stderr; "": none."""


def fail(failure: Failure) -> int:
    """Print a Failure's message and hint on stderr, as one line, and return its exit code.

    The Failure's line for stdout (``out``) isn't printed here.
    """
    line = f"ipsecwatch: {failure.message}"
    if failure.hint:
        line += f". {failure.hint}"
    print(line, file=sys.stderr)
    return failure.code


def wrong_usage(message: str, hint: str) -> Failure:
    """Return the Failure for a wrong command line, with EXIT_USAGE; most verbs use this one."""
    return Failure(message, hint, EXIT_USAGE)
