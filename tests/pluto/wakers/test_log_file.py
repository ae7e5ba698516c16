# SPDX-License-Identifier: MIT
"""Tests of pluto's log file while it is written, rotated, truncated and removed."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.pluto.wakers import file_tail, log_file
from ipsecwatch.pluto.wakers.log_file import LogFile
from ipsecwatch.pluto.wakers.two_logs import TwoLogs
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.tracker import Tracker
from tests.support.log_replay import recordings, replay, replay_as_recorded
from tests.support.loop_watch import descriptors
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root's files are believed")

NOW = time.mktime((2026, 11, 28, 18, 29, 31, 0, 0, -1)) + 0.25
STAMP = "Nov 28 18:29:31.123456: "


class Listener:
    """Keeps the lines that the reader of the log passes on, and counts the wakes."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = lambda: NOW,
        since: float | None = None,
    ) -> None:
        self.lines: list[LogLine] = []
        self.woken = 0
        self.worth = True
        self.log = LogFile(self._hear, self._wake, clock)
        if since is not None:
            self.log.since = since
        self.log.follow(path)

    def _hear(self, line: LogLine) -> bool:
        self.lines.append(line)
        return self.worth

    def _wake(self) -> None:
        self.woken += 1

    @property
    def texts(self) -> list[str]:
        return [line.text for line in self.lines]

    async def hears(self, *texts: str) -> None:
        """Wait until the reader has passed on exactly these lines, then drop them."""
        await until(lambda: self.texts == list(texts), within=10.0)
        self.lines.clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "pluto.log"
    write(made, "before")
    return made


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


def write(path: Path, *lines: str) -> None:
    """Add lines to pluto's log file."""
    with path.open("a", encoding="utf-8", errors="surrogateescape") as f:
        f.writelines(f"{line}\n" for line in lines)
    path.chmod(0o640)


async def test_lines_are_heard_as_they_are_added_with_stamps_and_without(path: Path) -> None:
    listener = Listener(path)
    write(path, f'{STAMP}"site": added IKEv2 connection', '"site" #1: without', "| for developers")
    write(path, f"{STAMP}| for developers, too", "", "last")
    await until(lambda: len(listener.lines) == 3, within=10.0)
    first, second, _ = listener.lines
    assert listener.texts == ['"site": added IKEv2 connection', '"site" #1: without', "last"]
    assert (round(first.at - NOW, 3), second.at) == (round(0.123456 - 0.25, 3), NOW)
    assert listener.woken > 0
    assert listener.log.count == 3
    listener.log.close()


@pytest.mark.parametrize(
    ("stamp", "age"),
    [
        ("Nov 28 13:59:30.500000: ", 0.75),  # in another time zone
        ("Nov  1 18:44:31: ", 0.25),
        ("Nov 28 18:20:00.000000: ", 0.0),  # not of just now: when it is read counts
        ("Nov 28 18:29:32.000000: ", 0.0),
    ],
)
async def test_a_stamp_counts_where_it_is_of_just_now_in_any_time_zone(
    stamp: str, age: float, path: Path
) -> None:
    listener = Listener(path)
    write(path, f"{stamp}x")
    await until(lambda: listener.lines, within=10.0)
    assert round(NOW - listener.lines[0].at, 3) == age
    listener.log.close()


async def test_a_line_is_one_whose_end_has_come(path: Path) -> None:
    listener = Listener(path)
    for piece in ('"site" ', "#1: in", " pieces\n"):
        with path.open("a") as f:
            f.write(piece)
        await asyncio.sleep(0.05)
    await listener.hears('"site" #1: in pieces')
    listener.log.close()


async def test_a_file_that_ends_within_a_line_is_read_from_the_next_one_on(path: Path) -> None:
    with path.open("a") as f:
        f.write("the beginning of")
    listener = Listener(path)
    write(path, " a line", "another")
    await listener.hears("another")
    listener.log.close()


async def test_it_is_followed_through_rotation_by_a_new_file_and_the_old_one(path: Path) -> None:
    listener = Listener(path)
    held = path.open("a")  # pluto's own: it writes on into the old file
    os.rename(path, f"{path}.1")
    write(path, "new")
    await listener.hears("new")
    held.write("old\n")
    held.close()
    await listener.hears("old")
    os.rename(path, f"{path}.2")
    write(path, "newer")
    await listener.hears("newer")
    listener.log.close()


async def test_it_is_followed_through_truncation_and_deletion(path: Path) -> None:
    listener = Listener(path)
    write(path, "x" * 100)
    await listener.hears("x" * 100)
    os.truncate(path, 0)  # as logrotate's copytruncate, or a pluto with logappend=no
    write(path, "again")
    await listener.hears("again")
    held = path.open("a")
    os.unlink(path)
    held.write("into nowhere\n")
    held.flush()
    await listener.hears("into nowhere")
    held.close()
    write(path, "a new one")
    await listener.hears("a new one")
    listener.log.close()


async def test_a_file_that_comes_later_is_read_from_its_begin(tmp_path: Path) -> None:
    path = tmp_path / "later" / "pluto.log"
    listener = Listener(path)
    assert "No such file" in listener.log.trouble
    path.parent.mkdir()
    listener.log.follow(path)  # as each status has it
    write(path, "first")
    await listener.hears("first")
    assert listener.log.trouble == ""
    listener.log.close()


@pytest.mark.parametrize("zone", ["18:29", "02:14", "23:59"])
@pytest.mark.parametrize("rotated", [False, True])
async def test_what_a_file_got_since_some_moment_is_heard_when_it_is_first_followed(
    path: Path, zone: str, *, rotated: bool
) -> None:
    hour, minute = zone.split(":")

    def said(second: int) -> str:
        return f"Nov 28 {hour}:{int(minute) - 1 + second // 60:02}:{second % 60:02}.000000: "

    if not rotated:
        write(path, f"{said(10)}long ago", f"{said(30)}before", "and more of it")
    else:
        os.unlink(path)
    write(path, f"{said(60)}since then", "and what it says more", f"{said(80)}| for developers")
    write(path, f"{said(91)}last")
    os.utime(path, (NOW, NOW))
    listener = Listener(path, since=NOW - 45)
    await listener.hears("since then", "and what it says more", "last")
    write(path, "now")
    await listener.hears("now")
    listener.log.close()


async def test_the_lines_since_some_moment_have_the_times_of_their_stamps(path: Path) -> None:
    write(path, "Nov 28 18:19:31.000000: a", "Nov 28 18:24:31.000000: b", f"{STAMP}c")
    os.utime(path, (NOW, NOW))
    listener = Listener(path, since=NOW - 700)
    await until(lambda: listener.texts == ["a", "b", "c"], within=10.0)
    ages = [round(NOW - line.at, 2) for line in listener.lines]
    assert ages == [600.25, 300.25, 0.13]
    listener.log.close()


@pytest.mark.parametrize(
    ("lines", "written"),
    [
        (("without a stamp",), NOW),
        ((f"{STAMP}stamped", "x"), NOW + 300),  # somebody has set the file's time, or its stamps
        (("Foo 28 18:29:31: x",), NOW),
    ],
)
async def test_where_stamps_do_not_tell_a_file_is_read_from_its_end_on(
    path: Path, lines: tuple[str, ...], written: float
) -> None:
    write(path, *lines)
    os.utime(path, (written, written))
    listener = Listener(path, since=NOW - 45)
    write(path, "now")
    await listener.hears("now")
    listener.log.close()


async def test_of_what_a_file_got_before_only_the_last_is_looked_through(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_tail, "CHUNK", 4096)
    monkeypatch.setattr(file_tail, "MAX_BACK", 40_000)
    write(path, *(f"{STAMP}line {n}" for n in range(10_000)))
    os.utime(path, (NOW, NOW))
    listener = Listener(path, since=NOW - 45)
    await until(lambda: listener.texts[-1:] == ["line 9999"], within=10.0)
    assert 800 < len(listener.lines) < 1400
    assert listener.texts[0].startswith("line ")
    listener.log.close()


async def test_a_line_longer_than_is_read_at_once_ends_the_look_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_tail, "CHUNK", 4096)
    for line in ("y" * 4095, "y" * 10_000):
        write(path, f"{STAMP}{line}", line)
        os.utime(path, (NOW, NOW))
        listener = Listener(path, since=NOW - 45)
        listener.log.close()


async def test_a_file_that_was_cut_short_and_has_grown_beyond_our_place_is_read_from_its_begin(
    path: Path,
) -> None:
    listener = Listener(path)
    write(path, "one", "two")
    await listener.hears("one", "two")
    asyncio.get_running_loop().remove_reader(listener.log._inotify.fd)  # type: ignore[union-attr]
    size = os.stat(path).st_size
    for grown in (0, 1000):  # exactly as long as before, and longer
        os.truncate(path, 0)
        begin = "z" * (size - 1 + grown)
        write(path, begin)
        assert os.stat(path).st_size == size + grown
        await listener.log.catch_up(0.0)
        await listener.hears(begin)
        write(path, "next")
        await listener.log.catch_up(0.0)
        await listener.hears("next")
        size = os.stat(path).st_size
    listener.log.close()


@pytest.mark.parametrize("before", [100, 200_000])
async def test_one_who_does_not_append_goes_on_behind_a_hole_where_it_was_cut_short(
    path: Path, before: int
) -> None:
    held = path.open("w")  # as pluto does with logappend=no
    os.chmod(path, 0o640)
    listener = Listener(path)
    held.write("x" * before + "\n")
    held.flush()
    await until(lambda: listener.lines, within=10.0)
    listener.lines.clear()
    os.truncate(path, 0)
    held.write("first\nsecond\n")
    held.close()
    await listener.hears("first", "second")
    listener.log.close()


# --- Who is believed ---------------------------------------------------------------------------


def make_foreign(path: Path) -> None:
    os.chown(path, 65534, -1)


def open_group(path: Path) -> None:
    path.chmod(0o660)


def open_others(path: Path) -> None:
    path.chmod(0o646)


def open_folder(path: Path) -> None:
    path.parent.chmod(0o1777)


def foreign_folder(path: Path) -> None:
    os.chown(path.parent, 65534, -1)


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("change", "trouble"),
    [
        (make_foreign, "belongs to another user than root"),
        (open_group, "others than root may write"),
        (open_others, "others than root may write"),
        (open_folder, "others than root may put a file in the place of"),
        (foreign_folder, "others than root may put a file in the place of"),
        (make_pipe, "is not a file"),
    ],
)
async def test_a_file_that_others_may_write_to_is_not_believed(
    change: Callable[[Path], None], trouble: str, path: Path
) -> None:
    change(path)
    listener = Listener(path)
    assert trouble in listener.log.trouble
    assert not listener.log.follows
    listener.log.close()


async def test_a_file_that_is_believed_later_is_read_from_then_on(path: Path) -> None:
    open_others(path)
    listener = Listener(path)
    os.chmod(path, 0o600)
    listener.log.follow(path)
    write(path, "now")
    await listener.hears("now")
    listener.log.close()


async def test_a_file_of_others_in_its_place_is_not_believed(path: Path) -> None:
    listener = Listener(path)
    forged = path.with_name("forged")
    write(forged, "forged")
    make_foreign(forged)
    forged.rename(path)
    await until(lambda: listener.log.trouble, within=10.0)
    assert listener.texts == []
    listener.log.close()


async def test_that_the_sandbox_hides_a_file_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "hidden_folder", lambda _: "/tmp")
    listener = Listener(tmp_path / "none.log")
    assert listener.log.trouble.endswith("the service's sandbox hides /tmp")
    monkeypatch.undo()
    listener.log.follow(tmp_path / "another.log")
    assert listener.log.trouble.endswith("another.log can't be read: No such file or directory")
    listener.log.close()


# --- Bounds ------------------------------------------------------------------------------------


async def test_a_line_without_end_and_a_file_without_end_take_little_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_tail, "MAX_BEHIND", 1 << 20)
    tail = file_tail.FileTail(path, since=time.time())
    with path.open("a") as f:
        f.write("y" * (1 << 19))
        f.flush()
        while tail.read()[1]:
            assert len(tail._part) <= file_tail.MAX_LINE
        f.write("\nend\n")
    assert [len(line) for line in tail.read()[0]] == [file_tail.MAX_LINE, 3]
    with path.open("a") as f:
        f.writelines(f"line {n}\n" for n in range(400_000))
    read, more = list[bytes](), True
    while more:
        lines, more = tail.read()
        read += lines
    assert read[-1] == b"line 399999"
    assert len(read) < 10_000  # the others were left out
    tail.close()


async def test_what_is_worth_a_look_wakes_once_it_is_newer_than_the_answer(path: Path) -> None:
    listener = Listener(path)
    listener.worth = False
    write(path, "nothing much")
    await listener.hears("nothing much")
    assert not listener.woken
    listener.worth = True
    asyncio.get_running_loop().remove_reader(listener.log._inotify.fd)  # type: ignore[union-attr]
    for since, woken in ((NOW, 0), (NOW - 1, 1)):
        write(path, f"{STAMP}since {since}")
        await listener.log.catch_up(since)
        assert listener.woken == woken
    listener.log.close()


# --- Two logs, and the recordings ---------------------------------------------------------------


def test_what_comes_from_both_logs_is_heard_once_and_what_is_said_twice_twice() -> None:
    logs = TwoLogs()
    a, b = LogLine(NOW, "a"), LogLine(NOW + 1, "b")
    assert not logs.is_echo(a, from_file=True)
    assert not logs.is_echo(a, from_file=True)
    assert logs.is_echo(a, from_file=False)
    assert not logs.is_echo(b, from_file=False)
    assert logs.is_echo(a, from_file=False)
    assert logs.is_echo(b, from_file=True)
    assert not logs.is_echo(a, from_file=False)
    assert not logs.is_echo(LogLine(NOW + 60, "a"), from_file=True)


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize(
    "recorded", recordings("4.10", "5.4"), ids=lambda p: f"{p.parent.name}-{p.stem}"
)
async def test_a_recording_whose_lines_are_in_a_file_gives_the_same_reasons(
    recorded: Path, path: Path, *, stamped: bool
) -> None:
    tracker, now = Tracker(), 0.0

    def hear(line: LogLine) -> bool:
        tracker.add_log_line(line)
        return False

    log = LogFile(hear, lambda: None, lambda: now)
    log.follow(path)

    async def write_down(lines: list[LogLine]) -> None:
        nonlocal now
        for line in lines:
            now = line.at
            stamp = time.strftime("%b %e %T", time.localtime(now)) if stamped else ""
            begin = f"{stamp}.{now % 1 * 1e6:06.0f}: " if stamped else ""
            write(path, begin + line.text)
            await log.catch_up(now)

    told = await replay(recorded, tracker, write_down)
    log.close()
    assert told == await replay_as_recorded(recorded)
    assert told
