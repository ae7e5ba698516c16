# SPDX-License-Identifier: MIT
"""``ipsecwatch bar``: prints a line about the tunnels for a status bar, once or at each change."""

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
"""Seconds after a line until the next one may be printed; all changes in them are printed
together."""
SHARE: Final = 4
"""If making a line takes long, the pause after it is longer than FRAME: so many times as long as
making the line took."""


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
        "-q", "--quiet", action="store_true",
        help="show nothing while tunnels are up or wait for traffic, and none has a problem",
    )  # fmt: skip
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
    """Prints lines for a status bar, as the arguments of ``ipsecwatch bar`` say."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._format: str = args.format
        self._quiet: bool = args.quiet
        self._instance: str = args.instance
        names = [*args.names, *in_pluto(args.names, args.instance)]
        wanted = selection.any_of(names) if names else lambda _: True
        self._picture = Picture(wanted)
        self._shown: str | None = None

    async def once(self) -> None:
        """Ask the service once, and print one line.

        If the service doesn't answer, the line says so; that isn't an error.
        """
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
        """Follow the service, and print a line whenever it differs from the one before.

        If stdout is a pipe, return when nobody reads it any more. Otherwise, go on until cancelled.
        """
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
        """Record the service's events until cancelled, and set ``changed`` after each event."""
        async with contextlib.aclosing(
            client.follow(self._instance, ask_after=ASK_AFTER)
        ) as events:
            async for event in events:
                self._picture.record(event)
                changed.set()

    async def _print(self, changed: asyncio.Event, names: ConnectionNames) -> None:
        """Print the line whenever ``changed`` is set, with a pause after it, until cancelled.

        ``names`` looks up NetworkManager's names of the tunnels.
        """
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
        """Print the line in the bar's format, unless it is the same as the last one printed.

        With --quiet, and while all is well, it is the line that makes the bar show nothing.
        """
        line = self._picture.line()
        if self._quiet and line.state.is_well:
            text = formats.NOTHING.get(self._format, "")
        else:
            text = formats.FORMATS[self._format](line)
        if text != self._shown:
            print(text, flush=True)
        self._shown = text


def _watch_reader(ended: asyncio.Event) -> int | None:
    """Make the event loop set ``ended`` when nobody reads stdout any more, if stdout is a pipe.

    Return the descriptor that the event loop watches for this; None: stdout is no pipe, and nothing
    is watched. Without it, if the bar was killed, this process would live until it prints the next
    line. (poll() reports the writing end of a pipe as readable only if the reading end is closed.)
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        number = sys.stdout.fileno()
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            asyncio.get_running_loop().add_reader(number, ended.set)
            return number
    return None
