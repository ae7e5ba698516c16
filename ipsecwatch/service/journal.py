# SPDX-License-Identifier: MIT
"""The service's journal entries: one for each transition, and for what happens to pluto itself.

While nothing changes there are no entries. There is also an entry when watching begins, for each
tunnel at its first poll, and when watching ends, so that ``ipsecwatch history`` knows which times
were watched.

Other programs may rely on the fields and message ids: ``systemd/ipsecwatch.catalog`` explains each
id.
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
"""Characters of one of pluto's lines that are written at most. pluto prints no longer lines."""


class Journal:
    """Writes the service's journal entries.

    ``run_id`` (the D-Bus property RunId) is in each entry. ``instance`` is the name of this service
    among several instances: each message begins with it, and each entry has a field with it. "":
    the service has none.
    """

    def __init__(self, sender: Sender, run_id: str, instance: str = "") -> None:
        self._sender = sender
        self._prefix = f"{instance}: " if instance else ""
        self._always = {"IPSECWATCH_RUN_ID": run_id}
        if instance:
            self._always["IPSECWATCH_INSTANCE"] = instance
        self.unit = IPSEC
        """The systemd unit that runs pluto, which advice names; "": not known."""

    def announce(self, t: Transition, serial: int) -> None:
        """Write the entry about a transition. Its signals on the bus have the same ``serial``."""
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

        ``at``: the time of the first poll (wall clock). ``previous``: the run id of the service's
        previous run, if its state was restored. Then the last entry of that run about a tunnel is
        still true, unless an entry of this run about the tunnel follows now. "": nothing was
        restored.
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
        """Write that watching ended at the time ``at`` (wall clock)."""
        self._write(ENDED, 6, "Watching ended.", AT=_stamp(at))

    def found(self, tunnel: Tunnel, at: float) -> None:
        """Write in which state a tunnel is at its first poll in this run of the service.

        It is written without a transition: for tunnels in the service's first poll, and later for
        tunnels that are added and DOWN. ``at``: the time of that poll (wall clock).
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
        """Write that a DOWN tunnel is no longer listed. Subscribers get no signal about this."""
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
        """Write that pluto isn't running, or can't be asked (``state``, ``reason``).

        ``why``: why the poll had no answer, in one line for people; "": not known.
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
        """Write that pluto answers again. ``version``: pluto's version; None: not known."""
        text = "The IPsec service answers again."
        self._write(PLUTO_BACK, 5, text, PLUTO=PlutoState.RUNNING, VERSION=clean(version or ""))

    def unrecognised(self, count: int, example: str, version: str | None) -> None:
        """Write that ``count`` lines of pluto's answer weren't recognised.

        Only lines of kinds that weren't reported before are counted. ``example``: the first of
        these lines. ``version``: pluto's version; None: not known.
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
        """Write that two devices seem to use one identity, so that they replace each other."""
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
        """Write that the service has a new connection: the bus no longer read from the old one.

        ``uid``: the user that probably doesn't read our answers. None: nobody is known to have
        unread answers, so the cause is probably a subscriber that doesn't read our signals.
        """
        user = "" if uid is None else str(uid)
        who = f"user {uid} asked" if user else "somebody listened"
        text = (
            f"The system bus was blocked: {who} and did not read. The service has opened a new "
            "connection."
        )
        self._write(BLOCKED, 4, text, USER=user)

    def _write(self, message_id: str, priority: int, message: str, **fields: str) -> None:
        """Queue an entry for journald. IPSECWATCH_ is put in front of the names of ``fields``.

        ``priority``: as in syslog(3). The fields that all entries have are added.
        """
        ours = {f"IPSECWATCH_{name}": value for name, value in fields.items()} | self._always
        text = self._prefix + message
        entry = {"MESSAGE": text, "MESSAGE_ID": message_id, "PRIORITY": str(priority), **ours}
        self._sender.send(entry, later=True)


def _about(tunnel: Tunnel, reason: Reason, unit: str) -> dict[str, str]:
    """Return the fields that every entry about a tunnel has, by their names without IPSECWATCH_.

    SENTENCE and ADVICE explain ``reason`` to people. ``unit``: the systemd unit that runs pluto,
    which they may name; "": not known.
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
    """Return a word for whether pluto lists the tunnel of a transition, for the field LISTED.

    ``new``: it wasn't listed before. ``yes``: it was and is. ``gone``: it is no longer listed.
    """
    if t.new is None:
        return "gone"
    return "new" if t.old is None else "yes"


def _stamp(at: float) -> str:
    """Return a time (seconds since the epoch) as the number of microseconds, as text."""
    return str(round(at * 1_000_000))


def _kind(t: Transition) -> tuple[str, int]:
    """Return the MESSAGE_ID (UP, DOWN, STUCK or OTHER) and the syslog priority for a transition.

    The first that is true of goes_up, goes_down and gets_stuck decides; if none is, it is OTHER. So
    a transition from UP or PARTIAL to STUCK has DOWN.
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
    """Return one line for people that describes a transition, such as ``Tunnel office is up.``.

    If the tunnel isn't UP now and the reason isn't NONE, the sentence for the reason follows.
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
