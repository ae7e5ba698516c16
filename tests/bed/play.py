# SPDX-License-Identifier: MIT
"""Plays a scenario in a bed, and compares signals, journal and pluto's log."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.history import message_ids
from ipsecwatch.pluto.poller import BUDGET
from ipsecwatch.pluto.wakers.log_stamp import naive
from tests.bed.image import LIBRESWAN
from tests.bed.scenarios import Way

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bed.bed import Bed
    from tests.bed.scenarios import Scenario, Step

PATIENCE: Final = 120.0
"""How many seconds a test waits for a signal."""
REST: Final = 1.0
"""Seconds without any poll before a scenario, so that the service may ask pluto at once: its polls
may take 2 % of pluto's time."""

_IDS: Final = {
    "TunnelUp": message_ids.UP,
    "TunnelDown": message_ids.DOWN,
    "TunnelStuck": message_ids.STUCK,
    None: message_ids.OTHER,
}
_MANAGER: Final = ("org.ipsecwatch1", "/org/ipsecwatch1", "org.ipsecwatch1.Manager")
_QUIET: Final = {"down", "waiting"}


@dataclass(frozen=True, slots=True)
class Change:
    """A TunnelStateChanged signal that the subscriber received.

    ``told`` is the name of the signal with the same serial number that came before it, such as
    "TunnelUp"; None if there was none. ``at`` is when it was received (west's wall clock).
    """

    at: float
    name: str
    old: str
    new: str
    reason: str
    serial: int
    told: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """How late one signal came. Times are seconds of west's wall clock.

    ``signal`` is when the signal was received, and ``within`` by how many seconds it may be late.
    """

    scenario: str
    tunnel: str
    state: str
    due: float
    """When the signal was due: when the cause was logged, or the step begun, plus the step's
    delay."""
    free: float
    """From when on pluto could be asked: it answers nobody while it waits for a script. It is
    ``due`` if the change was reported by systemd, for which pluto isn't asked."""
    signal: float
    within: float

    @property
    def late(self) -> float:
        """How many seconds after ``free`` the signal came."""
        return self.signal - self.free


NEXT: Final = 0.1
"""If pluto begins a script within so many seconds, it may do so before it answers: it counts as
busy until that script has ended."""


def free(due: float, scripts: list[tuple[float, float]]) -> float:
    """Return the first time, from ``due`` on, at which pluto waits for none of these scripts."""
    for begin, end in scripts:
        if begin <= due + NEXT and due < end:
            due = end
    return due


def install(bed: Bed, deb: Path) -> None:
    """Install the package as a user does, and start the subscriber."""
    (bed.shared / "ipsecwatch.deb").write_bytes(deb.read_bytes())
    bed.run("dpkg", "--install", "/host/ipsecwatch.deb", patience=120)
    assert bed.run("systemctl", "is-active", "ipsecwatch") == "active\n"
    bed.run("systemd-run", "--quiet", "--unit=subscriber", "/opt/bed/subscriber")
    until(lambda: "subscribed" in bed.run("journalctl", "--unit=subscriber", "--output=cat"))


LOG_FILE: Final = "/var/log/pluto.log"
_PLUTO: Final = "/usr/libexec/ipsec/pluto --config /etc/ipsec.conf --nofork"


def choose(bed: Bed, way: Way) -> None:
    """Set up how the service notices changes: ``way``.

    Restart it, unless that is set up already.
    """
    unit = "ipsec.service" if way.hears else "nobody.service"
    kernel = "cp /usr/share/ipsecwatch/xfrm.conf $drop_in" if way is Way.KERNEL else ":"
    # From 5.1 on, the status names the log file.
    named = way is not Way.FILE or tuple(map(int, LIBRESWAN[bed.suite].split("."))) >= (5, 1)
    bed.sh(
        f"""
        new=/etc/ipsecwatch/ipsecwatch.toml.d/way.toml
        drop_in=/run/systemd/system/ipsecwatch.service.d
        log=/run/systemd/system/ipsec.service.d
        other=/run/systemd/system/vpn.service
        grep -qs "# {way}" $new && exit
        echo '# {way}\nunit = "{unit}"\nlog_file = "{"" if named else LOG_FILE}"' >$new
        systemctl stop ipsec vpn 2>/dev/null || :
        rm -rf $drop_in $log $other
        mkdir -p $drop_in $log
        {kernel}
        {_RUN.get(way, ":")}
        systemctl daemon-reload
        systemctl start {way.unit}
        systemctl restart ipsecwatch
        """
    )


_RUN: Final = {
    Way.FILE: f"""
        echo '[Service]\nExecStart=\nExecStart={_PLUTO} --logfile {LOG_FILE}' >$log/log.conf""",
    Way.OTHER: f"""
        echo '[Service]\nType=notify\nExecStart={_PLUTO}' >$other
        echo 'ExecStop=/usr/libexec/ipsec/whack --shutdown\nTimeoutStopSec=8' >>$other
        echo 'ExecStopPost=/bin/sh -c "ip xfrm policy flush; ip xfrm state flush"' >>$other""",
}
"""Shell lines that set up how west's pluto is run, if it isn't run as usual."""


def manager(bed: Bed, verb: str, *words: str) -> Any:  # noqa: ANN401 - as JSON is
    """Call a method of the service, or read a property, with busctl; return the value.

    Return None if that fails.
    """
    done = bed.try_("busctl", "--json=short", verb, *_MANAGER, *words)
    return json.loads(done.said)["data"] if done.code == 0 else None


def settle(bed: Bed, way: Way = Way.WOKEN) -> None:
    """Restart both plutos, so that no tunnel is up, and wait until the service knows that."""
    bed.sh(f"/opt/bed/wire mend; systemctl reset-failed; systemctl restart east {way.unit}")
    bed.run("systemctl", "start", "ipsecwatch")

    def quiet() -> bool:
        if manager(bed, "call", "Refresh") is None:
            return False
        counts = manager(bed, "get-property", "Counts")
        state = manager(bed, "get-property", "PlutoState")
        return state == "running" and bool(counts) and {s for s, n in counts.items() if n} <= _QUIET

    until(quiet)


def until(true: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until a condition is true. Raise AssertionError after ``patience`` seconds."""
    give_up = time.monotonic() + patience
    while not true():
        assert time.monotonic() < give_up, f"not so within {patience} s"
        time.sleep(0.1)


def changes(bed: Bed) -> list[Change]:
    """Return all transitions that the subscriber has received, oldest first."""
    found: list[Change] = []
    told: dict[int, str] = {}
    for line in bed.signals():
        body = line["body"]
        if line["member"] == "TunnelStateChanged":
            _, name, old, new, reason, serial = body[:6]
            change = Change(line["at"], name, old, new, reason, serial, told.pop(serial, None))
            found.append(change)
        else:
            told[body[-2]] = line["member"]
    assert len(told) <= 1, told  # the TunnelStateChanged for the last one may not have come yet
    return found


class Play:
    """Plays one scenario, from a bed that is settled."""

    def __init__(self, bed: Bed, scenario: Scenario, way: Way) -> None:
        self.bed = bed
        self.scenario = scenario
        self.way = way
        self.rows: list[Row] = []
        self.peace = 0.0
        """For how many seconds after an answer the service doesn't ask pluto again, whatever
        happens."""
        self._heard = 0
        self._first = 0
        self._began = 0.0
        self._due: list[tuple[Step, float, Change]] = []
        self._expected: list[tuple[str, str]] = []

    def run(self) -> None:
        """Play the scenario, and check signals and journal.

        How late the signals were is in ``rows``.
        """
        choose(self.bed, self.way)
        settle(self.bed, self.way)
        self.peace = BUDGET * float(self.bed.run("/opt/bed/cost"))
        time.sleep(REST)
        cursor = self._cursor()
        self._first = self._heard = len(changes(self.bed))
        for step in self.scenario.steps:
            if self.way in step.ways:
                self._step(step)
            elif step.do:
                self._began = self.bed.answer(self.bed.ask("/bin/sh", "-c", step.do)).began
        heard = changes(self.bed)[self._first :]
        manager(self.bed, "call", "Refresh")  # the entry comes after the signal
        self.bed.run("journalctl", "--sync")
        entries = self.bed.journal(f"--after-cursor={cursor}")
        self._check_told(heard)
        self._check_journal(heard, entries)
        self._time(entries)
        if self.way.hears:
            heard_in = "file" if self.way is Way.FILE else "journal"
            assert manager(self.bed, "get-property", "LogState") == heard_in
            assert manager(self.bed, "get-property", "PlutoUnit") == self.way.unit

    def _cursor(self) -> str:
        said = self.bed.run("journalctl", "--lines=0", "--show-cursor")
        return said.rpartition("cursor: ")[2].strip()

    def _step(self, step: Step) -> None:
        """Run one step, and wait for its signal.

        If the step has no state, check that no signal came about the tunnels of this scenario.
        """
        number = self.bed.ask("/bin/sh", "-c", step.do) if step.do else 0
        change = self._wait(step) if step.state else None
        said = ""
        if number:
            done = self.bed.answer(number)
            self._began, said = done.began, done.said
            assert step.state or done.code == 0, f"{step.do}: {said}"
        assert re.search(step.says, said), f"{step.do}: {said}"
        if change is not None:
            self._take(step, change)
            return
        if step.cause:
            until(lambda: re.search(step.cause, self._log(), re.MULTILINE))
        ours = {name for name, _ in self._expected}
        assert not [c for c in changes(self.bed)[self._heard :] if c.name in ours], step

    def _take(self, step: Step, change: Change) -> None:
        """Check a step's signal, and keep it to be timed."""
        self._due.append((step, self._began, change))
        assert change.told == (step.told or None), (step, change)
        if self.way.hears:
            assert step.reason in ("", change.reason), (step, change, self._log())
        if step.told:
            self._expected.append((step.tunnel, step.told))

    def _wait(self, step: Step) -> Change:
        """Wait for the step's signal, and return it. Raise AssertionError after PATIENCE."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            for number, change in enumerate(changes(self.bed)):
                if number < self._heard or change.name != step.tunnel:
                    continue
                if re.fullmatch(step.state, change.new) and change.old != change.new:
                    self._heard = number + 1
                    return change
            time.sleep(0.02)
        heard = changes(self.bed)[self._first :]
        raise AssertionError(f"{step}: not told. Told: {heard}. Logged:\n{self._log()}")

    def _log(self) -> str:
        """Return the last lines of pluto's log, without those about the loading of connections."""
        if self.way is Way.FILE:
            said = "\n".join(text for _, text in self._logged_in_file())
        else:
            said = self.bed.run(
                "journalctl", f"--unit={self.way.unit}", "--output=cat", "--lines=60"
            )
        loading = re.compile(
            r'proposals|^"[^"]*":   \d:|adding (UDP )?interface|has been replaced by'
        )
        return "\n".join(line for line in said.splitlines() if not loading.search(line))

    def _logged_in_file(self) -> list[tuple[float, str]]:
        """Return the lines in pluto's log file, each with the time at which it was written."""
        said, found = self.bed.run("tail", "--lines=2000", LOG_FILE), list[tuple[float, str]]()
        for line in said.splitlines():
            if (stamp := naive(line.encode(), time.time())) is not None:
                found.append((stamp, line.split(": ", 1)[1]))
        return found

    # --- the three stories ----------------------------------------------------------------

    def _check_told(self, heard: list[Change]) -> None:
        """Check that the signals of the scenario's tunnels are those that its steps expect."""
        tunnels = {name for name, _ in self._expected}
        told = [(c.name, c.told) for c in heard if c.told and c.name in tunnels]
        assert told[: len(self._expected)] == self._expected, heard
        # pluto may bring tunnels up again by itself later.
        assert all(t == "TunnelUp" for _, t in told[len(self._expected) :]), heard
        assert not [c for c in heard if c.reason == "bad-output"], heard

    def _check_journal(self, heard: list[Change], entries: list[dict[str, Any]]) -> None:
        """Check that each signal has its journal entry, in the same order, and a catalog text."""
        ours = [e for e in entries if "IPSECWATCH_SERIAL" in e]
        # There are also entries of transitions before the first signal and after the last one.
        written = iter([transition_entry(e) for e in ours])
        missing = [c for c in heard if transition_signal(c) not in written]
        assert not missing, f"not in the journal, or not in this order: {missing}"
        for entry in ours:
            assert entry["_SYSTEMD_UNIT"] == "ipsecwatch.service"
            assert entry["_UID"] == "0"
        ids = {e["MESSAGE_ID"] for e in ours}
        for number in ids:
            explained = self.bed.run("journalctl", "-x", f"MESSAGE_ID={number}", "--lines=1")
            assert "Defined-By: ipsecwatch" in explained, explained
            assert "@IPSECWATCH" not in explained, explained

    def _time(self, entries: list[dict[str, Any]]) -> None:
        """Find out when each signal was due, from pluto's and systemd's log lines; add the rows."""
        scripts, unit = self.bed.scripts(), self.way.unit
        told = [
            (logged_at(e), str(e["MESSAGE"]), e.get("_SYSTEMD_UNIT") == unit)
            for e in entries
            if unit in (e.get("_SYSTEMD_UNIT"), e.get("UNIT"))
        ]
        if self.way is Way.FILE:
            told += [(at, text, True) for at, text in self._logged_in_file()]
        for step, began, change in self._due:
            logged = [
                (at, scripts if is_plutos else [])
                for at, text, is_plutos in told
                # A kernel event can come before pluto's log line, by a part of a second.
                if began - 0.1 <= at <= change.at + 1
                and step.cause
                and re.search(step.cause, text, re.MULTILINE)
            ]
            assert logged or not step.cause, f"{step.cause} was not logged:\n{self._log()}"
            before = [(at, busy) for at, busy in logged if at <= change.at] or logged[:1]
            at, busy = (before or [(began, [])])[-1 if step.last else 0]
            due = at + step.delay
            self.rows.append(
                Row(
                    self.scenario.name,
                    step.tunnel,
                    change.new,
                    due,
                    min(free(due, busy), max(due, change.at)),
                    change.at,
                    max(step.within, self.way.within),
                )
            )


def logged_at(entry: dict[str, Any]) -> float:
    """Return when a journal entry was logged, by the wall clock of its machine."""
    return int(entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"]) / 1e6


def transition_signal(c: Change) -> tuple[str, ...]:
    """Return the values of a signal that its journal entry must have, too."""
    return (str(c.serial), c.name, c.old, c.new, c.reason, _IDS[c.told])


def transition_entry(entry: dict[str, Any]) -> tuple[str, ...]:
    """Return the values of a journal entry that transition_signal() returns of its signal."""
    names = ("SERIAL", "TUNNEL", "OLD_STATE", "STATE", "REASON")
    return (*(entry[f"IPSECWATCH_{name}"] for name in names), entry["MESSAGE_ID"])
