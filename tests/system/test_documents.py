# SPDX-License-Identifier: MIT
"""Tests that what documents refer to exists: links, files, functions, other documents."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.paths import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDERS: Final = ("docs", "ipsecwatch", "packaging", "systemd", "tests", ".github")
CODE: Final = {".py", ".xml", ".service", ".conf", ".toml", ".md", ".yml", ".sh", ""}
SHARED: Final = {"STATUS-FORMAT.md"}
"""Documents outside of the project that tests read, or are skipped without."""


def files() -> Iterator[Path]:
    """Yield all files of the project, except those that were built or recorded."""
    yield from (p for p in TOP.iterdir() if p.is_file())
    for folder in FOLDERS:
        for path in (TOP / folder).rglob("*"):
            if path.is_file() and not {"__pycache__", "recordings"} & set(path.parts):
                yield path


FILES: Final = sorted(files())
PAGES: Final = [p for p in FILES if p.suffix == ".md"]
FOR_USERS: Final = {"installing.md", "verbs.md", "desktop.md", "dbus.md"}
"""Pages of docs/ that name files of a user's machine, and none of the code."""
ABOUT_THE_CODE: Final = [
    p
    for p in PAGES
    if (p.parent.name == "docs" and p.name not in FOR_USERS) or p.name == "CONTRIBUTING.md"
]


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    return str(page.relative_to(TOP))


def anchors(page: Path) -> set[str]:
    """Return the anchors that a forge makes of a page's headings, without ``#``."""
    headings = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def dead_links(page: Path) -> list[str]:
    """Return a page's links to files and headings that don't exist."""
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text(
        "# One, two\n[a](b.md) [b](a.md#one-two) [c](#three) [d](https://example.com)\n"
    )
    assert dead_links(page) == ["b.md", "#three"]


@pytest.mark.parametrize("page", ABOUT_THE_CODE, ids=name)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = set(re.findall(r"`([\w./-]+\.(?:py|txt|md|toml|xml)|[\w/]+/)`", text(page)))
    there = [f"/{name(p)}" for p in FILES]
    there += [f"{folder}/" for folder in {p.rpartition("/")[0] for p in there}]
    here = {word for word in named if any(p.endswith(f"/{word}") for p in there)}
    here |= {word for word in named if (TOP / word).exists()}
    assert named - here == set()


def test_functions_that_the_architecture_names_are_in_the_files_that_it_names() -> None:
    pairs = re.findall(r"`([\w/]+\.py)`, `(?:\w+\.)?(\w+)\(\)`", text(TOP / "docs/architecture.md"))
    assert len(pairs) >= 5
    for file, function in pairs:
        tree = ast.parse(text(TOP / "ipsecwatch" / file))
        assert function in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, file


def test_every_room_is_in_the_architecture() -> None:
    page = text(TOP / "docs/architecture.md")
    rooms = [p.parent.name for p in (TOP / "ipsecwatch").glob("*/__init__.py")]
    modules = [p.name for p in (TOP / "ipsecwatch").glob("*.py") if not p.name.startswith("__")]
    assert [r for r in [*(f"`{r}/`" for r in rooms), *modules] if r not in page] == []


def test_no_document_is_cited_that_is_not_here() -> None:
    here = {p.name for p in PAGES}
    cited = {
        (name(p), word)
        for p in FILES
        if p.suffix in CODE
        for word in re.findall(r"\b[A-Z][A-Z-]{3,}\.md\b", p.read_text(errors="replace"))
    }
    strange = {(where, word) for where, word in cited if word not in here}
    assert {(w, word) for w, word in strange if word not in SHARED or w[:6] != "tests/"} == set()


ROOMS: Final = (
    "libreswan", "tracking", "dbus", "recording", "history", "libsystemd", "pluto", "service",
    "report.py", "tunnel.py", "states.py", "reasons.py", "sanitize.py", "config.py", "jsonutil.py",
    "backoff.py", "client", "agent", "cli", "../tests", "../packaging",
)  # fmt: skip
"""Folders and modules in which this is checked, as seen from ``ipsecwatch/``."""
VAGUE: Final = {
    "Tell", "Take", "Say", "Give", "Put", "Have", "Learn", "Go", "See", "Let", "Do", "Hear",
    "Settle", "Look",
}  # fmt: skip
"""Verbs that don't say who does what, nor what is returned."""


@pytest.mark.parametrize("room", ROOMS)
def test_no_docstring_begins_with_a_vague_verb(room: str) -> None:
    vague = []
    place = TOP / "ipsecwatch" / room
    for file in place.rglob("*.py") if place.is_dir() else [place]:
        for node in ast.walk(ast.parse(text(file))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = (ast.get_docstring(node) or " ").split(maxsplit=1)[:1]
                vague += [f"{file.name}: {node.name}" for word in first if word in VAGUE]
    assert vague == []
