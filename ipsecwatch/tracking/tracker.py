# SPDX-License-Identifier: MIT
"""Tunnels over time: polls in, transitions out. Pure: the clock is an argument.

The poll is the truth. A log line may give the reason, and may show that there was a loss between
two polls that look alike; it never makes a state by itself. What a poll can't tell is `unknown`,
never `down`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.reasons import by_stage
from ipsecwatch.report import PlutoState, Poll, Report
from ipsecwatch.sanitize import clean
from ipsecwatch.tracking import records as past
from ipsecwatch.tracking.grouping import Group, Sort
from ipsecwatch.tracking.late_reasons import Riddle, Riddles
from ipsecwatch.tracking.log_evidence import Witness
from ipsecwatch.tracking.observation import Sight, is_child, is_ike, survey, tries
from ipsecwatch.tracking.records import Life, Memory, Past
from ipsecwatch.tunnel import Reason, Transition, Tunnel, TunnelState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.report import LogLine
    from ipsecwatch.tracking.records import Key, Why

START_GRACE: Final = 3.0
"""Seconds after a start of pluto in which a missing connection is one that isn't loaded yet."""

LOADING_GRACE: Final = 60.0
"""The same, while the list still grows: thousands of connections take their time."""

LOG_SLACK: Final = 10.0
"""Seconds by which a log line may precede the poll that shows what it tells."""


class Tracker:
    """Follows all tunnels."""

    def __init__(self, stuck_after: float = 30.0, stopped_after: float = 15.0) -> None:
        self.stuck_after = stuck_after
        self.stopped_after = stopped_after
        self._past = Past()
        self._looked = False
        self._reborn = False
        self._stopped_since: float | None = None
        self._witness = Witness()
        self._heard: deque[tuple[float, int]] = deque([(float("-inf"), 0)])
        self._report: Report | None = None
        self._sights: dict[str, Sight] = {}
        """What the last poll with an answer showed, and what was seen in it."""
        self._riddles = Riddles(self._witness)
        self.pluto = PlutoState.STOPPED
        """How pluto is, by the last poll."""
        self.version: str | None = None
        """pluto's version, by the last report that told it."""

    @property
    def tunnels(self) -> dict[str, Tunnel]:
        """All tunnels that are listed, by key."""
        return {key: m.tunnel for key, m in self._past.memories.items()}

    @property
    def connecting(self) -> bool:
        """Whether anything is being negotiated, so that the next poll should come soon."""
        return any(m.trying_since is not None for m in self._past.memories.values())

    @property
    def gone(self) -> bool:
        """Whether pluto is away, for so long or so surely that its tunnels are down."""
        return self._past.life.gone

    @property
    def due(self) -> float | None:
        """When the passing of time alone will next change a state, on the monotonic clock.

        For somebody to look then: nothing changes but by a poll.
        """
        if self._stopped_since is not None:
            return None if self.gone else self._stopped_since + self.stopped_after
        trying = (m for m in self._past.memories.values() if not m.overdue)
        moments = [m.trying_since + self.stuck_after for m in trying if m.trying_since is not None]
        loaded = self._loaded_by()
        if loaded is not None and len(self._sights) != len(self._past.memories):
            moments.append(loaded)  # those that are missing are no longer waited for
        return min(moments, default=None)

    def save(self) -> dict[str, Any]:
        """Give what is to be remembered while the service is away, as plain values."""
        return past.dump(self._past)

    def restore(self, saved: object) -> None:
        """Take up what another tracker saved: what has changed since is told, the rest isn't.

        Raises ValueError where it isn't such a thing.
        """
        self._past = past.load(saved)
        self._looked = True
        self._reborn = self.gone

    def hear(self, line: LogLine) -> None:
        """Take note of what pluto logged, or systemd about its unit."""
        self._witness.hear(line)

    def observe(self, poll: Poll) -> list[Transition]:
        """Take one poll and say what has changed since the last one, in order."""
        self._riddles.solve(self._past.memories, poll.mono)
        self.pluto = poll.pluto
        if poll.pluto is not PlutoState.STOPPED:
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = poll.mono
        report = poll.report
        if report is None or not report.complete:
            changes = self._doubt(poll)
        else:
            changes = self._believe(poll, report)
        self._heard.append((poll.mono, self._witness.order))
        while len(self._heard) > 1 and self._heard[1][0] <= poll.mono - LOG_SLACK:
            self._heard.popleft()
        return changes

    def explain(self, changes: Iterable[Transition]) -> list[Transition]:
        """Tell what observe() told again, with causes of losses that the log has told since."""
        return [self._riddles.explained(c) for c in changes]

    # --- without a trustworthy answer -----------------------------------------------------

    def _doubt(self, poll: Poll) -> list[Transition]:
        reason = {
            PlutoState.STOPPED: Reason.PLUTO_STOPPED,
            PlutoState.STARTING: Reason.PLUTO_STARTING,
            PlutoState.UNREACHABLE: Reason.PLUTO_UNREACHABLE,
            PlutoState.RUNNING: Reason.BAD_OUTPUT,
        }[poll.pluto]
        self._report = None
        if self._stopped_since is not None:
            self._reborn = True  # whatever answers next is another pluto
            away = poll.mono - self._stopped_since
            # A unit that starts again takes nothing back before somebody has answered.
            life = self._past.life
            life.gone = life.gone or poll.unit_inactive or away >= self.stopped_after
        why = poll.why if poll.report is None else poll.report.why
        detail = clean(why) if why and reason is Reason.BAD_OUTPUT else None
        out: list[Transition] = []
        gone = self.gone and self._stopped_since is not None
        for memory in self._past.memories.values():
            new = TunnelState.DOWN if gone else TunnelState.UNKNOWN
            if gone:
                self._forget(memory)
            out += self._move(memory, new, (reason, detail), poll)
        return out

    def _forget(self, memory: Memory) -> None:
        """Drop what only held while pluto ran."""
        memory.children = memory.parents = frozenset()
        memory.trying_since = None
        memory.tunnel = replace(
            memory.tunnel, children_up=0, instances=0, attempts=0, states=(), connections=()
        )

    # --- with one -----------------------------------------------------------------------

    def _believe(self, poll: Poll, report: Report) -> list[Transition]:
        if self._is_old(poll, report):
            return self._wait_on(poll)
        self.version = report.version or self.version
        another = self._looked and (self._reborn or self._another(poll, report))
        if another:
            self._past.life = Life(started=poll.mono, grew=poll.mono, ikes={})
            self._riddles.clear()
            self._witness.forget()
            for memory in self._past.memories.values():
                memory.orphan = True
        self._reborn = False
        life = self._past.life
        life.gone = False
        if len(report.connections) > life.loaded:
            life.grew = poll.mono
        life.loaded = len(report.connections)
        if not self._looked and not report.connections:
            life.started = life.grew = poll.mono  # perhaps: it costs nothing to wait
        self._note_quiet(report)
        self._sights = survey(report, self._past.life.quiet, self._past.memories)
        out = self._compare(poll, self._sights)
        self._note_life(poll, report)
        self._report = report
        if self._loading(poll) and not report.connections:
            self.pluto = PlutoState.STARTING
        self._looked = True
        return out

    def _is_old(self, poll: Poll, report: Report) -> bool:
        """Tell whether it is the last report again, and nothing was heard since."""
        return (
            report is self._report
            and self._heard[-1][1] == self._witness.order
            and not self._reborn
            and poll.pid in (None, self._past.life.pid)
            and not self._loading(poll)
            and len(self._sights) == len(self._past.memories)  # nobody is missed any more
        )

    def _wait_on(self, poll: Poll) -> list[Transition]:
        """Have time go on, which changes those tunnels alone that are being tried."""
        memories = self._past.memories
        trying = [key for key, m in memories.items() if m.trying_since is not None]
        return [c for key in trying for c in self._advance(memories[key], self._sights[key], poll)]

    def _another(self, poll: Poll, report: Report) -> bool:
        """Tell whether this is another pluto than in the last report."""
        life = self._past.life
        if life.pid is not None and poll.pid is not None:
            return life.pid != poll.pid
        # Serials only grow in one life: one that is new and not the highest is another's.
        return any(s.serial <= life.top and s.serial not in life.serials for s in report.states)

    def _loading(self, poll: Poll) -> bool:
        """Tell whether pluto has started so recently that it may still load connections."""
        by = self._loaded_by()
        return by is not None and poll.mono < by

    def _loaded_by(self) -> float | None:
        """Say by when a pluto that was seen to start has loaded all, on the monotonic clock."""
        life = self._past.life
        if life.started is None:
            return None
        grown = min(life.grew + START_GRACE, life.started + LOADING_GRACE)
        return max(life.started + START_GRACE, grown)

    def _note_quiet(self, report: Report) -> None:
        """Learn which IKE SAs are no sign of trying."""
        life = self._past.life
        ikes = {s.serial: (s.name, s.instance) for s in report.states if is_ike(s)}
        quiet = {serial for serial in ikes if self._was_quiet(serial)}
        carrying = [s for s in report.states if is_child(s)]
        quiet.update(s.parent_serial for s in carrying if s.parent_serial is not None)
        if life.ikes is None:  # found at the first look
            quiet.update(ikes)
        else:
            new = [
                serial
                for serial in ikes
                if serial not in life.ikes and serial not in self._witness.origins
            ]
            quiet.update(self._rekeyed_idle(ikes, new) if new else ())
        life.ikes, life.quiet = ikes, frozenset(quiet)
        self._witness.keep(ikes.keys())

    def _was_quiet(self, serial: int) -> bool:
        """Tell whether an IKE SA, or the one in whose place it came, was known to be quiet."""
        witness = self._witness
        seen: set[int] = set()
        while serial not in seen:
            if serial in self._past.life.quiet or serial in witness.carriers:
                return True
            seen.add(serial)
            serial = witness.origins.get(serial, serial)
        return False

    def _rekeyed_idle(self, ikes: dict[int, Key], new: list[int]) -> list[int]:
        """Choose those new IKE SAs that came in the place of one that nobody asked for a Child.

        Only where the log doesn't tell: one childless IKE SA after another is a rekey.
        """
        life = self._past.life
        idle = {key for serial, key in (life.ikes or {}).items() if serial in life.quiet}
        busy = {
            (c.name, c.instance)
            for m in self._past.memories.values()
            if m.children
            for c in m.tunnel.connections
        }
        quiet = idle - busy
        return [serial for serial in new if ikes[serial] in quiet]

    def _note_life(self, poll: Poll, report: Report) -> None:
        life = self._past.life
        life.pid = poll.pid if poll.pid is not None else life.pid
        life.serials = frozenset(s.serial for s in report.states)
        life.top = max(life.serials, default=life.top)

    # --- changes ------------------------------------------------------------------------

    def _compare(self, poll: Poll, now: dict[str, Sight]) -> list[Transition]:
        out: list[Transition] = []
        loading = self._loading(poll)
        for key in [k for k in self._past.memories if k not in now]:
            memory = self._past.memories[key]
            if not loading:
                out.append(self._leave(memory, poll))
                del self._past.memories[key]
            elif memory.tunnel.state is not TunnelState.DOWN:
                out += self._move(memory, TunnelState.UNKNOWN, (Reason.PLUTO_STARTING, None), poll)
        for key, seen in now.items():
            known = self._past.memories.get(key)
            if known is None:
                out.append(self._enter(key, seen, poll))
            else:
                out += self._advance(known, seen, poll)
        return out

    def _enter(self, key: str, seen: Sight, poll: Poll) -> Transition:
        """Take in a tunnel that wasn't listed before."""
        tunnel = Tunnel(
            key, clean(seen.group.name), TunnelState.DOWN, TunnelState.DOWN, poll.at, poll.mono
        )
        memory = self._past.memories[key] = Memory(tunnel)
        state = self._episode(memory, seen, poll)
        memory.tunnel = self._picture(memory, seen)
        reason, detail = memory.why = self._reason(memory, state)
        memory.tunnel = replace(
            memory.tunnel, state=state, last_state=state, reason=reason, detail=detail
        )
        return Transition(
            memory.tunnel, None, state, TunnelState.DOWN, reason, poll.at, poll.mono,
            silent=not self._looked, detail=detail,
        )  # fmt: skip

    def _leave(self, memory: Memory, poll: Poll) -> Transition:
        """Let a tunnel go that is no longer listed."""
        old = memory.tunnel
        reason, detail = Reason.UNLOADED, None
        if old.last_state.carries:
            if memory.orphan:
                reason = Reason.PLUTO_STOPPED
            else:
                reason, detail = self._loss(memory, poll)
                reason = Reason.UNLOADED if reason is Reason.OTHER else reason
        gone = replace(
            old, state=TunnelState.DOWN, last_state=TunnelState.DOWN, reason=reason,
            detail=detail, since=poll.at, since_mono=poll.mono, children_up=0, instances=0,
        )  # fmt: skip
        return Transition(
            gone, old.state, None, old.last_state, reason, poll.at, poll.mono, detail=detail
        )

    def _advance(self, memory: Memory, seen: Sight, poll: Poll) -> list[Transition]:
        """Bring a tunnel up to date that was listed before."""
        if _same(memory, seen):
            connections = tuple(seen.group.connections())
            memory.tunnel = replace(memory.tunnel, connections=connections, states=seen.states)
            return []
        if not memory.tunnel.connections:  # remembered by the service before us
            memory.tunnel = replace(memory.tunnel, connections=tuple(seen.group.connections()))
        out: list[Transition] = []
        was = memory.tunnel.last_state
        replaced = memory.children and seen.children and not memory.children & seen.children
        if memory.orphan and was.carries:
            out += self._move(memory, TunnelState.DOWN, (Reason.PLUTO_STOPPED, None), poll)
        elif was.carries and replaced and self._was_lost(memory):
            out += self._move(memory, TunnelState.DOWN, self._loss(memory, poll), poll)
        if memory.orphan:
            memory.trying_since = None
        lost = not memory.orphan and was.carries and seen.up < memory.tunnel.children_up
        memory.orphan = False
        why = self._loss(memory, poll) if lost else None
        state = self._episode(memory, seen, poll)
        memory.tunnel = self._picture(memory, seen)
        out += self._move(memory, state, why or self._reason(memory, state), poll)
        if state is TunnelState.PARTIAL and memory.overdue and not memory.told_stuck:
            out.append(self._stick(memory, poll))
        return out

    def _episode(self, memory: Memory, seen: Sight, poll: Poll) -> TunnelState:
        """Count the time of trying, and answer the tunnel's state."""
        lost_last = memory.tunnel.last_state.carries and not seen.up
        if not seen.trying or lost_last:
            memory.trying_since, memory.overdue, memory.told_stuck = None, False, False
            memory.tunnel = replace(memory.tunnel, attempts=0)
        if seen.trying:
            if memory.trying_since is None:
                memory.trying_since = self._begun(memory, seen, poll)
                memory.trying_order = self._heard_before()
            memory.overdue = poll.mono - memory.trying_since >= self.stuck_after
            self._count(memory, seen)
            if seen.state is TunnelState.CONNECTING and memory.overdue:
                return TunnelState.STUCK
        return seen.state

    def _begun(self, memory: Memory, seen: Sight, poll: Poll) -> float:
        """Say since when a tunnel is tried that wasn't in the last poll, on the monotonic clock.

        Where the log doesn't tell, since now; nor where it carried traffic, and may have rekeyed.
        """
        last, order = self._heard[-1]
        carried = memory.tunnel.last_state.carries
        tried = None if carried else self._witness.tried(_names(seen.group), order)
        if tried is None or last == float("-inf"):
            return poll.mono
        return min(max(last, poll.mono - (poll.at - tried)), poll.mono)

    def _count(self, memory: Memory, seen: Sight) -> None:
        """Count attempts: new negotiations seen, or more of them in the log."""
        new = [
            s.serial
            for s in seen.states
            if tries(s, self._past.life.quiet) and s.serial > memory.last_try
        ]
        attempts = memory.tunnel.attempts + (1 if new else 0)
        memory.last_try = max(new, default=memory.last_try)
        logged = self._witness.attempts(_names(seen.group), memory.trying_order)
        memory.tunnel = replace(memory.tunnel, attempts=max(attempts, logged))

    def _stick(self, memory: Memory, poll: Poll) -> Transition:
        """Tell of a tunnel that is up in part, and the rest tried for too long."""
        memory.told_stuck = True
        t = memory.tunnel
        reason = t.reason if t.reason is not Reason.NONE else Reason.CHILD_MISSING
        memory.tunnel = replace(t, reason=reason)
        return Transition(
            memory.tunnel, t.state, t.state, t.last_state, reason, poll.at, poll.mono,
            detail=t.detail, sticks=True,
        )  # fmt: skip

    def _picture(self, memory: Memory, seen: Sight) -> Tunnel:
        """Bring all but state and reason of a tunnel up to date."""
        memory.children, memory.parents = seen.children, seen.parents
        connections = tuple(seen.group.connections())
        managed = any(c.nm_configured for c in connections)
        template = seen.group.sort in (Sort.TEMPLATE, Sort.OPPORTUNISTIC)
        return replace(
            memory.tunnel,
            children_up=0 if template else seen.up,
            children=0 if template else len(seen.group.children),
            instances=seen.group.instances,
            managed="NetworkManager" if managed else "",
            peer=_peer(seen),
            connections=connections,
            states=seen.states,
        )

    def _move(self, memory: Memory, new: TunnelState, why: Why, poll: Poll) -> list[Transition]:
        """Change a tunnel's state, and say so if it is another one."""
        old = memory.tunnel
        if new is not TunnelState.UNKNOWN:
            memory.why = why
        reason, detail = why
        if old.state is new:
            memory.tunnel = replace(old, reason=reason, detail=detail)
            return []
        memory.tunnel = replace(
            old,
            state=new,
            last_state=old.last_state if new is TunnelState.UNKNOWN else new,
            reason=reason, detail=detail, since=poll.at, since_mono=poll.mono,
        )  # fmt: skip
        return [
            Transition(
                memory.tunnel, old.state, new, old.last_state, reason, poll.at, poll.mono,
                detail=detail,
            )
        ]  # fmt: skip

    # --- reasons ------------------------------------------------------------------------

    def _heard_before(self) -> int:
        """Answer what the witness had heard some seconds before the poll at hand."""
        return self._heard[0][1]

    def _loss(self, memory: Memory, poll: Poll) -> Why:
        names, serials = frozenset(_own_names(memory.tunnel)), memory.children | memory.parents
        why = self._witness.loss(names, serials, self._heard_before())
        if why[0] is Reason.OTHER:
            riddle = Riddle(names, serials, self._heard_before(), poll.mono)
            self._riddles.pose(memory.tunnel.key, riddle)
        return why

    def _was_lost(self, memory: Memory) -> bool:
        return self._witness.lost_between(
            _own_names(memory.tunnel), memory.children | memory.parents,
            self._heard_before(), self._heard[-1][1],
        )  # fmt: skip

    def _reason(self, memory: Memory, state: TunnelState) -> Why:
        """Say why a tunnel isn't up, as far as is known now."""
        t, old = memory.tunnel, memory.tunnel.last_state
        if state is TunnelState.UP:
            return Reason.NONE, None
        # What was the reason for being down is none for trying again.
        begins = old in (TunnelState.DOWN, TunnelState.WAITING, TunnelState.UP)
        before = memory.why if state is old or not begins else (Reason.NONE, None)
        if state in (TunnelState.DOWN, TunnelState.WAITING):
            if old in (TunnelState.CONNECTING, TunnelState.STUCK):
                held = memory.children | memory.parents
                why = self._witness.loss(_own_names(t), held, self._heard_before())
                return why if why[0] is Reason.OPERATOR else before
            return before
        if memory.trying_since is None:  # partial, and nobody tries for more
            return before
        failure = self._witness.failure(_own_names(t), memory.trying_order)
        if failure[0] is not Reason.NONE:
            return failure
        if not memory.overdue:
            return before  # an exchange that has only just begun is no reason
        wanted = any(c.wanted_up for c in t.connections)
        oriented = all(c.oriented is not False for c in t.connections)
        quiet = self._past.life.quiet
        asking = (s for s in t.states if s.serial not in quiet)
        told = by_stage(asking, wanted=wanted, oriented=oriented)
        if told in (Reason.NONE, Reason.OTHER) and before[0] is not Reason.NONE:
            return before
        return told, None


def _same(memory: Memory, seen: Sight) -> bool:
    """Tell whether nothing happened to a tunnel that nobody tries to bring up.

    The way that most tunnels take in most polls.
    """
    t = memory.tunnel
    return (
        t.state is seen.state
        and not seen.trying
        and memory.trying_since is None
        and not memory.orphan
        and t.instances == seen.group.instances
        and (t.children == len(seen.group.children) or not t.children)
        and memory.children == seen.children
        and memory.parents == seen.parents
    )


def _peer(seen: Sight) -> str | None:
    """Find the address of the peer: a state's, else the configured one."""
    for s in seen.states:
        if s.sa is not None and s.sa.remote_address:
            return s.sa.remote_address
    for c in seen.group.connections():
        for t in c.topologies:
            if t.remote_host and not t.remote_host.startswith("%"):
                return t.remote_host
    return None


def _names(group: Group) -> set[str]:
    return {_log_name(c.name, c.instance) for c in group.connections()}


def _own_names(tunnel: Tunnel) -> set[str]:
    return {_log_name(c.name, c.instance) for c in tunnel.connections}


def _log_name(name: str, instance: Iterable[int]) -> str:
    """Write a connection as pluto's log lines name it."""
    return name + "".join(f"[{n}]" for n in instance)
