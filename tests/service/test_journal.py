# SPDX-License-Identifier: MIT
"""Tests of the service's journal entries, as they are read back from a real journald."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.history import message_ids
from ipsecwatch.history.message_ids import (
    BEGAN,
    DOWN,
    ENDED,
    FIRST_LOOK,
    OTHER,
    STUCK,
    UNLISTED,
    UP,
)
from ipsecwatch.report import PlutoState
from ipsecwatch.service.journal import Journal, describe
from ipsecwatch.service.journald import Sender
from ipsecwatch.tracking.shared_identity import SharedIdentity
from ipsecwatch.tunnel import Reason, Transition, TunnelState
from tests.support.journald import PrivateJournald, needs_journald
from tests.support.paths import TOP
from tests.support.tunnels import transition, tunnel

if TYPE_CHECKING:
    from pathlib import Path

CATALOG = TOP / "systemd/ipsecwatch.catalog"

IDS = {
    name: value
    for name, value in vars(message_ids).items()
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value)
}

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
        DOWN, 6, "Tunnel site is down: It was taken down on this machine.",
    ),
    (
        transition(T.CONNECTING, T.STUCK, Reason.UNREACHABLE, unresolved="vpn.example"),
        STUCK, 4, "Tunnel site is stuck: The peer's name vpn.example does not resolve.",
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
    assert entry["IPSECWATCH_SENTENCE"] == "The peer stopped answering."
    assert entry["IPSECWATCH_ADVICE"]
    assert "IPSECWATCH_INSTANCE" not in entry


@needs_journald
def test_entries_of_an_instance_are_told_apart(shared_journald: PrivateJournald) -> None:
    sender = Sender(shared_journald.socket)
    for instance in "", "acme", "other":
        Journal(sender, f"run-of-{instance}", instance).announce(transition(T.DOWN, T.UP), 1)
    sender.close()
    (entry,) = shared_journald.wait_for(1, "IPSECWATCH_INSTANCE=acme")
    assert entry["MESSAGE"] == "acme: Tunnel site is up."
    assert entry["IPSECWATCH_RUN_ID"] == "run-of-acme"


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


# --- The catalog ---------------------------------------------------------------------------------


@pytest.fixture
def catalog_root(tmp_path: Path) -> Path:
    """Return a root that has only our catalog, installed as a package's script does it."""
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
    assert len(IDS) == 13
    assert sorted(re.findall(r"^-- ([0-9a-f]{32})$", dump, re.MULTILINE)) == sorted(IDS.values())
    for header in ("Subject: ", "Defined-By: ipsecwatch", "Support: "):
        assert len(re.findall(rf"^{header}", dump, re.MULTILINE)) == len(IDS)


class Sink(Sender):
    """A sender that keeps all entries."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[dict[str, str]] = []

    def send(self, fields: object, *, later: bool = False) -> None:
        assert isinstance(fields, dict)
        self.sent.append(fields)


def written(message_id: str) -> list[dict[str, str]]:
    """Return those entries with this id, of one entry of every sort."""
    journal = Journal(sink := Sink(), "run")
    for what, *_ in CASES:
        journal.announce(what, 1)
    journal.pluto_lost(PlutoState.UNREACHABLE, Reason.PLUTO_UNREACHABLE, "hangs")
    journal.pluto_back(None)
    journal.unrecognised(1, "x", None)
    journal.blocked(65534)
    journal.shared_identity(SharedIdentity("rw", ("192.0.2.1", "192.0.2.2")))
    journal.began([tunnel("site", T.UP)], PlutoState.RUNNING, 1e9)
    journal.ended(1e9)
    journal.found(tunnel("site"), 1e9)
    journal.unlisted(transition(T.DOWN, GONE, Reason.UNLOADED))
    return [entry for entry in sink.sent if entry["MESSAGE_ID"] == message_id]


def test_a_pluto_that_is_not_its_units_is_not_to_be_started_with_it() -> None:
    journal = Journal(sink := Sink(), "run")
    stopped = PlutoState.STOPPED, Reason.PLUTO_STOPPED, "nobody listens"
    other = transition(T.UP, T.DOWN, Reason.OTHER)
    for journal.unit in ("ipsec.service", "vpn.service", ""):
        journal.pluto_lost(*stopped)
        journal.announce(other, 1)
    advice = [entry["IPSECWATCH_ADVICE"] for entry in sink.sent]
    assert advice == [
        "Start it: systemctl start ipsec",
        "Read the log of the IPsec service: journalctl -u ipsec",
        "Start it: systemctl start vpn",
        "Read the log of the IPsec service: journalctl -u vpn",
        "Find out what runs pluto here (NetworkManager, a container, a script), and start that.",
        "Read pluto's log.",
    ]


def test_what_was_watched_is_written_with_the_counts_of_the_first_look() -> None:
    journal = Journal(sink := Sink(), "run-2")
    seen = [tunnel("a", T.UP), tunnel("b", T.UP), tunnel("c", T.STUCK)]
    journal.began(seen, PlutoState.RUNNING, 1e9 + 0.25, previous="run-1")
    journal.ended(1e9 + 60)
    began, ended = sink.sent
    assert began["MESSAGE"] == "Watching began: 3 tunnels, 2 up, 1 stuck."
    expected = {
        "MESSAGE_ID": BEGAN, "PRIORITY": "6", "IPSECWATCH_RUN_ID": "run-2",
        "IPSECWATCH_PREVIOUS_RUN_ID": "run-1", "IPSECWATCH_PLUTO": "running",
        "IPSECWATCH_AT": "1000000000250000", "IPSECWATCH_COUNT": "3", "IPSECWATCH_COUNT_UP": "2",
        "IPSECWATCH_COUNT_STUCK": "1", "IPSECWATCH_COUNT_DOWN": "0",
    }  # fmt: skip
    assert {key: began.get(key) for key in expected} == expected
    assert (ended["MESSAGE"], ended["MESSAGE_ID"]) == ("Watching ended.", ENDED)


def test_a_first_look_is_no_transition() -> None:
    journal = Journal(sink := Sink(), "run")
    journal.found(tunnel("a", T.STUCK, reason=Reason.NO_ANSWER), 1e9)
    journal.unlisted(transition(T.DOWN, GONE, Reason.UNLOADED))
    found, unlisted = sink.sent
    assert found["MESSAGE"] == "Tunnel a is stuck at its first poll: The peer does not answer."
    assert (found["MESSAGE_ID"], found["PRIORITY"]) == (FIRST_LOOK, "6")
    assert (unlisted["MESSAGE_ID"], unlisted["IPSECWATCH_LISTED"]) == (UNLISTED, "gone")
    assert not [e for e in sink.sent if "IPSECWATCH_SERIAL" in e]


@pytest.mark.parametrize(
    ("change", "listed"),
    [
        (transition(None, T.UP), "new"),
        (transition(T.DOWN, T.UP), "yes"),
        (transition(T.UP, GONE), "gone"),
    ],
)
def test_an_entry_says_whether_the_tunnel_is_listed(change: Transition, listed: str) -> None:
    Journal(sink := Sink(), "run").announce(change, 1)
    assert sink.sent[0]["IPSECWATCH_LISTED"] == listed


def test_two_devices_with_one_identity_are_told_as_what_they_may_be() -> None:
    (entry,) = written("8047dcab6fce4a58890fd2639058eb42")
    assert entry["MESSAGE"] == (
        "Two devices may use one identity with rw: clients at 192.0.2.1 and 192.0.2.2 keep "
        "replacing each other."
    )
    assert (entry["PRIORITY"], entry["IPSECWATCH_TUNNEL"]) == ("4", "rw")
    assert entry["IPSECWATCH_PEER"] == "192.0.2.1 192.0.2.2"


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
