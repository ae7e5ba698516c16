# SPDX-License-Identifier: MIT
"""The direction of imports, and the purity of the core.

Rooms lie on floors. A module imports from its own room and from lower floors only: never from a
higher one, and never from another room of its own floor. A pure room does no I/O and reads no
clock, so it imports only pure rooms and the few modules of the standard library that are listed
here. Every module must belong to a room, and no modules import each other in a circle.
"""

from __future__ import annotations

import ast
import shutil
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.paths import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE: Final = TOP / "ipsecwatch"


@dataclass(frozen=True)
class Room:
    """Modules that belong together.

    Their names lack ``ipsecwatch.``; a package stands for its modules.
    """

    name: str
    modules: frozenset[str]
    pure: bool


def room(name: str, modules: str = "", *, pure: bool = False) -> Room:
    """Return a room. Without ``modules`` it has the module, or the package, with its own name."""
    return Room(name, frozenset(modules.split() or [name]), pure)


FLOORS: Final = (
    (room("cli", "cli __main__"),),
    (
        room("service"),
        room("agent"),
    ),
    (
        room("tracking", pure=True),
        room("history", pure=True),
        room("client"),
        room("recording"),
    ),
    (
        room("libreswan", pure=True),
        room("pluto"),
    ),
    (
        room("dbus"),
        room("libsystemd"),
        room("reasons", pure=True),
    ),
    (
        room("report", "report tunnel states sa_states sanitize __init__", pure=True),
        room("config"),
    ),
    (
        room("backoff", pure=True),
        room("jsonutil", pure=True),
    ),
)  # fmt: skip
"""All rooms, from the highest floor down."""

HARMLESS: Final = frozenset(
    {
        "__future__", "abc", "bisect", "collections", "contextlib", "dataclasses", "difflib",
        "enum", "fnmatch", "functools", "html", "itertools", "math", "operator", "re", "string",
        "textwrap", "typing", "unicodedata",
    }
)  # fmt: skip
"""The modules of the standard library that a pure room may import."""
WORLDLY: Final = frozenset({"open", "print", "input", "__import__", "exec", "eval"})
"""Built-in functions that a pure room mustn't call."""


def findings(package: Path) -> list[str]:
    """Return a line about each fault in a package."""
    files = {_name(package, file): file for file in sorted(package.rglob("*.py"))}
    found: list[str] = []
    for name, file in files.items():
        homes = [(floor, r) for floor, rooms in enumerate(FLOORS) for r in rooms if _in(name, r)]
        if len(homes) != 1:
            found.append(f"{name} belongs to {len(homes)} rooms: give it one in FLOORS")
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for imported in _imports(tree, files):
            found += _judge(name, *homes[0], imported)
        if homes[0][1].pure:
            found += [f"{name} is pure and calls {call}()" for call in _calls(tree)]
    return found + _circle(files)


def _circle(files: dict[str, Path]) -> list[str]:
    """Return a line about the modules that import each other in a circle, if there are any."""
    imports = {
        name: {
            i[1:] for i in _imports(ast.parse(file.read_text(encoding="utf-8")), files) if _ours(i)
        }
        for name, file in files.items()
    }
    try:
        TopologicalSorter({n: i - {n} for n, i in imports.items()}).prepare()
    except CycleError as e:
        return [f"a circle: {' > '.join(sorted(set(e.args[1])))}"]
    return []


def _ours(imported: str) -> bool:
    return imported.startswith(".")


def _judge(name: str, floor: int, home: Room, imported: str) -> list[str]:
    """Return a line about an import if it isn't allowed; our modules begin with a dot."""
    if not imported.startswith("."):
        outside = imported.partition(".")[0]
        if home.pure and outside not in HARMLESS:
            return [f"{name} is pure and imports {outside}"]
        return []
    for at, rooms in enumerate(FLOORS):
        for other in rooms:
            if not _in(imported[1:], other) or other is home:
                continue
            if at <= floor:
                return [f"{name} imports {imported[1:]}, which isn't below it"]
            if home.pure and not other.pure:
                return [f"{name} is pure and imports {imported[1:]}, which isn't"]
    return []


def _name(package: Path, file: Path) -> str:
    """Return a module's name without ``ipsecwatch.``; a package has the name of its folder."""
    parts = list(file.relative_to(package).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and parts[:-1] else parts)


def _in(name: str, r: Room) -> bool:
    return any(name == m or name.startswith(f"{m}.") for m in r.modules)


def _imports(tree: ast.Module, files: dict[str, Path]) -> Iterator[str]:
    """Yield everything that a module imports, also for types only; ours begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            ours = name.removeprefix("ipsecwatch.")
            if ours == name:
                yield name
            elif ours in files:
                yield f".{ours}"
            else:
                yield f".{ours.rpartition('.')[0] or '__init__'}"


def _calls(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in WORLDLY:
                yield name


def test_imports_run_one_way_and_the_core_is_pure() -> None:
    assert findings(PACKAGE) == []


def test_every_room_is_there() -> None:
    names = [_name(PACKAGE, file) for file in PACKAGE.rglob("*.py")]
    rooms = [r for floor in FLOORS for r in floor]
    assert [m for r in rooms for m in r.modules if m not in names] == []


@pytest.mark.parametrize(
    ("file", "line", "finding"),
    [
        ("tracking/tracker.py", "import asyncio", "tracking.tracker is pure and imports asyncio"),
        (
            "tracking/tracker.py",
            "from time import time",
            "tracking.tracker is pure and imports time",
        ),
        ("tracking/tracker.py", "open('x')", "tracking.tracker is pure and calls open()"),
        (
            "tracking/tracker.py",
            "from ipsecwatch.client import follow",
            "tracking.tracker imports client, which isn't below it",
        ),
        (
            "libreswan/status/states.py",
            "from ipsecwatch import pluto",
            "libreswan.status.states imports pluto, which isn't below it",
        ),
        (
            "reasons.py",
            "def f():\n    from ipsecwatch import config",
            "reasons is pure and imports config, which isn't",
        ),
        (
            "pluto/poller.py",
            "from ipsecwatch.service import Service",
            "pluto.poller imports service, which isn't below it",
        ),
        (
            "report.py",
            "def f():\n    from ipsecwatch.tunnel import Tunnel",
            "a circle: report > tunnel",
        ),
        ("attic.py", "", "attic belongs to 0 rooms: give it one in FLOORS"),
    ],
)
def test_what_breaks_the_rule_is_found(file: str, line: str, finding: str, tmp_path: Path) -> None:
    package = shutil.copytree(PACKAGE, tmp_path / "ipsecwatch")
    with (package / file).open("a", encoding="utf-8") as f:
        f.write(f"\n{line}\n")
    assert findings(package) == [finding]
