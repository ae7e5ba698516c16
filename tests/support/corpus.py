# SPDX-License-Identifier: MIT
"""Reads the outputs in libreswan's own tests, of many releases, if ../shared/corpus has them.

They aren't part of the project. Tests that need them are skipped if they are missing.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.paths import TOP

if TYPE_CHECKING:
    from pathlib import Path

SHARED: Final = TOP.parent / "shared"
CORPUS: Final = SHARED / "corpus"

needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="libreswan's test outputs aren't here"
)


@dataclass(frozen=True)
class Output:
    """The recorded output of one command, in a file of its own."""

    path: Path
    tag: str
    """libreswan's release, as its git tag, such as ``v4.10``."""
    command: str
    """Which command printed it, such as ``status``."""
    stale: bool
    """Whether the release doesn't print this: the output is outdated, was edited by hand, or is an
    error."""

    @property
    def text(self) -> str:
        """The file's text. Each byte that isn't UTF-8 is a lone surrogate."""
        return self.path.read_text("utf-8", "surrogateescape")


def outputs(*, strict: bool = True) -> list[Output]:
    """Return all outputs; with ``strict`` only those that are unfiltered and not stale."""
    with (CORPUS / "INDEX.tsv").open() as f:
        return [
            Output(CORPUS / row["path"], row["tag"], row["command"], bool(row["stale"]))
            for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
            if not strict or (row["kind"] == "plain" and not row["stale"])
        ]
