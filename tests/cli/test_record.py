# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gzip
import json
import signal
import sys
from pathlib import Path

import pytest

from ipsecwatch.cli.replay import transitions
from ipsecwatch.recording.fake_pluto import FakePluto, Said, Silence
from tests.support.recordings import ROOT, statuses
from tests.support.waiting import until

SAMPLES = statuses(ROOT / "4.10/site.jsonl.gz")


async def record(
    folder: Path, *arguments: str, first: Said = SAMPLES[0].stdout, until_it_ends: bool = False
) -> tuple[int, str]:
    """Record a pluto whose tunnel comes up; answers exit code and stderr.

    The recorder is interrupted once it has seen both, unless it is to end by itself.
    """
    settings = folder / "ipsecwatch.toml"
    settings.write_text(f'control_socket = "{folder}/pluto.ctl"\nunit = "no-such.service"\n')
    comes_up = False

    def says(_: float) -> Said:
        return SAMPLES[10].stdout if comes_up else first

    async with FakePluto(f"{folder}/pluto.ctl", says, lambda: 0.0) as pluto:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ipsecwatch", "record", "--config", settings, "--interval", "0.2",
            *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        if not until_it_ends:
            if isinstance(first, Silence):
                await until(lambda: "not running" in read(Path(arguments[0])), 60)
            else:
                await until(lambda: pluto.asked >= 2, 60)
            comes_up = True
            asked = pluto.asked
            await until(lambda: pluto.asked >= asked + 3, 60)
            process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, err.decode()


def read(file: Path) -> str:
    return file.read_text() if file.exists() else ""


async def test_what_was_recorded_can_be_replayed(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl.gz"
    code, err = await record(tmp_path, str(out))
    assert code == 0, err
    assert [(c.tunnel.name, c.old, c.new) for c in transitions(out)] == [
        ("site", None, "down"),
        ("site", "down", "up"),
    ]
    with gzip.open(out, "rt") as f:
        head, first, *_ = map(json.loads, f)
    assert head["kind"] == "ipsecwatch-recording"
    assert head["libreswan"] == "4.10"
    assert first["via"] == "socket"
    assert first["exit"] is None


async def test_a_recording_ends_when_it_was_told_to(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code, err = await record(tmp_path, str(out), "--duration", "1", until_it_ends=True)
    assert code == 0, err
    assert [c.new for c in transitions(out)] == ["down"]


async def test_a_redacted_recording_names_nobody(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code, err = await record(tmp_path, str(out), "--redact")
    assert code == 0, err
    text = out.read_text()
    for private in ("site", "@east", "@west", "192.1.2.23", "192.0.1.0"):
        assert private not in text.partition("\n")[2]
    assert [c.new for c in transitions(out)] == ["down", "up"]


async def test_a_pluto_that_is_away_is_recorded_as_such(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    await record(tmp_path, str(out), first=Silence.STOPPED)
    entries = [json.loads(line) for line in out.read_text().splitlines()]
    assert "not running" in entries[1]["error"]
    assert [c.new for c in transitions(out)] == ["up"]


async def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("precious")
    code, err = await record(tmp_path, str(out), until_it_ends=True)
    assert code == 2
    assert err.count("\n") == 1
    assert out.read_text() == "precious"


@pytest.mark.parametrize("interval", ["0", "nan", "-1"])
async def test_an_interval_out_of_bounds_is_wrong_usage(interval: str, tmp_path: Path) -> None:
    code, err = await record(
        tmp_path, str(tmp_path / "o"), "--interval", interval, until_it_ends=True
    )
    assert code == 2, err
