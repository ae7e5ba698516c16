# SPDX-License-Identifier: MIT
"""Tests of ``--help`` and ``help``: all verbs, and examples that work as they are printed."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from ipsecwatch.cli import main
from ipsecwatch.cli.failure import EXIT_OK, EXIT_USAGE
from ipsecwatch.cli.parser import Parser
from ipsecwatch.cli.verbs import VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_the_examples_of_a_verb_are_command_lines_that_it_takes(verb: str) -> None:
    parser = main.parser_of(verb)
    assert isinstance(parser, Parser)
    assert parser.examples
    ours = [re.search(rf"\bipsecwatch ({verb}\b[^&|]*)", command) for command, _ in parser.examples]
    assert any(ours)
    for found in filter(None, ours):  # what follows in the shell is its own
        parser.parse_args(shlex.split(found[1].partition(" && ")[0])[1:])
    _, _, examples = parser.format_help().partition("\nexamples:\n")
    assert examples
    assert max(map(len, examples.splitlines())) <= 80
    for command, does in parser.examples:  # two blanks, so that it is seen where the command ends
        assert re.search(rf"{re.escape(command)}(\n| ) +{re.escape(does)}", examples)


@pytest.mark.parametrize("verb", VERBS)
def test_the_list_of_verbs_and_a_verb_itself_say_the_same(verb: str) -> None:
    description = main.parser_of(verb).description or ""
    assert description.casefold() == f"{VERBS[verb]}.".casefold()


def test_help_of_a_verb_is_what_the_verb_says_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["help", "status"]) == EXIT_OK
    told = capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main.run(["status", "--help"])
    assert ended.value.code == EXIT_OK
    assert capsys.readouterr().out == told
    assert told.startswith("usage: ipsecwatch status ")


def test_help_without_a_verb_lists_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["help"]) == EXIT_OK
    told = capsys.readouterr().out
    assert [
        v for v in VERBS if not re.search(rf"^ +{v}\s+{VERBS[v][:9]}", told, re.MULTILINE)
    ] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["help", "statsu"], "no such verb: statsu. Did you mean status?"),
        (["statsu", "--json"], "no such verb: statsu. Did you mean status?"),
        (["status", "--jsn"], "unrecognized arguments: --jsn. Did you mean --json?"),
        (["--jsn"], "unrecognized arguments: --jsn. See: ipsecwatch --help"),
        (["parse", "--command"], ("argument --command: expected one argument. "
            "See: ipsecwatch parse --help")),
        (["status", "--\x1b"], r"unrecognized arguments: --\x1b. See: ipsecwatch status --help"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_a_hint(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == EXIT_USAGE
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", f"ipsecwatch: {said}\n")


@pytest.mark.parametrize(("columns", "widest"), [("20", 44), ("40", 60), ("200", 198)])
def test_help_fits_the_terminal(columns: str, widest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    told = main.summary().format_help().partition("\nexamples:\n")[0]
    assert max(map(len, told.splitlines())) <= widest


def test_help_does_not_ask_a_terminal_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stdout", None)
    assert "usage: ipsecwatch status" in main.parser_of("status").format_help()
