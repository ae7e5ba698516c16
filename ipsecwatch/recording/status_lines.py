# SPDX-License-Identifier: MIT
"""Lines of libreswan's status commands, cut into what is libreswan's own and what is private.

Each kind of line has its grammar here, for all releases. A value is libreswan's own where its field
has a closed set of values and it is one of them, or where the field is a number and it is one;
else it is private, or unknown text where a later release may have words of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import grammar, state_table
from ipsecwatch.libreswan.grammar import NUMBER, PORT, PROTOCOL, SELECTOR, TCP
from ipsecwatch.libreswan.status.topology import LOG_WIDTH, ROUTINGS
from ipsecwatch.recording.messages import Field, Piece
from ipsecwatch.recording.status_fields import keyed, setup
from ipsecwatch.recording.vocabulary import words_of

if TYPE_CHECKING:
    from collections.abc import Callable

Pieces = list[Piece]

PAD: Final = LOG_WIDTH - 80
"""A line at least as long, and without a routing word, is one that pluto cut (topology.py)."""


def read(line: str) -> Pieces | None:
    """Split a line into pieces. Return None if no status command is known to print it."""
    first = line[:1]
    if first == "#" or (first.isdigit() and ": pending " in line[:24]):
        return _about_sa(line)
    if first == '"':
        return _about_connection(line)
    for begin, reader in _OTHERS:
        if line.startswith(begin):
            return reader(line)
    return (
        setup(line) or _shunt(line) or _brief(line) or _lease(line) or _pool_owner(line)
        or _process(line)
    )  # fmt: skip


# --- SAs ------------------------------------------------------------------------------------

_NAME: Final = f'"({grammar.name()})"({grammar.instances()})'
_HEAD: Final = re.compile(f"(#?{NUMBER}: ){_NAME}", re.ASCII)
_SUBJECT: Final = re.compile(
    f"(#{NUMBER}: ){_NAME}({grammar.suffix()})(:(?:{PORT}|EPHEM)(?:{TCP})? )(.*)",
    re.ASCII | re.DOTALL,
)
_TYPED: Final = re.compile(
    r", type=[A-Z]{1,10}(?:\(nic-offload=\w{1,20}\))?, add_time=\d{1,20}", re.ASCII
)
_PENDING: Final = re.compile(
    f"(#?{NUMBER}: pending (?:Phase 2|CHILD SA|Child SA|IPsec SA) for ){_NAME}", re.ASCII
)
_REPLACING: Final = re.compile(r" replacing #\d{1,10}$", re.ASCII)
_TRAFFIC: Final = " Traffic:"
_USERNAME: Final = " username="


def _about_sa(line: str) -> Pieces | None:
    counted = _TYPED.search(line)
    traffic = line.find(_TRAFFIC)
    if counted is not None and not 0 <= traffic < counted.start():
        return _counters(line)
    if traffic >= 0:
        return _spis(line)
    return _state(line) or _wish(line)


def _named(m: re.Match[str]) -> Pieces:
    """Return a head's pieces: what stands before a name, the name, and its instance."""
    return [(Field.OWN, f'{m[1]}"'), (Field.CONNECTION, m[2]), (Field.OWN, f'"{m[3]}')]


def _state(line: str) -> Pieces | None:
    told, semicolon, tail = line.partition(";")
    m = _SUBJECT.fullmatch(told)
    if m is None:
        return None
    out = [*_named(m), (Field.ADDRESSES, m[4]), (Field.OWN, m[5]), *_story(m[6])]
    if semicolon:
        out.append((Field.OWN, ";"))
        for i, word in enumerate(tail.split(";")):
            out += [(Field.OWN, ";")] if i else []
            out.append((Field.OWN if _is_mark(word.strip()) else Field.TEXT, word))
    return out


_NAMED_STORY: Final = re.compile(r"([A-Z][A-Za-z0-9_]{1,60}) \((.*)\)", re.ASCII)
_STORIES: Final = frozenset(
    w.text for s in state_table.STATE_TABLE for w in (*s.names, *s.stories) if w.text
)


def _story(words: str) -> Pieces:
    """Read ``STATE_NAME (story)``, or the story alone."""
    if words in _STORIES:
        return [(Field.OWN, words)]
    m = _NAMED_STORY.fullmatch(words)
    if m is None:
        return [(Field.TEXT, words)]
    story = (Field.OWN if m[2] in _STORIES or not m[2] else Field.TEXT, m[2])
    return [(Field.OWN, f"{m[1]} ("), story, (Field.OWN, ")")]


_MARK: Final = re.compile(
    r"|newest(?: ISAKMP| IPSEC)?|eroute owner|idle|crypto_calculating|crypto/dns-lookup|nodpd"
    r"|none in -1s|[A-Z][A-Za-z0-9_]{1,60} in +(?:-?\d{1,10}|X{1,9})s"
    r"|(?:IKE SA |ISAKMP SA |isakmp)#\d{1,10}"
    r"|lastdpd=-?\d{1,10}s\(seq in:(?:\d{1,10}|X{1,9}) out:(?:\d{1,10}|Y{1,9})\)"
    r"|lastlive=-?\d{1,10}s"
    r"|import:(?:admin initiate|respond to stranger|local rekey|not set|)",
    re.ASCII,
)


def _is_mark(word: str) -> bool:
    return _MARK.fullmatch(word) is not None


_SAID: Final = re.compile(r"(?:esp|ah|comp|tun)[.:][0-9A-Za-z]{1,12}@", re.ASCII)
_OWN_WORD: Final = re.compile(
    r"used|\d{1,10}s|X{1,9}s|ago;|ref=\d{1,10}|refhim=\d{1,10}|", re.ASCII
)
_COUNTER: Final = re.compile(
    r"!|!?[A-Z]{2,6}(?:in|out|max)=(?:\d{1,20}|2\^\d{1,2})(?:[KMGTPE]i?)?B?!?|", re.ASCII
)


def _spis(line: str) -> Pieces | None:
    """Read an SA's SPIs, counters and user name."""
    m = _HEAD.match(line)
    if m is None:
        return None
    at = line.find(_TRAFFIC, m.end())
    if at < 0:
        return None
    out = [*_named(m), *_by_word(line[m.end() : at], _OWN_WORD, Field.ADDRESSES)]
    out.append((Field.OWN, _TRAFFIC))
    counters, mark, user = line[at + len(_TRAFFIC) :].partition(_USERNAME)
    out += _by_word(counters, _COUNTER, Field.TEXT)
    if mark:
        out += [(Field.OWN, mark), *_trimmed(Field.USER, user)]
    return out


def _by_word(text: str, own: re.Pattern[str], other: Field) -> Pieces:
    """Read words between blanks, of which those are libreswan's that have this form."""
    return [
        (Field.OWN if i % 2 or own.fullmatch(word) else other, word)
        for i, word in enumerate(re.split(r"( )", text))
    ]


def _trimmed(field: Field, text: str, around: str = " ;,") -> Pieces:
    """Move what stands around a value, but isn't part of it, into pieces of their own."""
    core = text.strip(around)
    if not core:
        return [(Field.OWN, text)]
    at = text.index(core)
    return [(Field.OWN, text[:at]), (field, core), (Field.OWN, text[at + len(core) :])]


def _counters(line: str) -> Pieces | None:
    """Read a line of ``trafficstatus``: user name and identity may have anything in them."""
    m = _HEAD.match(line)
    if m is None:
        return None
    user = line.find(", username=", m.end())
    typed = None
    for typed in _TYPED.finditer(line, m.end()):
        if not 0 <= user < typed.start():
            break
    if typed is None:
        return None
    suffix, mark, name = line[m.end() : typed.start()].partition(", username=")
    out = [*_named(m), (Field.ADDRESSES, suffix)]
    if mark:
        out += [(Field.OWN, mark), (Field.USER, name)]
    return [*out, (Field.OWN, typed[0]), *_behind_time(line[typed.end() :])]


_BYTES: Final = re.compile(
    r"(?:, (?:(?:in|out)Bytes=\d{1,20}|maxBytes=(?:\d{1,20}|2\^\d{1,2})(?:[KMGTPE]i?)?B?))*",
    re.ASCII,
)


def _behind_time(text: str) -> Pieces:
    """Read ``, inBytes=… , id='…', lease=…``."""
    counters, mark, rest = text.partition(", id='")
    if not mark:
        counters, mark, lease = text.partition(", lease=")
        return [*_bytes(counters), (Field.OWN, mark), (Field.ADDRESSES, lease)]
    identity, quote, after = rest.rpartition("'")
    if not quote:
        return [*_bytes(counters), (Field.OWN, mark), (Field.IDENTITY, rest)]
    out = [*_bytes(counters), (Field.OWN, mark), (Field.IDENTITY, identity), (Field.OWN, quote)]
    if after.startswith(", lease="):
        return [*out, (Field.OWN, ", lease="), (Field.ADDRESSES, after[8:])]
    return [*out, (Field.PRIVATE, after)]


def _bytes(text: str) -> Pieces:
    return [(Field.OWN if _BYTES.fullmatch(text) else Field.TEXT, text)]


def _wish(line: str) -> Pieces | None:
    m = _PENDING.match(line)
    if m is None:
        return None
    replaced = _REPLACING.search(line, max(m.end(), len(line) - 24))
    end = replaced.start() if replaced else len(line)
    return [*_named(m), (Field.ADDRESSES, line[m.end() : end]), (Field.OWN, line[end:])]


# --- Connections ----------------------------------------------------------------------------

_BEGIN: Final = re.compile(rf'(")({grammar.name()})("{grammar.instances()}:)', re.ASCII)
_BANNER: Final = " banner:"


def _about_connection(line: str) -> Pieces | None:
    m = _BEGIN.match(line)
    if m is None:
        return None
    head = [(Field.OWN, m[1]), (Field.CONNECTION, m[2]), (Field.OWN, m[3])]
    rest = line[m.end() :]
    if rest.startswith(_BANNER):  # up to 4.15
        return [*head, (Field.OWN, _BANNER), *_trimmed(Field.BANNER, rest[len(_BANNER) :])]
    if rest.startswith("   "):
        found = keyed(rest)
        return None if found is None else [*head, *found]
    if rest[:1] != " " or rest[1:2] == " ":
        return None
    ends = _topology(rest)
    return None if ends is None else [*head, *ends]


_OWNER: Final = re.compile(r"; eroute owner: #\d{1,10}[; ]*", re.ASCII)
_CLOSED: Final = re.compile(r"\](?:---[^\[\]]{0,100})?\.\.\.")
_OPTIONS: Final = re.compile(
    r"(?:^|,)\+?(?:MS|MC|CAT|XS|XC|S-C|S\?C|S=C)(?:\+(?:MS|MC|CAT|XS|XC|S-C|S\?C|S=C))*$"
)


def _topology(text: str) -> Pieces | None:
    """Read ``LEFT...RIGHT; ROUTING; …``, cut from the sides that a peer can't write on."""
    body, tail = _tail(text)
    ends, semicolon, routing = body.rpartition("; ")
    cut = routing not in ROUTINGS or not semicolon
    if cut:
        if len(text) < PAD:
            return None
        ends, semicolon, routing, tail = text, "", "", []
    dots = _dots(ends)
    if dots is None:
        return None
    right = _side(ends[dots + 3 :], ours=False)
    if cut:  # what is left has to be as long as a line that was cut
        right += [(Field.OWN, "x" * PAD)]
    return [
        *_side(ends[:dots], ours=True), (Field.OWN, "..."), *right,
        (Field.OWN, semicolon + routing), *tail,
    ]  # fmt: skip


def _tail(text: str) -> tuple[str, Pieces]:
    """Split off what follows the routing word."""
    at = text.rfind("; eroute owner: #")  # up to 4.15
    if at >= 0 and _OWNER.fullmatch(text, at):
        return text[:at], [(Field.OWN, text[at:])]
    at = text.rfind("; my_ip=")
    ours, mark, theirs = text[at + 8 :].partition("; their_ip=")
    if at < 0 or not mark:
        return "", []
    tail = [(Field.OWN, "; my_ip="), (Field.ADDRESSES, ours), (Field.OWN, mark)]
    return text[:at], [*tail, (Field.ADDRESSES, theirs)]


def _dots(text: str) -> int | None:
    """Return where the ``...`` between the ends is: the first outside our identity's brackets."""
    bracket, dots = text.find("["), text.find("...")
    if dots < 0:
        return None
    if 0 <= bracket < dots:
        closed = _CLOSED.search(text, bracket)
        return closed.end() - 3 if closed else dots
    return dots


def _side(text: str, *, ours: bool) -> Pieces:
    """Read one end: addresses, and in brackets an identity with options behind it."""
    before, bracket, rest = text.partition("[")
    if not bracket:
        return [(Field.ADDRESSES, text)]
    identity, closing, after = rest.rpartition("]")
    if not closing:
        identity, after = rest, ""
    m = _OPTIONS.search(identity, max(0, len(identity) - 40))
    options = identity[m.start() :] if m else ""
    return [
        (Field.ADDRESSES, before), (Field.OWN, bracket),
        (Field.IDENTITY, identity[: len(identity) - len(options)]),
        (Field.OWN, options + closing), (Field.ADDRESSES, after),
    ]  # fmt: skip


# --- Everything else ------------------------------------------------------------------------


def _whole(pattern: str) -> Callable[[str], Pieces]:
    """Return a reader of lines that are libreswan's own as a whole, if they have this form."""
    form = re.compile(pattern, re.ASCII)

    def read_whole(line: str) -> Pieces:
        return [(Field.OWN if form.fullmatch(line) else Field.TEXT, line)]

    return read_whole


def _after(begin: str, field: Field) -> Callable[[str], Pieces]:
    """Return a reader of lines that have one value behind a beginning."""

    def read_after(line: str) -> Pieces:
        return [(Field.OWN, begin), *_trimmed(field, line[len(begin) :])]

    return read_after


_HEADING: Final = _whole(r"[A-Za-z /]{1,60}: *")
_TOTAL: Final = _whole(r"(?:# )?Total IPsec connections: loaded \d+(?:, routed \d+)?, active \d+ *")
_SAS: Final = _whole(r"(?:IKE|IPsec) SAs: (?:[a-z-]{1,20}\(\d{1,10}\)(?:, )?){1,8} *")
_INFORMATION: Final = _whole(
    r"State Information: DDoS cookies (?:not required|REQUIRED), "
    r"(?:Accepting|NOT ACCEPTING|IGNORING) new IKE connections *"
)
_ALGORITHM: Final = _whole(
    r"algorithm [A-Z/]{2,10} [A-Za-z ()]{2,40}: [a-z0-9-]{1,24}=[A-Za-z0-9_./()-]{0,40}"
    r"(?:, [a-z0-9-]{1,24}=[A-Za-z0-9_./()-]{0,40}){0,12} *"
)
_DATABASE: Final = _whole(
    r"stats db_ops(?:\.c)?: \{curr_cnt, total_cnt, maxsz\} :"
    r"(?:[a-z]{1,10}=\{[\d,]{1,60}\} ?){1,6} *"
)
_COUNT: Final = _whole(
    r"[~#]?(?:current|config|total)\.[A-Za-z0-9_.+-]{1,120}[ =]"
    r"(?:-?\d{1,20}|yes|no|auto|busy|unlimited) *"
    r"|~(?:states|current|total)\.[A-Za-z0-9_.-]{1,80} \d{1,20} *"
)
_KERNEL: Final = _whole(
    r"using kernel interface: (?:netkey|klips|xfrm|mast|bsdkame|bsd|pfkeyv2|nokernel) *"
)
_FLAGS: Final = words_of(
    """
    raw crypt crypt-low crypto parsing emitting control controlmore control-more lifecycle kernel
    pfkey pfkeyv2 dns dnssec oppo oppoinfo nattraversal nat x509 dpd dpdinfo private xauth
    retransmits proposal-parser cpu-usage ike-matching base tmi all none routing host-pair
    hostpair updown refcnt alloc xfrm whack ike tcp resume lifetime ... job tunnel netkey
    whackwatch whack-watch interface packets crypt-more
    """
)


def _debug(line: str) -> Pieces:
    begin, rest = line[:5], line[5:]
    words = re.split(r"([+:, ])", rest)
    out = [
        (Field.OWN if i % 2 or not w or w in _FLAGS else Field.PRIVATE, w)
        for i, w in enumerate(words)
    ]
    return [(Field.OWN, begin), *out]


_INTERFACE: Final = re.compile(
    r"(interface )([^\s/]{1,40})(?:(/)(\S{1,40}))? (?:((?:UDP|TCP) ))?\[?([^\]\s@]{2,60}?)\]?"
    r"([@:](?:(?:UDP|TCP)/)?\d{1,5}(?: \((?:NAT|fixed|NAT fixed)\))?) *",
    re.ASCII,
)


def _interface(line: str) -> Pieces:
    m = _INTERFACE.fullmatch(line)
    if m is None:
        return [(Field.OWN, "interface "), (Field.TEXT, line[10:])]
    out: Pieces = [(Field.OWN, m[1]), (Field.INTERFACE, m[2])]
    if m[3]:
        out += [(Field.OWN, m[3]), (Field.INTERFACE, m[4])]
    between, end = line[m.end(4 if m[3] else 2) : m.start(6)], line[m.end(6) :]
    return [*out, (Field.OWN, between), (Field.ADDRESSES, m[6]), (Field.OWN, end)]


def _subnets(line: str) -> Pieces:
    begin, colon, nets = line.partition(":")
    own = re.fullmatch(r"- (?:allowed|excluded|disallowed)(?: \d{1,10})? subnets?", begin, re.ASCII)
    if own is None:
        return [(Field.TEXT, line)]
    return [(Field.OWN, begin + colon), (Field.ADDRESSES, nets)]


_SHUNT: Final = re.compile(
    rf"({SELECTOR})( -{PROTOCOL}-> )({SELECTOR})( => %\w{{1,20}}(?: [\d,]{{1,20}})?    )(.*)"
)
_WHY: Final = re.compile(
    r"(?:oe-failing|oe-failed|oe-negotiating|acquire|%?hold|)(?: \$\d{1,10})? *", re.ASCII
)


def _shunt(line: str) -> Pieces | None:
    m = _SHUNT.fullmatch(line) if " => %" in line[:200] else None
    if m is None:
        return None
    why = Field.OWN if _WHY.fullmatch(m[5]) else Field.TEXT
    return [
        (Field.ADDRESSES, m[1]), (Field.OWN, m[2]), (Field.ADDRESSES, m[3]), (Field.OWN, m[4]),
        (why, m[5]),
    ]  # fmt: skip


_BRIEF: Final = re.compile(
    r"([^\s\"]{1,200})( <==> )([^\s\"]{1,200})(\s{1,8}from )([^\s\"]{1,300})( to )([^\s\"]{1,300})"
    r"( \([\w^]{1,30}/[\w^]{1,30}\)\s{1,8}\")"
    rf"({grammar.name()})(\"{grammar.instances()}, reqid=\d{{1,10}}\s*)",
    re.ASCII,
)


def _brief(line: str) -> Pieces | None:
    m = _BRIEF.fullmatch(line) if " <==> " in line[:420] else None
    if m is None:
        return None
    fields = (Field.ADDRESSES, Field.OWN) * 4 + (Field.CONNECTION, Field.OWN)
    return list(zip(fields, m.groups(), strict=True))


_POOL: Final = re.compile(
    r"(address pool )(\S{2,100})(: \d{1,10} addresses, \d{1,10} leases, \d{1,10} in-use, "
    r"\d{1,10} free \(\d{1,10} reusable\)\s*)",
    re.ASCII,
)
_LEASE: Final = re.compile(
    r"( {4})([0-9a-fA-F:.]{2,60})( (?:free|assigned to) \$\d{1,20})(?:( {1,2})(.*))?",
    re.ASCII | re.DOTALL,
)
_POOL_OWNER: Final = re.compile(
    rf" {{5,80}}(?:{_NAME}(?!:|.{{0,200}} #{NUMBER}: )(.*)"  # else a line that was indented
    r"|connection \$\d{1,20} does not exist\s*)",
    re.ASCII | re.DOTALL,
)


def _pool(line: str) -> Pieces:
    m = _POOL.fullmatch(line)
    if m is None:
        return [(Field.TEXT, line)]
    return [(Field.OWN, m[1]), (Field.ADDRESSES, m[2]), (Field.OWN, m[3])]


def _lease(line: str) -> Pieces | None:
    m = _LEASE.fullmatch(line) if line.startswith("    ") else None
    if m is None:
        return None
    out = [(Field.OWN, m[1]), (Field.ADDRESSES, m[2]), (Field.OWN, m[3])]
    return (
        [*out, (Field.OWN, m[4]), (Field.IDENTITY, m[5])]
        if m[5]
        else [*out, (Field.OWN, m[4] or "")]
    )


def _pool_owner(line: str) -> Pieces | None:
    m = _POOL_OWNER.fullmatch(line) if line.startswith("     ") else None
    if m is None or m[1] is None:
        return [(Field.OWN, line)] if m else None
    return [
        (Field.OWN, line[: m.start(1)]), (Field.CONNECTION, m[1]), (Field.OWN, f'"{m[2]}'),
        (Field.ADDRESSES, m[3]),
    ]  # fmt: skip


_PROCESS: Final = re.compile(
    r"( {0,4})(\d{1,10})(  )(pluto(?: helper)?|addconn|_pluto_adns|updown|pam|\w{1,60})", re.ASCII
)


def _process(line: str) -> Pieces | None:
    m = _PROCESS.fullmatch(line)
    if m is None:
        return None
    return [(Field.OWN, m[1]), (Field.PID, m[2]), (Field.OWN, m[3]), (Field.TEXT, m[4])]


_UNKNOWN_NAME: Final = (
    "no connection named ", "no connection or alias named ",
    "no such connection or aliased connection named ",
)  # fmt: skip


def _no_such(line: str) -> Pieces:
    begin, quote, rest = line.partition('"')
    name, closing, after = rest.rpartition('"')
    if not closing:
        return [(Field.OWN, begin + quote), (Field.CONNECTION, rest)]
    return [(Field.OWN, begin + quote), (Field.CONNECTION, name), (Field.OWN, closing),
            (Field.PRIVATE, after)]  # fmt: skip


_OTHERS: Final[tuple[tuple[str | tuple[str, ...], Callable[[str], Pieces]], ...]] = (
    ("interface ", _interface),
    ("using kernel interface:", _KERNEL),
    (("- allowed ", "- excluded ", "- disallowed "), _subnets),
    (("total.", "current.", "config.setup.", "~", "#current."), _COUNT),
    ("algorithm ", _ALGORITHM),
    ("stats db_ops", _DATABASE),
    (("Total IPsec connections:", "# Total IPsec connections:"), _TOTAL),
    ("State Information:", _INFORMATION),
    (("IKE SAs:", "IPsec SAs:"), _SAS),
    (("Connection list:", "State list:", "Bare Shunt list:", "Shunt list:", "config setup options:",
      "Kernel algorithms supported:", "ESP algorithms supported:", "IKE algorithms supported:"),
     _HEADING),
    (("virtual-private (%priv):", "virtual_private (%priv):"),
     _whole(r"virtual[-_]private \(%priv\): *")),
    ("FIPS mode ", _whole(r"FIPS mode (?:enabled|disabled)(?: \[forced\])? *")),
    ("  PID  Process", _whole(r"  PID  Process *")),
    ("debug", _debug),
    ("myid = ", _after("myid = ", Field.IDENTITY)),
    ("%myid = ", _after("%myid = ", Field.IDENTITY)),
    ("address pool ", _pool),
    (_UNKNOWN_NAME, _no_such),
)  # fmt: skip
