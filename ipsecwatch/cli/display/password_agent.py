# SPDX-License-Identifier: MIT
"""Whoever asks for a password where no desktop does: polkit's agent for terminals, while asked."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

_AGENT: Final = "pkttyagent"
_READY: Final = 5.0
"""Seconds within which the agent has registered, or closed what it was given."""


@asynccontextmanager
async def password_agent() -> AsyncGenerator[None]:
    """Let polkit ask on this terminal. Nothing where there is no such agent.

    Not as its fallback, as systemctl has it: polkit 122 doesn't take one for a process that is in
    no session, and somebody who typed ``--details`` here looks here.
    """
    import asyncio
    import termios

    program = shutil.which(_AGENT)
    if program is None or os.geteuid() == 0:
        yield
        return
    settings = termios.tcgetattr(sys.stdin)
    ready, told = os.pipe()
    try:
        agent = await asyncio.create_subprocess_exec(
            program, "--notify-fd", str(told), "--process", str(os.getpid()),
            pass_fds=(told,),
        )  # fmt: skip
    finally:
        os.close(told)
    try:
        await _until_closed(ready)
        yield
    finally:
        if agent.returncode is None:
            agent.terminate()
        await agent.wait()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, settings)  # it asks without echo


async def _until_closed(fd: int) -> None:
    """Wait until the agent is registered: it closes its end then."""
    import asyncio

    loop, closed = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, closed.set)
    try:
        async with asyncio.timeout(_READY):
            await closed.wait()
    except TimeoutError:
        return
    finally:
        loop.remove_reader(fd)
        os.close(fd)
