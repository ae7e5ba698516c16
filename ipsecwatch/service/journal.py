# SPDX-License-Identifier: MIT
"""The service's journal entries: one for each transition, and for what happens to pluto itself.

While nothing changes there are no entries. Entries for the beginning and the end of watching, and
for each tunnel at the first look, show the history which times were watched.

Fields and message ids are an interface: ``systemd/ipsecwatch.catalog`` explains each id.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from ipsecwatch.history.message_ids import (
    BEGAN,
    BLOCKED,
    DOWN,
    ENDED,
    FIRST_LOOK,
    OTHER,
    PLUTO_BACK,
    PLUTO_LOST,
    SHARED,
    STUCK,
    UNLISTED,
    UNRECOGNISED,
    UP,
)
from ipsecwatch.reasons import IPSEC, words_for
from ipsecwatch.report import PlutoState
from ipsecwatch.sanitize import clean
from ipsecwatch.tracking.clients import user_of
from ipsecwatch.tracking.reason_text import reason_text
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.service.journald import Sender
    from ipsecwatch.tracking.shared_identity import SharedIdentity
    from ipsecwatch.tunnel import Transition, Tunnel

MAX_DETAIL: Final = 1024
"""Characters that are written of one of pluto's lines; pluto prints no longer ones."""


class Journal:
    """Writes the service's entries. ``run_id`` is the D-Bus property RunId.

    The messages of an ``instance`` begin with its name, and its entries have a field with it.
    """

    def __init__(self, sender: Sender, run_id: str, instance: str = "") -> None:
        self._sender = sender
        self._prefix = f"{instance}: " if instance else ""
        self._always = {"IPSECWATCH_RUN_ID": run_id}
        if instance:
            self._always["IPSECWATCH_INSTANCE"] = instance
        self.unit = IPSEC
        """The systemd unit that runs pluto; "": not known."""

    def announce(self, t: Transition, serial: int) -> None:
        """Write the entry of a transition, whose signals on the bus have the same ``serial``."""
        message_id, priority = _kind(t)
        old = TunnelState.DOWN if t.old is None else t.old
        self._write(
            message_id,
            priority,
            describe(t),
            STATE=t.becomes,
            OLD_STATE=old,
            REASON=t.reason,
            SERIAL=str(serial),
            LISTED=_listed(t),
            AT=_stamp(t.at),
            DETAIL=clean(t.detail or "", MAX_DETAIL),
            **_about(t.tunnel, t.reason, self.unit),
        )

    def began(
        self, tunnels: Iterable[Tunnel], pluto: PlutoState, at: float, previous: str = ""
    ) -> None:
        """Write that watching began, with the number of tunnels in each state.

        ``previous``: the run whose last entry is still true of each tunnel for which no entry
        follows this one; "": there is no such run.
        """
        counts = Counter(t.state for t in tunnels)
        total = counts.total()
        told = ", ".join(f"{counts[s]} {s}" for s in TunnelState if counts[s])
        self._write(
            BEGAN,
            6,
            f"Watching began: {total} tunnel{'' if total == 1 else 's'}{told and f', {told}'}.",
            AT=_stamp(at),
            PREVIOUS_RUN_ID=previous,
            PLUTO=pluto,
            COUNT=str(total),
            **{f"COUNT_{s.name}": str(counts[s]) for s in TunnelState},
        )

    def ended(self, at: float) -> None:
        """Write that watching ended, ``at`` this time (wall clock)."""
        self._write(ENDED, 6, "Watching ended.", AT=_stamp(at))

    def found(self, tunnel: Tunnel, at: float) -> None:
        """Write the state of a tunnel when this run first saw it, which isn't a transition.

        That is the service's first poll, or a later one for a tunnel that is listed then, and DOWN.
        """
        text = reason_text(tunnel.reason, tunnel)
        why = "." if tunnel.reason is Reason.NONE else f": {text.sentence}"
        self._write(
            FIRST_LOOK,
            6,
            f"Tunnel {tunnel.name} is {_WORDS[tunnel.state]} at its first poll{why}",
            STATE=tunnel.state,
            LAST_STATE=tunnel.last_state,
            REASON=tunnel.reason,
            AT=_stamp(at),
            DETAIL=clean(tunnel.detail or "", MAX_DETAIL),
            **_about(tunnel, tunnel.reason, self.unit),
        )

    def unlisted(self, t: Transition) -> None:
        """Write that a tunnel that was down is no longer listed. There is no signal about that."""
        self._write(
            UNLISTED,
            6,
            describe(t),
            STATE=t.becomes,
            REASON=t.reason,
            LISTED=_listed(t),
            AT=_stamp(t.at),
            DETAIL=clean(t.detail or "", MAX_DETAIL),
            **_about(t.tunnel, t.reason, self.unit),
        )

    def pluto_lost(self, state: PlutoState, reason: Reason, why: str) -> None:
        """Write that pluto can't be asked any more, or isn't running.

        ``why``: why the poll had no answer, in one line; "": not known.
        """
        words = words_for(reason, self.unit)
        self._write(
            PLUTO_LOST,
            4,
            words.sentence,
            PLUTO=state,
            REASON=reason,
            DETAIL=clean(why, MAX_DETAIL),
            ADVICE=words.advice,
        )

    def pluto_back(self, version: str | None) -> None:
        """Write that pluto answers again; ``version``: pluto's, None: not known."""
        text = "The IPsec service answers again."
        self._write(PLUTO_BACK, 5, text, PLUTO=PlutoState.RUNNING, VERSION=clean(version or ""))

    def unrecognised(self, count: int, example: str, version: str | None) -> None:
        """Write that ``count`` lines of pluto's answer, of kinds not reported yet, are unknown.

        ``example``: the first of them. ``version``: pluto's; None: not known.
        """
        lines = "line" if count == 1 else "lines"
        self._write(
            UNRECOGNISED,
            5,
            f"{count} {lines} of the IPsec service's answer were not recognised.",
            COUNT=str(count),
            DETAIL=clean(example, MAX_DETAIL),
            VERSION=clean(version or ""),
        )

    def shared_identity(self, shared: SharedIdentity) -> None:
        """Write that two devices seem to use one identity."""
        template = clean(shared.template)
        one, other = (clean(address) for address in shared.addresses)
        self._write(
            SHARED,
            4,
            f"Two devices may use one identity with {template}: clients at {one} and {other} "
            "keep replacing each other.",
            TUNNEL=template,
            PEER=f"{one} {other}",
            ADVICE="Give each device its own identity, with a secret or certificate for it.",
        )

    def blocked(self, uid: int | None) -> None:
        """Write that the service dropped its connection because the bus no longer read from it.

        ``uid``: the user that probably doesn't read its answers; None: no user owes any, so that it
        is probably somebody who only listens.
        """
        user = "" if uid is None else str(uid)
        who = f"user {uid} asked" if user else "somebody listened"
        text = (
            f"The system bus was blocked: {who} and did not read. The service has opened a new "
            "connection."
        )
        self._write(BLOCKED, 4, text, USER=user)

    def _write(self, message_id: str, priority: int, message: str, **fields: str) -> None:
        """Send an entry to journald; IPSECWATCH_ is put in front of the names of ``fields``."""
        ours = {f"IPSECWATCH_{name}": value for name, value in fields.items()} | self._always
        text = self._prefix + message
        entry = {"MESSAGE": text, "MESSAGE_ID": message_id, "PRIORITY": str(priority), **ours}
        self._sender.send(entry, later=True)


def _about(tunnel: Tunnel, reason: Reason, unit: str) -> dict[str, str]:
    """Return the fields that every entry about a tunnel has, by their names without IPSECWATCH_.

    ``unit``: the systemd unit that runs pluto; "": not known.
    """
    text = reason_text(reason, tunnel, unit)
    return {
        "TUNNEL": tunnel.name,
        "PEER": clean(tunnel.peer or ""),
        "USER": clean(user_of(tunnel) or ""),
        "SENTENCE": text.sentence,
        "ADVICE": text.advice,
    }


def _listed(t: Transition) -> str:
    """Return whether pluto lists the tunnel: ``new``, ``yes`` (as before) or ``gone``."""
    if t.new is None:
        return "gone"
    return "new" if t.old is None else "yes"


def _stamp(at: float) -> str:
    """Return seconds since the epoch as text, in microseconds."""
    return str(round(at * 1_000_000))


def _kind(t: Transition) -> tuple[str, int]:
    """Return the MESSAGE_ID (UP, DOWN, STUCK or OTHER) and the syslog priority for a transition.

    They go by goes_up, goes_down and gets_stuck, in this order: one from UP or PARTIAL to STUCK has
    DOWN.
    """
    if t.goes_up:
        return UP, 5
    if t.goes_down:
        return DOWN, 6 if t.reason is Reason.OPERATOR else 4
    if t.gets_stuck:
        return STUCK, 4
    return OTHER, 6


_WORDS: Final = {
    TunnelState.UNKNOWN: "in an unknown state",
    TunnelState.UP: "up",
    TunnelState.PARTIAL: "only partly up",
    TunnelState.STUCK: "stuck",
    TunnelState.CONNECTING: "connecting",
    TunnelState.WAITING: "waiting for traffic",
    TunnelState.DOWN: "down",
}


def describe(t: Transition) -> str:
    """Return one line for people that describes a transition.

    The reason's sentence follows, unless the tunnel is UP now or there is no reason.
    """
    tunnel = t.tunnel
    words = f"is {_WORDS[t.becomes]}"
    if t.new is None and not t.goes_down:
        words = "is no longer loaded"
    elif t.becomes is TunnelState.PARTIAL:
        stays = "stays" if t.sticks else "is"
        words = f"{stays} only partly up ({tunnel.children_up} of {tunnel.children})"
    if t.becomes is TunnelState.UP or t.reason is Reason.NONE:
        return f"Tunnel {tunnel.name} {words}."
    return f"Tunnel {tunnel.name} {words}: {reason_text(t.reason, tunnel).sentence}"
