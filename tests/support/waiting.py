# SPDX-License-Identifier: MIT
"""Waits until another task or process has made a condition true."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


async def until(true: Callable[[], object], within: float = 30.0) -> None:
    """Wait until ``true()`` returns a true value. Raise TimeoutError after ``within`` seconds."""
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what it waits for has no Event to set
            await asyncio.sleep(0.01)
