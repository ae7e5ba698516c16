# SPDX-License-Identifier: MIT
"""What stands in the journal: read back from a real journald."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import re
import shutil
import socket
import struct
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.cli.main import VERBS
from ipsecwatch.report import PlutoState
from ipsecwatch.service import journal as journal_module
from ipsecwatch.service import journald as journald_module
from ipsecwatch.service.journal import DOWN, OTHER, STUCK, UP, Journal, describe
from ipsecwatch.service.journald import LogHandler, Sender, encode, harmless, log_to
from ipsecwatch.tunnel import Reason, Transition, Tunnel, TunnelState
from tests.support.journald import PrivateJournald, missing
from tests.support.loop_watch import no_harm
from tests.support.paths import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CATALOG = TOP / "systemd/ipsecwatch.catalog"

IDS = {
    name: value
    for name, value in vars(journal_module).items()
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value)
}

needs_journald = pytest.mark.skipif(missing() is not None, reason=missing() or "")


@pytest.fixture(scope="module")
def shared_journald(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateJournald]:
    if why := missing():
        pytest.skip(why)
    with PrivateJournald(tmp_path_factory.mktemp("run")) as journald:
        yield journald


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[PrivateJournald]:
    """One to be ill-treated."""
    if why := missing():
        pytest.skip(why)
    with PrivateJournald(tmp_path / "run") as journald:
        yield journald


def transition(
    old: TunnelState | None,
    new: TunnelState | None,
    reason: Reason = Reason.NONE,
    *,
    known: TunnelState | None = None,
    sticks: bool = False,
    name: str = "site",
    peer: str | None = "192.0.2.7",
    detail: str | None = None,
) -> Transition:
    state = TunnelState.DOWN if new is None else new
    tunnel = Tunnel(
        name, name, state, state, 1e9, 1.0, reason, children_up=1, children=4, peer=peer
    )
    known = known or old or TunnelState.DOWN
    return Transition(
        tunnel, old, new, known, reason, 1e9 + 0.25, 1.0, detail=detail, sticks=sticks
    )


T = TunnelState
GONE = None

CASES = [
    (transition(T.DOWN, T.UP), UP, 5, "Tunnel site is up."),
    (transition(None, T.UP), UP, 5, "Tunnel site is up."),
    (transition(T.UNKNOWN, T.UP, known=T.DOWN), UP, 5, "Tunnel site is up."),
    (transition(T.UNKNOWN, T.UP, known=T.UP), OTHER, 6, "Tunnel site is up."),
    (
        transition(T.UP, T.DOWN, Reason.PEER_DEAD),
        DOWN, 4, "Tunnel site is down: The peer stopped answering.",
    ),
    (
        transition(T.UP, T.DOWN, Reason.OPERATOR),
        DOWN, 6, "Tunnel site is down: It was taken down by hand.",
    ),
    (
        transition(T.UP, GONE, Reason.UNLOADED),
        DOWN, 4, "Tunnel site is down: It was removed from the configuration.",
    ),
    (
        transition(T.WAITING, GONE, Reason.UNLOADED),
        OTHER, 6, "Tunnel site is no longer loaded: It was removed from the configuration.",
    ),
    (
        transition(T.PARTIAL, T.CONNECTING, Reason.PEER_DELETED),
        DOWN, 4, "Tunnel site is connecting: The peer closed the tunnel.",
    ),
    (
        transition(T.CONNECTING, T.STUCK, Reason.NO_ANSWER),
        STUCK, 4, "Tunnel site is stuck: The peer does not answer.",
    ),
    (
        transition(T.PARTIAL, T.PARTIAL, Reason.PROPOSAL, sticks=True),
        STUCK, 4,
        "Tunnel site stays only partly up (1 of 4): The two sides have no algorithms in common.",
    ),
    (transition(T.UP, T.PARTIAL), OTHER, 6, "Tunnel site is only partly up (1 of 4)."),
    (
        transition(T.UP, T.UNKNOWN, Reason.PLUTO_UNREACHABLE),
        OTHER, 6, "Tunnel site is in an unknown state: The IPsec service does not answer.",
    ),
    (transition(T.DOWN, T.WAITING), OTHER, 6, "Tunnel site is waiting for traffic."),
]  # fmt: skip


@pytest.mark.parametrize(("what", "message_id", "priority", "words"), CASES)
def test_a_transition_is_said_in_plain_words(
    what: Transition, message_id: str, priority: int, words: str
) -> None:
    sent: list[dict[str, str]] = []

    class Sink(Sender):
        def send(self, fields: object, *, later: bool = False) -> None:
            assert later
            assert isinstance(fields, dict)
            sent.append(fields)

    assert describe(what) == words
    Journal(Sink(), "run").announce(what, 7)
    (entry,) = sent
    assert (entry["MESSAGE"], entry["MESSAGE_ID"], entry["PRIORITY"]) == (
        words, message_id, str(priority),
    )  # fmt: skip


@needs_journald
def test_a_transition_is_read_back_with_all_its_fields(shared_journald: PrivateJournald) -> None:
    sender = Sender(shared_journald.socket)
    detail = '"site" #1: liveness action - clearing connection'
    lost = transition(T.UP, T.DOWN, Reason.PEER_DEAD, detail=detail)
    Journal(sender, "run-1").announce(lost, 42)
    sender.close()
    (entry,) = shared_journald.wait_for(1, f"MESSAGE_ID={DOWN}", "IPSECWATCH_RUN_ID=run-1")
    expected = {
        "MESSAGE": "Tunnel site is down: The peer stopped answering.",
        "MESSAGE_ID": "62fd06d71a8645748a8778e475f6e0bc",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "ipsecwatch",
        "IPSECWATCH_TUNNEL": "site",
        "IPSECWATCH_STATE": "down",
        "IPSECWATCH_OLD_STATE": "up",
        "IPSECWATCH_REASON": "peer-dead",
        "IPSECWATCH_SERIAL": "42",
        "IPSECWATCH_RUN_ID": "run-1",
        "IPSECWATCH_PEER": "192.0.2.7",
        "IPSECWATCH_DETAIL": detail,
        "IPSECWATCH_AT": "1000000000250000",
    }
    assert {key: entry.get(key) for key in expected} == expected
    assert entry["IPSECWATCH_ADVICE"]


@needs_journald
def test_what_happens_to_pluto_is_read_back(shared_journald: PrivateJournald) -> None:
    sender = Sender(shared_journald.socket)
    journal = Journal(sender, "run-2")
    journal.pluto_lost(PlutoState.STOPPED, Reason.PLUTO_STOPPED, "there is no socket")
    journal.pluto_back("5.4")
    journal.unrecognised(3, "what\x1b[2J's this", "5.4")
    sender.close()
    lost, back, strange = shared_journald.wait_for(3, "IPSECWATCH_RUN_ID=run-2")
    assert lost["MESSAGE_ID"] == "9e391dea4ce74d8ab24556cf5889e267"
    assert lost["MESSAGE"] == "The IPsec service is not running."
    assert (lost["IPSECWATCH_PLUTO"], lost["IPSECWATCH_REASON"]) == ("stopped", "pluto-stopped")
    assert back["MESSAGE_ID"] == "e8395d17085e4ab9b6b9145d4af71b98"
    assert back["IPSECWATCH_VERSION"] == "5.4"
    assert strange["MESSAGE_ID"] == "3e1ffa05e3c9429a99375d59663eefaf"
    assert strange["MESSAGE"].startswith("3 lines")
    assert strange["IPSECWATCH_DETAIL"] == r"what\x1b[2J's this"


@needs_journald
def test_what_a_peer_chose_is_cleaned_and_bounded(shared_journald: PrivateJournald) -> None:
    sender = Sender(shared_journald.socket)
    nasty = "x\nMESSAGE=forged\n\x1b[31m\u202eevil\udcff" + "A" * 65536
    Journal(sender, "run-3").announce(transition(T.UP, T.DOWN, peer=nasty, detail=nasty), 1)
    sender.close()
    (entry,) = shared_journald.wait_for(1, "IPSECWATCH_RUN_ID=run-3")
    assert entry["MESSAGE"] == "Tunnel site is down."
    for field, limit in (("IPSECWATCH_PEER", 256), ("IPSECWATCH_DETAIL", 1024)):
        assert entry[field].startswith(r"x\x0aMESSAGE=forged\x0a\x1b[31m\u202eevil\xff")
        assert len(entry[field]) == limit


# --- Log lines -------------------------------------------------------------------------------


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


# --- No journald, and one that is ill --------------------------------------------------------


def test_without_a_journal_entries_go_to_stderr_and_that_is_said_once(tmp_path: Path) -> None:
    stream = io.StringIO()
    journal = Journal(Sender(str(tmp_path / "none"), stream), "run")
    journal.announce(transition(T.DOWN, T.UP), 1)
    journal.announce(transition(T.UP, T.DOWN, Reason.OPERATOR), 2)
    assert stream.getvalue().splitlines() == [
        f"<4>There is no journal at {tmp_path}/none: entries go to stderr.",
        "<5>Tunnel site is up.",
        "<6>Tunnel site is down: It was taken down by hand.",
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
def test_a_journald_that_was_restarted_gets_the_rest(journald: PrivateJournald) -> None:
    sender = Sender(journald.socket, stream := io.StringIO())
    for i in range(3):
        sender.send({"MESSAGE": str(i), "PRIORITY": "6", "LOGGER": "test-6"})
        journald.wait_for(i + 1, "LOGGER=test-6")
        journald.restart()
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


# --- The native format -----------------------------------------------------------------------


def decoded(data: bytes) -> dict[str, str]:
    """Read an entry as the specification has it."""
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


# --- The catalog -----------------------------------------------------------------------------


@pytest.fixture
def catalog_root(tmp_path: Path) -> Path:
    """A root with our catalog alone, taken in as a package's post-installation script does."""
    if shutil.which("journalctl") is None:
        pytest.skip("journalctl is not installed")
    root = tmp_path / "root"
    source = root / "usr/lib/systemd/catalog"
    source.mkdir(parents=True)
    (root / "var/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(CATALOG, source)
    update = subprocess.run(
        ["journalctl", "--update-catalog", f"--root={root}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (update.returncode, update.stderr) == (0, "")
    return root


def test_journalctl_takes_the_catalog_and_every_id_has_an_entry(catalog_root: Path) -> None:
    dump = subprocess.run(
        ["journalctl", "--dump-catalog", "--no-pager", f"--root={catalog_root}"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert len(IDS) == 7
    assert sorted(re.findall(r"^-- ([0-9a-f]{32})$", dump, re.MULTILINE)) == sorted(IDS.values())
    for header in ("Subject: ", "Defined-By: ipsecwatch", "Support: "):
        assert len(re.findall(rf"^{header}", dump, re.MULTILINE)) == len(IDS)


def written(message_id: str) -> list[dict[str, str]]:
    """Write one entry of every sort, and list those of an id."""
    sent: list[dict[str, str]] = []

    class Sink(Sender):
        def send(self, fields: object, *, later: bool = False) -> None:
            assert isinstance(fields, dict)
            sent.append(fields)

    journal = Journal(Sink(), "run")
    for what, *_ in CASES:
        journal.announce(what, 1)
    journal.pluto_lost(PlutoState.UNREACHABLE, Reason.PLUTO_UNREACHABLE, "hangs")
    journal.pluto_back(None)
    journal.unrecognised(1, "x", None)
    return [entry for entry in sent if entry["MESSAGE_ID"] == message_id]


@pytest.mark.parametrize("name", sorted(IDS))
def test_the_catalog_names_only_fields_that_the_entry_has(name: str) -> None:
    text = CATALOG.read_text()
    (section,) = (s for s in text.split("\n-- ")[1:] if s.startswith(IDS[name]))
    fields = set(re.findall(r"@([A-Z_]+)@", section))
    entries = written(IDS[name])
    assert entries
    for entry in entries:
        assert fields <= set(entry)
        for field, value in entry.items():
            assert re.fullmatch("[A-Z][A-Z_]*", field)
            assert type(value) is str or isinstance(value, (Reason, TunnelState, PlutoState))


def test_the_catalog_sends_people_to_verbs_that_there_are() -> None:
    named = set(re.findall(r"^.*(?::  |\| )ipsecwatch (\w+)", CATALOG.read_text(), re.MULTILINE))
    assert "status" in named
    assert named <= set(VERBS)


@needs_journald
def test_journalctl_explains_an_entry_with_its_own_values(
    shared_journald: PrivateJournald, catalog_root: Path
) -> None:
    sender = Sender(shared_journald.socket)
    detail = '"branch" #9: AUTHENTICATION_FAILED'
    stuck = transition(T.CONNECTING, T.STUCK, Reason.AUTHENTICATION, name="branch", detail=detail)
    Journal(sender, "run-7").announce(stuck, 1)
    sender.close()
    shared_journald.wait_for(1, "IPSECWATCH_RUN_ID=run-7")
    text = shared_journald.explained(catalog_root, "IPSECWATCH_RUN_ID=run-7")
    assert "Subject: IPsec tunnel branch is stuck in negotiation" in text
    assert "Compare leftid, rightid and the secret or certificate on both sides." in text
    assert detail in text
    assert "@" not in text
