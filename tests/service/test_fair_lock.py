# SPDX-License-Identifier: MIT
from __future__ import annotations

import asyncio

from ipsecwatch.service.fair_lock import FairLock


async def order_of(*waiting: tuple[int, str]) -> str:
    """Return in which order callers get the lock that wait for it while somebody holds it."""
    lock, served = FairLock(), []

    async def ask(uid: int, sender: str) -> None:
        async with lock.hold(uid, sender):
            served.append(sender)
            await asyncio.sleep(0)

    async with lock.hold(9, "somebody"):
        tasks = []
        for uid, sender in waiting:
            tasks.append(asyncio.create_task(ask(uid, sender)))
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return "".join(served)


async def test_users_take_turns_however_many_calls_each_has_waiting() -> None:
    assert await order_of((1, "a"), (1, "a"), (1, "a"), (0, "r"), (2, "x")) == "arxaa"


async def test_connections_of_one_user_take_turns() -> None:
    assert await order_of((1, "a"), (1, "a"), (1, "b"), (1, "b"), (1, "c")) == "abcab"


async def test_more_connections_are_no_more_turns() -> None:
    assert await order_of((1, "a"), (1, "b"), (1, "c"), (0, "r"), (0, "r")) == "arbrc"


async def test_who_gives_up_waiting_costs_nobody_a_turn() -> None:
    lock = FairLock()
    served = []

    async def ask(sender: str) -> None:
        async with lock.hold(1, sender):
            served.append(sender)

    async with lock.hold(0, "root"):
        tasks = [asyncio.create_task(ask(s)) for s in "abc"]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
    tasks[1].cancel()  # this one has just got the lock
    await asyncio.wait(tasks)
    assert served == ["c"]
    await asyncio.wait_for(ask("d"), 1.0)
    assert not lock._waiting
