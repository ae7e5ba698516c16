# SPDX-License-Identifier: MIT
"""Tests of how entries and log lines get to journald, and where they go without journald."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import re
import signal
import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.service import journald as journald_module
from ipsecwatch.service.journal import Journal
from ipsecwatch.service.journald import LogHandler, Sender, encode, harmless, log_to
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.journald import PrivateJournald, needs_journald
from tests.support.loop_watch import no_harm
from tests.support.tunnels import transition

if TYPE_CHECKING:
    from pathlib import Path

T = TunnelState


# --- Log lines -----------------------------------------------------------------------------------


@needs_journald
def test_log_lines_arrive_whole_and_without_their_arguments(
    shared_journald: PrivateJournald, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger("ipsecwatch.test_lines")
    monkeypatch.setattr(logger, "propagate", False)
    sender = Sender(shared_journald.socket)
    monkeypatch.setattr(logger, "handlers", [LogHandler(sender)])
    try:
        raise ValueError("of\x1b[31m two\nlines")
    except ValueError:
        logger.exception("it failed for %s", "a secret-word")
    logger.warning("%.3s", "abcSECRET")
    sender.close()
    error, warning = shared_journald.wait_for(2, "LOGGER=ipsecwatch.test_lines")
    assert error["MESSAGE"].startswith("it failed for a secret-word\nTraceback (most recent")
    assert error["MESSAGE"].endswith("ValueError: of\\x1b[31m two\nlines")
    assert (error["PRIORITY"], warning["PRIORITY"]) == ("3", "4")
    assert error["CODE_FILE"] == __file__
    assert warning["MESSAGE"] == "abc"
    assert "SECRET" not in str(warning)


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (logging.WARNING, 4), (logging.ERROR, 3), (99, 3)],
)
def test_levels_become_priorities(level: int, priority: int) -> None:
    stream = io.StringIO()
    record = logging.LogRecord("x", level, __file__, 1, "hello", None, None)
    LogHandler(Sender(None, stream)).emit(record)
    assert stream.getvalue() == f"<{priority}>hello\n"


def test_log_lines_go_where_stderr_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "socket")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stat, sender = os.fstat(2), Sender(path)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
            journald.bind(path)
            journald.settimeout(0)
            log_to(sender)
            logging.getLogger("a").info("to stderr")
            monkeypatch.setenv("JOURNAL_STREAM", f"{stat.st_dev}:{stat.st_ino}")
            log_to(sender)
            logging.getLogger("a").info("to the journal")
            assert b"MESSAGE=to the journal\n" in journald.recv(4096)
    finally:
        sender.close()
        root.handlers[:] = handlers
        root.setLevel(level)
    assert capsys.readouterr().err == "<6>to stderr\n"


# --- No journald, and one that is ill ------------------------------------------------------------


def test_without_a_journal_entries_go_to_stderr_and_that_is_said_once(tmp_path: Path) -> None:
    stream = io.StringIO()
    journal = Journal(Sender(str(tmp_path / "none"), stream), "run")
    journal.announce(transition(T.DOWN, T.UP), 1)
    journal.announce(transition(T.UP, T.DOWN, Reason.OPERATOR), 2)
    assert stream.getvalue().splitlines() == [
        f"<4>There is no journal at {tmp_path}/none: entries go to stderr.",
        "<5>Tunnel site is up.",
        "<6>Tunnel site is down: It was taken down on this machine.",
    ]


def test_every_line_on_stderr_has_its_prefix_and_no_escape_sequence() -> None:
    stream = io.StringIO()
    Sender(None, stream).send({"MESSAGE": "one\n\x1b[2Jtwo\u202e", "PRIORITY": "3"})
    assert stream.getvalue() == "<3>one\n<3>\\x1b[2Jtwo\\u202e\n"


def test_a_stderr_that_is_closed_ends_nothing(tmp_path: Path) -> None:
    stream = io.StringIO()
    stream.close()
    Sender(str(tmp_path / "none"), stream).send({"MESSAGE": "x", "PRIORITY": "3"})


def test_a_journal_that_comes_later_is_used(tmp_path: Path) -> None:
    path, stream = str(tmp_path / "socket"), io.StringIO()
    sender = Sender(path, stream)
    sender.send({"MESSAGE": "early", "PRIORITY": "6"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(path)
        sender.send({"MESSAGE": "late", "PRIORITY": "6"})
        assert journald.recv(4096) == b"MESSAGE=late\nPRIORITY=6\nSYSLOG_IDENTIFIER=ipsecwatch\n"
    sender.close()
    assert stream.getvalue().endswith("<6>early\n")


async def test_a_journald_that_hangs_holds_up_nobody_and_loses_nothing(
    journald: PrivateJournald,
) -> None:
    sender = Sender(journald.socket)
    journal = Journal(sender, "run-4")
    journald.hang()
    try:
        async with no_harm():
            for serial in range(3000):
                journal.announce(transition(T.DOWN, T.UP), serial)
                if serial % 100 == 0:
                    await asyncio.sleep(0.001)
            await asyncio.sleep(0.1)
            assert sender.waiting > 2000
            journald.go_on()
            give_up = time.monotonic() + 10
            while sender.waiting and time.monotonic() < give_up:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert not sender.waiting
            sender.close()
    finally:
        journald.go_on()
    found = await asyncio.to_thread(journald.wait_for, 3000, "IPSECWATCH_RUN_ID=run-4")
    assert [int(entry["IPSECWATCH_SERIAL"]) for entry in found] == list(range(3000))


@needs_journald
def test_a_journald_that_hangs_holds_up_nobody_without_a_loop_either(
    journald: PrivateJournald,
) -> None:
    sender = Sender(journald.socket)
    journald.hang()
    began = time.monotonic()
    for i in range(1000):
        sender.send({"MESSAGE": str(i), "PRIORITY": "6", "LOGGER": "test-5"})
    assert time.monotonic() - began < 1
    journald.go_on()
    give_up = time.monotonic() + 10
    while sender.waiting and time.monotonic() < give_up:
        sender.flush()
        time.sleep(0.001)
    sender.close()
    found = journald.wait_for(1000, "LOGGER=test-5")
    assert [int(entry["MESSAGE"]) for entry in found] == list(range(1000))


def test_what_finds_no_room_is_counted_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald_module, "MAX_WAITING", 2000)
    path = str(tmp_path / "socket")
    received: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(path)
        journald.settimeout(0)
        sender = Sender(path)
        for i in range(10_000):
            sender.send({"MESSAGE": f"entry {i}", "PRIORITY": "6"})
        with suppress(BlockingIOError):  # until there is nothing more
            while True:
                received.append(journald.recv(4096))
                sender.flush()
        sender.close()
    told = [r for r in received if b"were lost" in r]
    assert len(told) == 1
    lost = int(told[0].removeprefix(b"MESSAGE=").split()[0])
    numbers = [int(m[1]) for r in received if (m := re.match(rb"MESSAGE=entry (\d+)\n", r))]
    assert numbers == list(range(len(numbers)))
    assert lost + len(numbers) == 10_000


@needs_journald
def test_entries_outlive_a_journald_that_hung_and_was_killed(journald: PrivateJournald) -> None:
    # systemd keeps the socket open, and so the messages that wait in it.
    sender = Sender(journald.socket, stream := io.StringIO())
    journald.hang()
    for i in range(5):
        sender.send({"MESSAGE": str(i), "PRIORITY": "6", "LOGGER": "test-7"})
    journald.restart(signal.SIGKILL)
    sender.close()
    entries = journald.wait_for(5, "LOGGER=test-7")
    assert [entry["MESSAGE"] for entry in entries] == ["0", "1", "2", "3", "4"]
    assert stream.getvalue() == ""


@needs_journald
def test_a_journald_with_another_socket_gets_the_rest(journald: PrivateJournald) -> None:
    sender = Sender(journald.socket, stream := io.StringIO())
    for i in range(3):
        sender.send({"MESSAGE": str(i), "PRIORITY": "6", "LOGGER": "test-6"})
        journald.wait_for(i + 1, "LOGGER=test-6")
        journald.replace()
    sender.close()
    assert [entry["MESSAGE"] for entry in journald.entries("LOGGER=test-6")] == ["0", "1", "2"]
    assert stream.getvalue() == ""


async def test_thousands_of_entries_leave_the_loop_its_turns(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    received, all_received = 0, asyncio.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as journald:
        journald.bind(path)

        def read() -> None:
            nonlocal received
            journald.recv(4096)
            received += 1
            if received == 3000:
                all_received.set()

        loop = asyncio.get_running_loop()
        loop.add_reader(journald, read)
        async with no_harm():
            sender = Sender(path)
            journal = Journal(sender, "run")
            for serial in range(3000):
                journal.announce(transition(T.DOWN, T.UP), serial)
                if serial % 100 == 0:
                    await asyncio.sleep(0)
            await asyncio.wait_for(all_received.wait(), 10)
            sender.close()
        loop.remove_reader(journald)


# --- The native format ---------------------------------------------------------------------------


def decoded(data: bytes) -> dict[str, str]:
    """Return the fields of an entry in journald's native protocol."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8 : 8 + size], rest[8 + size :]
            assert rest.startswith(b"\n")
            rest = rest[1:]
        fields[name.decode()] = value.decode()
        data = rest
    return fields


@given(st.dictionaries(st.from_regex(r"\A[A-Z][A-Z_]{0,9}\Z"), st.text(max_size=200)))
def test_no_value_can_forge_a_field(fields: dict[str, str]) -> None:
    expected = {k: v.encode("utf-8", "backslashreplace").decode() for k, v in fields.items()}
    assert decoded(encode(fields)) == expected


def test_long_values_are_cut_so_that_an_entry_fits_a_datagram() -> None:
    fields = decoded(encode({"A": "é" * 100_000, "B": "\n" * 100_000}))
    assert [len(v) for v in fields.values()] == [journald_module.MAX_VALUE] * 2


@given(st.text())
def test_harmless_text_stays_and_no_other_gets_through(text: str) -> None:
    safe = harmless(text)
    assert all(c.isprintable() or c in "\n\t" for c in safe)
    assert harmless(safe) == safe
    if text.isprintable():
        assert safe == text
