# SPDX-License-Identifier: MIT
"""Running whack, libreswan's own tool, so that it can neither hang nor leave anything behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from ipsecwatch.pluto.bounded_reader import ENDLESS, BoundedReader

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACES: Final = (
    "/usr/libexec/ipsec/whack",  # Debian, Fedora, RHEL
    "/usr/lib/ipsec/whack",  # older Debian and Ubuntu
    "/usr/local/libexec/ipsec/whack",  # libreswan's own Makefile
)
"""Where whack is. Never found through PATH, and not the ``ipsec`` wrapper, which is a script."""

CONTROL_SOCKET: Final = "/run/pluto/pluto.ctl"
"""Where whack looks for pluto if it isn't told; up to 3.20 by /var/run, which is the same."""
_TAKES_A_SOCKET: Final = (3, 25)
"""The first release whose whack has ``--ctlsocket`` (seen in 3.25; not there in 3.20)."""

ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
KEEP_STDERR: Final = 64 << 10
REAP: Final = 1.0
"""Seconds that a killed process has to be gone."""
GLANCE: Final = 0.005
"""Seconds between two looks whether a process that has closed its pipes is gone."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of running a program."""

    stdout: str
    stderr: str
    exit: int | None
    """Its exit code, minus a signal, or None: it was killed for taking too long."""
    took: float
    waited: float
    """Of these seconds, those before the first byte."""
    overflowed: bool = False
    """It wrote more than was to be kept."""


def find(configured: str = "") -> list[str]:
    """Find every whack: where the settings say, or where distributions put it.

    Of several libreswans on a machine any may be the one that runs.
    """
    places = (configured,) if configured else PLACES
    return [path for path in places if os.path.isfile(path) and os.access(path, os.X_OK)]


def command(path: str, question: str, control_socket: str) -> list[str]:
    """Return how a whack is called to ask the pluto at a control socket a question."""
    where = [] if control_socket == CONTROL_SOCKET else ["--ctlsocket", control_socket]
    return [path, *where, f"--{question}"]


def reaches(version: str, control_socket: str) -> bool:
    """Return whether a whack of a version can be told where pluto's control socket is."""
    number = re.match(r"v?(\d+)\.(\d+)", version, re.ASCII)
    old = number is not None and (int(number[1]), int(number[2])) < _TAKES_A_SOCKET
    return control_socket == CONTROL_SOCKET or not old


async def run(argv: Sequence[str], *, deadline: float, keep: int) -> Run:
    """Run a program until ``deadline`` on the loop's clock, then kill it and all its children.

    Both pipes are read to their ends whatever comes. Raises OSError where it can't be started.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    process = _start(argv)
    assert process.stdout is not None
    assert process.stderr is not None
    out = _reader_of(process.stdout.fileno(), keep, keep * ENDLESS)
    err = _reader_of(process.stderr.fileno(), KEEP_STDERR, None)
    done = False
    try:
        done = (
            await out.wait(deadline)
            and not out.endless
            and await err.wait(deadline)
            and await _gone(process, deadline)
        )
        took = loop.time() - started
    finally:
        out.close()
        err.close()
        process.stdout.close()
        process.stderr.close()
        if not done:
            # It hasn't been waited for yet, so the number still is its own and its group's.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await _gone(process, loop.time() + REAP)
    waited = took if out.first is None else out.first - started
    code = process.returncode if done else None
    return Run(out.text, err.text, code, took, waited, out.overflowed)


def _start(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        argv,
        bufsize=0,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=ENVIRONMENT,
        start_new_session=True,
    )
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        os.set_blocking(pipe.fileno(), False)
    return process


def _reader_of(fd: int, keep: int, most: int | None) -> BoundedReader:
    return BoundedReader(fd, partial(_read_into, fd), keep, most)


def _read_into(fd: int, view: memoryview) -> int:
    return os.readv(fd, [view])


async def _gone(process: subprocess.Popen[bytes], deadline: float) -> bool:
    loop = asyncio.get_running_loop()
    while process.poll() is None:
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(GLANCE)
    return True


class Versions:
    """Which version each whack is, asked again only when the file is another one."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int, int], str | None]] = {}

    async def of(self, path: str, deadline: float) -> str | None:
        """Ask whack for its version, as pluto prints its own; None: it can't be told.

        ``whack --version`` doesn't talk to pluto.
        """
        try:
            s = os.stat(path)
            key = (s.st_mtime_ns, s.st_ino, s.st_size)
            known = self._known.get(path)
            if known is None or known[0] != key:
                said = await run([path, "--version"], deadline=deadline, keep=4096)
                found = re.fullmatch(r"(?:.* )?Libreswan v?(\S+)(?: .*)?", said.stdout.strip())
                known = self._known[path] = key, found[1] if found else None
        except OSError:
            return None
        return known[1]
