# SPDX-License-Identifier: MIT
"""What several verbs share: input, settings, limits, and what the terminal can show."""

from __future__ import annotations

import codecs
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final, TypeVar

from ipsecwatch.cli.failure import EXIT_USAGE, Failure
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ipsecwatch.config import Settings
    from ipsecwatch.reasons import ReasonText
    from ipsecwatch.tunnel import Reason

ASK_AFTER: Final = 20.0
"""Seconds without a signal, after which a verb that follows the service asks it for an answer, to
learn whether it is still alive."""

MAX_INPUT: Final = 256 << 20
"""The number of bytes that a file, or a text on stdin, may have at most. A status of pluto's has
fewer."""


S = TypeVar("S")


def reason_json(reason: Reason, told: ReasonText) -> dict[str, str]:
    """Return the members ``reason`` (its code), ``sentence`` and ``advice`` of a JSON object.

    Sentence and advice are those of ``told``, the text about this reason.
    """
    return {"reason": reason.value, **asdict(told)}


def load_settings(load: Callable[[], S]) -> S:
    """Return what ``load`` returns. If it raises ConfigError, raise a Failure with EXIT_USAGE."""
    from ipsecwatch.config import ConfigError  # not every verb has settings

    try:
        return load()
    except ConfigError as e:
        raise Failure(str(e), e.hint, EXIT_USAGE) from e


def instance_settings(instance: str, path: Path | None = None) -> Settings:
    """Return the settings of the instance ``instance``; "": of ipsecwatch.service.

    ``path``: the file to read instead of the usual one. Raise Failure if the settings can't be
    read or have a mistake, or if there are none for ``path``, or for a named instance.
    """
    from ipsecwatch.config import load_instance  # not every verb has settings

    if path is not None and not has_settings(path):
        raise Failure(f"there is no {clean(str(path))}", "Give a file that exists", EXIT_USAGE)
    return load_settings(lambda: load_instance(instance, path))


def has_settings(file: Path) -> bool:
    """Return whether a settings file exists, or the folder of files that are read after it.

    The folder's name is the file's with ``.d`` behind it. Return True also if that can't be found
    out, for want of rights: reading the settings shows why.
    """
    for path in (file, f"{file}.d"):
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            pass
        return True
    return False


def read_input(file: str) -> bytes:
    """Return all bytes of the file ``file``, or of stdin if ``file`` is ``-``.

    Raise Failure if the file can't be read, or if there are more than MAX_INPUT bytes.
    """
    try:
        if file == "-":
            data = sys.stdin.buffer.read(MAX_INPUT + 1)
        else:
            with open(file, "rb") as f:
                data = f.read(MAX_INPUT + 1)
    except OSError as e:
        raise Failure(
            f"cannot read {clean(file)}: {e.strerror}", "Give a file, or - for stdin"
        ) from e
    if len(data) > MAX_INPUT:
        raise Failure(f"{clean(file)} is larger than {MAX_INPUT >> 20} MiB")
    return data


def wants_ascii() -> bool:
    """Return whether only ASCII should be printed on a terminal, as the locale is C or POSIX.

    Python would write UTF-8 in these locales, too. A terminal that takes each byte for a character
    would take some bytes of UTF-8 for control characters. Return False if the environment sets no
    locale: such a terminal is assumed to understand UTF-8, as systemd assumes it.
    """
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    return next(filter(None, map(os.environ.get, names)), "") in ("C", "POSIX")


def screen_columns() -> int:
    """Return the number of columns to print: COLUMNS if set, else the width of stdout's terminal.

    Return 80 if stdout isn't a terminal. shutil.get_terminal_size() does nearly the same, but
    importing shutil takes longer, because it imports the modules for archives.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (AttributeError, ValueError, OSError):  # no terminal, or stdout is closed
        return 80


PLAIN_SIGNS: Final = "ipsecwatch-plain-signs"
"""The name of a way to handle encoding errors, for str.encode() and for streams.

Our own signs, such as curly quotes, become the same in ASCII (_SIGNS). Other characters become
Python's escape sequences, as with ``backslashreplace``.
"""

_SIGNS: Final = {"“": '"', "”": '"', "…": "...", "×": "x"}


def _in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    """Return a text for the characters that can't be encoded, and the index behind them.

    This is the handler of PLAIN_SIGNS, in the form that codecs.register_error() demands. Raise
    ``error`` itself if it isn't about encoding.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    told = (_SIGNS.get(c) or c.encode("ascii", "backslashreplace").decode() for c in unknown)
    return "".join(told), error.end


codecs.register_error(PLAIN_SIGNS, _in_plain_signs)
