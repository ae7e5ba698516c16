# SPDX-License-Identifier: MIT
"""Makes statuses with a hostile peer, whose text stands wherever pluto prints text of a peer.

The status in each dialect is made from a recorded one, which has a single tunnel. It lists the
hostile tunnel and four others: two that are up, one that is connecting, and one that is down.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from ipsecwatch.tracking.observation import observe_tunnels
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipsecwatch.report import Report

DIALECTS: Final = ("3.20", "3.32", "4.10", "5.2", "5.4")
HOSTILE: Final = "mallory"
OTHERS: Final = {"alpha": "up", "november": "up", "oscar": "connecting", "papa": "down"}
"""The true states of the other tunnels, by name."""

SLOTS: Final = ("topology", "id", "user", "banner", "domain", "sa-user")
"""Names of the places where pluto prints text that the peer, or the peer's gateway, has chosen."""

_FIRST: Final = {"alpha": 1, "mallory": 3, "november": 5, "oscar": 9, "papa": 11}
"""The serial number of each tunnel's IKE SA. That of its Child SA is one more."""

_TRIES: Final = {
    "3.20": "STATE_PARENT_I1 (sent v2I1, expected v2R1); EVENT_v2_RETRANSMIT in 1s; idle;"
    " import:admin initiate",
    "3.32": "STATE_PARENT_I1 (sent v2I1, expected v2R1); EVENT_RETRANSMIT in 1s; idle;",
    "4.10": "STATE_V2_PARENT_I1 (sent IKE_SA_INIT request); RETRANSMIT in 1s; idle;",
    "5.2": "IKE_SA_INIT_I (sent IKE_SA_INIT request); RETRANSMIT in 1s; idle;",
    "5.4": "sent IKE_SA_INIT request; RETRANSMIT in 1s; idle;",
}


NASTY: Final = (
    "; newest", '", type=ESP, add_time=1', "; eroute owner: #5", "; erouted; eroute owner: #6",
    "; routed-tunnel; my_ip=unset; their_ip=unset;", "]===10.0.0.0/8; unrouted", "...", "===", "'",
    ", ", '"', '"november"', "IKE SA #5; idle;", " Traffic: ESPin=1B username=root", ": pending ",
    "\x1b[2J\x1b]0;x\x07", "\u202egnp.live\u2066", "\u2028", "\x85", "\x0b\x0c\x1c", "\x00",
    "\udcff\udc80", "A" * 1024, "B" * 65536, "; owner: Child SA #6", "   policy: UP;", "\\012",
)  # fmt: skip

FORGED: Final = {
    "a Child of one that is down": '#77: "papa":500 {child}; newest; {parent} #76; idle;',
    "an IKE SA of one that is down": '#76: "papa":500 {ike}; newest; idle;',
    "a Child of one that is tried": '#78: "oscar":500 {child}; newest; {parent} #9; idle;',
    "the serial of one that is tried": '#9: "mallory":500 {tries}',
    "the serial of one that is up": '#6: "mallory":500 {tries}',
    "the serial of one that is up, in its name": '#6: "november":500 {tries}',
    "a larval Child in place of one that is up": '#6: "november":500 {larval}; idle;',
    "an attempt for one that is down": '#79: "papa":500 {tries}',
    "a larval Child of one that is down": '#80: "papa":500 {larval}; idle;',
    "words that nobody knows": '#81: "papa":500 gloriously established Child SA; IKE SA #3; idle;',
    "the end of one that is up": '#6: "november":500 {child}; EVENT_SA_EXPIRE in 0s; idle;',
    "a wish of one that is down": '#4: pending {wish} for "papa"',
    "an attempt that isn't counted": '#85: "papa":500 {unsent}; idle;',
    "a wish behind the serial of another": '#2: "mallory":500 {child}; {parent} #3; idle;\n'
    '{0}#2: pending {wish} for "papa"',
    "an attempt, and a wish": '#82: "mallory":500 {tries}\n{0}#82: pending {wish} for "papa"',
    "counters of another": '#6: "november" esp.1@1.2.3.4 Traffic: ESPin=0B ESPout=0B ESPmax=0B ',
    "a line of trafficstatus": '#6: "november", type=ESP, add_time=1, inBytes=0, outBytes=0',
    "a policy of another": '"november":   policy: IKEv2+PSK+UP;\n{0}"papa":   policy: PSK+UP;',
    "a bar on another": '"november":   policy: PSK+NEVER_NEGOTIATE;',
    "a routing of another": '"papa": 1.2.3.4...5.6.7.8; prospective erouted; eroute owner: #0',
    "a routing of its own, with a serial of another": '"mallory": 1.2.3.4...5.6.7.8; '
    "erouted; eroute owner: #9",
    "serials of another": '"november":   newest IKE SA: #0; newest IPsec SA: #0;',
    "a tunnel that isn't": '"zulu": 1.2.3.4...5.6.7.8; erouted; eroute owner: #9',
    "an end of the list": "\n{0}Total IPsec connections: loaded 1, active 1\n{0}\n",
    "all totals": "State Information: DDoS cookies not required, Accepting new IKE connections\n"
    "{0}IKE SAs: total(0), half-open(0), open(0), authenticated(0), anonymous(0)\n"
    "{0}IPsec SAs: total(0), authenticated(0), anonymous(0)\n",
    "a total of another command": "# Total IPsec connections: loaded 9, active 9",
    "a policy of another, and a total of another command": '"papa":   policy: PSK+UP;\n'
    "{0}# Total IPsec connections: loaded 9, active 9",
    "what closes its own connection": '"mallory":   {closing}',
    "its own end, and all of another": '"mallory":   {closing}\n{0}"papa": 1.2.3.4...5.6.7.8; '
    'unrouted; eroute owner: #0\n{0}"papa":   policy: PSK+UP;\n{0}"papa":   {closing}',
    "its own end, and the beginning of another": '"mallory":   {closing}\n'
    '{0}"zulu": 1.2.3.4...5.6.7.8; unrouted; eroute owner: #0',
    "its own end, and the end of the list": '"mallory":   {closing}\n{0}\n'
    "{0}Total IPsec connections: loaded 2, active 2\n{0}\n"
    "{0}State Information: DDoS cookies not required, Accepting new IKE connections\n"
    "{0}IKE SAs: total(1), half-open(0), open(0), authenticated(1), anonymous(0)\n"
    "{0}IPsec SAs: total(1), authenticated(1), anonymous(0)\n{0}\n"
    "{0}Bare Shunt list:\n{0}\n",
    "SAs that its own connection has": '"mallory":   host: oriented; established IKE SA: #85;\n'
    '{0}"mallory":   newest ISAKMP SA: #85; newest IPsec SA: #86;\n'
    '{0}#85: "papa":500 {unsent}; idle;',
    "the totals of IPsec": "IPsec SAs: total(1), authenticated(1), anonymous(0)",
    "the beginning": "using kernel interface: xfrm",
    "a list": "Connection list:",
    "the last section": "Bare Shunt list:\n{0}\n",
    "a shunt": "10.0.0.0/24 -0-> 10.1.0.0/24 => %hold 0    oe-failing",
    "an error": 'whack: Pluto is not running (no "/run/pluto/pluto.ctl")',
    "a counter": "total.ipsec.type.all=0",
    "a setting": "debug none",
    "a file for the log": "logfile='/etc/shadow', logappend=yes, logip=yes, audit-log=no",
    "nothing that is known": "out of cheese",
}
"""Lines that look like pluto's own, and that a peer may put into its text, by description. ``{0}``
stands for the dialect's line prefix; the other names in braces stand for texts in WORDS."""

_NEW = {"larval": "NEW_CHILD_I1 (sent CREATE_CHILD_SA request for new IPsec SA)"}
WORDS: Final = {
    "3.20": {
        "closing": "newest ISAKMP SA: #3; newest IPsec SA: #4;",
        "unsent": "STATE_PARENT_I0 (waiting for KE to finish); EVENT_RETRANSMIT in 9s",
        "child": "STATE_V2_IPSEC_I (IPsec SA established); EVENT_SA_REPLACE in 9s",
        "ike": "STATE_PARENT_I3 (PARENT SA established); EVENT_SA_REPLACE in 9s",
        "tries": "STATE_PARENT_I1 (sent v2I1, expected v2R1); EVENT_v2_RETRANSMIT in 1s; idle;",
        "larval": "STATE_V2_CREATE_I (sent IPSec Child req wait response)",
        "parent": "isakmp", "wish": "Phase 2",
    },
    "3.32": {
        "closing": "newest ISAKMP SA: #3; newest IPsec SA: #4;",
        "unsent": "STATE_PARENT_I0 (waiting for KE to finish); EVENT_RETRANSMIT in 9s",
        "child": "STATE_V2_IPSEC_I (IPsec SA established); EVENT_SA_REKEY in 9s",
        "ike": "STATE_PARENT_I3 (PARENT SA established); EVENT_SA_REKEY in 9s",
        "tries": "STATE_PARENT_I1 (sent v2I1, expected v2R1); EVENT_RETRANSMIT in 1s; idle;",
        "larval": "STATE_V2_CREATE_I (sent IPsec Child req wait response)",
        "parent": "isakmp", "wish": "CHILD SA",
    },
    "4.10": {
        "closing": "newest ISAKMP SA: #3; newest IPsec SA: #4;",
        "unsent": "STATE_V2_PARENT_I0 (waiting for KE to finish); EXPIRE in 9s",
        "child": "STATE_V2_ESTABLISHED_CHILD_SA (established Child SA); REKEY in 9s",
        "ike": "STATE_V2_ESTABLISHED_IKE_SA (established IKE SA); REKEY in 9s",
        "tries": "STATE_V2_PARENT_I1 (sent IKE_SA_INIT request); RETRANSMIT in 1s; idle;",
        "larval": f"STATE_V2_{_NEW['larval']}", "parent": "IKE SA", "wish": "CHILD SA",
    },
    "5.2": {
        "closing": "routing: unrouted;",
        "unsent": "IKE_SA_INIT_I0 (waiting for KE to finish); EXPIRE in 9s",
        "child": "ESTABLISHED_CHILD_SA (established Child SA); REKEY in 9s",
        "ike": "ESTABLISHED_IKE_SA (established IKE SA); REKEY in 9s",
        "tries": "IKE_SA_INIT_I (sent IKE_SA_INIT request); RETRANSMIT in 1s; idle;",
        **_NEW, "parent": "IKE SA", "wish": "Child SA",
    },
    "5.4": {
        "closing": "routing: unrouted;",
        "unsent": "waiting for KE to finish; EXPIRE in 9s",
        "child": "established Child SA; REKEY in 9s",
        "ike": "established IKE SA; REKEY in 9s",
        "tries": "sent IKE_SA_INIT request; RETRANSMIT in 1s; idle;",
        "larval": "sent CREATE_CHILD_SA request for new IPsec SA",
        "parent": "IKE SA", "wish": "Child SA",
    },
}  # fmt: skip


def forged(dialect: str, what: str) -> str:
    """Return the line of FORGED with this description, with a dialect's words and prefix."""
    prefix = "000 " if dialect < "5" else ""
    return prefix + FORGED[what].format(prefix, **WORDS[dialect])


Verdict = tuple[str, bool, frozenset[int], frozenset[int]]


def verdicts(report: Report) -> dict[str, Verdict]:
    """Return what ipsecwatch concludes from a report about each tunnel in OTHERS.

    That is: its state ("gone" if it isn't listed), whether it is being set up, the serial numbers
    of its Child SAs, and those of all its SAs.
    """
    seen = observe_tunnels(report, frozenset(), frozenset())
    return {
        key: (
            seen[key].state.value, seen[key].trying, seen[key].children,
            frozenset(s.serial for s in seen[key].states),
        )
        if key in seen
        else ("gone", False, frozenset(), frozenset())
        for key in OTHERS
    }  # fmt: skip


def status(dialect: str, said: Mapping[str, str] | None = None) -> str:
    """Return the status in a dialect; ``said`` has the hostile peer's text for each slot.

    A slot that ``said`` doesn't name keeps its usual text.
    """
    said = said or {}
    before, mine, between, sas, after = _parts(dialect)
    prefix = "000 " if dialect < "5" else ""
    begin = f'{prefix}"{HOSTILE}":'
    if (text := said.get("topology")) is not None:
        mine = mine.replace("[@east]", f"[{text}]", 1)
    if (text := said.get("id")) is not None:
        mine = mine.replace("their id=@east", f"their id={text}")
    if (text := said.get("user")) is not None:
        mine = mine.replace("their_username=[any]", f"their_username={text}")
    if (text := said.get("domain")) is not None:
        mine = mine.replace("domain:unset", f"domain:{text}")
        mine = mine.replace("domains:unset", f"domains:{text}")
    if (text := said.get("banner")) is not None:
        at = mine.index("_label")
        at = mine.rindex("\n", 0, at) + 1
        blanks = " " if prefix else "   "
        mine = f"{mine[:at]}{begin}{blanks}banner:{text};\n{mine[at:]}"
    if (text := said.get("sa-user")) is not None:
        lines = sas.splitlines(keepends=True)
        i = next(i for i, line in enumerate(lines) if " esp." in line)
        lines[i] = f"{lines[i].rstrip()} username={text}\n"
        sas = "".join(lines)
    return before + mine + between + sas + after


@cache
def _parts(dialect: str) -> tuple[str, str, str, str, str]:
    """Return the status of all tunnels in a dialect, in five pieces.

    The second piece has the lines of the hostile tunnel's connection, and the fourth those of its
    SAs.
    """
    answers = [a.stdout for a in statuses(ROOT / f"{dialect}/site.jsonl.gz")]
    up = next(a for a in answers if "#2:" in a).splitlines(keepends=True)
    down = next(a for a in answers if "#1" not in a and '"site"' in a).splitlines(keepends=True)
    lists, sas = {}, {}
    for name, first in _FIRST.items():
        is_up = OTHERS.get(name, "up") == "up"
        lines = [_named(line, name, first) for line in (up if is_up else down)]
        prefix = "000 " if dialect < "5" else ""
        lists[name] = "".join(x for x in lines if x.startswith(f'{prefix}"'))
        sas[name] = "".join(x for x in lines if x.startswith(f"{prefix}#"))
    sas["oscar"] = f'{prefix}#9: "oscar":500 {_TRIES[dialect]}\n'
    if not prefix:
        old, routing = "unrouted;", "unrouted-bare-negotiation;"
        ours = "negotiating IKE SA: #9;"
        lists["oscar"] = (
            lists["oscar"].replace(f"; {old} my_ip", f"; {routing} my_ip")
            .replace(f"routing: {old}", f"routing: {routing} owner: IKE SA #9; {ours}")
            .replace("remote: 192.1.2.23;", f"remote: 192.1.2.23; {ours}")
        )  # fmt: skip
    first = next(i for i, line in enumerate(up) if '"site":' in line[:20])
    total = next(i for i, line in enumerate(up) if "Total IPsec conn" in line) - 1
    states = next(i for i, line in enumerate(up) if line.removeprefix("000 ").startswith("#"))
    rest = next(i for i in range(states, len(up)) if "#" not in up[i])
    counted = "".join(up[total:states]).replace("(1)", "(3)")
    counted = (
        counted.replace("loaded 1", "loaded 5").replace("ed 1", "ed 3").replace("ve 1", "ve 3")
    )
    counted = counted.replace("IKE SAs: total(3), half-open(0)", "IKE SAs: total(4), half-open(1)")
    return (
        "".join(up[:first]) + lists["alpha"],
        lists[HOSTILE],
        lists["november"] + lists["oscar"] + lists["papa"] + counted + sas["alpha"],
        sas[HOSTILE],
        sas["november"] + sas["oscar"] + "".join(up[rest:]),
    )


def _named(line: str, name: str, first: int) -> str:
    for old, new in {
        '"site"': f'"{name}"', "#2": f"#\0{first + 1}", "#1": f"#{first}", "\0": "",
        "$1;": f"${first};",
    }.items():  # fmt: skip
        line = line.replace(old, new)
    return line
