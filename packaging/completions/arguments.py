# SPDX-License-Identifier: MIT
"""The arguments of each verb, for the completions, from the parsers that read them."""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from ipsecwatch.cli.explain import lookup
from ipsecwatch.cli.main import parser_of
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.states import TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterator


class Value(Enum):
    """The kind of an argument's value."""

    NONE = auto()
    """An option without a value."""
    ANY = auto()
    """A number or a text: there is nothing to offer."""
    CHOICE = auto()
    """One word of a fixed set."""
    LIST = auto()
    """Several words of a fixed set, with commas between."""
    FILE = auto()
    TUNNEL = auto()
    WORD = auto()
    """A word of libreswan's or ours, a tunnel or a file."""


@dataclass(frozen=True)
class Argument:
    """One option, or one positional argument, of a verb."""

    flags: tuple[str, ...]
    """Empty for a positional argument."""
    value: Value
    words: tuple[str, ...]
    """The words of a CHOICE or LIST."""
    label: str
    help: str
    many: bool
    optional: bool
    """Whether its value may be left out."""


VALUES = {
    "NAME": Value.TUNNEL, "FILE": Value.FILE, "F": Value.FILE, "IN": Value.FILE, "OUT": Value.FILE,
    "FILE|WORD|NAME": Value.WORD, "file": Value.FILE, "recording": Value.FILE,
}  # fmt: skip
"""The kinds of values by their names in the help. Others are ANY, unless a set is fixed."""


def arguments(verb: str) -> list[Argument]:
    """Return the options and positional arguments of a verb."""
    return list(_arguments(parser_of(verb)))


def words() -> list[str]:
    """Return all words that ``explain`` knows, except those with blanks or special characters."""
    return sorted(w for w in lookup.known_words().values() if re.fullmatch(r"[\w-]+", w))


def _arguments(parser: argparse.ArgumentParser) -> Iterator[Argument]:
    """Yield the arguments of a parser, without hidden ones."""
    for action in parser._actions:  # noqa: SLF001 - there is no public way
        if action.help == argparse.SUPPRESS:
            continue
        label = str(action.metavar or action.dest)
        value, some = _value(action, label)
        text = " ".join((action.help or "").split()).replace("%%", "%")
        yield Argument(
            tuple(action.option_strings), value, some, label, text.split("; ")[0],
            many=action.nargs in ("*", "+"), optional=action.nargs == "?",
        )  # fmt: skip


def _value(action: argparse.Action, label: str) -> tuple[Value, tuple[str, ...]]:
    """Return the kind of an argument's value, and the words of a CHOICE or LIST; otherwise ()."""
    if action.nargs == 0:
        return Value.NONE, ()
    if action.choices is not None:
        return Value.CHOICE, tuple(str(choice) for choice in action.choices)
    if label == "VERB":
        return Value.CHOICE, tuple(VERBS)
    if label.startswith("STATE"):
        return Value.LIST if "," in label else Value.CHOICE, tuple(TunnelState)
    if re.fullmatch(r"[a-z]+(\|[a-z]+)+", label):
        return Value.CHOICE, tuple(label.split("|"))
    return (VALUES.get(label, Value.ANY) if action.dest != "instance" else Value.ANY), ()
