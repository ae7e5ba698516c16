# SPDX-License-Identifier: MIT
"""Convert journal entries, the service's and systemd's about it, into what the history needs.

Pure: the fields of an entry go in, and frozen values come out. Any process can write such fields,
so the caller has to make sure that the entries are really from the service or from systemd.
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
    """When journald received an entry, on both clocks, and in which boot."""

    boot: str
    """The boot of the machine, by the entry's ``_BOOT_ID``. Monotonic times of two boots can't be
    compared."""
    wall: float
    """Seconds since the epoch, as the wall clock showed them then. It may have been wrong."""
    mono: float
    """Seconds on the monotonic clock. It can't be set, and stands still while the machine
    sleeps."""


_OUR_UNIT: Final = re.compile(r"ipsecwatch(@.+)?\.service")


def is_our_unit(unit: str) -> bool:
    """Return whether a unit's name is ``ipsecwatch.service`` or ``ipsecwatch@NAME.service``.

    Only the name is tested. Such a unit needn't exist.
    """
    return _OUR_UNIT.fullmatch(unit) is not None


class Kind(Enum):
    """What one of the service's journal entries reports."""

    BEGAN = auto()
    """The service began to watch."""
    ENDED = auto()
    """The service ended in an orderly way, and stopped watching."""
    FIRST_LOOK = auto()
    """The state of a tunnel when a run of the service first saw it. It isn't a transition."""
    TRANSITION = auto()
    """A tunnel had a transition that was announced."""
    UNLISTED = auto()
    """A tunnel that was DOWN is no longer listed by pluto."""
    OTHER = auto()
    """Anything else. Such an entry shows only that the service was running."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry of the service.

    The fields from ``tunnel`` on have a meaning only in entries about a tunnel (FIRST_LOOK,
    TRANSITION, UNLISTED). All texts among them, except ``listed``, are escaped, so that they can be
    shown.
    """

    stamp: Stamp
    kind: Kind
    run: str
    """The id of the run of the service that wrote the entry."""
    unit: str = ""
    """The systemd unit in which the service ran; "": not known."""
    previous: str = ""
    """In a BEGAN entry: the id of the run whose states of tunnels this run restored; "": it
    restored none."""
    tunnel: str = ""
    state: TunnelState = TunnelState.UNKNOWN
    old: TunnelState = TunnelState.UNKNOWN
    reason: Reason = Reason.NONE
    serial: int | None = None
    """In a TRANSITION entry: its number, which counts the transitions of the run. None in other
    entries, or if it is missing."""
    listed: str = ""
    """Whether pluto listed the tunnel: ``new`` (for the first time), ``yes`` (as before) or
    ``gone`` (no longer). "": the entry doesn't say it, like those of first looks and of early
    releases."""
    peer: str = ""
    user: str = ""
    """The user name or the identity that the peer gave, if the tunnel is an instance of a template.
    "" for other tunnels, or if it isn't known."""
    detail: str = ""
    """The text in which the reason was found, such as a log line of pluto; "": there is none."""
    text: ReasonText = REASON_TEXTS[Reason.NONE]
    """The sentence and advice for the reason, as they were written then, since they may name a
    peer. If neither was written, those that this release has for the reason."""

    @property
    def gone(self) -> bool:
        """Whether the entry reports that the tunnel is no longer listed."""
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
"""All fields that entry_of() reads, and also IPSECWATCH_INSTANCE, by which the caller finds the
entries of one instance."""

MAX_SHOWN: Final = 1024
"""The number of characters of a field that are kept. The service writes no longer ones."""

_ABOUT_TUNNEL: Final = frozenset({Kind.FIRST_LOOK, Kind.TRANSITION, Kind.UNLISTED})
_STATES: Final = {s.value: s for s in TunnelState}
_REASONS: Final = {r.value: r for r in Reason}


def entry_of(stamp: Stamp, fields: Mapping[str, str]) -> Entry | None:
    """Return one of the service's journal entries, from its fields.

    Return None if it has no run id, and so isn't the service's. Return None also for an entry about
    a tunnel without the tunnel's name, or with a state that this release doesn't know. A reason
    that this release doesn't know becomes OTHER.
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
    """Return the sentence and the advice of an entry, escaped. Each may be missing ("").

    If both are missing, or equal to those of this release, return those of this release for the
    reason. If only the sentence is missing, that of this release takes its place; a missing advice
    stays "".
    """
    usual = REASON_TEXTS[reason]
    if sentence in ("", usual.sentence) and advice in ("", usual.advice):
        return usual
    return ReasonText(_shown(sentence) or usual.sentence, _shown(advice))


def _shown(text: str) -> str:
    """Return the first MAX_SHOWN characters of a text, with harmful and invisible ones escaped.

    Escapes make the result longer. Backslashes stay as they are, because the service has escaped
    the text already.
    """
    text = text[:MAX_SHOWN]
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c == "\\" else clean(c) for c in text)


class Sign(Enum):
    """What a journal entry of systemd shows about the service."""

    RUNS = auto()
    """The service was running at that moment."""
    OVER = auto()
    """The service's process ended at that moment, or just before."""
    HUNG = auto()
    """systemd's watchdog ended the service, because it hung. When it began to hang isn't known."""
    SLEEP = auto()
    """The machine goes to sleep, so that the service doesn't watch from then on."""
    WAKE = auto()
    """The machine has woken up."""


@dataclass(frozen=True, slots=True)
class SystemEntry:
    """A journal entry of systemd about a unit, or about the machine's sleep."""

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
    """Return an entry of systemd from its fields; None if it says nothing about units or sleep.

    That is decided by its MESSAGE_ID, which must be in UNIT_SIGNS or SLEEP_SIGNS. The entry may be
    about any unit: watches.py picks those about the service's.
    """
    message_id = fields.get("MESSAGE_ID", "")
    sign = UNIT_SIGNS.get(message_id) or SLEEP_SIGNS.get(message_id)
    if sign is None:
        return None
    if sign is Sign.OVER and fields.get("UNIT_RESULT") == "watchdog":
        sign = Sign.HUNG
    return SystemEntry(stamp, sign, fields.get("UNIT", ""))
