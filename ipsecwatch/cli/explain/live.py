# SPDX-License-Identifier: MIT
"""``ipsecwatch explain NAME``: explains a tunnel's present state, as the service reports it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ipsecwatch import client
from ipsecwatch.cli.common import reason_json
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.explain.own_words import STATE_MEANINGS, explained
from ipsecwatch.cli.tunnels.own_names import Titles, in_pluto
from ipsecwatch.cli.tunnels.source import with_titles
from ipsecwatch.client.connection_names import is_uuid
from ipsecwatch.reasons import IPSEC, words_for
from ipsecwatch.states import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Live:
    """The result of asking the service for one tunnel by its name."""

    row: terminal.Row | None
    """The tunnel; None: the service lists none of that name, or doesn't answer."""
    names: Collection[str] = ()
    """Pluto's names of all tunnels that the service lists; empty where it doesn't answer."""
    trouble: str = ""
    """Why the service doesn't answer; "": it does."""
    unit: str = IPSEC
    """The systemd unit that runs pluto; "": none is known to."""


def look_up(name: str, instance: str = "") -> Live:
    """Ask the service for the tunnel of this name, and return the result.

    ``name`` is pluto's name, or NetworkManager's name for a tunnel that pluto knows by a UUID.
    ``instance``: the instance of the service to ask; "": the service itself. Where the service
    doesn't answer, nothing is raised: ``trouble`` says why. Raise Failure where several of
    NetworkManager's connections have the name.
    """
    try:
        seen = asyncio.run(client.snapshot(instance=instance))
    except client.ClientError as e:
        return Live(None, (), str(e))
    views = {v.name: v for v in seen.tunnels.values()}
    if name not in views and any(map(is_uuid, views)):
        [name] = in_pluto([name], instance)
    found = views.get(name)
    if found is None:
        return Live(None, views, unit=seen.unit)
    row = terminal.Row.of_view(found)
    if is_uuid(name):
        titles = Titles()
        asyncio.run(titles.learn(views))
        [row] = with_titles([row], titles.by_uuid)
    return Live(row, views, unit=seen.unit)


def explanation(row: terminal.Row, unit: str, paint: terminal.Paint, wide: int) -> str:
    """Return the explanation of a tunnel's present state, as text of several lines.

    ``unit``: the systemd unit that runs pluto, for advice; "": none is known to. ``wide``: the
    width of the text in columns.
    """
    title = f"{paint.state(row.state, terminal.mark(row.state))} {paint.bold(row.shown)}"
    return "\n".join([title, *terminal.facts(facts(row, unit), paint, wide)])


def facts(row: terminal.Row, unit: str) -> list[tuple[str, str]]:
    """Return what the service reports of a tunnel, as pairs of a label and a paragraph.

    They say what its state means, since when it has it, why, and what to do. A paragraph is ""
    where there is nothing to say. ``unit``: the systemd unit that runs pluto, for advice; "": none
    is known to.
    """
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
        ("in pluto", row.name if row.title else ""),
    ]


def as_json(row: terminal.Row, unit: str) -> dict[str, Any]:
    """Return an object for JSON: a tunnel's row, its reason with sentence and advice, its facts.

    Facts without a paragraph are left out. ``unit``: as in facts().
    """
    why = reason_json(row.reason, words_for(row.reason, unit))
    kept = {"kind": "tunnel", **asdict(row), **why}
    del kept["called"]  # for people
    return {**kept, "facts": [[label, text] for label, text in facts(row, unit) if text]}
