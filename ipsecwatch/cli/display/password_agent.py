# SPDX-License-Identifier: MIT
"""Runs polkit's password agent for terminals (pkttyagent) during a request to the service."""

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
"""Seconds to wait, at most, until the agent has registered with polkit. It shows that by closing a
pipe."""


@asynccontextmanager
async def password_agent() -> AsyncGenerator[None]:
    """Run polkit's password agent on this terminal during an async context.

    polkit can then ask the user on this terminal for a password. Where no agent is installed, or
    for root, the context does nothing. systemctl registers its agent as a fallback, for which
    another agent of the user goes first. Here it isn't a fallback: polkit 122 ignores one for a
    process outside of any session, and a user who typed ``--details`` here expects to be asked
    here. stdin must be a terminal.
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
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, settings)  # it switches the echo off


async def _until_closed(fd: int) -> None:
    """Wait until the other end of a pipe is closed, but at most _READY seconds; then close ``fd``.

    The agent closes its end as soon as it has registered with polkit. ``fd`` is this end. A timeout
    raises nothing.
    """
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
