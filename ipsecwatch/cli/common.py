# SPDX-License-Identifier: MIT
"""Functions that all verbs share: exit codes, input, options, and errors that end in a hint."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ipsecwatch.config import Settings
    from ipsecwatch.reasons import ReasonText
    from ipsecwatch.tunnel import Reason

EXIT_OK: Final = 0
EXIT_NO: Final = 1
"""The verb could be done, and the answer is no: a tunnel isn't up in time, for example."""
EXIT_USAGE: Final = 2
EXIT_UNKNOWN: Final = 3
"""The answer isn't known: the service or pluto doesn't answer, for example."""

ASK_AFTER: Final = 20.0
"""Seconds without a signal after which verbs that follow the service ask it whether it is alive."""

MAX_INPUT: Final = 256 << 20
"""Bytes of the largest file or pipe that is accepted; pluto's largest status is smaller."""


S = TypeVar("S")


class Failure(Exception):  # noqa: N818 - it isn't only errors that end a verb
    """Ends a verb, with one line and a hint for stderr, and an exit code."""

    def __init__(
        self, message: str, hint: str = "", code: int = EXIT_UNKNOWN, out: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.out = out
        """A line for stdout, for a program that reads nothing else; "": none."""


def fail(failure: Failure) -> int:
    """Print on stderr why a verb ends, with its hint, and return its exit code."""
    line = f"ipsecwatch: {failure.message}"
    if failure.hint:
        line += f". {failure.hint}"
    print(line, file=sys.stderr)
    return failure.code


def wrong_usage(message: str, hint: str) -> Failure:
    """Return the Failure for a command line that can't be understood."""
    return Failure(message, hint, EXIT_USAGE)


Example = tuple[str, str]
"""A command line, and what it does."""
_COMMAND: Final = 42
"""Columns of a command; the description of a longer one is on the next line."""
_LINE: Final = 80
"""Columns of an example's line, at most."""
_LONGEST_ERROR: Final = 500


class Parser(argparse.ArgumentParser):
    """Parses a command line. Its help ends in examples, and an error raises a Failure of one line.

    ``ends`` makes that Failure from argparse's message and a hint.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 - argparse's own
        examples: Sequence[Example] = (),
        ends: Callable[[str, str], Failure] = wrong_usage,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **{"formatter_class": _formatter, **options})
        self.examples = examples
        self._ends = ends
        self._given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401
        """Parse as argparse does; keep the command line for the hint of an error."""
        self._given = args or ()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise the Failure that ``ends`` makes of argparse's message and a hint.

        The hint is the option that was meant, where one that doesn't exist was given, else
        ``--help``.
        """
        hint = self._meant() or f"See: {self.prog} --help"
        raise self._ends(clean(message, _LONGEST_ERROR), hint)

    def _meant(self) -> str:
        """Return which option may be meant, as ``Did you mean --json?``; "": none is alike.

        It is about the first given option that doesn't exist and is like one that does. A long
        option may be shortened, and be joined to its value by "=", a short one to its value.
        """
        known = [option for option in self._option_string_actions if option.startswith("--")]
        for word in self._given:
            if word == "--":
                break
            option = word.partition("=")[0]
            short = option[:2] in self._option_string_actions
            exists = short or any(o.startswith(option) for o in known)
            if option.startswith("-") and not exists:
                from ipsecwatch.cli import suggest  # only a mistake needs it

                if meant := suggest.no_such_option(option, known):
                    return meant
        return ""

    def format_help(self) -> str:
        """Return the text that ``--help`` prints, with the examples at its end."""
        if not self.examples:
            return super().format_help()
        lines = "".join(map(_example, self.examples))
        return f"{super().format_help()}\nexamples:\n{lines}"


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return argparse's help formatter, 2 columns narrower than the terminal, but 20 at least."""
    return argparse.HelpFormatter(prog, width=max(20, screen_columns() - 2))


def screen_columns() -> int:
    """Return the width of the terminal in columns: COLUMNS if set, else the real one, else 80.

    It does the same as shutil.get_terminal_size(); importing shutil would import all archivers,
    too.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or 80
    except (AttributeError, ValueError, OSError):  # no terminal, or stdout is closed
        return 80


def _example(example: Example) -> str:
    command, does = example
    line = f"  {command:<{_COMMAND}}{does}"
    if len(command) < _COMMAND and len(line) <= _LINE:
        return f"{line}\n"
    return f"  {command}\n{' ' * min(2 + _COMMAND, _LINE - len(does))}{does}\n"


def verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    does: str,
    run: Callable[[argparse.Namespace], int],
    examples: Sequence[Example] = (),
    ends: Callable[[str, str], Failure] = wrong_usage,
) -> argparse.ArgumentParser:
    """Add a verb to the command line, and return its parser.

    ``does`` is the verb's description. ``run`` runs the verb, and returns its exit code. ``ends``
    returns the Failure for wrong usage, from a message and a hint.
    """
    description = f"{does[:1].upper()}{does[1:]}."
    parser = verbs.add_parser(
        name, help=does, description=description, examples=examples, ends=ends
    )
    parser.set_defaults(run=run)
    return parser


def reason_json(reason: Reason, told: ReasonText) -> dict[str, str]:
    """Return the fields for ``--json``: the reason's code, and sentence and advice of ``told``."""
    return {"reason": reason.value, **asdict(told)}


def load_settings(load: Callable[[], S]) -> S:
    """Return the settings that ``load`` reads. Raise Failure where it raises ConfigError."""
    from ipsecwatch.config import ConfigError  # not every verb has settings

    try:
        return load()
    except ConfigError as e:
        raise Failure(str(e), e.hint, EXIT_USAGE) from e


def add_instance(parser: argparse.ArgumentParser) -> None:
    """Add ``--instance NAME`` to a verb; ``args.instance`` is "" for the service itself.

    The functions of ipsecwatch.client, and instance_settings(), take this value as it is.
    """
    parser.add_argument(
        "--instance", type=_instance, default="", metavar="NAME",
        help="use the instance ipsecwatch@NAME.service, which watches another pluto here",
    )  # fmt: skip


def _instance(name: str) -> str:
    """Return the name if an instance can have it, or it is "".

    Raise argparse.ArgumentTypeError for any other.
    """
    if not name:
        return ""
    from ipsecwatch.dbus.names import is_instance  # brings the D-Bus library along

    if not is_instance(name):
        form = "letters, digits, - and _; the first is a letter or _, as in tenant-1"
        raise argparse.ArgumentTypeError(f"{name} can't be the name of an instance ({form})")
    return name


def instance_settings(instance: str, path: Path | None = None) -> Settings:
    """Return the settings of an instance, or of the service itself ("").

    ``path``: the file to read instead of the usual one. Raise Failure where the settings can't be
    read, or are wrong.
    """
    from ipsecwatch.config import load_instance  # not every verb has settings

    return load_settings(lambda: load_instance(instance, path))


def read_input(file: str) -> bytes:
    """Return the bytes of a file, or of stdin for ``-``.

    Raise Failure where it can't be read, or has more than MAX_INPUT bytes.
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
    """Return whether the user has set the locale to C, and so expects ASCII only.

    Python writes UTF-8 there as well; on a terminal that reads each byte as a character, some bytes
    of UTF-8 are control characters. Where no locale is set, terminals are taken to understand
    UTF-8, as systemd does.
    """
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    return next(filter(None, map(os.environ.get, names)), "") in ("C", "POSIX")
