# SPDX-License-Identifier: MIT
"""Parses the command line of each verb: argparse, with hints, examples, and ``--instance``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ipsecwatch.cli.common import screen_columns
from ipsecwatch.cli.failure import Failure, wrong_usage
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Example = tuple[str, str]
"""An example for ``--help``: a command line, and a few words on what it does."""
_COMMAND: Final = 42
"""The width of the column of commands, in the examples. The description of a longer command is on
the next line."""
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
        """Parse as argparse does, and keep ``args``: _meant() looks in them for a mistake."""
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


def _example(example: Example) -> str:
    command, does = example
    line = f"  {command:<{_COMMAND}}{does}"
    if len(command) <= _COMMAND - 2 and len(line) <= _LINE:
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


def add_instance(parser: argparse.ArgumentParser) -> None:
    """Add ``--instance NAME`` to a verb, for machines on which several services watch plutos.

    Without the option, ``args.instance`` is "", which stands for ipsecwatch.service. The functions
    of ipsecwatch.client, and instance_settings(), accept ``args.instance`` as it is.
    """
    parser.add_argument(
        "--instance", type=_instance, default="", metavar="NAME",
        help="use ipsecwatch@NAME.service, which watches another pluto on this machine",
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
