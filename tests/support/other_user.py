# SPDX-License-Identifier: MIT
"""Another user on the same machine, to try what he may do. Needs root to make him."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from multiprocessing.connection import Connection

NOBODY = 65534


class Stranger:
    """A process of the user nobody's, or another's, that runs our coroutine functions.

    Forked rather than started anew: he need not be able to read the project or its libraries.
    """

    def __init__(self, uid: int = NOBODY) -> None:
        fork = multiprocessing.get_context("fork")
        self._pipe, theirs = fork.Pipe()
        self._process = fork.Process(target=_live, args=(self._pipe, theirs, uid), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()
        self._process.close()

    async def run(self, what: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> Any:  # noqa: ANN401
        """Run a function of a module's top level; its result, or error, is ours."""
        self._pipe.send((what, args))
        result = await asyncio.to_thread(self._pipe.recv)
        if isinstance(result, BaseException):
            raise result
        return result


def _live(parents_end: Connection, pipe: Connection, uid: int) -> None:
    parents_end.close()  # or its end would never come
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    while True:
        try:
            what, args = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(asyncio.run(what(*args)))
        except Exception as e:
            pipe.send(e)
