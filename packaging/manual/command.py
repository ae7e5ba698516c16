# SPDX-License-Identifier: MIT
"""The page of the command, from the parsers that read its arguments."""

from __future__ import annotations

import argparse
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
Tells which of libreswan's tunnels are up, down or stuck in negotiation, why, and what to do about
it. A service asks libreswan's daemon pluto and announces each change on the system D-Bus and in
the journal; an agent in the user's session shows notifications. This command shows people the
same facts. It only watches: nothing in libreswan is ever changed.
"""

EXITS = {
    "0": "Done.",
    "1": """The answer is no: a tunnel that was named isn't up, waiting timed out, settings can't
        be used, the doctor found something wrong.""",
    "2": "Wrong usage, or settings without which it can't work.",
    "3": "Could not find out: pluto or the service can't be reached, or there is no such tunnel.",
}

ENVIRONMENT = {
    "IPSECWATCH_DEBUG": """Modules that write what they do to standard error, or to the
        journal, with commas between: ``pluto,service.bus``, or ``all``.""",
    "NO_COLOR": "If set and not empty, nothing is coloured.",
    "TERM": "dumb: nothing is coloured.",
    "DBUS_SYSTEM_BUS_ADDRESS": "Where the system bus is, if not in its usual place.",
    "XDG_CONFIG_HOME": "The folder of ipsecwatch/agent.toml, if not ~/.config.",
}

PLACES = {
    str(config.SERVICE_FILE): "Settings of the service: see ipsecwatch.toml(5).",
    "~/.config/ipsecwatch/agent.toml": "Settings of the agent: see ipsecwatch-agent.toml(5).",
    "/usr/share/ipsecwatch/reasons.json": "A sentence and a next step for each reason.",
    "/usr/share/doc/ipsecwatch/examples": "Programs that follow the service.",
}

OTHERS = (
    "ipsecwatch.toml(5)", "ipsecwatch-agent.toml(5)", "org.ipsecwatch1(5)", "ipsecwatch(8)",
    "ipsec(8)", "ipsec.conf(5)", "journalctl(1)",
)  # fmt: skip


def page() -> str:
    """Write ipsecwatch(1)."""
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
    """Find each state with its meaning in the comment of the property that has it."""
    text = (FILES / "org.ipsecwatch1.Tunnel.xml").read_text(encoding="utf-8")
    lines = text.split("        State: ", 1)[1].split("-->", 1)[0].split("\n")
    rows = [line.split(None, 1) for line in lines if line.startswith(" " * 10)]
    return {word: sentence(meaning).replace("Pluto", "pluto") for word, meaning in rows}


def verb(name: str, does: str) -> str:
    """Describe a verb and its options."""
    parser = parser_of(name)
    usage = " ".join(parser.format_usage().split()).removeprefix("usage: ipsecwatch ")
    told = list(options(parser))
    described = roff.tagged(usage.replace(" [-h]", ""), roff.inline(sentence(does)))
    return "\n".join([described, *([roff.indented(*told)] if told else [])])


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Describe arguments as argparse's own help does; there is no public way to its parts."""
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
    """Show what each verb's help shows."""
    for name in VERBS:
        for command, does in getattr(parser_of(name), "examples", ()):
            yield roff.paragraph(sentence(does).rstrip(".") + ":")
            yield roff.verbatim(command)


def sentence(text: str) -> str:
    """Begin with a capital letter and end with a full stop."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")
