# SPDX-License-Identifier: MIT
"""Runs a program when a tunnel comes up, goes down or gets stuck: ``ipsecwatch monitor --exec``.

Variables in the program's environment say what happened, and none of them contains a text from a
peer. The program has no arguments, and isn't run by a shell. It runs once for each transition: for
those of one tunnel one after another, for those of several tunnels at the same time. If it takes
too long, it is killed. When it has ended, all processes that are left in its process group are
killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from ipsecwatch.reasons import IPSEC, words_for
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipsecwatch.cli.monitor.catching_up import Transition

AT_ONCE: Final = 8
"""The program runs for at most so many tunnels at the same time; others wait."""
WAITING: Final = 16
"""The number of transitions of one tunnel that wait for the program to run, at most; if more come,
the oldest are dropped."""
GRACE: Final = 2.0
"""Seconds that a program has at most to end after SIGTERM. Then, or when it has ended, its process
group gets SIGKILL."""
LIMIT: Final = 30.0
"""Seconds that one run may take, unless --exec-limit says otherwise."""


@dataclass(slots=True)
class _Queue:
    """The transitions of one tunnel for which the program hasn't run yet."""

    waiting: deque[Transition] = field(default_factory=deque)
    """The transitions, the oldest first."""
    dropped: int = 0
    """How many transitions were dropped since the last message that said so."""


class Hooks:
    """Runs ``program`` for transitions. ``limit``: the seconds that one run may take."""

    def __init__(self, program: str, limit: float = LIMIT) -> None:
        self._program = program
        self._limit = limit
        self.unit = IPSEC
        """The systemd unit that runs pluto, for the advice; "": no unit is known to run it."""
        self._queues: dict[str, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def add(self, transitions: Iterable[Transition]) -> None:
        """Make the program run for each transition, after the tunnel's earlier transitions.

        Return at once: tasks of the running event loop do this.
        """
        for transition in transitions:
            self._add(transition)

    def _add(self, transition: Transition) -> None:
        """Append a transition to its tunnel's queue. If there is no queue, start one with a task.

        If more than WAITING transitions are in the queue then, drop the oldest.
        """
        queue = self._queues.get(transition.name)
        if queue is None:
            queue = self._queues[transition.name] = _Queue()
            task = asyncio.create_task(self._work(transition.name, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        queue.waiting.append(transition)
        if len(queue.waiting) > WAITING:
            queue.waiting.popleft()
            queue.dropped += 1

    async def close(self) -> None:
        """Kill all running programs, drop all queues, and wait until the programs have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, name: str, queue: _Queue) -> None:
        """Run the program for each transition in a tunnel's queue, the oldest first.

        Return when the queue is empty, and remove it. ``name`` is the tunnel's.
        """
        try:
            while queue.waiting:
                async with self._slots:
                    if queue.dropped:
                        _say(f"{name} changes too fast: {queue.dropped} transitions were left out")
                        queue.dropped = 0
                    await self._run(queue.waiting.popleft())
        finally:
            del self._queues[name]

    async def _run(self, transition: Transition) -> None:
        """Run the program for one transition, wait until it ends, and kill its process group.

        If it can't be run, fails, or is killed because it takes too long, print that on stderr.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                stdin=asyncio.subprocess.DEVNULL,
                env=environment(transition, self.unit),
                start_new_session=True,
            )
        except (OSError, ValueError) as e:
            _say(f"{clean(self._program)} can't be run: {clean(str(e))}")
            return
        try:
            async with asyncio.timeout(self._limit):
                code = await process.wait()
        except TimeoutError:
            _say(f"{clean(self._program)} for {transition.name} was killed: over {self._limit:g} s")
        else:
            if code:
                _say(f"{clean(self._program)} for {transition.name} failed: {_ended(code)}")
        finally:
            await _kill(process)


def environment(transition: Transition, unit: str = IPSEC) -> dict[bytes, bytes]:
    """Return the environment for the program: this process's, and IPSECWATCH_… about a transition.

    ``unit`` is the systemd unit that runs pluto, for the advice; "": no unit is known to run it. It
    returns bytes, as values are UTF-8 in any locale: a name may have characters that the locale
    lacks.
    """
    told = {
        "EVENT": transition.told or "",
        "TUNNEL": transition.name,
        "STATE": transition.new.value,
        "OLD_STATE": transition.old.value,
        "REASON": transition.reason.value,
        **{k.upper(): v for k, v in asdict(words_for(transition.reason, unit)).items()},
        "SERIAL": str(transition.serial),
        "RUN_ID": transition.run_id,
        "AT": f"{transition.at:.6f}",
    }
    ours = {f"IPSECWATCH_{name}".encode(): _bytes(value) for name, value in told.items()}
    return {**os.environb, **ours}


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00")


def _ended(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End a program, and all processes in its process group.

    If the program still runs, send SIGTERM, and wait until it ends, but at most GRACE seconds. Then
    send SIGKILL to the group.
    """
    try:
        if process.returncode is None:
            _signal(process.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE)
    finally:
        _signal(process.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _say(text: str) -> None:
    print(f"ipsecwatch: {text}", file=sys.stderr, flush=True)
