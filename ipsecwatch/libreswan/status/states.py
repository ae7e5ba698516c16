# SPDX-License-Identifier: MIT
"""Parse lines about SAs: their states, their SPIs and counters, and pending Child SAs.

    #2: "rw"[3] 192.0.2.1:500 STATE_V2_IPSEC_I (IPsec SA established); EVENT_SA_REKEY in 9s; …
    #2: "rw"[3] 192.0.2.1 esp.1f2e3d4c@192.0.2.1 … Traffic: ESPin=336B ESPout=1KB …
    #1: pending CHILD SA for "rw"[3] 192.0.2.1

What follows the name is recognised by its shape alone, so the same code reads every command and
every release. Lines are expected without a prefix of three digits (except by ``usual``). The time
that a line takes is proportional to its length, because a peer can make a line long.

Most state lines are parsed by ``usual``, with one pattern and together with the line of SPIs. The
others are parsed by ``state``, step by step. Timers, SPIs and counters are parsed only when they
are first used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from ipsecwatch.libreswan import grammar, state_table
from ipsecwatch.libreswan.grammar import NUMBER, PORT, PREFIX, TCP
from ipsecwatch.report import Pending, Role, SaKind, SaLine, SaState, Stage, Timer

_NAME: Final = f'"({grammar.name()})"({grammar.instances()})'
_HEAD: Final = re.compile(f"#?({NUMBER}): {_NAME}", re.ASCII)
# libreswan's own test suite prints EPHEM for a port.
_SUBJECT: Final = re.compile(
    f"#({NUMBER}): {_NAME}({grammar.suffix()}):(?:({PORT})|EPHEM)({TCP})? (.*)",
    re.ASCII | re.DOTALL,
)
_NUMBER: Final = re.compile(NUMBER, re.ASCII)
_NAMED_STORY: Final = re.compile(r"([A-Z][A-Z0-9_a-z]*) \((.*)\)")
_PENDING: Final = re.compile(rf"#?({NUMBER}): pending ([\w ]{{1,20}}) for {_NAME}", re.ASCII)
_REPLACING: Final = re.compile(f" replacing #({NUMBER})$", re.ASCII)
_TIMER: Final = re.compile(r"(\w{1,60}) in +(-?\d{1,10}|X+)s", re.ASCII)
_COUNTERS: Final = re.compile(r"[A-Z]{2,6}(in|out|max)=(\S*)", re.ASCII)
_BYTES: Final = re.compile(r"(\d{1,20})(B|KB|MB|GB|TB)!?", re.ASCII)
_SCALE: Final = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_IDLE: Final = frozenset({"idle", "crypto_calculating", "crypto/dns-lookup", "none in -1s", ""})
_PARENT: Final = re.compile(f"(?:IKE SA |ISAKMP SA |isakmp)#({NUMBER})", re.ASCII)
_KNOWN_EXTRA: Final = ("nodpd", "lastdpd=", "lastlive=", "import:")
_PROTOCOL: Final = re.compile(r"(?:esp|ah|comp|tun)[.:]")


class Head(NamedTuple):
    """The parts of a line about an SA: what ``#12: "rw"[3]`` says, and the rest of the line."""

    serial: int
    name: str
    instance: tuple[int, ...]
    rest: str


class Peer(NamedTuple):
    """What is printed behind an instance's name: ``PEER``, or ``OURS=== ...PEER===THEIRS``.

    PEER is the peer's address; OURS and THEIRS are the subnets of both ends, and may be missing.
    """

    remote_address: str | None
    local_client: str | None
    remote_client: str | None


def head(line: str) -> Head | None:
    """Return the parts of a line that begins with ``#12: "rw"[3]``, or None for any other line.

    The ``#`` may be missing. There may be no instance number, or several.
    """
    m = _HEAD.match(line)
    if m is None:
        return None
    serial, name, numbers = m.groups()
    return Head(int(serial), name, instance(numbers), line[m.end() :])


def instance(text: str) -> tuple[int, ...]:
    """Return the instance numbers in a text: (1, 2) for ``[1][2]``, () for an empty text."""
    return tuple(int(n) for n in _NUMBER.findall(text)) if text else ()


def peer(suffix: str) -> Peer:
    """Return the parts of the text between an instance's name and the port (see Peer).

    All parts are None for a text that is empty or blank.
    """
    suffix = suffix.strip()
    if not suffix:
        return _NOBODY
    ours = theirs = None
    before, dots, after = suffix.partition("...")
    if dots:
        ours = before.strip().removesuffix("===") or None
        suffix = after
    suffix, _, client = suffix.partition("===")
    theirs = client or None
    return Peer(suffix.strip() or None, ours, theirs)


_NOBODY: Final = Peer(None, None, None)


# --- States ---------------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class _StateLine(SaState):
    """An SaState whose ``timers`` and ``sa`` are parsed only when they are first used.

    In most polls nobody uses them, although their text changes from poll to poll.
    """

    __slots__ = ()
    timers: tuple[Timer, ...] = field(init=False)
    sa: SaLine | None = field(init=False)

    def __getattr__(self, name: str) -> object:
        """Parse and return ``timers`` or ``sa``, and set the field, so that it is parsed once."""
        if name == "timers":
            self.timers = _timers(self.text)
        elif name == "sa":
            self.sa = read_sa(self.sa_text) if self.sa_text else None
        else:
            raise AttributeError(name)
        return getattr(self, name)


def state(line: str) -> SaState | None:
    """Return the SA that a state line shows, even if the end of the line was cut off.

    Return None for any other line, and if a line was cut so early that it could mean several
    states.
    """
    told, end, tail = line.partition(";")
    m = _SUBJECT.fullmatch(told)
    if m is None:
        return None
    serial, name, numbers, suffix, port, tcp, words = m.groups()
    means = _words(words) if len(words) < _MAX_WORDS else _words.__wrapped__(words)
    if means is None:
        return None
    remote, ours, theirs = peer(suffix) if suffix else _NOBODY
    story, kind, role, stage, version, guessed, state_name = means
    if guessed and not end:  # cut within the story: what it begins with may mean anything
        return None
    newest, eroute_owner, parent, extra = marks(tail)
    if parent is not None and stage is Stage.ESTABLISHED:
        kind = SaKind.CHILD
    return _StateLine(
        int(serial), name, instance(numbers), story, kind, role, stage, version,
        state_name, remote, int(port) if port else None, "tcp" if tcp else "udp", ours, theirs,
        newest, eroute_owner, parent, guessed, extra, tail,
    )  # fmt: skip


_MAX_WORDS: Final = 200
"""The meaning of a name and story is cached if they are shorter. No release prints longer ones."""

_Words = tuple[str, SaKind | None, Role | None, Stage, int | None, bool, str | None]


@lru_cache(maxsize=256)
def _words(text: str) -> _Words | None:
    """Return what a state's words mean: ``STATE_NAME (story)``, or from 5.4 on a story alone.

    The result is the story, the kind, our role, the stage, the IKE version, whether these were
    guessed, and the state's name (None for a story alone). Return None if only one parenthesis is
    there, as in a line that was cut within its story.
    """
    named = _NAMED_STORY.fullmatch(text)
    if named is None and ("(" in text) != (")" in text):
        return None
    name, story = (named[1], named[2]) if named else (None, text)
    means = state_table.meaning(name, story)
    return story, means.kind, means.role, means.stage, means.ike_version, means.guessed, name


Marks = tuple[bool, bool, int | None, tuple[str, ...]]
"""What follows a story, besides the timers.

Whether the SA is the newest of its connection, whether it is the eroute owner, the serial of its
IKE SA (None: not printed), and the words that aren't known.
"""


_STOPS: Final = ";\n"
# A whole state line from 4.6 on, up to its line feed, and the one with its SPIs where one follows.
_USUAL: Final = re.compile(
    rf'{PREFIX}#({NUMBER}): "({grammar.name(without=_STOPS)})"({grammar.instances()})'
    rf"({grammar.suffix(without=_STOPS)}):({PORT})({TCP})? ([^{_STOPS}]*);"
    r"((?: \w{1,60} in -?\d{1,10}s;)*"
    r"(?: (newest);)?(?: (eroute owner);)?(?: (?:IKE|ISAKMP) SA #([1-9]\d{0,9});)?(?: idle;)?)\n"
    rf'(?:{PREFIX}(#\1: ".* Traffic:.*)\n)?',
    re.ASCII,
)


def usual(text: str, at: int) -> tuple[SaState, int] | None:
    """Return the SA whose state line begins at the index ``at``, and the index where it ends.

    If the SA's line with SPIs follows, it is read, too, and the index is that of the line behind
    it. Both lines must have the usual form, which is printed from 4.6 on, and must end with a line
    feed. Otherwise return None: the caller then tries state() and add_sa().
    """
    m = _USUAL.match(text, at)
    if m is None:
        return None
    (
        serial, name, numbers, suffix, port, tcp, words, tail, newest, eroute_owner, parent, sa
    ) = m.groups()  # fmt: skip
    means = _words(words) if len(words) < _MAX_WORDS else _words.__wrapped__(words)
    if means is None or " Traffic:" in words:
        return None
    remote, ours, theirs = peer(suffix) if suffix else _NOBODY
    story, kind, role, stage, version, guessed, state_name = means
    if parent is not None and stage is Stage.ESTABLISHED:
        kind = SaKind.CHILD
    state = _StateLine(
        int(serial), name, instance(numbers) if numbers else (), story, kind, role, stage, version,
        state_name, remote, int(port), "tcp" if tcp else "udp", ours, theirs,
        newest is not None, eroute_owner is not None, int(parent) if parent else None, guessed, (),
        tail, sa or "",
    )  # fmt: skip
    return state, m.end()


def marks(tail: str) -> Marks:
    """Return the marks in the text behind a story: ``; newest; eroute owner; IKE SA #1; idle``.

    They may have any order. Timers and pluto's remarks (``nodpd``, ``idle``) are left out.
    """
    newest = eroute_owner = False
    parent: int | None = None
    extra: list[str] = []
    parts = tail.split(";")
    for i, part in enumerate(parts, 1):
        word = part.strip()
        if word in ("newest", "newest ISAKMP", "newest IPSEC"):
            newest = True
        elif word == "eroute owner":
            eroute_owner = True
        elif m := _PARENT.fullmatch(word):
            if i < len(parts):  # of a number that nothing ends the end may be lost
                parent = int(m[1]) or None
        elif not (word in _IDLE or word.startswith(_KNOWN_EXTRA) or _TIMER.fullmatch(word)):
            extra.append(word)
    return newest, eroute_owner, parent, tuple(extra)


def add_sa(state: SaState, line: str) -> None:
    """Set the line with SPIs and counters of an SA. It is parsed later, when it is first used."""
    state.sa_text = line


def names_user(state: SaState) -> bool:
    """Return whether a user name is in one of an SA's lines: any text of the peer may follow it."""
    return USERNAME in state.sa_text or USERNAME in state.text


def _timers(tail: str) -> tuple[Timer, ...]:
    """Return the timers in the text behind a story, as ``RETRANSMIT in 4s``.

    The seconds of a timer are None for ``XXs``, as libreswan's test suite prints them.
    """
    timers = [_TIMER.fullmatch(field.strip()) for field in tail.split(";")]
    return tuple(
        Timer(m[1], None if m[2][0] == "X" else int(m[2]))
        for m in timers
        if m is not None and m[1] != "none"  # up to 4.4, "none in -1s"
    )


_LAST_DPD: Final = re.compile(
    r"lastdpd=(-?\d{1,10})s\(seq in:(\d{1,10}|X+) out:(\d{1,10}|Y+)\)", re.ASCII
)
_LAST_LIVE: Final = re.compile(r"lastlive=(-?\d{1,10})s", re.ASCII)
_BUSY: Final = ("crypto_calculating", "crypto/dns-lookup")


def remarks(s: SaState) -> dict[str, bool | int | str | None]:
    """Return what a state line says besides the fields of SaState, under these keys.

    ``last_dpd`` (IKEv1) and ``last_live`` (IKEv2) are the seconds since the peer's last sign of
    life. ``dpd_in`` and ``dpd_out`` are the sequence numbers of the last DPD messages. ``no_dpd``
    says whether ``nodpd`` is printed: there are no DPD checks. ``busy`` is pluto's word for what
    the SA waits for, as ``crypto_calculating``. ``import`` says who began the SA (up to 3.25). Any
    other value than ``no_dpd`` is None if it isn't printed, or if there was no sign of life yet;
    but up to 4.6, pluto then prints 0 for ``last_live``.
    """
    words = [field.strip() for field in s.text.split(";")]
    dpd = next(filter(None, map(_LAST_DPD.fullmatch, words)), None)
    live = next(filter(None, map(_LAST_LIVE.fullmatch, words)), None)
    began = next((w for w in words if w.startswith("import:")), None)
    ago = int(dpd[1]) if dpd else -1  # -1: never
    return {
        "last_dpd": ago if ago >= 0 else None,
        "dpd_in": int(dpd[2]) if dpd and dpd[2].isdigit() else None,
        "dpd_out": int(dpd[3]) if dpd and dpd[3].isdigit() else None,
        "last_live": int(live[1]) if live else None,
        "no_dpd": "nodpd" in words,
        "busy": next((w for w in words if w in _BUSY), None),
        "import": began.removeprefix("import:") if began else None,
    }


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 20


# --- Pending Child SAs ----------------------------------------------------------------------


def pending(line: str) -> Pending | None:
    """Return the Child SA in a line ``#1: pending CHILD SA for "rw"[3]``; None for any other line.

    #1 is the IKE SA that the Child SA waits for. The ``#`` may be missing, as whack of 3.20 may
    lose it.
    """
    m = _PENDING.match(line)
    if m is None:
        return None
    rest = line[m.end() :]
    replaced = _REPLACING.search(rest[-24:])
    old = int(replaced[1]) if replaced else 0
    suffix = rest[: rest.rfind(" replacing #")] if replaced else rest
    who = peer(suffix)
    return Pending(int(m[1]), m[3], instance(m[4]), m[2], who.remote_address, old or None)


# --- SPIs and counters ----------------------------------------------------------------------

TRAFFIC: Final = " Traffic:"
"""The word between an SA's SPIs and its counters. State lines don't have it."""

USERNAME: Final = " username="
"""The word between an SA's counters and the user name that its peer gave."""


def read_sa(line: str) -> SaLine:
    """Return the SPIs, counters and user name in a line ``#2: "rw"[3] … Traffic: …``.

    Counters look like ``ESPin=336B ESPout=1KB! ESPmax=2^63B``. If there are counters of several
    protocols, those of the outermost one are used, which comes first. A field that the line
    doesn't have is None.
    """
    before, _, after = line.partition(TRAFFIC)
    h = head(before)
    words = h.rest.split() if h is not None else []
    said = tuple([w for w in words if "@" in w and _PROTOCOL.match(w)])
    ends = [s.partition("@")[2] for s in said if not s.startswith("tun")]
    counters, mark, username = after.partition(USERNAME)
    found: dict[str, str] = {}
    for key, value in _COUNTERS.findall(counters):
        found.setdefault(key, value)
    return SaLine(
        said, _bytes(found.get("in")), _bytes(found.get("out")), found.get("max"),
        (username.strip() or None) if mark else None,
        ends[0] if ends else None, ends[1] if len(ends) > 1 else None,
        any(s.startswith("tun") for s in said) if said else None, _used(before),
    )  # fmt: skip


def _used(text: str) -> int | None:
    digits = text.partition(" used ")[2].partition("s ago")[0]
    return int(digits) if _is_number(digits) else None


def _bytes(text: str | None) -> int | None:
    m = _BYTES.fullmatch(text) if text is not None else None
    return int(m[1]) * _SCALE[m[2]] if m else None
