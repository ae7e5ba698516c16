# SPDX-License-Identifier: MIT
"""Tests of what history reads from real journal files, and what it doesn't believe."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.failure import Failure
from ipsecwatch.cli.history import reading
from ipsecwatch.cli.history.reading import Source
from ipsecwatch.history import message_ids
from ipsecwatch.history.entries import Kind, Sign
from ipsecwatch.states import Reason, TunnelState
from tests.support.bindings import BINDINGS, choose
from tests.support.journal_files import (
    BOOT_1,
    BOOT_2,
    ENDED_BY_SIGNAL,
    OURS,
    SYSTEMD,
    JournalFiles,
    needs_writer,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ipsecwatch.history.watches import Found

pytestmark = needs_writer


@pytest.fixture(params=BINDINGS)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    yield from choose(request.param, monkeypatch)


@pytest.fixture
def journal() -> JournalFiles:
    made = JournalFiles()
    made.add(0, SYSTEMD, MESSAGE="the machine boots")
    made.began(100)
    made.found(101, "up")
    return made


def read(journal: JournalFiles, folder: Path) -> Found:
    return Source(journal.write(folder / "journal")).read()


@pytest.mark.usefixtures("way")
def test_entries_are_read_with_both_clocks_and_all_that_they_tell(
    journal: JournalFiles, tmp_path: Path
) -> None:
    journal.ours(
        150.25, message_ids.DOWN, TUNNEL="site", STATE="down", OLD_STATE="up", REASON="peer-dead",
        SERIAL="1", LISTED="yes", PEER="192.0.2.7", DETAIL="ünsure",
    )  # fmt: skip
    journal.add(200, {"_UID": "33"}, MESSAGE="the last of this boot")
    journal.boot = BOOT_2
    journal.began(5, "run-2")
    journal.boot = "3" * 32
    journal.began(5, "run-3")
    journal.ours(6, message_ids.ENDED, "run-3")
    journal.add(7, SYSTEMD, MESSAGE="nobody needs to know of this")
    found = read(journal, tmp_path)
    assert [e.kind for e in found.entries] == [
        Kind.BEGAN, Kind.FIRST_LOOK, Kind.TRANSITION, Kind.BEGAN, Kind.BEGAN, Kind.ENDED,
    ]  # fmt: skip
    down = found.entries[2]
    assert (down.stamp.boot, down.stamp.mono, down.stamp.wall) == (
        BOOT_1, 150.25, journal.up + 150.25,
    )  # fmt: skip
    assert (down.run, down.unit, down.tunnel, down.serial) == (
        "run-1", "ipsecwatch.service", "site", 1,
    )  # fmt: skip
    assert (down.old, down.state, down.reason) == (
        TunnelState.UP, TunnelState.DOWN, Reason.PEER_DEAD,
    )  # fmt: skip
    assert down.detail == "ünsure"
    assert {boot: end.mono for boot, end in found.boot_ends.items()} == {BOOT_1: 200, BOOT_2: 5}
    assert found.since == journal.up
    assert (found.now, found.running) == (None, "")


FORGED = {
    "an ordinary user": {"_UID": "1000"},
    "an ordinary user who calls himself root": {"_UID": "1000", "UID": "0"},
    "root, from another unit": {"_SYSTEMD_UNIT": "cron.service"},
    "root, from a unit of a like name": {"_SYSTEMD_UNIT": "myipsecwatch.service"},
    "root, from a shell": {"_SYSTEMD_UNIT": "session-1.scope"},
    "nobody knows who": {"_UID": "", "_SYSTEMD_UNIT": ""},
}


@pytest.mark.parametrize("sender", FORGED.values(), ids=FORGED)
def test_nobody_else_is_believed(
    sender: dict[str, str], journal: JournalFiles, tmp_path: Path
) -> None:
    fields = {
        "IPSECWATCH_RUN_ID": "run-1", "IPSECWATCH_TUNNEL": "forged", "IPSECWATCH_STATE": "up",
        "IPSECWATCH_REASON": "none",
    }  # fmt: skip
    for message_id in vars(message_ids).values():
        if isinstance(message_id, str) and len(message_id) == 32:
            journal.add(110, {**OURS, **fields, "MESSAGE_ID": message_id, **sender})
    journal.add(120, {**ENDED_BY_SIGNAL, "_PID": "4711"})
    journal.add(121, {**ENDED_BY_SIGNAL, "_UID": "1000", "_PID": "4711"})
    found = read(journal, tmp_path)
    assert [e.tunnel for e in found.entries] == ["", "site"]
    assert not found.system


def test_a_service_that_root_started_by_hand_is_believed_where_that_is_said(tmp_path: Path) -> None:
    journal = JournalFiles()
    by_hand = {"_SYSTEMD_UNIT": "session-1.scope"}
    journal.add(1, {**OURS, **by_hand, "MESSAGE_ID": message_ids.BEGAN, "IPSECWATCH_RUN_ID": "r"})
    source = Source(journal.write(tmp_path / "journal"))
    assert (source.read().entries, source.left_out) == ([], 1)
    assert len(Source(tmp_path / "journal", any_unit=True).read().entries) == 1


def test_what_systemd_logged_of_the_unit_and_of_sleep_is_read(
    journal: JournalFiles, tmp_path: Path
) -> None:
    sleep = {"_UID": "0", "_PID": "600", "MESSAGE_ID": "6bbd95ee977941e497c48be27c254128"}
    journal.add(150, sleep)
    journal.add(151, {**sleep, "MESSAGE_ID": "8811e6df2a8e40f58a94cea26f8ebf14"})
    journal.add(160, ENDED_BY_SIGNAL)
    journal.add(161, {**ENDED_BY_SIGNAL, "UNIT": "cron.service"})
    failed = {"MESSAGE_ID": "d9b373ed55a64feb8242e02dbe79a49c", "UNIT_RESULT": "watchdog"}
    journal.add(162, {**ENDED_BY_SIGNAL, **failed})
    found = read(journal, tmp_path)
    assert [(e.sign, e.stamp.mono) for e in found.system] == [
        (Sign.SLEEP, 150), (Sign.WAKE, 151), (Sign.OVER, 160), (Sign.HUNG, 162),
    ]  # fmt: skip


def test_instances_are_kept_apart(journal: JournalFiles, tmp_path: Path) -> None:
    journal.add(
        150,
        {
            **OURS, "_SYSTEMD_UNIT": "ipsecwatch@lab.service", "MESSAGE_ID": message_ids.BEGAN,
            "IPSECWATCH_RUN_ID": "run-9", "IPSECWATCH_INSTANCE": "lab",
        },
    )  # fmt: skip
    folder = journal.write(tmp_path / "journal")
    assert [e.run for e in Source(folder).read().entries] == ["run-1", "run-1"]
    assert [e.run for e in Source(folder, "lab").read().entries] == ["run-9"]


ODD = {
    "no tunnel": {"TUNNEL": ""},
    "a state that this release doesn't know": {"STATE": "half-up"},
    "no state": {"STATE": ""},
    "no run": {"RUN_ID": ""},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_entry_that_makes_no_sense_is_left_out(
    odd: dict[str, str], journal: JournalFiles, tmp_path: Path
) -> None:
    good = {"TUNNEL": "odd", "STATE": "up", "OLD_STATE": "down", "REASON": "new-one", "SERIAL": "x"}
    journal.ours(150, message_ids.UP, **good)
    journal.ours(151, message_ids.UP, **{**good, **odd})
    *_, last = read(journal, tmp_path).entries
    assert (last.stamp.mono, last.reason, last.serial) == (150, Reason.OTHER, None)


# --- What can't be read --------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Use two folders of the test as /var/log/journal and /run/log/journal; return them."""
    kept, fleeting = tmp_path / "var", tmp_path / "run"
    monkeypatch.setattr(reading, "FOLDERS", (kept, fleeting))
    return kept, fleeting


def test_a_machine_without_a_journal_is_told_so(folders: tuple[Path, Path]) -> None:
    assert not folders[0].exists()
    with pytest.raises(Failure, match="there is no journal on this machine") as raised:
        Source().read()
    assert (raised.value.code, "Storage=none" in raised.value.hint) == (3, True)


def test_who_may_not_read_the_journal_is_told_which_group_may(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders[0] / "id").mkdir(parents=True)
    (folders[0] / "id/system.journal").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(Failure, match="you may not read the system's journal") as raised:
        Source().read()
    assert (raised.value.code, "systemd-journal" in raised.value.hint) == (3, True)


def test_a_journal_in_memory_is_read_and_remarked(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders[1] / "id").mkdir(parents=True)
    (folders[1] / "id/system.journal").touch()
    monkeypatch.setattr(Source, "_read", lambda _: None)
    source = Source()
    source.read()
    assert "in memory" in source.remarks[0]


def test_damaged_files_are_a_line_and_a_hint(tmp_path: Path) -> None:
    (tmp_path / "system.journal").write_bytes(os.urandom(4096))
    assert Source(tmp_path).read().entries == []


@pytest.mark.parametrize("cut", [100_000, 3_000_000])
def test_a_file_that_was_cut_is_read_as_far_as_it_goes(
    cut: int, journal: JournalFiles, tmp_path: Path
) -> None:
    folder = journal.write(tmp_path / "journal")
    (file,) = folder.iterdir()
    with file.open("r+b") as f:
        f.truncate(cut)
    entries = []
    with suppress(Failure):
        entries = list(Source(folder).read().entries)
    assert len(entries) <= 2
