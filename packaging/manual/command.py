# SPDX-License-Identifier: MIT
"""Make the manual page of the command, ipsecwatch(1), from the parsers of its arguments."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

import roff

from ipsecwatch import __version__, config
from ipsecwatch.cli.check import Level
from ipsecwatch.cli.main import parser_of, summary
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.dbus.introspection import FILES

if TYPE_CHECKING:
    from collections.abc import Iterator

DESCRIPTION = """
Shows which of libreswan's tunnels are up, down or stuck in negotiation, why, and what to do about
it. A service polls libreswan's daemon pluto and announces each change on the system D-Bus and in
the journal. An agent in the user's session shows notifications. This command shows the same facts
in a terminal. ipsecwatch only watches: it changes nothing in libreswan.
"""

EXITS = {
    "0": "Done.",
    "1": """The answer is no: a named tunnel isn't up, the time of ``wait`` is over,
        ``check-config`` found a mistake, ``doctor`` found something wrong.""",
    "2": "Wrong usage, or the verb itself can't use its settings.",
    "3": """It couldn't be found out: pluto or the service doesn't answer, or there is no such
        tunnel.""",
}

ENVIRONMENT = {
    "IPSECWATCH_DEBUG": """Names of modules, with commas between, such as ``pluto,service.bus``; or
        ``all``. These modules write what they do to standard error, or to the journal.""",
    "NO_COLOR": "If it is set and not empty, the output has no colours.",
    "TERM": "If it is ``dumb``, the output has no colours.",
    "DBUS_SYSTEM_BUS_ADDRESS": "The address of the system bus, if that isn't the usual one.",
    "XDG_CONFIG_HOME": "The folder that contains ipsecwatch/agent.toml, if that isn't ~/.config.",
}

PLACES = {
    str(config.SERVICE_FILE): "Settings of the service: see ipsecwatch.toml(5).",
    "~/.config/ipsecwatch/agent.toml": "Settings of the agent: see ipsecwatch-agent.toml(5).",
    "/usr/share/ipsecwatch/reasons.json": "The sentence and the advice for each reason.",
    "/usr/share/doc/ipsecwatch/examples": "Example programs that follow the service.",
}

OTHERS = (
    "ipsecwatch.toml(5)", "ipsecwatch-agent.toml(5)", "org.ipsecwatch1(5)", "ipsecwatch(8)",
    "ipsec(8)", "ipsec.conf(5)", "journalctl(1)",
)  # fmt: skip


def page() -> str:
    """Return the page ipsecwatch(1)."""
    plugin = ", ".join(f"{level:d} {level.name}" for level in Level)
    return "\n".join([
        roff.title("ipsecwatch", 1, __version__, "watch libreswan IPsec tunnels"),
        roff.section("synopsis", ".B ipsecwatch", ".I VERB", ".RI [ OPTION ...]"),
        roff.section("description", roff.paragraph(DESCRIPTION)),
        roff.section("states", roff.listed(states())),
        roff.section("verbs", *(verb(name, does) for name, does in VERBS.items())),
        roff.section("options", *options(summary())),
        roff.section(
            "exit status",
            roff.listed(EXITS),
            roff.paragraph(f"``check`` ends as plugins do, at wrong usage too: {plugin}."),
        ),
        roff.section("environment", roff.listed(ENVIRONMENT)),
        roff.section("files", roff.listed(PLACES)),
        roff.section("examples", *examples()),
        roff.see_also(*OTHERS),
    ])  # fmt: skip


def states() -> dict[str, str]:
    """Return the meaning of each state, by state, from the State property's comment in the XML."""
    text = (FILES / "org.ipsecwatch1.Tunnel.xml").read_text(encoding="utf-8")
    comment = text.split("        State: ", 1)[1].split("-->", 1)[0]
    rows = re.findall(r"^ {10}(\w+) +(.+(?:\n {12,}.+)*)", comment, re.MULTILINE)
    return {word: sentence(meaning).replace("Pluto", "pluto") for word, meaning in rows}


def verb(name: str, does: str) -> str:
    """Return the description of a verb and its options; ``does`` is its line in the help."""
    parser = parser_of(name)
    usage = " ".join(parser.format_usage().split()).removeprefix("usage: ipsecwatch ")
    told = list(options(parser))
    described = roff.tagged(usage.replace(" [-h]", ""), roff.inline(sentence(does)))
    return "\n".join([described, *([roff.indented(*told)] if told else [])])


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield a description of each argument of a parser, worded as in argparse's own help.

    argparse has no public functions for that.
    """
    formatter = argparse.HelpFormatter("ipsecwatch")
    for action in parser._actions:  # noqa: SLF001
        listed = isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
        if (
            action.help
            and action.help != argparse.SUPPRESS
            and action.dest != "help"
            and not listed
        ):
            shown = formatter._format_action_invocation(action)  # noqa: SLF001
            yield roff.tagged(shown, roff.inline(sentence(formatter._expand_help(action))))  # noqa: SLF001


def examples() -> Iterator[str]:
    """Yield the examples of each verb's help: what one does, then its command."""
    for name in VERBS:
        for command, does in getattr(parser_of(name), "examples", ()):
            yield roff.paragraph(sentence(does).rstrip(".") + ":")
            yield roff.verbatim(command)


def sentence(text: str) -> str:
    """Return a text as a sentence: with a capital letter and a full stop."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")
