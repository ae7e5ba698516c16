# SPDX-License-Identifier: MIT
"""Looks up texts in libreswan's source, release by release, in a git clone."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from functools import cache
from typing import Final

from ipsecwatch.libreswan.releases import MAIN

CLONE: Final = os.environ.get("LIBRESWAN_CLONE", "")
"""The path of a git clone of libreswan with its tags, bare or not; "" if there is none."""

_FOLDERS: Final = ("programs/pluto", "lib", "include")
_TOKEN: Final = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])+' | \w+ | \s+ | \\\n | .""",
    re.DOTALL | re.VERBOSE,
)
_VALUE: Final = re.compile(r"%[-+ #0-9.*]*(?:hh|h|ll|l|j|z|t)?[a-zA-Z]")


@cache
def texts(release: str) -> str:
    """Return all string literals in a release's source, one a line, with ``%`` for each value.

    Adjacent literals are joined, also if a format macro (PRI_...) is between them.
    """
    tag = release if release == MAIN else f"v{release}"
    archive = subprocess.run(
        ["git", "-C", CLONE, "archive", tag, *_FOLDERS], capture_output=True, check=True
    ).stdout
    found: list[str] = []
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            file = files.extractfile(member) if member.name.endswith((".c", ".h")) else None
            if file is not None:
                found += _literals(file.read().decode(errors="replace"))
    return "\n".join(["", *found, ""])


def says(release: str, words: str) -> bool:
    """Return whether a string literal in a release's source contains these words.

    ``|`` separates alternatives, of which one suffices. ``^`` and ``$`` stand for the literal's
    beginning and end.
    """
    return any(_has(release, part) for part in words.split("|"))


def _has(release: str, words: str) -> bool:
    begin, words = ("\n", words[1:]) if words.startswith("^") else ("", words)
    end, words = ("\n", words[:-1]) if words.endswith("$") else ("", words)
    return f"{begin}{words}{end}" in texts(release)


def _literals(source: str) -> list[str]:
    """Return the string literals in a text in C, normalised; adjacent ones are joined."""
    found: list[str] = []
    current: str | None = None
    for match in _TOKEN.finditer(source):
        token = match[0]
        if token.startswith('"'):
            current = (current or "") + token[1:-1]
        elif token.startswith("PRI"):
            current = (current or "") + "%s"
        elif not token.isspace() and token != "\\\n" and not token.startswith(("/*", "//")):
            if current is not None:
                found.append(normal(current))
            current = None
    return found if current is None else [*found, normal(current)]


def normal(text: str) -> str:
    """Return a format string with ``%`` for each value, or run of values, and quotes unescaped."""
    return re.sub("%+", "%", _VALUE.sub("%", text)).replace('\\"', '"')
