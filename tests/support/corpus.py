# SPDX-License-Identifier: MIT
"""libreswan's own test outputs of many releases, where they are at hand: ../shared/corpus.

They aren't part of the project; what tests learn from them is skipped where they are missing.
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
    """One output: where it is, of which release, and of which command."""

    path: Path
    tag: str
    command: str
    stale: bool
    """libreswan's developers let it go stale, or wrote into it."""

    @property
    def text(self) -> str:
        """The output, with bytes that are no UTF-8 as lone surrogates."""
        return self.path.read_text("utf-8", "surrogateescape")


def outputs(*, strict: bool = True) -> list[Output]:
    """List the outputs; strict: those that went through no filter and that no one let go stale."""
    with (CORPUS / "INDEX.tsv").open() as f:
        return [
            Output(CORPUS / row["path"], row["tag"], row["command"], bool(row["stale"]))
            for row in csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
            if not strict or (row["kind"] == "plain" and not row["stale"])
        ]
