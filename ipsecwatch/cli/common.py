# SPDX-License-Identifier: MIT
"""What several verbs share: exit codes, input, options, and errors that end in a hint."""

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
"""Exit code of a verb that found an answer, and the answer is no: a named tunnel is down, for
example."""
EXIT_USAGE: Final = 2
EXIT_UNKNOWN: Final = 3
"""Exit code of a verb that couldn't find the answer: the service doesn't answer, for example."""

ASK_AFTER: Final = 20.0
"""Seconds without a signal, after which a verb that follows the service asks it for an answer, to
learn whether it is still alive."""

MAX_INPUT: Final = 256 << 20
"""The number of bytes that a file, or a text on stdin, may have at most. A status of pluto's has
fewer."""


S = TypeVar("S")


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


Example = tuple[str, str]
"""An example for ``--help``: a command line, and a few words on what it does."""
_COMMAND: Final = 42
"""In the examples, descriptions begin behind so many columns for the command. The description of a
longer command is on the next line."""
_LINE: Final = 80
"""The number of columns that a line of the examples should have at most."""
_LONGEST_ERROR: Final = 500


class Parser(argparse.ArgumentParser):
    """Parses a command line as argparse does, but raises a Failure instead of printing an error.

    ``ends`` returns that Failure for argparse's message and a hint. ``examples`` are printed at the
    end of the help.
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
        """Parse as argparse does. Keep ``args``, in which _meant() looks for the mistake."""
        self._given = args or ()
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise the Failure that ``ends`` returns for argparse's message and a hint.

        The hint names the options that may be meant, if _meant() finds any, else ``--help``.
        """
        hint = self._meant() or f"See: {self.prog} --help"
        raise self._ends(clean(message, _LONGEST_ERROR), hint)

    def _meant(self) -> str:
        """Return a hint for a misspelt option, such as ``Did you mean --json?``; "": there is none.

        The hint is about the first word of the command line that looks like an option, doesn't
        exist, and is similar to options that exist. Words after ``--`` aren't looked at.
        ``--jso``, ``--sort=name`` and ``-w5`` count as existing if ``--json``, ``--sort`` and
        ``-w`` exist.
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
    """Return argparse's formatter for the help of the program or verb ``prog``.

    Its lines are 2 columns narrower than the terminal, but not narrower than 20 columns.
    """
    return argparse.HelpFormatter(prog, width=max(20, screen_columns() - 2))


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
    """Add a verb to ``verbs``, argparse's action for verbs, and return the verb's parser.

    ``does`` is the verb's description, without a capital and a full stop. ``run`` runs the verb
    with the parsed arguments, and returns the exit code. ``examples`` and ``ends`` are as in
    Parser.
    """
    description = f"{does[:1].upper()}{does[1:]}."
    parser = verbs.add_parser(
        name, help=does, description=description, examples=examples, ends=ends
    )
    parser.set_defaults(run=run)
    return parser


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


def add_instance(parser: argparse.ArgumentParser) -> None:
    """Add ``--instance NAME`` to a verb, for machines on which several services watch plutos.

    Without the option, ``args.instance`` is "", which stands for ipsecwatch.service. The functions
    of ipsecwatch.client, and instance_settings(), accept ``args.instance`` as it is.
    """
    parser.add_argument(
        "--instance", type=_instance, default="", metavar="NAME",
        help="use the instance ipsecwatch@NAME.service, which watches another pluto here",
    )  # fmt: skip


def _instance(name: str) -> str:
    """Return ``name`` unchanged if it is "", or if an instance may have it (is_instance()).

    Raise argparse.ArgumentTypeError for any other name.
    """
    if not name:
        return ""
    from ipsecwatch.dbus.names import is_instance  # brings the D-Bus library along

    if not is_instance(name):
        form = "letters, digits, - and _; the first is a letter or _, as in tenant-1"
        raise argparse.ArgumentTypeError(f"{name} can't be the name of an instance ({form})")
    return name


def instance_settings(instance: str, path: Path | None = None) -> Settings:
    """Return the settings of the instance ``instance``; "": of ipsecwatch.service.

    ``path``: the file to read instead of the usual one. Raise Failure if the settings can't be
    read or have a mistake, or if a named instance has no settings.
    """
    from ipsecwatch.config import load_instance  # not every verb has settings

    return load_settings(lambda: load_instance(instance, path))


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
