# SPDX-License-Identifier: MIT
"""The SAs that the log reported as established, and which older SA each of them replaced."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.log_lines import LossKind
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from collections.abc import Collection

    from ipsecwatch.libreswan.log_lines import ConnectionLine, Finding

MAX_SERIALS: Final = 20_000
"""How many Child SAs, connections, and IKE SAs that no report has shown are remembered, each."""


class KnownSas:
    """Remembers which SAs were logged as established, and which older SA each of them replaced."""

    def __init__(self) -> None:
        self._children: OrderedDict[int, tuple[str, int, int]] = OrderedDict()
        """By serial, each Child SA that was logged as established: its connection, the number of
        that line, and the serial of its IKE SA (0: not known)."""
        self._newest: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """By connection: the highest serials of a Child SA, and of an IKEv2 SA that is no rekey; 0:
        none was logged."""
        self._phase1: set[int] = set()
        """Serials of the established IKEv1 SAs (phase 1)."""
        self._quick: set[int] = set()
        """Serials of the IKEv1 SAs (phase 1) under which either side has begun a Quick Mode."""
        self._rekeyed: set[int] = set()
        """Serials of the IKE SAs that another one has replaced in a rekey."""
        self._renewing: OrderedDict[int, None] = OrderedDict()
        """Serials of the Child SAs that this side has begun to rekey."""
        self._heirs: dict[int, int] = {}
        """By the serial of an IKE SA that was replaced in a rekey: the serial of the new IKE SA."""
        self._fresh: set[int] = set()
        """Serials of the IKE SAs that lines named since the last report, or the last call of
        keep()."""
        self.carriers: set[int] = set()
        """Serials of the IKE SAs that have had a Child SA by the log, even if no poll showed it."""
        self.origins: dict[int, int] = {}
        """By the serial of an IKEv2 SA: that of the IKE SA which it replaced in a rekey. If it is
        no rekey, its own serial."""

    def note_ike(self, said: ConnectionLine, finding: Finding) -> None:
        """Record an established IKE SA, and for a rekey also the IKE SA that it replaced.

        Do nothing if the line has no serial.
        """
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
        """Record an established Child SA. ``order`` is the number of the line that reports it."""
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
        """Record that a line named an IKE SA, so that the next keep() doesn't forget it.

        If MAX_SERIALS have been named, because no report came, forget all that were named before
        the last keep().
        """
        if len(self._fresh) >= MAX_SERIALS:
            self.keep(())
        self._fresh.add(serial)

    def keep(self, serials: Collection[int]) -> None:
        """Forget all IKE SAs, except these and those that lines named since the last call.

        What is known of Child SAs stays.
        """
        kept = self._fresh.union(serials)
        self._fresh = set()
        self.carriers &= kept
        self._phase1 &= kept
        self._quick &= kept
        self._rekeyed &= kept.union(self.origins.values())
        self.origins = {s: old for s, old in self.origins.items() if s in kept}
        self._heirs = {old: s for old, s in self._heirs.items() if old in kept or s in kept}

    def note_rekey(self, child: int) -> None:
        """Record that this side begins to rekey a Child SA."""
        self._renewing[child] = None
        if len(self._renewing) > MAX_SERIALS:
            self._renewing.popitem(last=False)

    def is_renewed(self, child: int | None) -> bool:
        """Return whether this side has begun to rekey a Child SA; False for None.

        If it ends all the same, its lifetime ran out, since the rekey failed or took too long.
        """
        return child in self._renewing

    def note_quick_mode(self, phase1: int) -> None:
        """Record that we or the peer began a Quick Mode under the IKEv1 SA (phase 1) ``phase1``."""
        self._note_fresh(phase1)
        self._quick.add(phase1)

    def has_quick_mode(self, serial: int | None) -> bool:
        """Return whether a Quick Mode has begun under an IKEv1 SA; False for None.

        If so, what the peer refuses in a message under this SA is a Child SA, and not our identity.
        """
        return serial in self._quick

    def births(self, children: Collection[int]) -> dict[str, int]:
        """Return the number of the last line that logged one of these Child SAs as established.

        There is one for each connection; ``children`` are serials. A connection is left out if none
        of its Child SAs among these was logged so.
        """
        births: dict[str, int] = {}
        for serial in children:
            if serial in self._children:
                name, order, _ = self._children[serial]
                births[name] = max(order, births.get(name, 0))
        return births

    def came(self, children: Collection[int]) -> int | None:
        """Return the number of the first line that logged one of these Child SAs as established.

        None if none of them was logged so.
        """
        told = [self._children[s][1] for s in children if s in self._children]
        return min(told, default=None)

    def with_heirs(self, serials: Collection[int], names: Collection[str]) -> set[int]:
        """Return the serials of these SAs and of those that replaced them, by the log.

        An IKE SA is replaced in a rekey. A Child SA of one of their connections (``names``) that is
        newer than all these SAs counts as a replacement, and so does its IKE SA.
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
        """Return whether the end of an SA is no loss, because by the log another SA carries on.

        That is so in four cases: an IKE SA ends that was rekeyed; a Child SA ends whose connection
        has a newer one; an IKEv1 SA (phase 1) expires or ends without a known cause, since its
        Child SAs outlive it; the line gives no cause (UNEXPLAINED), and the connection has a newer
        IKE SA, as after the peer has connected again. ``name`` is the connection that the line
        names.
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
