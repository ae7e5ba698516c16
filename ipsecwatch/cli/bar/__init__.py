# SPDX-License-Identifier: MIT
"""``ipsecwatch bar``: prints a line for a status bar, once or at each change."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import sys
from typing import TYPE_CHECKING, Final

from ipsecwatch import client
from ipsecwatch.agent import language
from ipsecwatch.cli.bar import formats
from ipsecwatch.cli.bar.line import Picture
from ipsecwatch.cli.common import ASK_AFTER
from ipsecwatch.cli.failure import EXIT_OK
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.tunnels import selection
from ipsecwatch.cli.tunnels.own_names import in_pluto
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.client.connection_names import ConnectionNames, names_of

if TYPE_CHECKING:
    import argparse

EXAMPLES: Final = (
    ("ipsecwatch bar", "a new line after each change"),
    ("ipsecwatch bar --format waybar", "JSON for waybar, with a tooltip"),
    ("ipsecwatch bar --format polybar --quiet office", "one tunnel; nothing while it is well"),
    ("ipsecwatch bar --format i3blocks --once", "for a bar that runs this repeatedly"),
)

FRAME: Final = 0.1
"""Seconds of pause after a line, at least; changes in it are printed together."""
SHARE: Final = 4
"""The pause after a line, as a multiple of the time that it took to make."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "bar", VERBS["bar"], run, EXAMPLES)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only these tunnels; * and ? as in a shell"
    )
    parser.add_argument(
        "--format", choices=formats.FORMATS, default="plain",
        help="the status bar that reads the line (default: plain)",
    )  # fmt: skip
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="show nothing while all tunnels are well"
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="print one line and exit: for a bar that runs this repeatedly",
    )
    add_instance(parser)


def run(args: argparse.Namespace) -> int:
    language.choose()
    bar = Bar(args)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(bar.once() if args.once else bar.follow())
    return EXIT_OK


class Bar:
    """Prints what a status bar shows about the tunnels."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._format: str = args.format
        self._quiet: bool = args.quiet
        self._instance: str = args.instance
        names = [*args.names, *in_pluto(args.names, args.instance)]
        wanted = selection.any_of(names) if names else lambda _: True
        self._picture = Picture(wanted)
        self._shown: str | None = None

    async def once(self) -> None:
        """Ask the service once, and print the line for its answer, or for why there was none."""
        try:
            seen = await client.snapshot(instance=self._instance)
        except client.ClientError as e:
            self._picture.record(client.Lost(str(e), e.hint))
        else:
            self._picture.record(seen)
            known = await names_of(view.name for view in seen.tunnels.values())
            self._picture.names = {uuid: k.name for uuid, k in known.items()}
        self._show()

    async def follow(self) -> None:
        """Print the line now and at each change, until the reader of our output is gone."""
        changed, ended = asyncio.Event(), asyncio.Event()
        names = ConnectionNames(lambda _: changed.set())
        watched = _watch_reader(ended)
        tasks = [
            asyncio.ensure_future(self._follow_service(changed)),
            asyncio.ensure_future(self._print(changed, names)),
            asyncio.ensure_future(ended.wait()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            if watched is not None:
                asyncio.get_running_loop().remove_reader(watched)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            await names.aclose()

    async def _follow_service(self, changed: asyncio.Event) -> None:
        """Record the service's events, and set ``changed`` after each, for ever."""
        async with contextlib.aclosing(
            client.follow(self._instance, ask_after=ASK_AFTER)
        ) as events:
            async for event in events:
                self._picture.record(event)
                changed.set()

    async def _print(self, changed: asyncio.Event, names: ConnectionNames) -> None:
        """Print the line whenever ``changed`` is set, at least FRAME seconds apart, for ever."""
        now = asyncio.get_running_loop().time
        while True:
            await changed.wait()
            changed.clear()
            began = now()
            names.keep(view.name for view in self._picture.views.values())
            self._picture.names = {uuid: known.name for uuid, known in names.known.items()}
            self._show()
            await asyncio.sleep(max(FRAME, SHARE * (now() - began)))

    def _show(self) -> None:
        """Print the line in the bar's format, if it differs from the last one that was printed."""
        line = self._picture.line()
        if self._quiet and line.state.is_well:
            text = formats.NOTHING.get(self._format, "")
        else:
            text = formats.FORMATS[self._format](line)
        if text != self._shown:
            print(text, flush=True)
        self._shown = text


def _watch_reader(ended: asyncio.Event) -> int | None:
    """From now on, set ``ended`` when the reader of our output is gone.

    Return the descriptor that the event loop watches for it; None: stdout isn't a pipe, and nothing
    is watched. Without this, the process would stay after its bar was killed, until a tunnel
    changes. The writing end of a pipe becomes readable only by an error, which is its end.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = sys.stdout.fileno()
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            asyncio.get_running_loop().add_reader(number, ended.set)
            return number
    return None
