# SPDX-License-Identifier: MIT
"""Data types for what pluto printed: reports of its status, lines of its log, and polls.

Names are kept as pluto printed them, with undecodable bytes as surrogate escapes, so that two
different names never become equal. sanitize.clean() escapes them for people.
"""

from __future__ import annotations

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
"""How many unrecognised lines a report keeps; all of them are counted."""


ConnectionKey = tuple[str, tuple[int, ...]]
"""Name and instance of a connection, as in the lines about its SAs."""


def instance_name(name: str, instance: tuple[int, ...]) -> str:
    """Return a connection's name as it is in pluto's log: ``rw[3]``; for (), the name alone."""
    return name + "".join(f"[{n}]" for n in instance) if instance else name


@dataclass(frozen=True, slots=True)
class Timer:
    """A timer of a state. ``seconds`` until it is due; negative: overdue; None: not printed."""

    name: str
    seconds: int | None


# Not frozen: a frozen dataclass sets each field through object.__setattr__, which takes longer than
# parsing the line. Nothing changes an SaState after it was read.
@dataclass(slots=True)
class SaState:
    """One state line: an IKE SA or a Child SA, established or being negotiated.

    ``serial`` (#12) is unique within one run of pluto and starts again at 1 in the next.
    ``parent_serial`` is the IKE SA's, printed only for established Child SAs.
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
    """The story is in no known release; kind, role and stage were guessed from its words."""
    extra: tuple[str, ...] = ()
    """Unknown tokens after the story, as printed."""
    sa: SaLine | None = None
    """The line with SPIs and counters that follows, if there is one."""
    text: str = field(default="", repr=False)
    """What pluto printed after the story."""
    sa_text: str = field(default="", repr=False)
    """The line with SPIs and counters that follows, as printed; "": there is none."""

    @property
    def key(self) -> ConnectionKey:
        """Name and instance of the SA's connection, which is also the connection's ``key``."""
        return self.name, self.instance

    @property
    def established(self) -> bool:
        """Whether the negotiation of this SA is finished, and the SA isn't being deleted."""
        return self.stage is Stage.ESTABLISHED

    def timer(self, name: str) -> Timer | None:
        """Return the state's first timer of this name; None: it has none.

        ``name`` is as libreswan has printed it since 4.5 ("RETRANSMIT"). In earlier releases a
        timer's name has a prefix, so only its end is compared.
        """
        for timer in self.timers:
            if timer.name.endswith(name):
                return timer
        return None


@dataclass(frozen=True, slots=True)
class SaLine:
    """The SPIs and counters of a state. Counters are bytes, rounded down by pluto to KB or MB."""

    said: tuple[str, ...] = ()
    bytes_in: int | None = None
    bytes_out: int | None = None
    max_bytes: str | None = None
    username: str | None = None
    remote_address: str | None = None
    local_address: str | None = None
    tunnel_mode: bool | None = None
    used: int | None = None
    """Seconds since the SA was last used."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A Child SA that will be negotiated once the IKE SA ``serial`` is established."""

    serial: int
    name: str
    instance: tuple[int, ...]
    what: str
    remote_address: str | None = None
    replacing: int | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """One line of ``trafficstatus``: an established (or half installed) Child SA's counters.

    ``bytes_in`` and ``bytes_out`` are exact, and None where the kernel didn't report them.
    ``add_time``: when the kernel got the SA, in seconds since the epoch; new at every rekey.
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
    """A bare shunt: a kernel policy that pluto set without a connection."""

    ours: str
    protocol: int
    theirs: str
    action: str
    why: str
    priority: str | None = None
    conn_serial: int | None = None


@dataclass(slots=True)  # not frozen, as SaState
class Topology:
    """One ``LEFT...RIGHT`` of a connection: our side and the peer's, wherever ipsec.conf has it."""

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
    """The peer's DNS name, if it doesn't resolve (yet): ``remote_host`` is ``%dns`` then."""


@dataclass(slots=True)  # not frozen, as SaState
class Connection:
    """One connection of ``ipsec status``, or one instance of a template."""

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
    """The policy line is complete: words that ``policy`` lacks aren't set."""
    routing_known: bool = True
    """The line that names the newest or established SAs is there."""
    text: str = field(default="", repr=False)
    """What pluto printed of the connection; connection_fields() reads the rest from it."""
    names_no_child: bool = False
    """Whether the lines that would name an established Child SA are there, and name none."""

    @property
    def key(self) -> ConnectionKey:
        """Name and instance, by which SAs are assigned to the connection."""
        return self.name, self.instance

    @property
    def full_name(self) -> str:
        """The name with its instance, as in pluto's log: ``rw[3]``."""
        return instance_name(self.name, self.instance)

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines of ``text``, each without the connection's name and the colon after it."""
        if not self.text:
            return ()
        end = self.text.index(":", self.text.index('"', self.text.index('"') + 1)) + 1
        begin = self.text[:end]
        return tuple(self.text[end:].split(f"\n{begin}"))

    @property
    def wanted_up(self) -> bool:
        """Whether pluto is configured to bring the connection up and keep it up."""
        return "UP" in self.policy

    @property
    def never_negotiates(self) -> bool:
        """Whether the connection is a pass or drop rule, and so isn't a tunnel."""
        return "NEVER_NEGOTIATE" in self.policy


@dataclass(frozen=True, slots=True)
class Totals:
    """pluto's own counts, each absent (None, or an empty dict) where the answer has none."""

    loaded: int | None = None
    routed: int | None = None
    active: int | None = None
    accepting: bool | None = None
    ddos_cookies: bool | None = None
    ike: dict[str, int] = field(default_factory=dict)
    ipsec: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Knowledge:
    """How much of each part is in a report. What a WHOLE part doesn't list doesn't exist."""

    connections: Extent = Extent.ABSENT
    policies: Extent = Extent.ABSENT
    states: Extent = Extent.ABSENT
    counters: Extent = Extent.ABSENT
    totals: Extent = Extent.ABSENT
    log: Extent = Extent.ABSENT


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """A line that no release is known to print. ``line`` counts from 1."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What one answer of pluto contains.

    ``complete``: the whole answer to ``command`` is there and doesn't contradict itself. If it is
    false, ``why`` says what is wrong, and what isn't listed may exist all the same.
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
    """Known lines of the other sections (interfaces, settings, algorithms), without prefix."""
    unrecognised: tuple[Unrecognised, ...] = ()
    unrecognised_count: int = 0
    """The number of all unrecognised lines; ``unrecognised`` has only the first ones."""
    knowledge: Knowledge = Knowledge()
    """How much of each part is there."""


JOURNALD: Final = "systemd-journald"
"""The identifier of journald's own line that reports dropped lines of pluto."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log line: of pluto, of systemd about pluto's unit, or of journald about dropped lines."""

    at: float
    """Seconds since the epoch."""
    text: str
    identifier: str = "pluto"


@dataclass(frozen=True, slots=True)
class Poll:
    """The outcome of asking pluto once: a report, or the reason why there is none."""

    at: float
    """Wall clock, seconds since the epoch."""
    mono: float
    """Seconds of the monotonic clock, which stands still while the machine sleeps."""
    report: Report | None = None
    pluto: PlutoState = PlutoState.RUNNING
    pid: int | None = None
    """pluto's process id, if the kernel reported it."""
    unit_inactive: bool = False
    """By systemd, pluto's unit was inactive at some time since the last answer: tunnels of a pluto
    that is stopped count as down at once."""
    why: str | None = None
    """What went wrong, in one line, if ``report`` is None."""
    boot: float = 0.0
    """Seconds of CLOCK_BOOTTIME, which can't be set and goes on while the machine sleeps. Ages that
    people are shown are computed from it; 0 where none are shown."""
