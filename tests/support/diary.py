# SPDX-License-Identifier: MIT
"""Makes the journal entries that the service and systemd log, for tests of the history.

There is no journal: the entries are made in the form in which the journal's reader returns them. A
test gives the time of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ipsecwatch.history.entries import Entry, Kind, Sign, Stamp, SystemEntry
from ipsecwatch.history.timelines import Timeline, timelines_of
from ipsecwatch.history.watches import Found, Run, runs_of
from ipsecwatch.tunnel import Reason, TunnelState

UNIT = "ipsecwatch.service"
NOON = 1_700_000_000.0


@dataclass
class Diary:
    """The journal entries of one machine; ``at`` means seconds since the current boot began."""

    boot: str = "a"
    up: float = NOON
    """The wall clock's time when the current boot began, by the clock as it is set now."""
    run: str = "1"
    """The id of the service's run that logs the entries."""
    serial: int = 0
    unit: str = UNIT
    entries: list[Entry] = field(default_factory=list)
    system: list[SystemEntry] = field(default_factory=list)
    ends: dict[str, Stamp] = field(default_factory=dict)
    """The last stamp of each boot, by the boot's id."""
    running: str = ""
    """The id of the run that still watches when the history is read; "" if there is none."""
    now: Stamp | None = None

    def stamp(self, at: float) -> Stamp:
        return Stamp(self.boot, self.up + at, at)

    def began(self, at: float, run: str = "1", previous: str = "") -> None:
        """Add the entry of the start of a run, which is the run of the entries from now on."""
        self.run, self.serial = run, 0
        stamp = self.stamp(at)
        self.entries.append(Entry(stamp, Kind.BEGAN, run, self.unit, previous))

    def ended(self, at: float) -> None:
        self.entries.append(Entry(self.stamp(at), Kind.ENDED, self.run, self.unit))

    def said(self, at: float) -> None:
        """Add an entry that shows only that the service was running then."""
        self.entries.append(Entry(self.stamp(at), Kind.OTHER, self.run, self.unit))

    def found(self, at: float, state: str, name: str = "site", user: str = "") -> None:
        """Add the entry of a tunnel that the service found in this state in its first poll."""
        self.entries.append(
            Entry(
                self.stamp(at), Kind.FIRST_LOOK, self.run, self.unit, tunnel=name, user=user,
                state=TunnelState(state),
            )
        )  # fmt: skip

    def change(
        self,
        at: float,
        old: str,
        new: str,
        reason: Reason = Reason.NONE,
        name: str = "site",
        *,
        listed: str = "yes",
        user: str = "",
    ) -> None:
        """Add the entry of a transition, with the run's next serial number.

        ``listed`` says whether pluto listed the tunnel: "new" (for the first time), "yes" (as
        before) or "gone" (no longer).
        """
        self.serial += 1
        self.entries.append(
            Entry(
                self.stamp(at), Kind.TRANSITION, self.run, self.unit, tunnel=name,
                state=TunnelState(new), old=TunnelState(old), reason=reason, serial=self.serial,
                listed=listed, user=user, peer="192.0.2.7",
            )
        )  # fmt: skip

    def unlisted(self, at: float, name: str = "site") -> None:
        """Add the entry of a tunnel that was DOWN and that pluto no longer lists."""
        entry = Entry(
            self.stamp(at), Kind.UNLISTED, self.run, self.unit, tunnel=name,
            state=TunnelState.DOWN, reason=Reason.UNLOADED, listed="gone",
        )  # fmt: skip
        self.entries.append(entry)

    def systemd(self, at: float, sign: Sign, unit: str = UNIT) -> None:
        """Add an entry of systemd about the unit."""
        self.system.append(SystemEntry(self.stamp(at), sign, unit))

    def boot_ends(self, at: float) -> None:
        """Set the time of the last entry of the current boot."""
        self.ends[self.boot] = self.stamp(at)

    def reboot(self, boot: str, off: float) -> None:
        """Begin a boot with the id ``boot``, ``off`` seconds after the current boot began."""
        self.boot, self.up = boot, self.up + off

    def look(self, at: float, running: str) -> None:
        """Set the time at which the history is read, and the id of the run that still watches."""
        self.now, self.running = self.stamp(at), running

    # --- what history makes of the entries ----------------------------------------------------

    @property
    def runs(self) -> list[Run]:
        return runs_of(Found(self.entries, self.system, self.ends, self.running, self.now, self.up))

    @property
    def timelines(self) -> dict[str, Timeline]:
        return timelines_of(self.runs)

    def spans(self, name: str = "site") -> list[tuple[float, float, str]]:
        """Return a tunnel's spans as (begin, end, state), in seconds of the wall clock since NOON.

        The state "gone" means that pluto no longer lists the tunnel; such a span has no length.
        """
        return [
            (
                round(s.begin - NOON, 3),
                round(s.end - NOON, 3),
                "gone" if s.state is None else s.state,
            )
            for s in self.timelines[name].spans
        ]
