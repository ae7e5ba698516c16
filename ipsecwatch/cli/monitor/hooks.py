# SPDX-License-Identifier: MIT
"""Runs a program when a tunnel comes up, goes down or gets stuck: ``ipsecwatch monitor --exec``.

The program gets the facts in its environment only. Nothing is put on a command line or into a
shell, and no value is a peer's choice. For transitions of one tunnel the program runs one after
another, for those of different tunnels at the same time. A program that runs for longer than its
limit is killed. All that is left in its process group is killed with it, or when it ends.
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
"""The number of programs that run at the same time, at most."""
WAITING: Final = 16
"""Transitions of one tunnel that wait for the program, at most; with more, the oldest are
dropped."""
GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL, at most: SIGKILL is sent when the program has ended."""
LIMIT: Final = 30.0
"""Seconds that a program may take by default."""


@dataclass(slots=True)
class _Queue:
    """The transitions of one tunnel that wait for the program."""

    waiting: deque[Transition] = field(default_factory=deque)
    """The oldest comes first."""
    dropped: int = 0
    """How many were dropped since a message told it."""


class Hooks:
    """Runs a program for transitions; ``limit``: the seconds that one run may take."""

    def __init__(self, program: str, limit: float = LIMIT) -> None:
        self._program = program
        self._limit = limit
        self.unit = IPSEC
        """The systemd unit that runs pluto, for advice; "": none is known to."""
        self._queues: dict[str, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def add(self, transitions: Iterable[Transition]) -> None:
        """Queue the program for each transition, after those of the same tunnel before it."""
        for transition in transitions:
            self._add(transition)

    def _add(self, transition: Transition) -> None:
        """Queue one transition; where its tunnel has more than WAITING, drop the oldest."""
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
        """Kill the running programs, drop the waiting transitions, and wait until that is done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, name: str, queue: _Queue) -> None:
        """Run the program for one tunnel's transitions, the oldest first, until none waits."""
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
        """Run the program for one transition, and then kill what is left of its process group.

        Print to stderr why it couldn't be run, failed or was killed.
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
    """Return the program's environment: this process's, and variables about the transition.

    ``unit`` is the systemd unit that runs pluto; "": none is known to. Values are UTF-8 in any
    locale, since a name may have characters that the locale lacks.
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
    """End a program, and all processes in its group.

    Send SIGTERM if it still runs. Send SIGKILL when it has ended, or after GRACE seconds.
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
