# SPDX-License-Identifier: MIT
"""The SAs that the log has reported as established, and which older SA each of them replaced."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.log_lines import LossKind
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Collection

    from ipsecwatch.libreswan.log_lines import ConnectionLine, Finding

MAX_SERIALS: Final = 20_000
"""SAs of which something is kept."""


class KnownSas:
    """Remembers which SAs were established, and which older SA each of them replaced."""

    def __init__(self) -> None:
        self._children: OrderedDict[int, tuple[str, int, int]] = OrderedDict()
        """Child SAs that were established, by serial: the connection, the number of the line, and
        the IKE SA (0: not known)."""
        self._newest: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """For each connection: the newest Child SA and IKE SA (IKEv2's, no rekey); 0: none."""
        self._phase1: set[int] = set()
        """IKEv1 SAs (phase 1) that are established."""
        self._quick: set[int] = set()
        """Those of them under which a Quick Mode has begun."""
        self._rekeyed: set[int] = set()
        """IKE SAs that another one has replaced."""
        self._heirs: dict[int, int] = {}
        """For each of these, the one that replaced it."""
        self._fresh: set[int] = set()
        """IKE SAs that were logged since the last report."""
        self.carriers: set[int] = set()
        """IKE SAs that have had a Child SA by the log, seen by a poll or not."""
        self.origins: dict[int, int] = {}
        """For an IKEv2 SA that replaced another one in a rekey, that one; for a new one, itself."""

    def note_ike(self, said: ConnectionLine, finding: Finding) -> None:
        """Record an established IKE SA, and which one it replaced, if it is a rekey."""
        if said.serial is None:
            return
        self._note_fresh(said.serial)
        if finding.version == 1:
            self._phase1.add(said.serial)
            return
        self.origins[said.serial] = finding.rekeyed or said.serial
        if finding.rekeyed is None:
            child, _ = self._newest.get(said.name, (0, 0))
            self._note_newest(said.name, child, said.serial)
        else:
            self._rekeyed.add(finding.rekeyed)
            self._heirs[finding.rekeyed] = said.serial

    def note_child(self, said: ConnectionLine, finding: Finding, order: int) -> None:
        """Record an established Child SA, which the line with the number ``order`` reported."""
        if finding.using is not None:
            self._note_fresh(finding.using)
            self.carriers.add(finding.using)
        if said.serial is None:
            return
        child, ike = self._newest.get(said.name, (0, 0))
        self._note_newest(said.name, max(child, said.serial), ike)
        self._children.setdefault(said.serial, (said.name, order, finding.using or 0))
        if len(self._children) > MAX_SERIALS:
            self._children.popitem(last=False)

    def _note_newest(self, name: str, child: int, ike: int) -> None:
        self._newest[name] = child, ike
        self._newest.move_to_end(name)
        if len(self._newest) > MAX_SERIALS:
            self._newest.popitem(last=False)

    def _note_fresh(self, serial: int) -> None:
        """Mark an IKE SA as logged since the last report.

        Where MAX_SERIALS are marked and no report came, forget all that were there before them.
        """
        if len(self._fresh) >= MAX_SERIALS:
            self.keep(())
        self._fresh.add(serial)

    def keep(self, serials: Collection[int]) -> None:
        """Forget all IKE SAs except these, and those that were logged since the last call."""
        kept = self._fresh.union(serials)
        self._fresh = set()
        self.carriers &= kept
        self._phase1 &= kept
        self._quick &= kept
        self._rekeyed &= kept.union(self.origins.values())
        self.origins = {s: old for s, old in self.origins.items() if s in kept}
        self._heirs = {old: s for old, s in self._heirs.items() if old in kept or s in kept}

    def note_quick_mode(self, phase1: int) -> None:
        """Record that either side has begun a Quick Mode under an IKEv1 SA (phase 1)."""
        self._note_fresh(phase1)
        self._quick.add(phase1)

    def has_quick_mode(self, serial: int | None) -> bool:
        """Return whether a Quick Mode has begun under an IKEv1 SA.

        What the peer refuses there is then a Child SA, not an identity.
        """
        return serial in self._quick

    def births(self, children: Collection[int]) -> dict[str, int]:
        """Return by connection the number of the last line that reported one of these Child SAs."""
        births: dict[str, int] = {}
        for serial in children:
            if serial in self._children:
                name, order, _ = self._children[serial]
                births[name] = max(order, births.get(name, 0))
        return births

    def came(self, children: Collection[int]) -> int | None:
        """Return the number of the first line that reported one of these Child SAs, or None."""
        told = [self._children[s][1] for s in children if s in self._children]
        return min(told, default=None)

    def with_heirs(self, serials: Collection[int], names: Collection[str]) -> set[int]:
        """Return these SAs together with those that replaced them since they were last seen.

        ``names`` are their connections: a newer Child SA of one of them, and its IKE SA, count as
        replacements.
        """
        found = set(serials)
        for name in names:
            child, _ = self._newest.get(name, (0, 0))
            if child > max(serials, default=0):
                found |= {child, self._children.get(child, ("", 0, 0))[2]}
        for serial in list(found):
            while (heir := self._heirs.get(serial)) is not None and heir not in found:
                found.add(heir)
                serial = heir
        return found

    def is_succeeded(self, serial: int, name: str, finding: Finding) -> bool:
        """Return whether the end of an SA is no loss by the log.

        It has a successor; or it is a phase 1 that expired or ended without a cause, and its Child
        SAs outlive it.
        """
        if serial in self._rekeyed:
            return True
        if serial in self._phase1 and finding.reason in (Reason.OTHER, Reason.EXPIRED):
            return True  # its Children outlive it
        name, _, _ = self._children.get(serial, (name, 0, 0))
        child, ike = self._newest.get(name, (0, 0))
        if serial in self._children and child > serial:
            return True
        # A peer that connects again (INITIAL_CONTACT): the old SAs end, then the new Child comes.
        return finding.end is LossKind.UNEXPLAINED and ike > serial
