# SPDX-License-Identifier: MIT
"""Convert journal entries, of the service and of systemd about it, into what history needs.

Pure: fields in, frozen values out. The caller has to make sure that the entries are the service's:
anybody can log such fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from ipsecwatch.history.message_ids import BEGAN, ENDED, FIRST_LOOK, TRANSITIONS, UNLISTED
from ipsecwatch.reasons import REASON_TEXTS, ReasonText
from ipsecwatch.sanitize import clean
from ipsecwatch.states import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Stamp:
    """When journald received an entry, on both clocks."""

    boot: str
    """Which run of the kernel: ``_BOOT_ID``. Monotonic times of two boots can't be compared."""
    wall: float
    """Seconds since the epoch, by the wall clock at that time, which can be set."""
    mono: float
    """Seconds on the monotonic clock, which can't be set, and stops while the machine sleeps."""


_OUR_UNIT: Final = re.compile(r"ipsecwatch(@.+)?\.service")


def is_our_unit(unit: str) -> bool:
    """Return whether a name is that of the service's systemd unit, or of any instance of it.

    Only its form is tested: such a unit needn't exist.
    """
    return _OUR_UNIT.fullmatch(unit) is not None


class Kind(Enum):
    """What one of the service's entries reports."""

    BEGAN = auto()
    """Watching began."""
    ENDED = auto()
    """Watching ended."""
    FIRST_LOOK = auto()
    """The state of a tunnel when the service first saw it."""
    TRANSITION = auto()
    """A tunnel changed."""
    UNLISTED = auto()
    """A tunnel that was down is no longer listed."""
    OTHER = auto()
    """Something else, which shows only that the service ran."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One of the service's entries.

    The fields from ``tunnel`` on are set only in entries about a tunnel. Their texts, except
    ``listed``, are escaped, so that they can be shown.
    """

    stamp: Stamp
    kind: Kind
    run: str
    """The id of the service's run."""
    unit: str = ""
    """The systemd unit in which it ran; "": not known."""
    previous: str = ""
    """BEGAN: the run from which the states of tunnels were taken over; "": none."""
    tunnel: str = ""
    state: TunnelState = TunnelState.UNKNOWN
    old: TunnelState = TunnelState.UNKNOWN
    reason: Reason = Reason.NONE
    serial: int | None = None
    """TRANSITION: its number within the run; None: it has none, as entries of other kinds."""
    listed: str = ""
    """Whether pluto lists it: ``new``, ``yes``, ``gone``; "": the entry doesn't say it, as those of
    first looks and of early releases."""
    peer: str = ""
    user: str = ""
    """The user of a template's instance."""
    detail: str = ""
    """pluto's log line behind the reason."""
    text: ReasonText = REASON_TEXTS[Reason.NONE]
    """The sentence and advice as written then: they may name a peer, or what was missing. If none
    were written, those of today for the reason."""

    @property
    def gone(self) -> bool:
        """Whether the tunnel is no longer listed."""
        return self.kind is Kind.UNLISTED or self.listed == "gone"


_KINDS: Final = {
    BEGAN: Kind.BEGAN,
    ENDED: Kind.ENDED,
    FIRST_LOOK: Kind.FIRST_LOOK,
    UNLISTED: Kind.UNLISTED,
    **dict.fromkeys(TRANSITIONS, Kind.TRANSITION),
}

FIELDS: Final = (
    "MESSAGE_ID", "_SYSTEMD_UNIT", "IPSECWATCH_RUN_ID", "IPSECWATCH_PREVIOUS_RUN_ID",
    "IPSECWATCH_TUNNEL", "IPSECWATCH_STATE", "IPSECWATCH_OLD_STATE", "IPSECWATCH_REASON",
    "IPSECWATCH_SERIAL", "IPSECWATCH_LISTED", "IPSECWATCH_PEER", "IPSECWATCH_USER",
    "IPSECWATCH_DETAIL", "IPSECWATCH_SENTENCE", "IPSECWATCH_ADVICE", "IPSECWATCH_INSTANCE",
)  # fmt: skip
"""All fields that entry_of() reads, and the one that names the instance."""

MAX_SHOWN: Final = 1024
"""Characters of a field; the service writes no more."""

_ABOUT_TUNNEL: Final = frozenset({Kind.FIRST_LOOK, Kind.TRANSITION, Kind.UNLISTED})
_STATES: Final = {s.value: s for s in TunnelState}
_REASONS: Final = {r.value: r for r in Reason}


def entry_of(stamp: Stamp, fields: Mapping[str, str]) -> Entry | None:
    """Return one of the service's entries; None if it is none, or can't be understood.

    It can't if it is about a tunnel, but doesn't name that, or has a state that this release
    doesn't know. A reason that this release doesn't know becomes OTHER.
    """
    get = fields.get
    run = get("IPSECWATCH_RUN_ID", "")
    if not run:
        return None
    kind = _KINDS.get(get("MESSAGE_ID", ""), Kind.OTHER)
    unit = get("_SYSTEMD_UNIT", "")
    if kind not in _ABOUT_TUNNEL:
        return Entry(stamp, kind, run, unit, get("IPSECWATCH_PREVIOUS_RUN_ID", ""))
    tunnel, state = _shown(get("IPSECWATCH_TUNNEL", "")), _STATES.get(get("IPSECWATCH_STATE", ""))
    if not tunnel or state is None:
        return None
    serial = get("IPSECWATCH_SERIAL", "")
    reason = _REASONS.get(get("IPSECWATCH_REASON", ""), Reason.OTHER)
    return Entry(
        stamp, kind, run, unit, "", tunnel, state,
        _STATES.get(get("IPSECWATCH_OLD_STATE", ""), TunnelState.UNKNOWN),
        reason,
        int(serial) if serial.isascii() and serial.isdecimal() else None,
        get("IPSECWATCH_LISTED", ""), _shown(get("IPSECWATCH_PEER", "")),
        _shown(get("IPSECWATCH_USER", "")), _shown(get("IPSECWATCH_DETAIL", "")),
        _text(reason, get("IPSECWATCH_SENTENCE", ""), get("IPSECWATCH_ADVICE", "")),
    )  # fmt: skip


def _text(reason: Reason, sentence: str, advice: str) -> ReasonText:
    """Return the sentence and advice of an entry, which are "" where it has none.

    An entry with neither gets today's for its reason; one without a sentence gets today's sentence.
    """
    usual = REASON_TEXTS[reason]
    if sentence in ("", usual.sentence) and advice in ("", usual.advice):
        return usual
    return ReasonText(_shown(sentence) or usual.sentence, _shown(advice))


def _shown(text: str) -> str:
    """Return the first MAX_SHOWN characters of a text, escaped: so the result may be longer.

    Backslashes are unchanged: they belong to escapes that the service has written.
    """
    text = text[:MAX_SHOWN]
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\\" else clean(c) for c in text)


class Sign(Enum):
    """What an entry of systemd shows about the service."""

    RUNS = auto()
    """It ran at that moment."""
    OVER = auto()
    """Its process had ended just then."""
    HUNG = auto()
    """systemd's watchdog ended it, because it hung."""
    SLEEP = auto()
    """The machine goes to sleep: the service doesn't watch."""
    WAKE = auto()
    """The machine is awake again."""


@dataclass(frozen=True, slots=True)
class SystemEntry:
    """An entry of systemd about a unit of the service, or about sleep."""

    stamp: Stamp
    sign: Sign
    unit: str = ""


# systemd's sd-messages.h. A unit's end is logged at once. That a restart is scheduled, or that the
# unit is being started, is logged later, and doesn't show until when it ran: it isn't used here.
UNIT_SIGNS: Final = {
    "39f53479d3a045ac8e11786248231fbf": Sign.RUNS,  # unit started
    "7b05ebc668384222baa8881179cfda54": Sign.RUNS,  # unit reloaded
    "d34d037fff1847e6ae669a370e694725": Sign.RUNS,  # unit is being reloaded
    "de5b426a63be47a7b6ac3eaac82e2f6f": Sign.RUNS,  # unit is being stopped
    "98e322203f7a4ed290d09fe03c09fe15": Sign.OVER,  # unit's process ended
    "7ad2d189f7e94e70a38c781354912448": Sign.OVER,  # unit ended well
    "d9b373ed55a64feb8242e02dbe79a49c": Sign.OVER,  # unit failed
    "9d1aaa27d60140bd96365438aad20286": Sign.OVER,  # unit stopped
}
SLEEP_SIGNS: Final = {
    "6bbd95ee977941e497c48be27c254128": Sign.SLEEP,
    "8811e6df2a8e40f58a94cea26f8ebf14": Sign.WAKE,
}
SYSTEM_FIELDS: Final = ("MESSAGE_ID", "UNIT", "UNIT_RESULT")


def system_entry_of(stamp: Stamp, fields: Mapping[str, str]) -> SystemEntry | None:
    """Return an entry of systemd; None if its message isn't one of UNIT_SIGNS or SLEEP_SIGNS.

    It may be about any unit: watches.py compares that with the service's.
    """
    message_id = fields.get("MESSAGE_ID", "")
    sign = UNIT_SIGNS.get(message_id) or SLEEP_SIGNS.get(message_id)
    if sign is None:
        return None
    if sign is Sign.OVER and fields.get("UNIT_RESULT") == "watchdog":
        sign = Sign.HUNG
    return SystemEntry(stamp, sign, fields.get("UNIT", ""))
