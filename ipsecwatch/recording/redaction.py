# SPDX-License-Identifier: MIT
"""Replace private values in libreswan's texts by placeholders, so that the texts can be shared.

Several grammars know which parts of a line are libreswan's own text: status_lines.py for pluto's
answers, messages.py for its log, typed.py for commands and ipsec.conf. Only these parts stay. All
others are replaced, the same value of one kind by the same placeholder (placeholders.py). In a line
that no grammar knows, the words that libreswan uses stay, except a word that is also a private
value that was met before (words.py). Therefore a text should be redacted twice: the first time only
finds all its private values (``Redactor.again()``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.libreswan import grammar
from ipsecwatch.recording import addresses, messages, status_fields, status_lines, typed, words
from ipsecwatch.recording.format import KIND
from ipsecwatch.recording.pieces import Field
from ipsecwatch.recording.placeholders import Kind, Placeholders

if TYPE_CHECKING:
    from ipsecwatch.recording.pieces import Pieces

MAX_REMEMBERED: Final = 50_000
"""How many redacted lines are cached at most. Most lines of an answer are in the next one, too."""
_LONG: Final = 1024
"""A line of this many characters or more isn't cached."""

# What may precede a line of pluto's: a mail's marks of quotation, a date, machine and program,
# whack's code, the mark of debugging.
_COLOUR: Final = re.compile(r"\x1b\[[0-9;?]{0,40}[@-~]")
_QUOTE: Final = re.compile(r"(?:[ \t]{0,8}[>│|][ \t]?){1,20}")
_INDENT: Final = re.compile(r"[ \t]{1,80}(?=\S)")
_DAY: Final = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) "
_SYSLOG: Final = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"
_ISO: Final = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"
_DATE: Final = re.compile(
    rf"(?:<\d{{1,3}}>)?(?:{_DAY}{_SYSLOG} 20\d\d|(?:{_DAY})?{_SYSLOG}"
    rf"|{_DAY}{_ISO} [A-Z]{{3,5}}|{_ISO}(?:Z|[+-]\d\d:?\d\d)?"
    r"|\d{10}\.\d{6}|\[ {0,8}\d{1,10}\.\d{6}\])(:)? "
    r"(?:(?:kern|user|daemon|auth|authpriv|syslog|local[0-7])"
    r"\.(?:emerg|alert|crit|err|warn|warning|notice|info|debug) )?",
    re.ASCII,
)
"""A date and time as syslog, logread and ``journalctl -o short-…`` write it.

In pluto's own log file, a colon follows, and no machine or program. A year or a time zone is
recognised only behind a day of the week, since a machine's name may look the same.
"""
_PROGRAM: Final = re.compile(
    r"(\S{0,254}[^\s:]) ([\w(/][\w./()@-]{0,60})(?:\[(\d{1,10})\])?: ", re.ASCII
)
_CODE: Final = re.compile(r"(?:[0-2]\d\d|1v[12])(?: |$)", re.ASCII)
_SUBJECT: Final = re.compile(
    rf'((?:ERROR: |warning: )?")({grammar.name(length="{1,512}")})("{grammar.instances(3)})'
    rf'((?: [^#" ]{{1,200}}){{0,3}}?)((?: #{grammar.NUMBER})?)((?: [A-Z][A-Z0-9_]{{2,40}})?)'
    r"(: (?:ERROR: )?)",
    re.ASCII,
)
_PACKET: Final = re.compile(r"(packet from )(\S{2,100})(: )")
_ALIASES: Final = re.compile(r"[^\s,]+")
_PROGRAMS: Final = frozenset(
    {
        "pluto", "ipsec", "systemd", "systemd-journald", "whack", "addconn", "kernel", "_updown",
    }
)  # fmt: skip
_UNITS: Final = frozenset({"ipsec.service", "pluto.service", "ipsec@.service"})
_OWN_USERS: Final = frozenset({"", "[any]"})


@dataclass(slots=True)
class Redactor:
    """Redacts one text or one recording, within which the same value has the same placeholder."""

    known: Placeholders = field(default_factory=Placeholders)
    _lines: dict[str, str] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """Return a text redacted line by line. It may be an answer of pluto, log lines, or both."""
        return "\n".join([self.line(line) for line in text.split("\n")])

    def line(self, line: str) -> str:
        """Return a line redacted. It may be any line: of an answer, a log, ipsec.conf, a command.

        The line is without its line feed.
        """
        done = self._lines.get(line)
        if done is None:
            done = self._rendered(pieces(line))
            if len(line) < _LONG:
                if len(self._lines) >= MAX_REMEMBERED:
                    self._lines.clear()
                self._lines[line] = done
        return done

    def head(self, head: dict[str, Any]) -> dict[str, Any]:
        """Return the head of a recording redacted: the JSON object in its first line.

        Of its keys, only ``format``, ``interval``, ``libreswan`` (the release) and ``title`` are
        kept. ``kind`` and ``redacted`` are always set.
        """
        out = {k: v for k, v in head.items() if k in _HEAD and _is_number(v)}
        version = head.get("libreswan")
        out |= {"kind": KIND, "libreswan": self._version(version), "redacted": True}
        if isinstance(title := head.get("title"), str):
            out["title"] = self.text(title)
        return out

    def entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Return an entry of a recording redacted: the JSON object in any other line.

        Unknown keys are left out, and so are values of a type that their key can't have.
        """
        out: dict[str, Any] = {}
        for key, value in entry.items():
            if key in _NUMBERS and (value is None or _is_number(value)):
                out[key] = value
            elif key in _CLOSED and isinstance(value, str):
                known = value in _CLOSED[key]
                out[key] = value if known else words.value(value, self.known)
            elif key in _TEXTS and isinstance(value, str):
                out[key] = self.text(value)
            elif key == "unit" and isinstance(value, str):
                out[key] = self.unit(value)
        return out

    def _version(self, version: object) -> str | None:
        if not isinstance(version, str) or version == "main":
            return version if isinstance(version, str) else None
        return self._rendered(status_fields.version(version) or [(Field.PRIVATE, version)])

    def again(self) -> None:
        """Prepare to redact the same text once more, now with all its private values known.

        The placeholders are kept, and counts() counts from zero again.
        """
        self._lines.clear()
        self.known.recount()

    def counts(self) -> dict[Kind, int]:
        """Return how many different values of each kind were replaced, since again() if called."""
        return self.known.counts()

    def _rendered(self, found: Pieces) -> str:
        return "".join(
            text if kind is Field.OWN else self._render(kind, text) for kind, text in found
        )

    def _render(self, kind: Field, text: str) -> str:
        """Return the text of a piece redacted. Blanks around it stay.

        ``kind`` is any kind but OWN, whose text needs no redaction.
        """
        if kind is Field.TEXT:
            return words.read(text, self.known)
        if kind is Field.ADDRESSES:
            return addresses.ends(text, self.known)
        core = text.strip()
        if not core:
            return text
        at = text.index(core)
        return f"{text[:at]}{self._one(kind, core)}{text[at + len(core) :]}"

    def _one(self, kind: Field, text: str) -> str:
        """Return a value of a kind redacted; for CONNECTIONS and HOSTS, each name in the text.

        Three things stay: a word that libreswan prints if there is no value, the name of a unit
        that libreswan installs, and an SPI of zeros.
        """
        known = self.known
        match kind:
            case Field.CONNECTION:
                return words.connection(text, known)
            case Field.CONNECTIONS:
                return _ALIASES.sub(lambda m: words.connection(m[0], known), text)
            case Field.HOSTS:
                return _ALIASES.sub(lambda m: known.get(Kind.HOST, m[0]), text)
            case Field.IDENTITY:
                return addresses.identity(text, known)
            case Field.USER:
                return text if text in _OWN_USERS else known.get(Kind.USER, text)
            case Field.INTERFACE:
                return "@".join(self._interface(name) for name in text.split("@"))
            case Field.UNIT:
                return self.unit(text)
            case Field.SPI:
                return self._spi(text)
            case Field.PRIVATE:
                return words.value(text, known)
        return known.get(_KINDS[kind], text)

    def _interface(self, name: str) -> str:
        return name if name in ("", "NONE") else self.known.get(Kind.INTERFACE, name)

    def _spi(self, text: str) -> str:
        begin = "0x" if text.startswith("0x") else ""
        rest = text[len(begin) :]
        return text if not rest.strip("0") else begin + self.known.get(Kind.SPI, rest)

    def unit(self, name: str) -> str:
        """Return the placeholder for a systemd unit's name; a name of libreswan's unit stays.

        If the name contains ``ipsec``, ``pluto`` or ``swan``, the placeholder begins with
        ``ipsec-``, so that it is still recognised as pluto's unit.
        """
        if name in _UNITS:
            return name
        hidden = self.known.get(Kind.UNIT, name)
        # log_evidence.py recognises pluto's unit by these words.
        return f"ipsec-{hidden}" if re.search("ipsec|pluto|swan", name, re.IGNORECASE) else hidden


_KINDS: Final = {
    Field.HOST: Kind.HOST, Field.CERTIFICATE: Kind.CERTIFICATE, Field.PATH: Kind.PATH,
    Field.URI: Kind.URI, Field.LABEL: Kind.LABEL, Field.BANNER: Kind.BANNER,
    Field.PID: Kind.PROCESS,
}  # fmt: skip


_HEAD: Final = frozenset({"format", "interval"})
_NUMBERS: Final = frozenset({"at", "mono", "took", "exit", "timed_out"})
_TEXTS: Final = frozenset({"stdout", "stderr", "error", "journal", "note"})
_CLOSED: Final = {
    "command": frozenset(
        {
            "status", "trafficstatus", "showstates", "connectionstatus", "briefstatus",
            "briefconnectionstatus", "shuntstatus", "globalstatus", "fipsstatus", "processstatus",
            "addresspoolstatus",
        }
    ),
    "via": frozenset({"socket", "whack"}),
    "identifier": _PROGRAMS,
}  # fmt: skip
"""By key of an entry: the values that aren't private, as libreswan or format.py defines them."""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float))


def pieces(line: str) -> Pieces:
    """Return the pieces of any line; colours of a terminal are left out.

    First come the pieces of its prefixes: quotation marks, date, machine, program, whack's code.
    The rest is read as a line of a status, of the log, of a command or of ipsec.conf. If it is none
    of these, it is one piece of TEXT.
    """
    out: Pieces = []
    end = "\r" if line.endswith("\r") else ""
    line = line[: len(line) - len(end)]
    if "\x1b" in line:
        line = _COLOUR.sub("", line)
    if m := _QUOTE.match(line):
        out.append((Field.OWN, m[0]))
        line = line[m.end() :]
    if (m := _INDENT.match(line)) and status_lines.read(line) is None:
        out.append((Field.OWN, m[0]))
        line = line[m.end() :]
    if m := _DATE.match(line):
        out.append((Field.OWN, m[0]))
        line = line[m.end() :]
        if not m[1] and (m := _PROGRAM.match(line)):
            out += _program(m)
            line = line[m.end() :]
    if m := _CODE.match(line):
        out.append((Field.OWN, m[0]))
        line = line[m.end() :]
    out += status_lines.read(line) or _logged(line)
    return [*out, (Field.OWN, end)]


def _program(m: re.Match[str]) -> Pieces:
    """Return the pieces of ``host program[pid]: ``; ``[pid]`` may be missing.

    ``m`` is the match of _PROGRAM.
    """
    program = (Field.OWN if m[2] in _PROGRAMS else Field.PRIVATE, m[2])
    pid = [(Field.OWN, "["), (Field.PID, m[3]), (Field.OWN, "]")] if m[3] else []
    return [(Field.HOST, m[1]), (Field.OWN, " "), program, *pid, (Field.OWN, ": ")]


def _logged(line: str) -> Pieces:
    """Return the pieces of a line of the log, of a command, of ipsec.conf, or of unknown text.

    ``line`` is without prefixes.
    """
    m = _SUBJECT.match(line)
    if m is not None:
        out = [(Field.OWN, m[1]), (Field.CONNECTION, m[2]), (Field.OWN, m[3])]
        state = Field.OWN if messages.is_state(m[6].strip()) else Field.PRIVATE  # debugging has it
        out += [(Field.ADDRESSES, m[4]), (Field.OWN, m[5]), (state, m[6]), (Field.OWN, m[7])]
    elif m := _PACKET.match(line):
        out = [(Field.OWN, m[1]), (Field.ADDRESSES, m[2]), (Field.OWN, m[3])]
    else:
        return messages.read(line) or typed.read(line) or [(Field.TEXT, line)]
    rest = line[m.end() :]
    return [*out, *(messages.read(rest) or [(Field.TEXT, rest)])]
