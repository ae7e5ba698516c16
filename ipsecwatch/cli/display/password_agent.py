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
"""Seconds to wait, at most, until the agent has registered, and so closed the pipe."""


@asynccontextmanager
async def password_agent() -> AsyncGenerator[None]:
    """Run polkit's password agent on this terminal, while the context lasts.

    Where none is installed, or for root, nothing is run, and the context lasts nevertheless. The
    agent isn't registered as a fallback, as systemctl does it: polkit 122 ignores a fallback for a
    process outside of any session, and a user who typed ``--details`` here expects to be asked for
    the password here.
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
    """Wait until the agent has registered, and so closed its end of the pipe; close ours.

    Wait _READY seconds at most.
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
