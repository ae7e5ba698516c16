# SPDX-License-Identifier: MIT
"""Waits for conditions that another task, or process, makes true."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(true: Callable[[], object], within: float = 30.0) -> None:
    """Wait until a condition is true. Raise TimeoutError after ``within`` seconds."""
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what it waits for has no Event to set
            await asyncio.sleep(0.01)
