# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio
import gzip
import json
import os
import pty
import signal
import stat
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from ipsecwatch.cli.record import _Recorder
from ipsecwatch.cli.replay import transitions
from ipsecwatch.config import Settings
from ipsecwatch.pluto.query import Answer, AskError, Command, Trouble, Via
from ipsecwatch.recording import Writer
from ipsecwatch.recording.fake_pluto import FakePluto, Said, Silence
from tests.support.other_user import NOBODY, starts_as_another_user
from tests.support.recordings import ROOT, statuses
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.pluto.query import PlutoClient

SAMPLES = statuses(ROOT / "4.10/site.jsonl.gz")


async def record(
    folder: Path,
    *arguments: str,
    first: Said = SAMPLES[0].stdout,
    until_it_ends: bool = False,
    said: Sequence[Said] = (),
    stderr: int = asyncio.subprocess.PIPE,
    log: Path | None = None,
) -> tuple[int, str]:
    """Record a fake pluto whose tunnel comes up; return the recorder's exit code and stderr.

    The recorder is interrupted once it has seen both states; with ``until_it_ends`` it must end by
    itself. With ``said``, pluto gives these answers instead, one for each second. ``log`` is a file
    in which pluto logs that the tunnel comes up.
    """
    settings = folder / "ipsecwatch.toml"
    settings.write_text(
        f'control_socket = "{folder}/pluto.ctl"\nunit = "no-such.service"\ntimeout = 1\n'
        f'log_file = "{log or ""}"\n'
    )
    comes_up = False

    def says(t: float) -> Said:
        if said:
            return said[min(int(t), len(said) - 1)]
        return SAMPLES[10].stdout if comes_up else first

    start = time.monotonic()
    async with FakePluto(f"{folder}/pluto.ctl", says, lambda: time.monotonic() - start) as pluto:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ipsecwatch", "record", "--config", settings, "--interval", "0.2",
            *arguments, stdout=asyncio.subprocess.PIPE, stderr=stderr,
        )  # fmt: skip
        if not until_it_ends:
            if isinstance(first, Silence):
                await until(lambda: "not running" in read(Path(arguments[0])), 60)
            else:
                await until(lambda: pluto.asked >= 2, 60)
            comes_up = True
            if log is not None:
                write(log, LOGGED)
            asked = pluto.asked
            await until(lambda: pluto.asked >= asked + 3, 60)
            process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, (err or b"").decode()


async def run(*arguments: str, user: int | None = None) -> tuple[int, str]:
    """Run the command, as another user if given; return its exit code and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ipsecwatch", *arguments, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, user=user,
    )  # fmt: skip
    _, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, err.decode()


def write(log: Path, lines: Sequence[str]) -> None:
    log.write_text("".join(f"{line}\n" for line in lines))


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


async def test_a_recording_is_its_owner_s_alone(tmp_path: Path) -> None:
    for name in ("out.jsonl", "out.jsonl.gz"):
        code, err = await record(tmp_path, str(tmp_path / name), "--duration", "0.2",
                                 until_it_ends=True)  # fmt: skip
        assert code == 0, err
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


SILENT = {Silence.STOPPED: "pluto is not running: there is no ", Silence.KILLED: "nobody listens"}


LOGGED = ('"site" #1: initiating IKEv2 connection', "| for developers", '"site" #2: established')


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's files are believed")
async def test_what_pluto_logs_to_a_file_is_recorded_and_nothing_for_developers(
    tmp_path: Path,
) -> None:
    out, log = tmp_path / "out.jsonl", tmp_path / "pluto.log"
    code, err = await record(tmp_path, str(out), log=log)
    assert code == 0, err
    entries = [e for e in map(json.loads, out.read_text().splitlines()) if "journal" in e]
    assert [(e["journal"], e["identifier"]) for e in entries] == [
        (LOGGED[0], "pluto"), (LOGGED[2], "pluto"),
    ]  # fmt: skip
    assert all("unit" not in e and abs(e["at"] - time.time()) < 60 for e in entries)
    assert f"pluto's log file: {log} can't be read" in err  # it came later


@pytest.mark.parametrize("silence", SILENT)
async def test_that_pluto_is_away_is_said_once(silence: Silence, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code, err = await record(tmp_path, str(out), "--duration", "1.5", first=silence,
                             until_it_ends=True)  # fmt: skip
    assert code == 0, err
    assert out.read_text().count("not running") >= 2
    assert err.count(SILENT[silence]) == 1


async def test_a_pluto_that_hangs_is_recorded_as_such_and_said_once(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    code, err = await record(tmp_path, str(out), "--duration", "3.5", first=Silence.HANGING,
                             until_it_ends=True)  # fmt: skip
    assert code == 0, err
    hung = [e for e in map(json.loads, out.read_text().splitlines()) if e.get("timed_out")]
    assert len(hung) >= 1
    assert all(e["stdout"] == "" and "within" in e["error"] for e in hung)
    assert err.count(" within ") == 1, err


@pytest.mark.parametrize(
    "slow",
    [
        Answer(Command.STATUS, "000 using kernel interface: xfrm\n", 2.0, 1.99, Via.SOCKET, 1),
        AskError(Trouble.CUT, "pluto broke off its answer", "", partial="", busy=0.01),
    ],
)
async def test_pluto_is_asked_again_soon_after_it_was_busy_with_something_else(
    slow: Answer | AskError, tmp_path: Path
) -> None:
    with Writer(tmp_path / "out.jsonl") as out:
        recorder = _Recorder(out, Settings(), 1.0, None)
        recorder._pluto_client = cast("PlutoClient", _OnceSlow(slow))
        assert await recorder._round() <= 1.0


class _OnceSlow:
    """A fake client of pluto: one outcome for each status, and no answer to other commands."""

    def __init__(self, outcome: Answer | AskError) -> None:
        self._outcome = outcome

    async def ask(self, command: Command, _version: str | None) -> Answer:
        if command is not Command.STATUS:
            raise AskError(Trouble.UNAVAILABLE, "there is no whack", "")
        if isinstance(self._outcome, AskError):
            raise self._outcome
        return self._outcome


async def test_a_pluto_that_starts_is_recorded_as_starting(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    empty = "".join(
        line for line in SAMPLES[0].stdout.splitlines(keepends=True)
        if '"site"' not in line and "Total IPsec" not in line
    )  # fmt: skip
    said: list[Said] = [Silence.STOPPED, Silence.STOPPED, empty, SAMPLES[0].stdout]
    code, err = await record(tmp_path, str(out), "--duration", "4", said=said, until_it_ends=True)
    assert code == 0, err
    told = [line for line in err.splitlines() if "pluto" in line]
    assert [t.partition(",")[0].partition(":")[0] for t in told] == [
        "pluto is not running", "pluto is starting", "pluto answers.",
    ]  # fmt: skip


async def test_where_libreswan_never_was_recording_fails_at_once(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    settings = tmp_path / "ipsecwatch.toml"
    settings.write_text(f'control_socket = "{tmp_path}/never/pluto.ctl"\n')
    code, err = await run("record", "--config", str(settings), str(out))
    assert code == 3
    assert err.count("\n") == 1
    assert "libreswan wasn't found" in err
    assert not out.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@starts_as_another_user
async def test_who_may_not_ask_is_told_at_once(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own is closed to others
        theirs = Path(name)
        os.chown(theirs, NOBODY, NOBODY)
        settings = theirs / "ipsecwatch.toml"
        settings.write_text(f'control_socket = "{tmp_path}/pluto.ctl"\n')
        code, err = await run("record", "--config", str(settings), f"{theirs}/o", user=NOBODY)
        assert code == 3, err
        assert "Only root may ask pluto." in err
        assert err.count("\n") == 1
        assert not (theirs / "o").exists()


async def test_at_a_terminal_it_shows_what_it_has(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        await record(tmp_path, str(tmp_path / "o"), "--duration", "1", until_it_ends=True,
                     stderr=theirs)  # fmt: skip
        os.close(theirs)
        shown = await asyncio.to_thread(os.read, ours, 65536)
    finally:
        os.close(ours)
    assert b"\r\x1b[K1 answers, 0 log lines; " in shown
    assert b"1 down" in shown
    assert shown.endswith(b"\r\x1b[K")
