# SPDX-License-Identifier: MIT
"""Redact text that no grammar knows, word by word: only the words that libreswan uses stay.

A word is private if its form shows it (an address, a path, text in quotes), if it was met before as
a private value, or if libreswan doesn't use it. A number stays only beside a word that says what it
counts. A word behind one like ``user`` is always private.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.recording import addresses
from ipsecwatch.recording.placeholders import Kind
from ipsecwatch.recording.typed import SETTINGS
from ipsecwatch.recording.vocabulary import WORDS, is_algorithm, words_of

if TYPE_CHECKING:
    from ipsecwatch.recording.placeholders import Placeholders

NAMERS: Final = words_of(
    """
    user User USER username Username userid login account person member name Name named
    called hostname host Host fqdn domain Domain realm label nickname subject issuer email
    mail file path directory folder device identity XAUTHuser xauthuser uid gid secret
    password passphrase banner Banner phone site location company department --name
    --xauthname --xauthpass
    """
)
"""Words that a name or a secret follows. The next word is private, even if libreswan uses it."""

_UNITS: Final = words_of(
    "second seconds secs usecs ms bytes octets packets bits retransmits retransmit"
)
"""Words behind a number that say what it counts, so that the number stays."""

_COUNTED: Final = words_of(
    """
    errno errno= attempt fragment length len code type Errno depth status maximum minimum limit
    bytes packets
    """
)
"""Words before a number that say what it is, so that the number stays."""

_SA: Final = words_of("SA State state serial sa using owner replace replacing connection")
"""Words before a serial (``#12``) that show that it is one, so that it stays."""

_PIECE: Final = re.compile(
    r"(?P<dump>[0-9a-fA-F]{2}(?: {1,2}[0-9a-fA-F]{2}){3,}(?!\S))"
    r"|(?P<quoted>\"[^\"]*\"?)|(?P<quote>['`])|(?P<word>[^\s\"'`(){}\[\]<>,;|]+)"
    r"|(?P<gap>[\s(){}\[\]<>,;|]+)"
)
_THEIRS: Final = re.compile(r"\.\.\.(?:%[a-z]|[\da-fA-F]{0,4}[.:][\da-fA-F.:])", re.ASCII)
"""The beginning of the peer's end of a connection: three dots and an address or ``%``.

An ellipsis doesn't look so.
"""
_DN: Final = re.compile(
    r"(?:CN|OU|O|C|L|ST|SN|E|DC|UID|GN|T|D|emailAddress|serialNumber|street|STREET)=", re.ASCII
)
_NUMBER: Final = re.compile(r"-?\d{1,20}(?:\.\d{1,9})?", re.ASCII)
_TIMED: Final = re.compile(r"\d{1,10}(?:\.\d{1,9})?s", re.ASCII)
_SERIAL: Final = re.compile(r"[#$]\d{1,10}(?:'s)?", re.ASCII)
_PORT: Final = re.compile(r":(?:(?:UDP|TCP)/)?\d{1,5}", re.ASCII)
_COUNTERS: Final = re.compile(r"(?:ESP|AH)?(?:in|out)=\d{1,20}(?:[KMGT]i?)?B", re.ASCII)
_SPI: Final = re.compile(r"0x[0-9a-fA-F]{1,8}|[0-9a-f]{8}", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_HOST: Final = re.compile(r"(?:[\w-]{1,63}\.){1,20}[A-Za-z][\w-]{1,62}")
_SPLIT: Final = re.compile(r"([:=+])")
_END: Final = re.compile(r"[.!?:]{1,4}$")


class _Reader:
    """Redacts one text, word by word."""

    def __init__(self, text: str, known: Placeholders) -> None:
        self._text = text
        self._known = known
        self._out: list[str] = []
        self._before = ""
        """The last word, as it was before the redaction.

        It is "" at the beginning of the text, and behind text in quotes, an address, or a port.
        """
        self._earlier = ""
        """The word before the last word, in the same form."""
        self._was_address = False

    def read(self) -> str:
        """Return the whole text redacted."""
        at = 0
        while at < len(self._text):
            m = _PIECE.match(self._text, at)
            assert m is not None
            at = m.end()
            if m.lastgroup == "gap":
                self._out.append(m[0])
            elif m.lastgroup == "quoted":
                self._put(quoted(m[0], self._known))
            elif m.lastgroup == "dump":  # byte by byte, it would be visible which are equal
                self._put(value(m[0], self._known))
            elif m.lastgroup == "quote":
                at = self._single(m.start())
            elif _DN.match(m[0]):
                at = self._distinguished(m.start())
            else:
                self._word(m[0], m.end())
        return "".join(self._out)

    def _put(self, text: str, word: str = "", *, is_address: bool = False) -> None:
        self._out.append(text)
        self._earlier, self._before, self._was_address = self._before, word, is_address

    def _single(self, at: int) -> int:
        """Redact the text in single quotes that begins at the index ``at``. Return its end.

        It goes up to the last single quote in the line, because there may be quotes within it. If
        there is no other quote, it goes up to the end of the line. An apostrophe behind a letter or
        digit isn't such a quote: it stays.
        """
        text = self._text
        if at and text[at] == "'" and text[at - 1].isalnum():  # an apostrophe
            self._out.append("'")
            return at + 1
        close = text.rfind("'")
        inside = text[at + 1 : close] if close > at else text[at + 1 :]
        closing = "'" if close > at else ""
        self._put(f"{text[at]}{value(inside, self._known)}{closing}")
        return close + 1 if close > at else len(text)

    def _distinguished(self, at: int) -> int:
        """Redact a DN that begins at the index ``at``, with all behind it, as one value.

        Nothing shows where a DN ends. Return the index of the end of the whole text.
        """
        self._put(self._known.get(Kind.DN, self._text[at:].rstrip()))
        return len(self._text)

    def _word(self, word: str, at: int) -> None:
        """Redact one word, or keep it if it isn't private. ``at`` is the index behind it."""
        core = word.rstrip(":.")
        found = addresses.address(core, self._known)
        if found is not None:
            self._put(found + word[len(core) :], is_address=True)
        elif "===" in word or _THEIRS.match(word):
            self._put(addresses.joined(word, self._known), is_address=True)
        elif self._stays(word, at):
            self._put(word, word.rstrip(":="))
        elif self._was_address and _is_port(word, self._text, at):
            self._put(word)
        else:
            self._put(self._hidden(word), word.rstrip(":="))

    def _stays(self, word: str, at: int) -> bool:
        """Return whether a word stays: libreswan uses it, or it is a number that isn't private.

        ``at`` is the index behind the word.
        """
        if self._before in NAMERS:
            return False
        if _SERIAL.fullmatch(word):
            return self._before in _SA
        if _COUNTERS.fullmatch(word):
            return True
        if _NUMBER.fullmatch(word.rstrip(".:")):
            if self._known.is_private(word):
                return False
            return self._counts() or _next(self._text, at) in _UNITS
        if _TIMED.fullmatch(word):
            return self._before in ("aged", "in", "after")
        return is_own(word, self._known)

    def _counts(self) -> bool:
        """Return whether the last words say what the number behind them is, as ``length`` does."""
        before, earlier = self._before, self._earlier
        return (
            before in _COUNTED
            or (earlier, before) == ("Message", "ID")
            or (before == "of" and _NUMBER.fullmatch(earlier) is not None)
            or is_algorithm(before)
        )

    def _hidden(self, word: str) -> str:
        """Return a private word redacted: as a whole, or only its private parts (``key=value``).

        It is redacted as a whole if it is behind one of NAMERS, if it was met before as a private
        value, or if it looks like a URL, a path or a mail address.
        """
        if self._before in NAMERS or "://" in word:
            return value(word, self._known)
        known = self._known.known(word)
        if known is not None:
            return known
        if ("@" in word and "=" not in word) or word.startswith(("/", "~", ".")):
            return value(word, self._known)
        return self._parts(word)

    def _parts(self, word: str) -> str:
        """Return a word ``key=value``, ``a:b`` or ``a+b`` with its private parts redacted.

        All parts are private behind a word of NAMERS and ``=`` or ``:``, and behind a key of
        SETTINGS and ``=``, except words like ``%any``, and an algorithm behind ``name=``.
        """
        out = []
        proposal = _PROPOSAL.match(word)
        if proposal:
            out.append(proposal[0])
            word = word[proposal.end() :]
        before, secret, named = "", False, False
        for part in _SPLIT.split(word):
            if part in (":", "=", "+"):
                if part != "+":  # all that follows a key is its value
                    secret |= before in NAMERS or (part == "=" and before in SETTINGS)
                    named = before == "name"
                out.append(part)
                continue
            own = is_own(part, self._known) or (
                "/" in part and all(is_own(p, self._known) for p in part.split("/"))
            )
            stays = not secret or part[:1] == "%" or (named and is_algorithm(part))
            out.append(part if own and stays else value(part, self._known))
            before = part
        return "".join(out)


_PROPOSAL: Final = re.compile(r"\d{1,3}(?=:(?:IKE|ESP|AH)\b)", re.ASCII)


def _is_port(word: str, text: str, at: int) -> bool:
    """Return whether a word behind an address is a port or a protocol, which isn't private.

    A port has a colon: ``:500``. A protocol is a number of up to three digits with a ``]`` behind
    it. ``at`` is the index in ``text`` behind the word.
    """
    last = text[at : at + 1] == "]"
    return bool(_PORT.fullmatch(word)) or (last and word.isdigit() and len(word) < 4)


def _next(text: str, at: int) -> str:
    m = _FOLLOWS.match(text, at)
    return m[1] if m else ""


_FOLLOWS: Final = re.compile(r" ([A-Za-z]{1,20})\b")


def is_own(word: str, known: Placeholders) -> bool:
    """Return whether a word is one that libreswan uses, and isn't a private value met before.

    Punctuation at the end of the word is ignored. A word without letters and digits is own if it
    has at most three characters besides that.
    """
    end = _END.search(word, max(0, len(word) - 4))
    core = word[: end.start()] if end else word
    if not core:
        return True
    if known.is_private(core) or known.is_private(word):
        return False
    if not any(c.isalnum() for c in core):
        return len(core) <= 3
    return core in WORDS or word in WORDS or is_algorithm(core)


def quoted(text: str, known: Placeholders) -> str:
    """Return a text in double quotes redacted. It is taken for a connection's name.

    If it has a blank or ``://`` in it, or begins with ``/``, it is taken for another private value.
    The closing quote may be missing.
    """
    closed = len(text) > 1 and text.endswith('"')
    inside = text[1:-1] if closed else text[1:]
    if inside.startswith("/") or " " in inside or "://" in inside:
        hidden = value(inside, known)
    else:
        hidden = connection(inside, known)
    return f'"{hidden}"' if closed else f'"{hidden}'


_PAIR: Final = re.compile(r"\d{1,9}x\d{1,9}", re.ASCII)


def connection(name: str, known: Placeholders) -> str:
    """Return a connection's name with a placeholder for the part that a person chose.

    ``/1x2`` at its end stays: pluto adds it because of leftsubnets=. In the name of a group's
    member (``private#192.0.2.0/24``), the subnet is redacted as an address.
    """
    base, slash, pair = name.rpartition("/")
    if not (slash and _PAIR.fullmatch(pair)):
        base, slash, pair = name, "", ""
    base, mark, group = base.partition("#")
    if not base:
        return f"{mark}{addresses.end(group, known)}{slash}{pair}"
    kind = Kind.UUID if _UUID.fullmatch(base) else Kind.CONNECTION
    return f"{known.get(kind, base)}{mark}{addresses.end(group, known)}{slash}{pair}"


def value(text: str, known: Placeholders) -> str:
    """Return a private value redacted. Blanks around it stay.

    A value that was met before gets the same placeholder. The kind of a new value is guessed by its
    form.
    """
    core = text.strip()
    if not core:
        return text
    before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return f"{before}{_value(core, known)}{after}"


def _value(text: str, known: Placeholders) -> str:
    """Return a private value without blanks around it redacted, as value() does."""
    met = known.known(text)
    if met is not None:
        return met
    if (found := addresses.address(text, known)) is not None:
        return found
    core = text.rstrip(".!?:") or text
    end = text[len(core) :]
    if core.startswith("0x") and _SPI.fullmatch(core):
        return f"0x{known.get(Kind.SPI, core[2:])}{end}"
    if core.startswith("@") and len(core) > 1:
        return addresses.identity(core, known) + end
    return (known.known(core) or known.get(_kind(core), core)) + end


def _kind(text: str) -> Kind:
    """Return the kind of a private value, guessed by its form, or Kind.WORD if it has no form."""
    if "://" in text:
        return Kind.URI
    if text.startswith(("/", "~/", "./")):
        return Kind.PATH
    if _DN.match(text):
        return Kind.DN
    if _UUID.fullmatch(text):
        return Kind.UUID
    if text.isdigit():
        return Kind.NUMBER
    if _SPI.fullmatch(text):
        return Kind.SPI
    if "@" in text and " " not in text:
        return Kind.MAIL
    return Kind.HOST if len(text) < 254 and _HOST.fullmatch(text) else Kind.WORD


def read(text: str, known: Placeholders) -> str:
    """Return a text that no grammar knows redacted, word by word.

    The words that libreswan uses stay, and numbers whose meaning is known.
    """
    return _Reader(text, known).read()
