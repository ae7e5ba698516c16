# SPDX-License-Identifier: MIT
from __future__ import annotations

import gzip
import io
import json
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.main import run
from ipsecwatch.cli.replay import transitions
from tests.support.recordings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECORDING = ROOT / "5.4/xauth.jsonl.gz"
TEXT = (
    '"acme" #1: site IKE proposals for initial initiator\n'
    '"acme" #2: XAUTH: User main: Attempting to login\n'
    "frobnicated acme for main, 4711 times\n"
)


def redact(source: str, out: str) -> int:
    return run(["redact", source, out])


def test_a_recording_is_redacted_and_can_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    assert redact(str(RECORDING), str(out)) == 0
    told = [[(c.at, c.old, c.new, c.reason) for c in transitions(p)] for p in (RECORDING, out)]
    assert told[0] == told[1]
    assert told[0]
    text = out.read_text()
    assert "paula" not in text
    assert "192.1.2.23" not in text
    err = capsys.readouterr().err
    assert err.startswith("A recording. Replaced: ")
    assert "1 × user name" in err
    assert "paula" not in err


def test_the_note_of_a_command_hides_its_password(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    redact(str(RECORDING), str(out))
    notes = [e["note"] for e in map(json.loads, out.read_text().splitlines()) if "note" in e]
    assert any("--xauthname user1 --xauthpass " in note for note in notes)
    assert "secretofpaula" not in out.read_text()


@pytest.mark.parametrize("packed", [False, True])
def test_a_text_is_redacted_by_what_all_of_it_tells(
    tmp_path: Path, packed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / ("out.gz" if packed else "out")
    source.write_bytes(gzip.compress(TEXT.encode()) if packed else TEXT.encode())
    assert redact(str(source), str(out)) == 0
    data = out.read_bytes()
    text = (gzip.decompress(data) if packed else data).decode()
    assert text.splitlines()[1:] == [
        '"conn1" #2: XAUTH: User user1: Attempting to login',
        "text3 conn1 for user1, num1 times",
    ]
    assert capsys.readouterr().err.startswith(
        "A text. Replaced: 1 × connection name, 1 × user name, 1 × number, 3 × other text.\n"
    )


def test_the_names_of_files_are_not_written_into_a_packed_one(tmp_path: Path) -> None:
    source, out = tmp_path / "in.txt", tmp_path / "acme.gz"
    source.write_text(TEXT)
    redact(str(source), str(out))
    assert b"acme" not in out.read_bytes()


def test_only_the_owner_may_read_what_was_written(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_text(TEXT)
    redact(str(source), str(out))
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_text(TEXT)
    out.write_text("precious")
    assert redact(str(source), str(out)) == 2
    assert out.read_text() == "precious"
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_not_there_is_an_error_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert redact(str(tmp_path / "none"), str(tmp_path / "out")) == 3
    assert not (tmp_path / "out").exists()
    assert capsys.readouterr().err.count("\n") == 1


def test_of_a_packed_file_without_its_content_nothing_is_said_to_be_redacted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    source.write_bytes(gzip.compress(TEXT.encode())[:10])
    assert redact(str(source), str(tmp_path / "out")) == 3
    assert "it is truncated" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_stdin_is_redacted_to_stdout(
    monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert redact("-", "-") == 0
    assert capsysbinary.readouterr().out.endswith(b"text3 conn1 for user1, num1 times\n")


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "cut within a line": lambda data: data[:-40],
    "with a line that is no object": lambda data: data.replace(b"\n", b"\nacme=paula\n", 1),
    "packed, and cut": lambda data: gzip.compress(data)[:-400],
}


@pytest.mark.parametrize("how", DAMAGED)
def test_of_a_damaged_recording_the_rest_is_redacted(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "in", tmp_path / "out.jsonl"
    source.write_bytes(DAMAGED[how](gzip.decompress(RECORDING.read_bytes())))
    assert redact(str(source), str(out)) == 0
    assert [c.new for c in transitions(out)]
    assert "acme" not in out.read_text()
    assert "1 damaged line was left out." in capsys.readouterr().err
