# SPDX-License-Identifier: MIT
"""Playing a scenario in a bed, and holding together all that tells of it."""

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
"""Seconds that any signal may take to come."""
REST: Final = 1.0
"""Seconds in which the service has no question free, since the last one cost so much (2 %)."""

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
    """A TunnelStateChanged, and the signal with the same serial that came before it."""

    at: float
    name: str
    old: str
    new: str
    reason: str
    serial: int
    told: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """When what a step brought about was logged, or else begun, and when the signal of it came."""

    scenario: str
    tunnel: str
    state: str
    due: float
    """When it was logged, or so many seconds after that."""
    free: float
    """When pluto could be asked, from then on: it answers nobody while it waits for a script. Where
    systemd tells of it, nobody has to."""
    signal: float
    within: float

    @property
    def late(self) -> float:
        """Seconds from then until the signal."""
        return self.signal - self.free


NEXT: Final = 0.1
"""Seconds in which pluto begins another script, rather than looks who asks."""


def free(due: float, scripts: list[tuple[float, float]]) -> float:
    """Find when pluto had no script to wait for, ``due`` or later."""
    for begin, end in scripts:
        if begin <= due + NEXT and due < end:
            due = end
    return due


def install(bed: Bed, deb: Path) -> None:
    """Install the package as a user would, and subscribe."""
    (bed.shared / "ipsecwatch.deb").write_bytes(deb.read_bytes())
    bed.run("dpkg", "--install", "/host/ipsecwatch.deb", patience=120)
    assert bed.run("systemctl", "is-active", "ipsecwatch") == "active\n"
    bed.run("systemd-run", "--quiet", "--unit=subscriber", "/opt/bed/subscriber")
    until(lambda: "subscribed" in bed.run("journalctl", "--unit=subscriber", "--output=cat"))


LOG_FILE: Final = "/var/log/pluto.log"
_PLUTO: Final = "/usr/libexec/ipsec/pluto --config /etc/ipsec.conf --nofork"


def choose(bed: Bed, way: Way) -> None:
    """Have the service woken in some way, or by nobody. It is restarted for that."""
    unit = "ipsec.service" if way.hears else "nobody.service"
    kernel = "cp /usr/share/ipsecwatch/xfrm.conf $drop_in" if way is Way.KERNEL else ":"
    # From 5.1 on the status names the file.
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
"""How west's pluto is run otherwise."""


def manager(bed: Bed, verb: str, *words: str) -> Any:  # noqa: ANN401 - as JSON is
    """Ask the service something."""
    done = bed.try_("busctl", "--json=short", verb, *_MANAGER, *words)
    return json.loads(done.said)["data"] if done.code == 0 else None


def settle(bed: Bed, way: Way = Way.WOKEN) -> None:
    """Bring all back to where nothing is up, and have the service know it."""
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
    give_up = time.monotonic() + patience
    while not true():
        assert time.monotonic() < give_up, f"not so within {patience} s"
        time.sleep(0.1)


def changes(bed: Bed) -> list[Change]:
    """List all transitions that the subscriber was told of."""
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
    assert len(told) <= 1, told  # the other half may be under way
    return found


class Play:
    """One scenario, from a bed that is settled."""

    def __init__(self, bed: Bed, scenario: Scenario, way: Way) -> None:
        self.bed = bed
        self.scenario = scenario
        self.way = way
        self.rows: list[Row] = []
        self.peace = 0.0
        """Seconds that the service leaves pluto in peace after an answer, whatever happens."""
        self._heard = 0
        self._first = 0
        self._began = 0.0
        self._due: list[tuple[Step, float, Change]] = []
        self._expected: list[tuple[str, str]] = []

    def run(self) -> None:
        """Play it, and check all but how late the signals were: see ``rows``."""
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
        self._due.append((step, self._began, change))
        assert change.told == (step.told or None), (step, change)
        if self.way.hears:
            assert step.reason in ("", change.reason), (step, change, self._log())
        if step.told:
            self._expected.append((step.tunnel, step.told))

    def _wait(self, step: Step) -> Change:
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
        """List what pluto has written to its file, and when; west has UTC."""
        said, found = self.bed.run("tail", "--lines=2000", LOG_FILE), list[tuple[float, str]]()
        for line in said.splitlines():
            if (stamp := naive(line.encode(), time.time())) is not None:
                found.append((stamp, line.split(": ", 1)[1]))
        return found

    # --- the three stories ----------------------------------------------------------------

    def _check_told(self, heard: list[Change]) -> None:
        tunnels = {name for name, _ in self._expected}
        told = [(c.name, c.told) for c in heard if c.told and c.name in tunnels]
        assert told[: len(self._expected)] == self._expected, heard
        # What pluto brings back by itself later is its affair.
        assert all(t == "TunnelUp" for _, t in told[len(self._expected) :]), heard
        assert not [c for c in heard if c.reason == "bad-output"], heard

    def _check_journal(self, heard: list[Change], entries: list[dict[str, Any]]) -> None:
        ours = [e for e in entries if "IPSECWATCH_SERIAL" in e]
        # What came before the first or after the last of these is there as well.
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
                # A waker of the kernel's can be ahead of pluto's log, by a part of a second.
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
    """When an entry was handed to journald, by the clock of its machine."""
    return int(entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"]) / 1e6


def transition_signal(c: Change) -> tuple[str, ...]:
    """What an entry of the journal is to have of a signal."""
    return (str(c.serial), c.name, c.old, c.new, c.reason, _IDS[c.told])


def transition_entry(entry: dict[str, Any]) -> tuple[str, ...]:
    """What it has."""
    names = ("SERIAL", "TUNNEL", "OLD_STATE", "STATE", "REASON")
    return (*(entry[f"IPSECWATCH_{name}"] for name in names), entry["MESSAGE_ID"])
