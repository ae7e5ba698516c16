# SPDX-License-Identifier: MIT
"""Explains a whole status: its tunnels, what belongs to none of them, and remarks."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli.common import reason_json
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.explain import describe
from ipsecwatch.cli.explain.answers import is_ambiguous
from ipsecwatch.cli.failure import Failure
from ipsecwatch.libreswan.status import address_pools, brief_connections, daemon_info
from ipsecwatch.reasons import REASON_TEXTS, ReasonText
from ipsecwatch.report import Extent, Stage, instance_name
from ipsecwatch.sanitize import clean
from ipsecwatch.tracking import single_report
from ipsecwatch.tracking.reason_text import reason_text
from ipsecwatch.tunnel import Reason, Tunnel, TunnelState

if TYPE_CHECKING:
    from ipsecwatch.libreswan.status.address_pools import Lease, Pool
    from ipsecwatch.libreswan.status.brief_connections import Brief
    from ipsecwatch.report import Report, SaState, Shunt, Totals, Traffic


LIBRESWAN: Final = "libreswan"


def tunnels_of(report: Report) -> list[Tunnel]:
    """Return the tunnels of a report, sorted by state in the order of _ORDER, then by name.

    The report may be incomplete. A tunnel is left out if is_ambiguous() is true of a connection of
    it: then the text has several connections with one name, and their states are mixed.
    """
    known = [
        t for t in single_report.tunnels_of(report).values()
        if not any(map(is_ambiguous, t.connections))
    ]  # fmt: skip
    return sorted(known, key=lambda t: (_ORDER.index(t.state), t.name))


_ORDER: Final = (
    TunnelState.STUCK, TunnelState.CONNECTING, TunnelState.UNKNOWN, TunnelState.PARTIAL,
    TunnelState.UP, TunnelState.WAITING, TunnelState.DOWN,
)  # fmt: skip
"""States in the order in which tunnels are shown; those with trouble come first."""


def check(report: Report, tunnels: list[Tunnel]) -> None:
    """Raise Failure where a report, with its tunnels, contains nothing to explain.

    Its message says whether the text was empty, or isn't a status. A text that says why pluto
    didn't answer counts as something to explain.
    """
    if tunnels or report.states or report.traffic or report.shunts or report.other:
        return
    if _answers_not(report):
        return
    if report.why == "empty":
        raise Failure(
            "there is nothing in it",
            "Where nothing is established, trafficstatus and showstates answer nothing; "
            "save more with: ipsec status > FILE",
        )
    raise Failure("this is not a status text of libreswan", "Save one with: ipsec status > FILE")


def _answers_not(report: Report) -> bool:
    """Return whether a report's text says that pluto didn't answer the command (whack)."""
    return report.why is not None and report.why.startswith("pluto did not answer")


def lines_of(
    report: Report,
    tunnels: list[Tunnel],
    paint: terminal.Paint,
    wide: int,
    program: str = LIBRESWAN,
) -> list[str]:
    """Return the explanation of a report and its tunnels for people, as lines.

    Lines are broken to ``wide`` columns, except a tunnel's name as the heading of its facts. Where
    many tunnels are well, or idle, they are only named together. ``program``: the program whose
    status it is.
    """
    out = [*map(paint.bold, terminal.wrap(_heading(report, tunnels, program), wide)), ""]
    counters = {t.serial: t for t in report.traffic}
    alike = _alike(tunnels)
    summed = {t.key for group, _ in alike for t in group}
    for t in tunnels:
        if t.key not in summed:
            out.append(f"{paint.state(t.state, terminal.mark(t.state))} {paint.bold(t.name)}")
            told_of_it = describe.tunnel(t, counters, all_listed=_lists_all(report))
            out += [*terminal.facts(told_of_it, paint, wide), ""]
    for group, told in alike:
        state, count = group[0].state, len(group)
        more = f"{count} more" if count < len(tunnels) else f"all {count}"
        out.append(f"{paint.state(state, terminal.mark(state))} {paint.bold(more)}")
        names = ", ".join(t.name for t in group)
        out += [*terminal.facts([("named", names), ("are", told)], paint, wide), ""]
    for name, rows in _others(report, tunnels, counters).items():
        out += [f"  {paint.bold(name)}", *terminal.facts(rows, paint, wide), ""]
    remarks = _remarks(report, tunnels, program)
    out += terminal.facts((("note", remark) for remark in remarks), paint, wide)
    while out and not out[-1]:
        out.pop()
    return out


def _lists_all(report: Report) -> bool:
    return report.knowledge.connections is Extent.WHOLE


def _alike(tunnels: list[Tunnel]) -> list[tuple[list[Tunnel], str]]:
    """Return the groups of tunnels that are described together, each with its description.

    One group are the tunnels for which is_well() is true, if they are more than _FEW_WELL; another
    are those for which is_idle() is true, if they are more than _FEW_IDLE. A smaller group isn't
    returned: its tunnels are described one by one.
    """
    groups = (
        ([t for t in tunnels if describe.is_well(t)], _FEW_WELL, _WELL),
        ([t for t in tunnels if describe.is_idle(t)], _FEW_IDLE, _IDLE),
    )
    return [(group, told) for group, few, told in groups if len(group) > few]


_FEW_WELL: Final = 12
"""Up to this number, tunnels for which is_well() is true are shown one by one."""

_WELL: Final = "up, without problems (each one's SAs: with --json)"

_FEW_IDLE: Final = 2
"""Up to this number, tunnels for which is_idle() is true are shown one by one."""

_IDLE: Final = "down: they are loaded, and pluto wasn't asked to bring them up"


def _heading(report: Report, tunnels: list[Tunnel], program: str) -> str:
    """Return the first line: the program, its release, and the number of tunnels in each state.

    Without tunnels, it says instead why pluto didn't answer; or, after the release, that no tunnels
    are configured, how many connections pluto counts, or which command's answer the text is.
    """
    of = f"{program} {clean(report.version)}" if report.version else program
    if tunnels:
        numbers = [(s, sum(t.state is s for t in tunnels)) for s in TunnelState]
        told = ", ".join(f"{n} {s.value}" for s, n in numbers if n)
        return f"{of}, {len(tunnels)} tunnel{'s' if len(tunnels) > 1 else ''}: {told}"
    if _answers_not(report):
        return _refusal(report).sentence
    if report.knowledge.connections is Extent.WHOLE:
        return f"{of}: no tunnels are configured"
    if report.totals.loaded is not None:
        return f"{of}: {_loaded(report.totals)}"
    if report.command == "status":
        return f"{of}: a part of a status, which names no tunnel"
    return f"{of}: the answer to {report.command or 'some command'}"


def _loaded(totals: Totals) -> str:
    """Return in words how many connections are loaded, routed and up, by pluto's totals.

    Only the numbers that the text has are given. In libreswan's branch main, the routed ones
    include those that are up.
    """
    loaded = totals.loaded or 0
    told = [f"{loaded} connection{'s are' if loaded != 1 else ' is'} loaded"]
    for count, word in ((totals.routed, "routed"), (totals.active, "up")):
        if count is not None:
            told.append(f"{count} {'are' if count != 1 else 'is'} {word}")
    return ", ".join(told)


def _refusal(report: Report) -> ReasonText:
    """Return a sentence why pluto didn't answer, and what to do, by the text in ``report.why``.

    For a text that isn't in _REFUSALS, return those of PLUTO_UNREACHABLE.
    """
    why = report.why or ""
    known = (told for said, told in _REFUSALS if said in why)
    return next(known, REASON_TEXTS[Reason.PLUTO_UNREACHABLE])


_NO_SUCH: Final = ReasonText(
    "pluto knows no connection of that name.", "See which there are: ipsec status"
)

_REFUSALS: Final = (
    ("not running", REASON_TEXTS[Reason.PLUTO_STOPPED]),
    ("Connection refused", REASON_TEXTS[Reason.PLUTO_STOPPED]),
    ("no right to communicate", ReasonText(
        "The user who asked may not ask the IPsec service.",
        "Ask as root: sudo ipsec status > FILE",
    )),
    ("connection named", _NO_SUCH),
    ("connection or alias named", _NO_SUCH),
    ("need --listen", ReasonText(
        "The IPsec service has started, and doesn't listen yet.",
        "Wait a moment; if it stays so: systemctl status ipsec",
    )),
    ("bad magic", ReasonText(
        "The ipsec command and the running IPsec service are of different releases.",
        "Restart the service, so that both are of one: systemctl restart ipsec",
    )),
)  # fmt: skip


def _others(
    report: Report, tunnels: list[Tunnel], counters: dict[int, Traffic]
) -> dict[str, describe.Facts]:
    """Return the facts about what belongs to none of the tunnels, by the heading above them.

    These are SAs and lines of trafficstatus of other connections, bare shunts, counts of SAs,
    connections of ``briefconnectionstatus``, and address pools. ``counters``: the lines of
    trafficstatus by the serial number of their Child SA.
    """
    told = {s.serial for t in tunnels for s in t.states}
    found: dict[str, describe.Facts] = {}
    for s in (s for s in report.states if s.serial not in told):
        label = "Child SA" if s.kind == "child" else "IKE SA"
        words = describe.sa(s, report.states, None, counters.get(s.serial))
        found.setdefault(_name(s), []).append((label, words))
        told.add(s.serial)
    own = {c.key for t in tunnels for c in t.connections}
    for t in report.traffic:
        if t.serial in told or (t.name, t.instance) in own:
            continue
        found.setdefault(_name(t), []).append(("Child SA", describe.traffic(t)))
    if report.shunts:
        listed = "\n".join(_shunt(x) for x in report.shunts[:_FEW_SHUNTS])
        more = len(report.shunts) - _FEW_SHUNTS
        found["bare shunts"] = [("are", listed + (f"\nand {more} more" if more > 0 else ""))]
    if report.command in ("briefstatus", "globalstatus"):
        found["counts"] = _counts(report)
    for b in brief_connections.briefs(report.other):
        found.setdefault(_name(b), []).append(("is", _brief(b)))
    for pool in address_pools.pools(report.other):
        found[f"pool {clean(pool.range)}"] = _pool(pool)
    return found


def _brief(b: Brief) -> str:
    """Return in words a line of ``briefconnectionstatus``: ends, addresses, and bytes if known."""
    ends = f"{clean(b.local_client)} and {clean(b.remote_client)}"
    hosts = f"{clean(b.local_host)} to {clean(b.remote_host)}"
    carried = [(b.bytes_in, "in"), (b.bytes_out, "out")]
    counts = [f"{describe.amount(n)} {way}" for n, way in carried if n is not None]
    return "; ".join([f"up between {ends}", f"from {hosts}", ", ".join(counts)]).rstrip("; ")


def _pool(pool: Pool) -> describe.Facts:
    """Return the facts about an address pool: how many addresses it has, and who has which."""
    free = pool.addresses - pool.in_use
    rows = [("has", f"{pool.addresses} addresses: {pool.in_use} in use, {free} free")]
    rows += [("lent", _lease(x)) for x in pool.listed if not x.free]
    return rows


def _lease(lease: Lease) -> str:
    whose = _name(lease) if lease.name is not None else "a connection that is gone"
    who = f", whose peer is {clean(lease.reusable_name, 80)}" if lease.reusable_name else ""
    return f"{clean(lease.address)} to {whose}{who}"


_FEW_SHUNTS: Final = 10


def _shunt(x: Shunt) -> str:
    """Return in words what the kernel does with packets by a bare shunt, and why.

    A bare shunt is a policy in the kernel that belongs to no connection.
    """
    fate = _FATES.get(x.action, "are treated as " + clean(x.action))
    return f"packets from {clean(x.ours)} to {clean(x.theirs)} {fate} ({clean(x.why)})"


_FATES: Final = {
    "%pass": "pass in the clear", "%drop": "are dropped", "%reject": "are rejected",
    "%hold": "are held while pluto negotiates", "%trap": "start a negotiation",
    "%none": "are let alone",
}  # fmt: skip


def _counts(report: Report) -> describe.Facts:
    """Return the facts in an answer to ``briefstatus`` or ``globalstatus``.

    They are pluto's totals of IKE SAs and IPsec SAs, how many counters the answer has, and the
    values of its first 20 counters whose name begins with ``current.`` and that aren't 0.
    """
    rows = [("IKE SAs", report.totals.ike), ("IPsec SAs", report.totals.ipsec)]
    told = [(label, ", ".join(f"{n} {word}" for word, n in c.items())) for label, c in rows]
    counters = daemon_info.counters(report)
    busy = [f"{name} {n}" for name, n in counters.items() if n and name.startswith("current.")]
    return [*told, ("counters", f"{len(counters)}: see `ipsecwatch parse`" if counters else ""),
            ("now", "\n".join(busy[:20]))]  # fmt: skip


def _name(of: SaState | Traffic | Brief | Lease) -> str:
    return instance_name(clean(of.name or ""), of.instance)


def _remarks(report: Report, tunnels: list[Tunnel], program: str) -> list[str]:
    """Return remarks that stand below the explanation of a report, each of one sentence or more.

    They say why pluto didn't answer, what is missing in the text, what is unusual about pluto, how
    to bring up tunnels that are down, and which lines weren't understood, as far as this applies.
    Of another program than libreswan, or of a release that is too old, they don't say what is
    missing, nor what wasn't understood.
    """
    out = [] if program == LIBRESWAN else [as_if(program)]
    if too_old := _is_too_old(report):
        out.append(_TOO_OLD.format(clean(report.version or "")))
    if _answers_not(report) and (tunnels or report.states or report.traffic):
        refusal = _refusal(report)
        out.append(f"One command in the text had no answer. {refusal.sentence} {refusal.advice}")
    elif _answers_not(report):
        out.append(_refusal(report).advice)
    elif (
        program == LIBRESWAN
        and not too_old
        and report.why is not None
        and report.command in (None, "status")
    ):
        out.append(f"The text is not a whole status: {clean(report.why)}.")
    out += _gaps(report, tunnels)
    for name in sorted({clean(c.name) for c in report.connections if is_ambiguous(c)}):
        out.append(f"Several connections are named “{name}”, so their states can't be told apart.")
    idle = [t for t in tunnels if describe.is_idle(t)]
    if idle:
        name = idle[0].name if len(idle) == 1 else "NAME"
        out.append(f"To bring one up: {describe.how_to_start(name, report.version)}")
    totals = report.totals
    if totals.accepting is False:
        out.append("pluto takes no new negotiations at the moment (NOT ACCEPTING).")
    if totals.ddos_cookies:
        out.append("pluto defends itself against a flood of negotiations (DDoS cookies).")
    known = {s.key for s in report.states if s.established}
    knocking = sum(
        s.role == "responder" and s.stage in (Stage.HALF_OPEN, Stage.OPEN) and s.key not in known
        for s in report.states
    )
    if knocking:
        out.append(
            f"{knocking} negotiation{'s' * (knocking > 1)} that others began, perhaps scans."
        )
    if report.unrecognised_count and program == LIBRESWAN and not too_old:
        lines = "line was" if report.unrecognised_count == 1 else "lines were"
        example = clean(report.unrecognised[0].text, 60)
        out.append(f"{report.unrecognised_count} {lines} not understood, such as: {example}")
        if report.command == "status" or any(_PLUTOS.match(x.text) for x in report.unrecognised):
            out.append(_REPORT)
    return out


_PLUTOS: Final = re.compile(r"\s{0,40}(?:\"|#\d)")
"""Matches the beginning of a line that pluto may have printed about a connection or an SA. Outside
of a status, which has lines of many kinds, other lines are prose, or settings."""


def _is_too_old(report: Report) -> bool:
    """Return whether a report is of a release of libreswan before _FIRST."""
    m = re.match(r"(\d{1,3})\.(\d{1,3})", report.version or "")
    return m is not None and (int(m[1]), int(m[2])) < _FIRST


_FIRST: Final = (3, 18)
_TOO_OLD: Final = (
    "libreswan {} is older than the oldest release that ipsecwatch knows (3.18): details may be "
    "missing, or wrong."
)


def _gaps(report: Report, tunnels: list[Tunnel]) -> list[str]:
    """Return remarks about what the text lacks: all SAs, or some of the loaded connections.

    Return [] where it isn't seen to lack either, and for a text without tunnels.
    """
    out = []
    totals, known = report.totals, report.knowledge
    counted = totals.ipsec or totals.ike
    if tunnels and known.states is Extent.ABSENT and not (counted or report.traffic):
        out.append("The SAs aren't in the text: the tunnels are as the connection list has them.")
    if totals.loaded and known.connections is not Extent.WHOLE and tunnels:
        named = len(report.connections) or len({c.key for t in tunnels for c in t.connections})
        if named < totals.loaded:
            out.append(f"pluto counts more than the text names ({named}): {_loaded(totals)}.")
    return out


def as_if(program: str) -> str:
    """Return a remark: the text is of another program, and is explained all the same."""
    return (
        f"This is a text of {program}, not of libreswan. It is explained as if it were "
        "libreswan's, which is much like it; details may be wrong."
    )


_REPORT: Final = "To report them, redact the text first: ipsecwatch redact FILE NEW"


def as_json(report: Report, tunnels: list[Tunnel], program: str = LIBRESWAN) -> dict[str, Any]:
    """Return the explanation of a report and its tunnels as an object for JSON.

    Unlike in the text for people, each tunnel is explained by itself. ``program`` is as in
    lines_of().
    """
    counters = {t.serial: t for t in report.traffic}
    return {
        "format": 1,
        "version": report.version,
        "command": report.command,
        "complete": report.complete,
        "why": report.why,
        "knowledge": asdict(report.knowledge),
        "tunnels": [
            {
                "name": t.name,
                "state": t.state,
                **reason_json(t.reason, reason_text(t.reason, t)),
                "missing": t.missing,
                "facts": [
                    [a, b]
                    for a, b in describe.tunnel(t, counters, all_listed=_lists_all(report))
                    if b
                ],
            }
            for t in tunnels
        ],
        "others": _others(report, tunnels, counters),
        "remarks": _remarks(report, tunnels, program),
    }
