# SPDX-License-Identifier: MIT
"""Another user on the same machine, to try what he may do. Needs root to make him."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from tests.support.forked import ForkedProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.support.forked import Requests

NOBODY = 65534


class OtherUser(ForkedProcess):
    """A process of the user nobody's, or another's, that runs our coroutine functions."""

    def __init__(self, uid: int = NOBODY) -> None:
        self._uid = uid

    async def run(self, what: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> Any:  # noqa: ANN401
        """Run a function of a module's top level; its result, or error, is ours."""
        result = await self.ask(what, *args)
        if isinstance(result, BaseException):
            raise result
        return result

    def live(self, requests: Requests) -> None:
        if self._uid:
            os.setgroups([])
            os.setresgid(self._uid, self._uid, self._uid)
            os.setresuid(self._uid, self._uid, self._uid)
        for what, *args in requests:
            try:
                requests.answer(asyncio.run(what(*args)))
            except Exception as e:
                requests.answer(e)
