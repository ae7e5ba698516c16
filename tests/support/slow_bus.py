# SPDX-License-Identifier: MIT
"""A fake connection to a bus that answers late: its answers wait behind what others sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ipsecwatch.dbus.connection import BUS, NoReplyError
from ipsecwatch.dbus.messages import Reply

if TYPE_CHECKING:
    from ipsecwatch.dbus.messages import Call


class SlowBus:
    """Fake: says who a caller is when it was asked ``late`` times in vain."""

    def __init__(self, uid: int, late: int) -> None:
        self.uid = uid
        self.late = late
        self.asked = 0
        self.errors: list[str] = []

    async def call(self, *what: Any, within: float) -> Reply:  # noqa: ANN401
        assert "GetConnectionUnixUser" in what
        self.asked += 1
        if self.asked <= self.late:
            await asyncio.sleep(within)
            raise NoReplyError("the answer waits behind others")
        return Reply(BUS, "u", [self.uid])

    def error(self, _call: Call, name: str, _text: str) -> None:
        self.errors.append(name)
