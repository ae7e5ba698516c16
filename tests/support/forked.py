# SPDX-License-Identifier: MIT
"""The base class for processes that a test forks and that answer the test's requests.

A forked process starts quickly, because everything that the test has imported and set is already
there. If it becomes another user, it needn't be able to read the files of the project or of its
libraries.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from multiprocessing.connection import Connection


class ForkedProcess:
    """A forked process, which runs while its context lasts. A subclass has its work in live()."""

    patience: ClassVar[float] = 5.0
    """How many seconds the process has to end by itself before it is killed."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """Start the process, and wait until it reads requests. Raise EOFError if it ends before."""
        fork = multiprocessing.get_context("fork")
        self._pipe, theirs = fork.Pipe()
        self._asking = asyncio.Lock()
        self._process = fork.Process(target=self._run, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._pipe.recv()

    def end(self) -> None:
        """Close the pipe, so that the process ends.

        Kill the process if it doesn't within ``patience``.
        """
        self._pipe.close()
        self._process.join(self.patience)
        self._process.kill()
        self._process.join()
        self._process.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def tell(self, *request: Any) -> None:  # noqa: ANN401
        """Send a request that the process doesn't answer."""
        self._pipe.send(request)

    async def ask(self, *request: Any) -> Any:  # noqa: ANN401
        """Send a request, and return the answer. Raise EOFError if the process ends instead.

        If a request is still unanswered, wait until it is answered before sending this one.
        """
        async with self._asking:
            self._pipe.send(request)
            return await asyncio.to_thread(self._pipe.recv)

    # --- in the process -----------------------------------------------------------------------

    def _run(self, theirs: Connection) -> None:
        self._pipe.close()  # the test's end: while it is open here, too, no close is seen
        self.live(Requests(theirs))

    def live(self, requests: Requests) -> None:
        """Run the work of the process; return when there are no more requests.

        This runs in the forked process.
        """
        raise NotImplementedError


class Requests:
    """The requests of the test, one after the other, until the test closes its end of the pipe.

    Iterate over it, with ``for`` or ``async for``; each request is a tuple. Call answer() for each
    request that was sent with ask(), before the next one is read. ``async for`` watches the pipe
    only while it waits for a request.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def answer(self, answer: object) -> None:
        """Send the answer to the request that was read last. Do nothing if the test has ended."""
        with suppress(ConnectionError):  # the test is done, and waits for no answer
            self._pipe.send(answer)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        self._say_ready()
        while (request := self._receive()) is not None:
            yield request

    async def __aiter__(self) -> AsyncIterator[tuple[Any, ...]]:
        self._say_ready()
        await self._readable()
        while (request := self._receive()) is not None:
            yield request
            await self._readable()

    def _say_ready(self) -> None:
        self.answer(None)

    def _receive(self) -> tuple[Any, ...] | None:
        try:
            request: tuple[Any, ...] = self._pipe.recv()
        except (EOFError, ConnectionError):
            return None
        return request

    async def _readable(self) -> None:
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._pipe.fileno(), readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(self._pipe.fileno())
