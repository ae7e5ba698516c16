# SPDX-License-Identifier: MIT
"""Runs functions as another user of this machine, to test what that user may do. It needs root."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ipsecwatch
from tests.support.forked import ForkedProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.support.forked import Requests

NOBODY = 65534


def _is_open(file: str) -> bool:
    """Return whether every user may read a file and enter all folders above it."""
    path = Path(file)
    return bool(path.stat().st_mode & 0o004) and all(
        folder.stat().st_mode & 0o001 for folder in path.parents
    )


starts_as_another_user = pytest.mark.skipif(
    not (_is_open(sys.executable) and _is_open(ipsecwatch.__file__)),
    reason="other users can't enter the checkout's folder: it is in /root, or in a closed home",
)
"""Mark for tests that start the command as another user: they are skipped if no other user can read
the checkout. Processes that are only forked (OtherUser) read no files, and need no such mark."""


class OtherUser(ForkedProcess):
    """A process of ``nobody``, or of the user with another id, that runs coroutine functions."""

    def __init__(self, uid: int = NOBODY) -> None:
        self._uid = uid

    async def run(self, what: Callable[..., Coroutine[Any, Any, Any]], *args: object) -> Any:  # noqa: ANN401
        """Run a coroutine function in the process; return its result, or raise its exception.

        The function must be defined at the top level of a module.
        """
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
