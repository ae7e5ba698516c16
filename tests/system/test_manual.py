# SPDX-License-Identifier: MIT
"""Tests of the manual pages: they are complete, and programs that read roff find no fault."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.cli.main import parser_of
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.config import AgentSettings, Settings, problems
from ipsecwatch.dbus.introspection import interfaces
from ipsecwatch.dbus.names import MANAGER, TUNNEL
from ipsecwatch.history import message_ids
from ipsecwatch.states import TunnelState
from tests.support.paths import TOP

if TYPE_CHECKING:
    from pathlib import Path

PAGES = (
    "man1/ipsecwatch.1", "man5/ipsecwatch-agent.toml.5", "man5/ipsecwatch.toml.5",
    "man5/org.ipsecwatch1.5", "man8/ipsecwatch.8",
)  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    command = [sys.executable, f"{TOP}/packaging/manual", str(folder)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(TOP)})
    assert sorted(str(p.relative_to(folder)) for p in folder.glob("*/*")) == sorted(PAGES)
    return folder


def source(pages: Path, name: str) -> str:
    """Return a page's text without roff's escapes."""
    text = (pages / name).read_text(encoding="ascii")
    text = re.sub(r"\\f[BRI]|\\&", "", text).replace("\\-", "-").replace("\\(aq", "'")
    text = re.sub(r"\\\[u([0-9A-F]+)\]", lambda found: chr(int(found[1], 16)), text)
    return text.replace("\\e", "\\")


def complaints(argv: list[str], page: Path) -> str:
    done = subprocess.run(
        [*argv, page], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"},
    )  # fmt: skip
    return "\n".join(line for line in done.stdout.splitlines() if ": " in line)


# As lintian does; -Z prints what is meant for a printer.
READERS = {
    "man": ["sh", "-c", 'man --warnings -E UTF-8 -l -Tutf8 -Z "$0" 2>&1 >/dev/null'],
    "mandoc": ["mandoc", "-Tlint", "-Wwarning"],
}


@pytest.mark.parametrize("reader", READERS)
def test_readers_of_manual_pages_find_no_fault(reader: str, pages: Path, tmp_path: Path) -> None:
    if shutil.which(reader) is None:
        pytest.skip(f"{reader} isn't installed")
    for name in PAGES:
        assert complaints(READERS[reader], pages / name) == "", name
    broken = tmp_path / "broken.1"
    broken.write_text((pages / PAGES[0]).read_text() + ".nonsense\n\\[nonsense]\n")
    assert complaints(READERS[reader], broken) != ""


def test_the_command_has_every_verb_option_state_and_example(pages: Path) -> None:
    text = source(pages, "man1/ipsecwatch.1")
    for verb in VERBS:
        assert re.search(rf"^\.TP\n{verb}\b", text, re.MULTILINE), verb
        parser = parser_of(verb)
        for action in parser._actions:
            if action.help not in (None, argparse.SUPPRESS) and action.dest != "help":
                for shown in action.option_strings or [str(action.metavar or action.dest)]:
                    assert shown in text, (verb, shown)
        for command, _ in parser.examples:  # type: ignore[attr-defined]
            assert f"\n{command}\n" in text
    listed = text.split("\n.SH STATES\n", 1)[1].split("\n.SH ", 1)[0]
    assert re.findall(r"^\.TP\n(.*)$", listed, re.MULTILINE) == list(TunnelState)
    for section in ("EXIT STATUS", "EXAMPLES", "SEE ALSO", "FILES", "ENVIRONMENT"):
        assert f"\n.SH {section}\n" in text


@pytest.mark.parametrize(
    ("page", "kind"),
    [("man5/ipsecwatch.toml.5", Settings), ("man5/ipsecwatch-agent.toml.5", AgentSettings)],
)
def test_a_settings_page_has_every_key_with_its_meaning_bounds_and_default(
    page: str, kind: type[Any], pages: Path
) -> None:
    text = source(pages, page)
    for field in fields(kind):
        [told] = re.findall(
            rf"^\.TP\n{field.name}\n(.+?)(?=^\.TP|^\.SH)", text, re.MULTILINE | re.DOTALL
        )
        meaning, _, values = told.partition("\n.br\n")
        assert len(meaning) > 10
        for bound in ("low", "high"):
            if bound in field.metadata:
                assert str(field.metadata[bound]) in values
        if isinstance(field.default, (int, float)) and not isinstance(field.default, bool):
            assert f"default: {field.default}." in values


@pytest.mark.parametrize(
    ("page", "kind"),
    [("man5/ipsecwatch.toml.5", Settings), ("man5/ipsecwatch-agent.toml.5", AgentSettings)],
)
def test_the_examples_of_a_settings_page_can_be_used(
    page: str, kind: type[Any], pages: Path, tmp_path: Path
) -> None:
    examples = re.findall(r"(?s)^\.nf\n(.+?)\n\.fi$", source(pages, page), re.MULTILINE)
    assert examples
    for example in examples:
        (tmp_path / "example.toml").write_text(example)
        assert problems(tmp_path / "example.toml", kind) == []


def test_the_interface_page_has_every_member(pages: Path) -> None:
    text = source(pages, "man5/org.ipsecwatch1.5")
    for name in (MANAGER, TUNNEL):
        described = interfaces()[name]
        assert f"\n.SH Interface {name}\n" in text
        for member in (*described.methods, *described.signals, *described.properties):
            assert re.search(rf"^\.TP\n{member}[ (]", text, re.MULTILINE), member


def test_the_services_page_has_every_kind_of_entry(pages: Path) -> None:
    text = source(pages, "man8/ipsecwatch.8")
    ids = [
        v
        for v in vars(message_ids).values()
        if isinstance(v, str) and re.fullmatch("[0-9a-f]{32}", v)
    ]
    assert len(ids) >= 9
    for each in ids:
        assert re.search(rf"^\.TP\n{each}\n\S", text, re.MULTILINE), each
    assert "cp /usr/share/ipsecwatch/xfrm.conf" in text
    for unit in (TOP / "systemd").glob("ipsecwatch*.service"):
        assert (f".TP\n{unit.name}\n" in text) == (unit.name != "ipsecwatch-agent.service")


def test_nothing_in_a_page_begins_a_request_by_accident(pages: Path) -> None:
    known = ["TH", "SH", "SS", "PP", "TP", "RS", "RE", "nf", "fi", "br", "B", "I", "BR", "RI"]
    for name in PAGES:
        for line in (pages / name).read_text().splitlines():
            if line.startswith((".", "'")):
                assert line.startswith('.\\"') or line[1:].split(" ")[0] in known, line
