# SPDX-License-Identifier: MIT
"""Fake connections to a bus whose answers come late, because they wait behind other messages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ipsecwatch.dbus.connection import BUS
from ipsecwatch.dbus.errors import LostError, NoReplyError
from ipsecwatch.dbus.messages import Reply

if TYPE_CHECKING:
    from ipsecwatch.dbus.messages import Call


class SlowBus:
    """A fake connection: the bus answers only after ``late`` seconds which user a caller is.

    If the caller's time limit is shorter, raise NoReplyError; if ``lost`` is set, raise LostError.
    ``errors`` has the names of the errors that were sent to callers.
    """

    def __init__(self, uid: int, late: float) -> None:
        self.uid = uid
        self.late = late
        self.alive = True
        self.asked = 0
        self.lost = asyncio.Event()
        self.errors: list[str] = []

    async def call(self, *what: Any, within: float | None) -> Reply:  # noqa: ANN401
        assert "GetConnectionUnixUser" in what
        self.asked += 1
        lost = asyncio.ensure_future(self.lost.wait())
        most = min(self.late, within or self.late)
        try:
            await asyncio.wait([lost], timeout=most)
        finally:
            lost.cancel()
        if self.lost.is_set():
            raise LostError("the bus hung up")
        if most < self.late:
            raise NoReplyError("the answer waits behind others")
        return Reply(BUS, "u", [self.uid])

    def error(self, _call: Call, name: str, _text: str) -> None:
        self.errors.append(name)


class OvertakenBus:
    """A fake connection to a bus whose answers wait behind messages of other clients.

    With ``answers`` the bus answers at once. With ``others_send`` others send messages.
    """

    def __init__(self) -> None:
        self.received = 0
        self.others_send = True
        self.answers = True
        self.ready = 0
        self.in_flight = 0
        self.lost = False
        self.reading = True
        self.asked = 0

    async def receives(self, size: int) -> None:
        await asyncio.sleep(0.001)
        if self.lost:
            raise LostError("the bus hung up")
        self.received += size * self.others_send

    async def call(self, *_what: Any, within: float) -> None:  # noqa: ANN401
        self.asked += 1
        if self.answers:
            return
        self.received += self.others_send
        await asyncio.sleep(within)
        raise NoReplyError("the answer waits behind others")

    def pause(self) -> None:
        self.reading = False

    def resume(self) -> None:
        self.reading = True


class FakeLeftBehind:
    """A fake LeftBehind, which records the argument ``calm`` of each call of read()."""

    def __init__(self, *, full: bool) -> None:
        self.full = full
        self.calm: list[bool] = []

    def read(self, *, calm: bool) -> None:
        self.calm.append(calm)
