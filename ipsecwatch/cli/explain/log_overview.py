# SPDX-License-Identifier: MIT
"""Explains all of pluto's log lines in a text, for people and as JSON, connection by connection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.explain import log_service, log_story
from ipsecwatch.libreswan.log_attempts import Outcome, Story, stories
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import TunnelState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ipsecwatch.cli.explain.log_story import Facts
    from ipsecwatch.libreswan.log_text import LogText, PacketLine

_FEW: Final = 12
"""This many groups of connections are explained one by one at most; further connections are only
named, by outcome. Of the peers whose packets fit no connection, further ones aren't shown."""


def lines_of(log: LogText, paint: terminal.Paint, wide: int, up: Collection[str] = ()) -> list[str]:
    """Return the explanation of a text's log lines for people, as lines of at most ``wide`` cells.

    The IPsec service comes first, then the connections, then packets that fit no connection. Return
    [] where the log lines show nothing about these. ``up``: names of the connections that are up by
    a status in the same text.
    """
    told = _alike(stories(log.lines), up)
    out = _service(log, paint, wide)
    for alike in told[:_FEW]:
        state = _STATES[alike[0].outcome]
        names = ", ".join(map(log_story.name, alike))
        first, *further = terminal.wrap(names, wide - 2)
        out.append(f"{paint.state(state, terminal.mark(state))} {paint.bold(first)}")
        out += [f"  {paint.bold(x)}" for x in further]
        facts = log_story.facts(alike[0])
        if alike[0].outcome is not Outcome.UP and alike[0].name in up:
            facts.insert(2, ("but", "By the status in the same text it is up."))
        out += [*terminal.facts(facts, paint, wide), ""]
    for outcome, group in _more([s for alike in told[_FEW:] for s in alike]):
        names = ", ".join(log_story.name(s) for s in group)
        out += [f"  {paint.bold(f'{len(group)} more')}"]
        out += [*terminal.facts([("named", names), ("are", _SHORT[outcome])], paint, wide), ""]
    for title, rows in _unwanted_packets(log.packets):
        out += [f"  {paint.bold(title)}", *terminal.facts(rows, paint, wide), ""]
    if out and log.guessed:
        return out + terminal.facts([("note", _GUESSED)], paint, wide)
    return out[:-1]


def _service(log: LogText, paint: terminal.Paint, wide: int) -> list[str]:
    """Return what is to be shown about the IPsec service itself, as lines; [] for nothing."""
    service = _shown_service(log)
    if service is None:
        return []
    rows = [
        ("happened", service.sentence),
        ("what to do", service.advice),
        ("the line", clean(service.line.text, 200)),
    ]
    return [f"  {paint.bold(log_service.TITLE)}", *terminal.facts(rows, paint, wide), ""]


def _shown_service(log: LogText) -> log_service.ServiceStory | None:
    """Return what is to be shown about the IPsec service itself; None: nothing.

    A crash, a failed start and other trouble is always shown. A mere start or stop is shown only
    where the log lines are about no connection, and about no packet that fits none.
    """
    service = log_service.story(log.lines)
    if service is None or service.is_trouble:
        return service
    return None if stories(log.lines) or _unwanted_packets(log.packets) else service


_GUESSED: Final = "The text had lost its line ends. Where each line begins is a guess."


def heading(log: LogText) -> str:
    """Return in one line what a text's log lines are about.

    It is the number of connections, in all and by outcome: ``Log lines of 2 connections: 1 ended,
    1 not loaded``. Where the lines are about no connection, it says that they are about packets
    that fit none, or else about the IPsec service. Return "" where they show none of these.
    """
    told = stories(log.lines)
    numbers = [(o, sum(s.outcome is o for s in told)) for o in Outcome]
    counts = ", ".join(f"{n} {_SHORT[o]}" for o, n in numbers if n)
    if told:
        return f"Log lines of {len(told)} connection{'s' * (len(told) > 1)}: {counts}"
    if _unwanted_packets(log.packets):
        return "Log lines about packets of no connection"
    return "Log lines about the IPsec service itself" if _shown_service(log) else ""


def service_json(log: LogText) -> dict[str, Any] | None:
    """Return what the log lines show about the IPsec service itself, as an object for JSON.

    Unlike in the text for people, a mere start or stop is returned in any case. Return None where
    no line is about the service.
    """
    service = log_service.story(log.lines)
    if service is None or service.line.fate is None:
        return None
    return {
        "fate": service.line.fate.name.lower().replace("_", "-"),
        "sentence": service.sentence,
        "advice": service.advice or None,
        "line": clean(service.line.text, 400),
    }


def as_json(log: LogText) -> list[dict[str, Any]]:
    """Return an object for JSON for each connection in the log lines, with its explanation.

    Packets that fit no connection aren't in it, and neither is the IPsec service itself.
    """
    return [
        {
            "name": story.name or None,
            "host": story.host or None,
            "apart": story.apart,
            "outcome": story.outcome.name.lower().replace("_", "-"),
            "attempts": story.attempts,
            "reason": log_story.reason(story),
            "ours": log_story.local_code(story),
            "sentence": log_story.end(story),
            "advice": log_story.advice(story),
            "line": clean(log_story.line(story), 400) or None,
            "facts": [[a, b] for a, b in log_story.facts(story) if b],
        }
        for story in stories(log.lines)
    ]


_STATES: Final = {
    Outcome.UP: TunnelState.UP,
    Outcome.RENEWAL_FAILED: TunnelState.PARTIAL,
    Outcome.FAILED: TunnelState.STUCK,
    Outcome.UNCLEAR: TunnelState.UNKNOWN,
    Outcome.LOST: TunnelState.DOWN,
    Outcome.IKE_ONLY: TunnelState.CONNECTING,
    Outcome.OPEN: TunnelState.CONNECTING,
    Outcome.GIVEN_UP: TunnelState.STUCK,
    Outcome.NOT_LOADED: TunnelState.STUCK,
    Outcome.NOTHING: TunnelState.UNKNOWN,
}
"""For each outcome, the tunnel state whose sign and colour are shown for it, such as ✗ in red."""

_SHORT: Final = {
    Outcome.UP: "up by these lines",
    Outcome.RENEWAL_FAILED: "up, with a failed renewal",
    Outcome.FAILED: "did not come up",
    Outcome.UNCLEAR: "unclear",
    Outcome.LOST: "ended",
    Outcome.IKE_ONLY: "half way up",
    Outcome.OPEN: "still trying where the text ends",
    Outcome.GIVEN_UP: "given up",
    Outcome.NOT_LOADED: "not loaded",
    Outcome.NOTHING: "without an outcome",
}


def _alike(told: Sequence[Story], up: Collection[str]) -> list[list[Story]]:
    """Return the connections in groups; each group is explained once, by its first connection.

    Connections of one tunnel (``office/1x1``, ``office/1x2``) are in one group if they have the
    same outcome and the same facts, and all or none of them are in ``up``. Two facts aren't
    compared: what happened before the outcome, and the log line that shows the cause, which has the
    connection's name in it. Only for NOT_LOADED is the line compared, so that each refusal is
    shown. Any other connection is a group of its own.
    """
    groups: dict[object, list[Story]] = {}
    for story in told:
        base, pair, _ = story.name.partition("/")
        same = [text for label, text in log_story.facts(story) if label != "happened"]
        if log_story.cause(story) is not None:
            same.pop()  # the line contains the name
        common = (base, story.host, story.apart, story.outcome, story.name in up, *same)
        groups.setdefault(common if pair else id(story), []).append(story)
    return list(groups.values())


def _more(told: Sequence[Story]) -> list[tuple[Outcome, list[Story]]]:
    """Return the connections grouped by outcome, in the order of Outcome; no group is empty."""
    groups = [(o, [s for s in told if s.outcome is o]) for o in Outcome]
    return [(outcome, group) for outcome, group in groups if group]


_UNWANTED: Final = re.compile(
    r"initial (?:Main|Aggressive) Mode (?:message|packet) .{0,600}no .{0,9}connection has been auth"
    r"|initial parent SA message received .{0,200}(?:has been authorized|no suitable connection)"
    r"|(?:ISAKMP_v2_)?IKE_SA_INIT (?:request|message) .{0,200}(?:has been authorized|no suitable)"
    r"|dropping IKE_SA_INIT request .{0,200}no suitable connection"
    r"|no suitable connection for peer "
)
_UNWANTED_IKEV1: Final = re.compile(
    r"(?:ignor|reject)ing IKEv1 packet as (?:global )?policy is set to "  # from 4.2 on
)


def _unwanted_packets(packets: Sequence[PacketLine]) -> list[tuple[str, Facts]]:
    """Return, for each address whose packets fit no loaded connection, a title and facts.

    pluto's log lines say of a packet that it fits none, or that IKEv1 isn't allowed. Other log
    lines about packets are ignored. Return the first _FEW addresses at most.
    """
    found: dict[str, list[PacketLine]] = {}
    for packet in packets:
        if _UNWANTED.match(packet.said) or _UNWANTED_IKEV1.match(packet.said):
            found.setdefault(packet.address, []).append(packet)
    rows = []
    for address, mine in found.items():
        old = _UNWANTED_IKEV1.match(mine[-1].said)
        happened = _BY_IKEV1 if old else "It asks for a tunnel, and no loaded connection fits it."
        facts = [
            ("happened", happened),
            ("what to do", _ALLOW_IKEV1 if old else _FITTING),
            ("the line", clean(mine[-1].text, 200)),
        ]
        rows.append((f"packets from {clean(address, 60)}", facts))
    return rows[:_FEW]


_BY_IKEV1: Final = "It asks for a tunnel by IKEv1, which this machine doesn't allow."
_ALLOW_IKEV1: Final = (
    "Have the peer use IKEv2. Or allow IKEv1: ikev1-policy=accept in config setup, then: systemctl "
    "restart ipsec. From an address that you don't know it is a scan."
)


_FITTING: Final = (
    "If it should fit one: see that this is loaded (ipsec status), and compare right= with the "
    "address, ikev2= with the IKE version, and authby= with how the peer proves who it is. "
    "From an address that you don't know it is a scan."
)
