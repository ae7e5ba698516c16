# SPDX-License-Identifier: MIT
"""Tests with the outputs of libreswan's own test suite, if they are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.parse import to_json
from ipsecwatch.libreswan.status import parse
from tests.support.corpus import CORPUS, needs_corpus, outputs

if TYPE_CHECKING:
    from pathlib import Path


def compare(expected: object, ours: object, where: str) -> list[str]:
    if isinstance(expected, dict) and isinstance(ours, dict):
        return [
            difference
            for key in expected
            for difference in compare(expected[key], ours.get(key, "missing"), f"{where}.{key}")
        ]
    if isinstance(expected, list) and isinstance(ours, list) and len(expected) == len(ours):
        pairs = enumerate(zip(expected, ours, strict=True))
        return [d for i, (e, o) in pairs for d in compare(e, o, f"{where}[{i}]")]
    return [] if expected == ours else [f"{where}: expected {expected!r}, got {ours!r}"]


@needs_corpus
@pytest.mark.parametrize("path", sorted((CORPUS / "expected").glob("*.json")), ids=lambda p: p.stem)
def test_hand_checked_outputs_are_read_to_the_letter(path: Path) -> None:
    expected = json.loads(path.read_text())
    text = (path.parent / expected["file"]).read_bytes()
    ours = json.loads(json.dumps(to_json(parse(text))))
    del expected["file"], expected["tag"]
    assert compare(expected, ours, "") == []


@needs_corpus
def test_no_line_of_any_release_is_unrecognised() -> None:
    strange = {
        (output.path.name, u.text)
        for output in outputs()
        for u in parse(output.path.read_bytes()).unrecognised
    }
    assert strange == set()


@needs_corpus
def test_no_output_however_mangled_is_an_exception() -> None:
    files = outputs(strict=False)
    assert len(files) > 6000
    for output in files:
        parse(output.path.read_bytes(), output.command)


@needs_corpus
def test_a_whole_output_is_complete() -> None:
    for output in outputs():
        report = parse(output.path.read_bytes(), output.command)
        assert report.complete, (output.path, report.why)
        assert not any(s.guessed for s in report.states), output.path


@needs_corpus
def test_the_command_is_told_by_the_text() -> None:
    for output in outputs():
        text = output.path.read_bytes()
        told = parse(text).command
        if told is not None or text.strip():
            assert told == output.command or not text.replace(b"000", b"").strip(), output.path
