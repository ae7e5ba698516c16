# SPDX-License-Identifier: MIT
"""Data types for what pluto printed: reports of its status, lines of its log, and polls.

Names are kept as pluto printed them: bytes that can't be decoded are surrogate escapes (PEP 383),
so that two different names are never equal. Before a name is shown to people, sanitize.clean()
makes it harmless.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from ipsecwatch.sa_states import IkeVersion as IkeVersion
from ipsecwatch.sa_states import Role as Role
from ipsecwatch.sa_states import SaKind as SaKind
from ipsecwatch.sa_states import Stage as Stage
from ipsecwatch.states import Extent as Extent
from ipsecwatch.states import LogState as LogState
from ipsecwatch.states import Part as Part
from ipsecwatch.states import PlutoState as PlutoState

MAX_UNRECOGNISED: Final = 100
"""The number of unrecognised lines that a report keeps. All of them are counted."""


ConnectionKey = tuple[str, tuple[int, ...]]
"""The name of a connection and its instance numbers, such as ``("rw", (3,))`` for ``rw[3]``. A line
about an SA has the same two, and so is assigned to the connection."""


def instance_name(name: str, instance: tuple[int, ...]) -> str:
    """Return a connection's name as pluto logs it: ``rw[3]`` for ``rw`` and (3,), ``rw`` for ()."""
    return name + "".join(f"[{n}]" for n in instance) if instance else name


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer that pluto prints for a state, such as the next retransmission.

    ``seconds`` is the time until it is due. It is negative if the timer is overdue, and None if
    pluto printed no time.
    """

    name: str
    seconds: int | None


# Not frozen: a frozen dataclass sets each field through object.__setattr__, which takes longer than
# parsing the line. Nothing changes an SaState after it was read.
@dataclass(slots=True)
class SaState:
    """One state line of pluto: an IKE SA or a Child SA, at any stage of its life.

    ``story`` is the sentence by which pluto describes the state (its own word). ``serial`` is 12
    for ``#12``. It is unique within one run of pluto, and begins at 1 again in the next.
    ``parent_serial`` is the serial of the IKE SA, which pluto prints only for established Child
    SAs; None: not printed.
    """

    serial: int
    name: str
    instance: tuple[int, ...]
    story: str
    kind: SaKind | None
    role: Role | None
    stage: Stage
    ike_version: int | None
    state_name: str | None = None
    remote_address: str | None = None
    remote_port: int | None = None
    transport: str = "udp"
    local_client: str | None = None
    remote_client: str | None = None
    timers: tuple[Timer, ...] = ()
    newest: bool = False
    eroute_owner: bool = False
    parent_serial: int | None = None
    guessed: bool = False
    """Whether no known release prints this story, so that ``kind``, ``role`` and ``stage`` were
    guessed from its words."""
    extra: tuple[str, ...] = ()
    """Tokens after the story that the parser doesn't know, as printed."""
    sa: SaLine | None = None
    """The SPIs and counters of this SA, from a line of their own; None: there is no such line."""
    text: str = field(default="", repr=False)
    """The rest of the state line, after the story, as printed."""
    sa_text: str = field(default="", repr=False)
    """The line with the SPIs and counters of this SA, as printed; "": there is no such line."""

    @property
    def key(self) -> ConnectionKey:
        """The name and instance of the connection of this SA, equal to Connection.key."""
        return self.name, self.instance

    @property
    def established(self) -> bool:
        """Whether this SA has been negotiated to the end, and isn't being deleted."""
        return self.stage is Stage.ESTABLISHED

    def timer(self, name: str) -> Timer | None:
        """Return the first timer of this SA that has this name; None if there is none.

        ``name`` is in the form that libreswan has used since 4.5, such as ``RETRANSMIT``. Earlier
        releases put a prefix before it, such as ``EVENT_v1_``, so it is enough that a timer's name
        ends with ``name``.
        """
        for timer in self.timers:
            if timer.name.endswith(name):
                return timer
        return None


@dataclass(frozen=True, slots=True)
class SaLine:
    """The SPIs and counters of an SA.

    Counters are in bytes, and pluto rounds them down to KB or MB.
    """

    said: tuple[str, ...] = ()
    bytes_in: int | None = None
    bytes_out: int | None = None
    max_bytes: str | None = None
    username: str | None = None
    remote_address: str | None = None
    local_address: str | None = None
    tunnel_mode: bool | None = None
    used: int | None = None
    """How many seconds ago the SA was last used; None: not printed."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A Child SA that waits until its IKE SA, with the number ``serial``, is established."""

    serial: int
    name: str
    instance: tuple[int, ...]
    what: str
    remote_address: str | None = None
    replacing: int | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """One line of ``trafficstatus``: the counters of an established or half installed Child SA.

    ``bytes_in`` and ``bytes_out`` are exact, and None if the kernel didn't report them.
    ``add_time`` is when the kernel got the SA, in seconds since the epoch; each rekey makes a new
    one.
    """

    serial: int
    name: str
    instance: tuple[int, ...]
    type: str
    remote_address: str | None = None
    local_client: str | None = None
    remote_client: str | None = None
    username: str | None = None
    offload: str | None = None
    add_time: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    max_bytes: str | None = None
    id: str | None = None
    lease: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shunt:
    """A bare shunt: a policy that pluto has set in the kernel for traffic of no connection."""

    ours: str
    protocol: int
    theirs: str
    action: str
    why: str
    priority: str | None = None
    conn_serial: int | None = None


@dataclass(slots=True)  # not frozen, as SaState
class Topology:
    """One ``LEFT...RIGHT`` of a connection, that is, one pair of subnets.

    It is stored as our side (``local_…``) and the peer's (``remote_…``), no matter which of the two
    is ``left`` in ipsec.conf.
    """

    text: str
    routing: str
    local_client: str | None
    local_host: str | None
    local_id: str | None
    remote_host: str | None
    remote_id: str | None
    remote_client: str | None
    owner: int | None = None
    unresolved: str | None = None
    """The peer's DNS name, if pluto couldn't resolve it (yet); ``remote_host`` is ``%dns`` then.
    None: the name resolves, or the peer is configured by address."""


@dataclass(slots=True)  # not frozen, as SaState
class Connection:
    """One connection in pluto's list, which may be a template, or one instance of a template."""

    name: str
    instance: tuple[int, ...] = ()
    topologies: tuple[Topology, ...] = ()
    policy: frozenset[str] = frozenset()
    aliases: tuple[str, ...] = ()
    oriented: bool | None = None
    ike_version: IkeVersion | None = None
    newest_ike: int | None = None
    newest_child: int | None = None
    routing: str | None = None
    owner: int | None = None
    conn_serial: int | None = None
    instantiated_from: int | None = None
    nm_configured: bool = False
    policy_known: bool = True
    """Whether the line with the policy is complete, so that a word that isn't in ``policy`` isn't
    set."""
    routing_known: bool = True
    """Whether the line is complete that names the connection's newest (up to 4.15) or established
    SAs."""
    text: str = field(default="", repr=False)
    """The lines that pluto printed about the connection. connection_fields() reads further values
    from it."""
    names_no_child: bool = False
    """Whether all lines are there that would name an established Child SA of the connection, and
    none of them names one."""

    @property
    def key(self) -> ConnectionKey:
        """The name and instance of the connection. SAs with an equal ``key`` belong to it."""
        return self.name, self.instance

    @property
    def full_name(self) -> str:
        """The name with the instance number, if any, as pluto logs it: ``rw[3]``."""
        return instance_name(self.name, self.instance)

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of ``text``, each without the connection's name and the colon before it."""
        if not self.text:
            return ()
        end = self.text.index(":", self.text.index('"', self.text.index('"') + 1)) + 1
        begin = self.text[:end]
        return tuple(self.text[end:].split(f"\n{begin}"))

    @property
    def wanted_up(self) -> bool:
        """Whether pluto means to bring the connection up, and keep it up (``UP`` in its policy)."""
        return "UP" in self.policy

    @property
    def labelled(self) -> bool:
        """Whether the connection has a security label (policy-label=).

        Each label of the traffic gets a Child SA of its own, once there is such traffic.
        """
        return any(_LABEL.match(line) for line in self.lines)

    @property
    def never_negotiates(self) -> bool:
        """Whether the connection only lets packets pass or drops them, and so isn't a tunnel."""
        return "NEVER_NEGOTIATE" in self.policy


# At the beginning of a line: an identity, which the peer chooses, may have these words in it.
_LABEL: Final = re.compile(r" *(?:sec|policy)_label:(?!unset\b)\S")


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts that pluto itself prints at the end of a status.

    A count that the answer lacks is None, or isn't in the dictionary.
    """

    loaded: int | None = None
    routed: int | None = None
    active: int | None = None
    accepting: bool | None = None
    ddos_cookies: bool | None = None
    ike: dict[str, int] = field(default_factory=dict)
    ipsec: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """For each part of pluto's answer, how much of it is in a report.

    If a part is WHOLE, then what it doesn't list doesn't exist.
    """

    connections: Extent = Extent.ABSENT
    policies: Extent = Extent.ABSENT
    states: Extent = Extent.ABSENT
    counters: Extent = Extent.ABSENT
    totals: Extent = Extent.ABSENT
    log: Extent = Extent.ABSENT


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """A line of an answer that no known release prints. ``line`` is its number, counted from 1."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What is in one answer of pluto.

    ``complete`` is true if the whole answer to ``command`` is there and doesn't contradict itself.
    If it is false, ``why`` says what is wrong, and connections and SAs may exist that aren't
    listed.
    """

    command: str | None = None
    version: str | None = None
    complete: bool = False
    why: str | None = None
    connections: tuple[Connection, ...] = ()
    states: tuple[SaState, ...] = ()
    pending: tuple[Pending, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    shunts: tuple[Shunt, ...] = ()
    totals: Totals = Totals()
    other: tuple[str, ...] = field(default=(), repr=False)
    """The known lines of all other sections (interfaces, settings, algorithms), without their
    prefix."""
    unrecognised: tuple[Unrecognised, ...] = ()
    unrecognised_count: int = 0
    """The number of all unrecognised lines; ``unrecognised`` has only the first
    MAX_UNRECOGNISED."""
    knowledge: Knowledge = Knowledge()
    """How much of each part is there."""


JOURNALD: Final = "systemd-journald"
"""The ``identifier`` of a LogLine by which journald itself reports that it dropped lines of
pluto."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One log line: of pluto, of systemd about pluto's unit, or of journald about dropped lines."""

    at: float
    """When it was logged, in seconds since the epoch."""
    text: str
    identifier: str = "pluto"


@dataclass(frozen=True, slots=True)
class Poll:
    """The outcome of one attempt to ask pluto: a report, maybe incomplete, or why there is none."""

    at: float
    """When the outcome was known, by the wall clock, in seconds since the epoch."""
    mono: float
    """The same moment as ``at`` on the monotonic clock, in seconds. That clock stands still while
    the machine sleeps."""
    report: Report | None = None
    pluto: PlutoState = PlutoState.RUNNING
    pid: int | None = None
    """pluto's process id; None: not known."""
    unit_inactive: bool = False
    """Whether the systemd unit of pluto was inactive at some time since pluto's last answer. If
    pluto is STOPPED then, its tunnels become DOWN at once, without a wait for ``stopped_after``."""
    why: str | None = None
    """Why there is no report, in one line; None if there is one."""
    boot: float = 0.0
    """The same moment as ``at`` on CLOCK_BOOTTIME, in seconds. That clock can't be set, and goes on
    while the machine sleeps, so the ages that people see are computed from it. 0: not recorded,
    since no ages are shown (as in a replay)."""
