# SPDX-License-Identifier: MIT
"""Running a program for each transition: ``ipsecwatch monitor --exec PROGRAM``.

The program learns what happened by its environment alone: nothing stands on a command line or in a
shell, and nothing in it is of a peer's choice. One tunnel's transitions run one after the other,
those of several tunnels beside each other. What hangs is killed with all that it started.
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
"""Programs that run at the same time."""
WAITING: Final = 16
"""Transitions of one tunnel that wait for the program; of more, the oldest are dropped."""
GRACE: Final = 2.0
"""Seconds between SIGTERM and SIGKILL."""
LIMIT: Final = 30.0
"""Seconds that a program may take, unless something else is said."""


@dataclass(slots=True)
class _Queue:
    """What waits for the program, of one tunnel."""

    waiting: deque[Transition] = field(default_factory=deque)
    dropped: int = 0


class Hooks:
    """Runs a program for transitions. ``limit`` is in seconds."""

    def __init__(self, program: str, limit: float = LIMIT) -> None:
        self._program = program
        self._limit = limit
        self.unit = IPSEC
        """The systemd unit that runs pluto, for advice; "": none is known to."""
        self._queues: dict[str, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    def add(self, transitions: Iterable[Transition]) -> None:
        """Have the program run for each, once those of its tunnel before it are done."""
        for transition in transitions:
            self._add(transition)

    def _add(self, transition: Transition) -> None:
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
        """Kill what runs, and forget what waits."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self, name: str, queue: _Queue) -> None:
        """Run the program for one tunnel until nothing waits."""
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
    """Return the environment in which the program runs: ours, and what happened.

    ``unit`` is the systemd unit that runs pluto; "": none is known to.

    As UTF-8, whatever the locale is: a name may have characters that it lacks.
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
    """End a program and all that it started in its group, at the latest after GRACE."""
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
