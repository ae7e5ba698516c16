# SPDX-License-Identifier: MIT
"""``ipsecwatch explain NAME``: explains how a tunnel is now, by the service."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ipsecwatch import client
from ipsecwatch.cli.common import reason_json
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.explain.own_words import STATE_MEANINGS, explained
from ipsecwatch.cli.tunnels.own_names import in_pluto
from ipsecwatch.client.connection_names import is_uuid
from ipsecwatch.reasons import IPSEC, words_for
from ipsecwatch.states import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Live:
    """The service's answer: the tunnel of that name, all names, or why there is none."""

    row: terminal.Row | None
    names: Collection[str] = ()
    trouble: str = ""
    unit: str = IPSEC
    """The systemd unit that runs pluto; "": none is known to."""


def look_up(name: str, instance: str = "") -> Live:
    """Ask an instance of the service for the tunnel of this name."""
    try:
        seen = asyncio.run(client.snapshot(instance=instance))
    except client.ClientError as e:
        return Live(None, (), str(e))
    views = {v.name: v for v in seen.tunnels.values()}
    if name not in views and any(map(is_uuid, views)):
        [name] = in_pluto([name], instance)
    found = views.get(name)
    return Live(terminal.Row.of_view(found) if found else None, views, unit=seen.unit)


def told(row: terminal.Row, unit: str, paint: terminal.Paint, wide: int) -> str:
    """Return the explanation of a tunnel's present state, as lines."""
    title = f"{paint.state(row.state, terminal.mark(row.state))} {paint.bold(row.name)}"
    return "\n".join([title, *terminal.facts(facts(row, unit), paint, wide)])


def facts(row: terminal.Row, unit: str) -> list[tuple[str, str]]:
    """Return labels and paragraphs: state, since when, why, and what to do."""
    why = explained(row.reason, unit)
    blamed = row.reason is not Reason.NONE
    return [
        ("is", f"{row.state.value}. {STATE_MEANINGS[row.state]}"),
        ("last known", row.last_state.value if row.state is TunnelState.UNKNOWN else ""),
        ("since", terminal.since(row)),
        ("subnets", f"{row.children_up} of {row.children} up" if row.children > 1 else ""),
        ("clients", str(row.instances) if row.instances else ""),
        ("attempts", str(row.attempts) if row.attempts else ""),
        ("why", why.meaning if blamed else ""),
        ("what to do", why.advice if blamed else ""),
    ]


def as_json(row: terminal.Row, unit: str) -> dict[str, Any]:
    """Return the same as an object for JSON."""
    why = reason_json(row.reason, words_for(row.reason, unit))
    kept = {"kind": "tunnel", **asdict(row), **why}
    return {**kept, "facts": [[label, text] for label, text in facts(row, unit) if text]}
