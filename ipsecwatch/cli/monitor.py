# SPDX-License-Identifier: MIT
"""``ipsecwatch monitor``: transitions as they happen."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch import client
from ipsecwatch.cli import terminal
from ipsecwatch.cli.common import EXIT_OK, reason_json, verb
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.reasons import REASON_TEXTS

if TYPE_CHECKING:
    import argparse

EXAMPLES: Final = (
    ("ipsecwatch monitor", "what happens from now on, until Ctrl-C"),
    ("ipsecwatch monitor --json", "the same for a program, one object a line"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "monitor", VERBS["monitor"], run, EXAMPLES)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(args: argparse.Namespace) -> int:
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(follow(as_json=args.json))
    return EXIT_OK


async def follow(*, as_json: bool) -> None:
    """Print what happens, for ever."""
    paint = terminal.Paint(terminal.colour_wanted() and not as_json)
    async with contextlib.aclosing(client.follow()) as events:
        async for event in events:
            line = _json(event) if as_json else _text(event, paint)
            if line is not None:
                print(line, flush=True)


def _text(event: client.Event, paint: terminal.Paint) -> str | None:
    now = terminal.clock(time.time())
    match event:
        case client.Snapshot():
            rows = [terminal.Row.of_view(v) for v in event.tunnels.values()]
            return paint.dim(f"{now}   {terminal.count(rows) if rows else 'no tunnels'}")
        case client.Change():
            return terminal.transition(
                event.at, event.name, event.old.value, event.new, event.reason, paint
            )
        case client.Pluto():
            return paint.dim(f"{now}   the IPsec service is {event.state.value}")
        case client.Lost():
            hint = f" ({event.hint})" if event.hint else ""
            return paint.dim(f"{now}   {event.why}{hint}")
        case client.Update():
            return None


def _json(event: client.Event) -> str | None:
    body: dict[str, Any]
    match event:
        case client.Snapshot():
            tunnels = {v.name: v.state for v in event.tunnels.values()}
            body = {
                "event": "snapshot", "run_id": event.run_id, "serial": event.serial,
                "pluto": event.pluto_state, "tunnels": tunnels,
            }  # fmt: skip
        case client.Change():
            body = {
                "event": "transition", "at": event.at, "tunnel": event.name, "old": event.old,
                "new": event.new, "serial": event.serial, "told": event.told,
                **reason_json(event.reason, REASON_TEXTS[event.reason]),
            }  # fmt: skip
        case client.Pluto():
            body = {"event": "pluto", "at": time.time(), "state": event.state}
        case client.Lost():
            body = {"event": "lost", "at": time.time(), "why": event.why}
        case client.Update():
            return None
    return json.dumps({"format": 1, **body})
