# SPDX-License-Identifier: MIT
"""Split lines of libreswan's status commands into libreswan's own text and private values.

Each kind of line has its grammar, for all releases: lines about SAs in sa_lines.py, lines about
connections in connection_lines.py, all others here. Some fields can have only a few values, or only
numbers; such a value is libreswan's own. Any other value is private, or text of unknown meaning if
a later release may print new words in its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan import grammar
from ipsecwatch.libreswan.grammar import NUMBER, PROTOCOL, SELECTOR
from ipsecwatch.recording import connection_lines, sa_lines
from ipsecwatch.recording.pieces import Field, Pieces, trimmed
from ipsecwatch.recording.status_fields import setup
from ipsecwatch.recording.vocabulary import words_of

if TYPE_CHECKING:
    from collections.abc import Callable


def read(line: str) -> Pieces | None:
    """Return the pieces of a line, or None if no status command is known to print such a line.

    ``line`` is without a prefix of three digits.
    """
    first = line[:1]
    if first == "#" or (first.isdigit() and ": pending " in line[:24]):
        return sa_lines.read(line)
    if first == '"':
        return connection_lines.read(line)
    for begin, reader in _OTHERS:
        if line.startswith(begin):
            return reader(line)
    return (
        setup(line) or _shunt(line) or _brief(line) or _lease(line) or _pool_owner(line)
        or _process(line)
    )  # fmt: skip


def _whole(pattern: str) -> Callable[[str], Pieces]:
    """Return a function that returns the pieces of a line: one piece, the whole line.

    It is OWN if the line fits the pattern, otherwise TEXT.
    """
    form = re.compile(pattern, re.ASCII)

    def read_whole(line: str) -> Pieces:
        return [(Field.OWN if form.fullmatch(line) else Field.TEXT, line)]

    return read_whole


def _after(begin: str, field: Field) -> Callable[[str], Pieces]:
    """Return a function that returns the pieces of a line ``BEGIN VALUE``.

    ``field`` is the kind of the value behind ``begin``.
    """

    def read_after(line: str) -> Pieces:
        return [(Field.OWN, begin), *trimmed(field, line[len(begin) :])]

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
    """Return the pieces of the line ``debug: …`` with the flags of plutodebug=.

    Flags that aren't known are private.
    """
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
    """Return the pieces of a line about an interface that pluto listens on."""
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
    """Return the pieces of a line about a bare shunt, or None for any other line."""
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
    rf" {{5,80}}(?:\"({grammar.name()})\"({grammar.instances()})"
    rf"(?!:|.{{0,200}} #{NUMBER}: )(.*)"  # else a line that was indented
    r"|connection \$\d{1,20} does not exist\s*)",
    re.ASCII | re.DOTALL,
)


def _pool(line: str) -> Pieces:
    m = _POOL.fullmatch(line)
    if m is None:
        return [(Field.TEXT, line)]
    return [(Field.OWN, m[1]), (Field.ADDRESSES, m[2]), (Field.OWN, m[3])]


def _lease(line: str) -> Pieces | None:
    """Return the pieces of the first line about a lease of an address pool, or None.

    It has the address, and perhaps the name of the peer for which the address is kept.
    """
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
    """Return the pieces of the second line about a lease of an address pool, or None.

    The line names the connection that has the address, or says that it doesn't exist.
    """
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
    """Return the pieces of an error message that names a connection that doesn't exist."""
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
