# SPDX-License-Identifier: MIT
"""Find pluto's log lines in a text that somebody saved or pasted, whatever prefixes they have.

The same lines come from pluto's own log file, from syslog or the journal, and from ``ipsec up`` at
a terminal, where whack up to 4.15 prints a number of three digits before each. A pasted text may
also contain a status, or what its author wrote.

A prefix is what comes before pluto's own words: date, host, program, number, quotation marks. They
are removed first. Whether a line is pluto's is then decided by its first words alone, because texts
that a peer chose come later in the line.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import grammar, service_lines, state_table
from ipsecwatch.libreswan.log_lines import (
    NOTIFICATIONS,
    ConnectionLine,
    Finding,
    LogEvent,
    interpret,
    interpret_daemon,
    parse_line,
)
from ipsecwatch.libreswan.pasted_text import plain
from ipsecwatch.libreswan.service_lines import Fate
from ipsecwatch.libreswan.status import connections, sections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ipsecwatch.libreswan.state_table import StateInfo

# --- Prefixes -------------------------------------------------------------------------------

_CLOCK: Final = r"\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"
_ZONE: Final = r"(?: ?(?:Z|[A-Z]{2,5}|[+-]\d\d:?\d\d))?"
_DAY: Final = r"(?:[^\W\d_]{2,3}\.?,? )?"
_STAMP: Final = (
    rf"(?:{_DAY}\d{{3,4}}-\d\d-\d\d[T ]{_CLOCK}{_ZONE}"  # ISO 8601; journalctl -o short-full
    rf"|\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{2,4}},? {_CLOCK}(?: [AP]M)?"  # as viewers of logs do
    # Nov 28 10:00:00; the year is behind the day, or behind the time
    rf"|{_DAY}[^\W\d_]{{2,5}}\.? {{1,2}}\d{{1,2}}(?:,? \d{{4}})? {_CLOCK}{_ZONE}(?: \d{{4}})?"
    rf"|{_CLOCK}"
    # since boot, perhaps with the time since the line before; since the epoch
    r"|\[ {0,6}\d{1,9}\.\d{1,9}(?: < {0,6}[\d.]{1,20} ?>)?\]|\d{9,10}\.\d{1,9})"
)
_IDENTIFIER: Final = r"(?:[\w./()-]{1,60}(?:\[\d{1,10}\])?:|\[\d{1,10}\]:|\[[a-z_]{1,40}\])"
_PLUTO: Final = r"(?:pluto|ipsec[\w.-]{0,20}|whack)(?:\[\d{1,10}\])?:"
_STRUCTURED: Final = r"(?:-|(?:\[[^\]]{0,400}\]){1,5})"


@cache
def _prefixes() -> tuple[re.Pattern[str], ...]:
    """Return the patterns of prefixes. They are compiled at the first call, as few texts need them.

    Of several patterns that fit, the first one is used.
    """
    patterns = (
        (
            r"<\d{1,3}>\d{1,2} \S{1,60} (?P<host>\S{1,255}) \S{1,48} \S{1,128} \S{1,32} "
            rf"{_STRUCTURED} ?"
        ),  # RFC 5424
        (
            rf"(?:<\d{{1,3}}>)?(?:\[{_DAY}(?={_STAMP}))?(?P<stamp>{_STAMP})\]?"
            rf"(?::|(?P<host>(?: [\w.:-]{{1,64}}){{0,2}}) {{1,4}}{_IDENTIFIER}"
            r"| std(?:out|err) [FP])? ?"
        ),
        rf"(?:[\w.-]{{1,64}} )?{_PLUTO} |MESSAGE=",  # journalctl -o verbose; a date that was cut
        r"[0-2](?:\d\d|v[12]) ",  # whack's
        # grep -n, and grep in several files, by which the others are followed
        rf"(?:[\w./~-]{{1,200}}[:-])?\d{{1,9}}[:-](?=[\"<\[]|{_STAMP}|\d\d\d )",
        # a line's number, as editors, cat -n and lists have it
        rf"(?:\(\d{{1,6}}\)|\d{{1,6}}[.:)]?) {{1,4}}(?=[\"<\[]|{_STAMP}|pluto)",
        rf"[\w./~-]{{1,200}}(?::(?=[\"<])|[:-](?={_STAMP}))",
        r"(?P<host>[\w.-]{1,60}) {1,20}\| ",  # docker compose
        r"\[(?P<host>pod/[\w./-]{1,200})\] ",  # kubectl logs --prefix
    )
    return tuple(map(re.compile, patterns))


_QUOTED: Final = re.compile(r"[>│*`•+-] ?|\s{1,200}")  # quotations, lists, indentation
_PLUTO_WROTE: Final = re.compile(  # a logfile has no name, but a colon behind the time
    r"\bpluto(?:\[\d{1,10}\]:|:|\]| \d{1,10} )|:\d\d(?:\.\d{1,9})?: $"
)
_FACILITY: Final = re.compile(r"(?:auth|authpriv|daemon|kern|syslog|user|local\d)\.[a-z]{3,9}")
_MOST: Final = 60
"""How many prefixes are removed from a line at most. A quotation mark, or a run of blanks, is one.
"""


@dataclass(frozen=True, slots=True)
class _Bare:
    """A line without its prefixes."""

    text: str
    stamp: str = ""
    """When the line was logged, as printed; "": no prefix has a time."""
    marked: bool = False
    """Whether the line had a prefix other than quotation marks, blanks and a status's ``000``."""
    is_plutos: bool = False
    """Whether a prefix names pluto, or is a time in the form of pluto's own log file."""
    host: str = ""
    """The machine or container that logged the line; "": no prefix names it."""


def _bare(line: str) -> _Bare:
    """Return a line without its prefixes (quotation marks, time, host, program, whack's number).

    The result also says what these prefixes showed.
    """
    stamp, marked, plutos, host = "", False, False, ""
    line = line.replace("\t", " ")
    for _ in range(_MOST):
        if line.startswith(('"', "ERROR: ", "packet from ", "| ")):
            break
        patterns = _prefixes() if stamp else (*_prefixes(), _QUOTED)
        m = next(filter(None, (p.match(line) for p in patterns)), None)
        if m is None:
            break
        groups = m.groupdict()
        stamp = groups.get("stamp") or stamp
        host = _machine(groups.get("host")) or host
        marked = marked or not (m[0].isspace() or m[0][0] in ">│*`•+-" or m[0] == "000 ")
        plutos = plutos or _PLUTO_WROTE.search(m[0]) is not None
        line = line[m.end() :]
    return _Bare(line.rstrip("\r `"), stamp, marked, plutos, host)


def _machine(words: str | None) -> str:
    """Return the machine's name of the words between a line's time and its program; "": none.

    OpenWrt has facility and level there (``authpriv.warn``). A name's domain is left out, since one
    machine may be logged with it and without it.
    """
    names = [word for word in (words or "").split() if not _FACILITY.fullmatch(word)]
    name = names[0] if names else ""
    return name if name.replace(".", "").isdigit() else name.partition(".")[0]


# --- Lines ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogTextLine:
    """A line of the log in a text that is about a connection, or about pluto itself."""

    number: int
    """The line's number in the text, from 1 on."""
    text: str
    """The line without prefixes. If it had been wrapped, its pieces are joined again."""
    said: ConnectionLine
    """The parts of the line. The name in it is "" if the line doesn't name a connection."""
    stamp: str = ""
    """When the line was logged, as printed; "": the text doesn't say it."""
    fate: Fate | None = None
    """What happened to pluto itself; None: the line is about a connection."""
    host: str = ""
    """The machine or container that logged the line, without domain; "": the text doesn't say."""

    @property
    def of_pluto(self) -> bool:
        """Whether the line is about pluto itself (its start or crash), not about a connection."""
        return self.fate is not None


@dataclass(frozen=True, slots=True)
class PacketLine:
    """A line ``packet from 192.0.2.1:500: …``, about a packet that belongs to no connection.

    Anybody can send such a packet.
    """

    number: int
    """The line's number in the text, from 1 on."""
    text: str
    """The line without prefixes."""
    address: str
    """The address of the packet's sender. With UDP, it may be forged."""
    said: str
    """What pluto says about the packet: the rest of the line, behind address and port."""


@dataclass(frozen=True, slots=True)
class LogText:
    """The log lines of a text, and the rest of it."""

    lines: tuple[LogTextLine, ...]
    packets: tuple[PacketLine, ...]
    rest: str
    """The text without log lines, of pluto or others: a status, what somebody wrote, or nothing."""
    others: int = 0
    """How many more lines pluto logged that are in none of the other fields."""
    guessed: bool = False
    """Whether the text had lost its line ends, so that the beginnings of lines are guessed."""
    rest_numbers: tuple[int, ...] = ()
    """For each line of ``rest``, its number in the text, from 1 on; (): there are no log lines."""

    @property
    def is_log(self) -> bool:
        """Whether the text contains any lines of pluto's log."""
        return bool(self.lines or self.packets or self.others)


_WORD: Final = grammar.name(without="\n", length="{1,200}")
_INSTANCES: Final = grammar.instances(3)
_PACKET: Final = re.compile(r"packet from (\S{1,80}?):(?:[A-Z]{2,4}/)?\d{1,5}: (.*)")
# Two that name their connection in the middle; what surrounds it is pluto's.
_ADD: Final = re.compile(
    rf'Failed to (?:add|load) connection "({_WORD})"[ ,:]{{1,3}}(.*)'  # to 3.32
)
_CHARONS: Final = re.compile(r"\bIKE_SA \S{1,100}\[\d{1,9}\]")
"""Matches how strongSwan names an SA, in lines that begin as pluto's do."""
_NAMELESS: Final = re.compile(rf"#({grammar.NUMBER}): {{1,8}}(.*)")


def read(text: str) -> LogText:
    """Return the log lines of a text, and the rest of the text.

    The lines of the rest are unchanged; only if line ends had to be restored, they are cleaned up
    (pasted_text.py). Lines that other programs wrote to the same log are left out of both. If there
    are no log lines, the rest is the whole text.
    """
    raw, whole = text.split("\n"), plain(text)
    relined = _relined(whole)
    clean = _unbarred(relined.split("\n"))
    if len(raw) != len(clean):  # a text with line ends of its own kind
        raw = clean
    found = _Found(clean)
    found.sort()
    if not (found.lines or found.packets or found.others):
        return LogText((), (), text)
    left = [i for i in range(len(raw)) if i not in found.taken]
    return LogText(
        _in_order(found.lines),
        tuple(found.packets),
        "\n".join(raw[i] for i in left),
        found.others,
        guessed=relined != whole,
        rest_numbers=tuple(i + 1 for i in left),
    )


class _Found:
    """Finds the log lines of a text: call sort(), then read the attributes."""

    def __init__(self, text: Sequence[str]) -> None:
        self._text = text
        self._mentions_service = service_lines.mentions("\n".join(text))
        self._foreign: set[int] = set()
        """The indices of lines that other programs wrote to the same log."""
        self.lines: list[LogTextLine] = []
        self.packets: list[PacketLine] = []
        self.others = 0
        self.taken: set[int] = set()
        """The indices of all lines that don't belong to the rest of the text."""

    def sort(self) -> None:
        """Find all log lines of the text, and set the attributes.

        If no line is about a connection, pluto itself or a packet, log lines are looked for behind
        prefixes of unknown kinds. If no line is pluto's at all, sentences of pluto that have lost
        their beginning are looked for.
        """
        for i, line in enumerate(self._text):
            if i not in self.taken and line and not line.isspace():
                self._sort_line(i, _bare(line))
        if not self.lines and not self.packets:
            for i, line in enumerate(self._text):
                self._sort_strange(i, line)
        if self.lines or self.packets or self.others:
            self.taken |= self._foreign
        else:
            self.lines = _bare_sentences(self._text)
            self.taken = {x.number - 1 for x in self.lines}

    def _sort_strange(self, i: int, line: str) -> None:
        """Add the line with the index ``i`` if a log line begins behind a prefix of unknown kind.

        It must be a line that pluto is known to log about a connection.
        """
        m = _STRANGE.match(line.replace("\t", " "))
        if m is None:
            return
        bare = _Bare(f'"{m[1]}'.rstrip("\r `"), marked=True)
        said = _said(bare)
        if said is not None and (interpret(said) is not None or _is_known(said)):
            self._add_connection(i, bare, said)

    def _sort_line(self, i: int, bare: _Bare) -> None:
        """Record the line with the index ``i`` if it is a log line, by what it is about.

        That is a connection, a packet, or pluto itself. Other lines of pluto are only counted,
        those of other programs are set aside. ``bare`` is the line without its prefixes.
        """
        if (said := _said(bare)) is not None:
            self._add_connection(i, bare, said)
        elif (m := _PACKET.fullmatch(bare.text)) is not None:
            self.taken.add(i)
            self.packets.append(PacketLine(i + 1, bare.text, m[1].strip("[]"), m[2]))
        elif (finding := interpret_daemon(bare.text)) is not None and finding.event in _OF_PLUTO:
            self._add_fate(i, bare, _OF_PLUTO[finding.event])
        elif (fate := self._fate(bare)) is not None:
            self._add_fate(i, bare, fate)
        elif bare.stamp and bare.marked and (bare.is_plutos or not _may_be_status(bare.text)):
            self.others += bare.is_plutos
            (self.taken if bare.is_plutos else self._foreign).add(i)

    def _fate(self, bare: _Bare) -> Fate | None:
        if not self._mentions_service:
            return None
        return service_lines.fate(bare.text, by_pluto=bare.is_plutos)

    def _add_fate(self, i: int, bare: _Bare, fate: Fate) -> None:
        """Add the line with the index ``i``, which says that ``fate`` happened to pluto."""
        self.taken.add(i)
        mute = ConnectionLine("", "", None, bare.text)
        self.lines.append(LogTextLine(i + 1, bare.text, mute, bare.stamp, fate, bare.host))

    def _add_connection(self, i: int, bare: _Bare, said: ConnectionLine) -> None:
        """Add the line with the index ``i``, which is about a connection.

        If it was wrapped, the following lines that are pieces of it are joined to it.
        """
        whole, pieces = _continued(said, self._text, i, bare)
        self.taken.update(range(i, i + 1 + pieces))
        said = parse_line(whole) or said if pieces else said
        self.lines.append(LogTextLine(i + 1, whole, said, bare.stamp, host=bare.host))


# The first quoted name of a line, with its instance and peer, and what is said of it.
_STRANGE: Final = re.compile(
    rf'[^"|]{{0,200}}?(?:(?<=[\s>|(:,;\]])|^)"?'
    rf'([^"\s]{{1,200}}"{_INSTANCES}(?: [^#" ]{{1,200}}){{0,3}}?(?: #{grammar.NUMBER})?: .*)'
)

_OF_PLUTO: Final = {LogEvent.STARTED: Fate.STARTED, LogEvent.STOPPED: Fate.STOPPED}


def _bare_sentences(lines: Sequence[str]) -> list[LogTextLine]:
    """Return the lines of a short text that begin with words of pluto about a failure.

    These lines have lost the connection's name at their beginning. For a text of more than
    _SHORT_TEXT lines, the result is empty.
    """
    if len(lines) > _SHORT_TEXT:
        return []
    found = []
    for i, line in enumerate(lines):
        text = _completed(line.strip(" >*`"))
        said = ConnectionLine("", "", None, text)
        finding = interpret(said)
        if finding is not None and finding.event is LogEvent.FAILURE:
            found.append(LogTextLine(i + 1, text, said))
    return found


_SHORT_TEXT: Final = 40
"""How many lines a text may have, so that sentences without their beginning are looked for."""


def _said(bare: _Bare) -> ConnectionLine | None:
    """Return the parts of a log line about a connection, or None for any other line.

    Return None for a line of a status, too. If a line has lost the connection's name, but has a
    serial or a prefix and is evidence, its parts are returned with the name "".
    """
    text = _completed(bare.text)
    if (m := _ADD.match(text)) is not None:
        return ConnectionLine(m[1], m[1], None, f"failed to add connection: {m[2]}")
    said = parse_line(text)
    if said is None:
        m = _NAMELESS.match(text)
        if m is None and _CHARONS.search(text[:200]):
            return None
        nameless = ConnectionLine("", "", int(m[1]) if m else None, m[2] if m else text)
        return nameless if (m or bare.marked) and interpret(nameless) is not None else None
    if said.base.startswith("/") or _is_status(said):  # "/etc/ipsec.secrets" line 3: …
        return None
    known = said.serial is not None or bare.marked or _is_known(said)
    return said if known else None


def _is_status(said: ConnectionLine) -> bool:
    """Return whether a line is one of a status's connection list, perhaps a damaged one."""
    if said.serial is not None:
        return False
    text = said.text
    if _PROPOSALS.match(text):
        return False
    return text[:1].isspace() or connections.is_keyed(text) or connections.is_line(f" {text}")


_PROPOSALS: Final = re.compile(r" {1,4}\d{1,3}:(?:IKE|ESP|AH)[=:]")


def _is_known(said: ConnectionLine) -> bool:
    """Return whether the text of a line is one that pluto is known to log about connections.

    It may be evidence or not.
    """
    return (
        interpret(said) is not None
        or bool(_KNOWN.match(said.text))
        or bool(_PROPOSALS.match(said.text))
        or stage(said) is not None
    )


# What pluto logs about a connection that is no evidence.
_KNOWN: Final = re.compile(
    r"added |adding |failed to add (?:IKEv1 )?connection|deleting |unroute-|route-|terminating "
    r"|initiating |sent |sending |received |retransmi|scheduling |starting keying attempt|reviving "
    r"|loaded |connection is supposed to remain up|we cannot identify|STATE_[A-Z0-9_]{2,40}: "
    r"|oriented |unoriented |warning: |ikev[12]|IKEv[12] |local IKE proposals|local ESP"
    r"|NAT-Traversal: |XAUTH: |DPD: |modecfg: |proposal |cannot |can not "
)


def _may_be_status(text: str) -> bool:
    """Return whether a line may be one of a status, by its beginning: some logs contain a status.

    True for a blank line, too.
    """
    if text[3:4] == " " and text[:3].isdigit():
        text = text[4:]
    return not text.strip() or text[0] in '"#' or sections.known(text)


# --- Lines that were damaged -------------------------------------------------------------------

_HEAD: Final = re.compile(
    rf'(?<=\s)(?:\d\d\d "{_WORD}"{_INSTANCES}(?=[ :])'
    rf'|(?:\d\d\d )?"{_WORD}"{_INSTANCES}(?: [^#" \n]{{1,80}}){{0,3}}? #{grammar.NUMBER}: )'
)


def _relined(text: str) -> str:
    """Return a text with a line end before each beginning of a log line, if it lost its line ends.

    What looks like such a beginning may be a peer's words. So a text is changed only if it has at
    least _FAR_MORE times as many beginnings as lines. The user must be told that it was changed
    (``LogText.guessed``).
    """
    heads = len(_HEAD.findall(text))
    lines = sum(not line.isspace() for line in text.split("\n") if line)
    return _HEAD.sub(lambda m: f"\n{m[0]}", text) if heads >= _FAR_MORE * lines else text


_FAR_MORE: Final = 2


def _unbarred(lines: list[str]) -> list[str]:
    """Return lines without the ``|`` at their beginnings, if all lines have it.

    Then it marks a quotation. If only some lines have it, it is pluto's mark of lines for
    debugging, and all lines are returned as they are.
    """
    begins = [line.startswith("|") for line in lines if line.strip()]
    if len(begins) < 2 or not all(begins):
        return lines
    return [line.lstrip("| ") for line in lines]


_CUT: Final = re.compile(r"([A-Z][A-Z_]{5,40})(?:>|…|\.\.\.)$")


def _completed(text: str) -> str:
    """Return a line with its last word completed to a notification's name, or as it is.

    ``journalctl`` cuts lines at the edge of the terminal, and puts a mark (``>``) there. The word
    is completed only if such a mark follows it, and only one notification's name begins with it.
    """
    m = _CUT.search(text)
    if m is None:
        return text
    meant = [name for name in NOTIFICATIONS if name.startswith(m[1])]
    return text[: m.start()] + meant[0] if len(meant) == 1 else text


def _continued(said: ConnectionLine, lines: Sequence[str], at: int, bare: _Bare) -> tuple[str, int]:
    """Return a line joined with the following lines that are pieces of it, and how many these are.

    A mail program wraps a line at a blank, a terminal anywhere. But a line that follows may also be
    what the author wrote. So lines are joined only if they are evidence together, and the first one
    alone isn't. ``at`` is the index of the line, ``bare`` is the line without its prefixes.
    """
    if interpret(said) is not None:
        return bare.text, 0
    joined = [bare.text] * 2
    for count, line in enumerate(lines[at + 1 : at + 1 + _MOST_PIECES], 1):
        piece = line.strip(" >`")
        if not piece or _begins(line):
            break
        joined = [f"{joined[0]} {piece}", f"{joined[1]}{piece}"]
        for text in joined:
            whole = parse_line(text)
            if whole is not None and interpret(whole) is not None:
                return text, count
    return bare.text, 0


_MOST_PIECES: Final = 3


def _begins(line: str) -> bool:
    """Return whether a line is the begin of a log line or a status line, not a wrapped piece."""
    bare = _bare(line)
    return (
        bare.text.startswith(('"', "#", "packet from "))
        or bool(bare.stamp)
        or bare.marked
        or sections.known(bare.text)
    )


def _in_order(lines: list[LogTextLine]) -> tuple[LogTextLine, ...]:
    """Return lines in order of time: reversed, if most of their times go backwards.

    ``journalctl -r`` prints the newest line first. Lines whose times can't be compared as texts
    stay as they are.
    """
    stamps = [x.stamp for x in lines if x.stamp]
    steps = [(a > b) - (a < b) for a, b in itertools.pairwise(stamps)]
    backwards = steps.count(1) > steps.count(-1) and _same_shape(stamps)
    return tuple(reversed(lines)) if backwards else tuple(lines)


def _same_shape(stamps: Sequence[str]) -> bool:
    """Return whether all times have the same form, and can be compared as texts.

    They can if they are all of one day, or if they have ISO dates (``2026-11-28``).
    """
    shapes = {re.sub(r"\d", "0", stamp) for stamp in stamps}
    days = {re.split(r"[T ]?\d{1,2}:", stamp)[0] for stamp in stamps}
    return len(shapes) == 1 and (len(days) == 1 or stamps[0][:2] == "20")


# --- What lines say besides evidence -----------------------------------------------------------


def stage(said: ConnectionLine) -> StateInfo | None:
    """Return the state of the SA that a line is about, or None if the line doesn't show it.

    A line shows it by the state's name at its beginning (``STATE_MAIN_I2: sent MI2, expecting
    MR2``, up to 3.32), or by the message that was sent (``sent Main Mode I2``, from 4.0 on).
    """
    head, colon, _ = said.text.partition(":")
    if colon and (found := state_table.find(head)):
        return found[0]
    words = re.split(r" (?:\{|to |for |from |containing )|[;,(]", said.text[:80], maxsplit=1)[0]
    return next(iter(state_table.find(words)), None) if words.startswith("sent ") else None


def findings(lines: Sequence[LogTextLine]) -> Iterator[tuple[LogTextLine, Finding | None]]:
    """Yield each line with what it is evidence of, or with None if it is no evidence.

    ``lines`` are in order of time: what a refusal is about may depend on earlier lines. After a
    start of pluto, the same serial is another SA's.
    """
    quick: set[int | None] = set()
    """The serials of the IKEv1 SAs under which a Quick Mode has begun, or of which the peer has
    accepted our identity."""
    main: set[int | None] = set()
    """The serials of the IKEv1 SAs that we began in Main Mode."""
    for line in lines:
        if line.of_pluto:
            quick.clear()
            main.clear()
        found = interpret(line.said, phase1=line.said.serial in quick)
        if found is not None and found.event is LogEvent.CHILD_REQUESTED:
            quick.add(line.said.serial)
        elif found is not None and found.version == 1 and found.using is not None:
            quick.add(found.using)
        elif found is not None and found.event is LogEvent.ATTEMPT:
            main.update({line.said.serial} if "Main Mode" in line.said.text[:60] else ())
        elif found is not None and found.event is LogEvent.IKE_ESTABLISHED:
            # Main Mode's last message comes from the responder, who has checked us by then.
            by_us = line.said.serial in main or line.said.text.startswith("STATE_MAIN_I4")
            quick.update({line.said.serial} if by_us and found.version == 1 else ())
        yield line, found
