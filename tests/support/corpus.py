# SPDX-License-Identifier: MIT
"""Reads libreswan's own test outputs of many releases, which may be in ../shared/corpus.

They aren't part of the project: tests that need them are skipped where they are missing.
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
    """One recorded output of a command, in a file."""

    path: Path
    tag: str
    """The release of libreswan."""
    command: str
    stale: bool
    """Whether it differs from what the release prints: it is outdated, or was edited by hand."""

    @property
    def text(self) -> str:
        """The output as text; bytes that aren't UTF-8 are lone surrogates."""
        return self.path.read_text("utf-8", "surrogateescape")


def outputs(*, strict: bool = True) -> list[Output]:
    """Return all outputs; ``strict``: only those that are unfiltered, and not stale."""
    with (CORPUS / "INDEX.tsv").open() as f:
        return [
            Output(CORPUS / row["path"], row["tag"], row["command"], bool(row["stale"]))
            for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
            if not strict or (row["kind"] == "plain" and not row["stale"])
        ]
