# SPDX-License-Identifier: MIT
"""Run whack, libreswan's own tool, with a time limit and without leaving processes behind."""

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
"""Where whack looks for pluto by default; up to 3.20 by /var/run, which is the same."""
_TAKES_A_SOCKET: Final = (3, 25)
"""The first release whose whack has ``--ctlsocket`` (seen in 3.25; not there in 3.20)."""

ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
KEEP_STDERR: Final = 64 << 10
REAP: Final = 1.0
"""Seconds to wait at most for a killed process to end."""
GLANCE: Final = 0.005
"""Seconds between two checks whether a process that has closed its pipes has ended."""


@dataclass(frozen=True, slots=True)
class Run:
    """The output and the end of a program that was run."""

    stdout: str
    stderr: str
    exit: int | None
    """Its exit code; a negated signal number; None: we killed it, for it took or wrote too much."""
    took: float
    """Seconds from its start to its end, or until it was given up."""
    waited: float
    """Of these, the seconds before the first byte of its standard output; all if none came."""
    overflowed: bool = False
    """It wrote more to its standard output than was to be kept."""


def find(configured: str = "") -> list[str]:
    """Return the paths of the whacks that we may run: the one of the settings, else all in PLACES.

    Empty: there is none. Where several libreswans are installed, any of them may be the running
    one.
    """
    places = (configured,) if configured else PLACES
    return [path for path in places if os.path.isfile(path) and os.access(path, os.X_OK)]


def command(path: str, question: str, control_socket: str) -> list[str]:
    """Return the command line that asks the pluto at a control socket a question.

    ``question`` is the name of whack's option for it, without the dashes (``status``).
    """
    where = [] if control_socket == CONTROL_SOCKET else ["--ctlsocket", control_socket]
    return [path, *where, f"--{question}"]


def reaches(version: str, control_socket: str) -> bool:
    """Return whether a whack of a version can ask the pluto at a control socket.

    Each can at the usual one; at another one all from 3.25 on, and those of an unknown version.
    """
    number = re.match(r"v?(\d+)\.(\d+)", version, re.ASCII)
    old = number is not None and (int(number[1]), int(number[2])) < _TAKES_A_SOCKET
    return control_socket == CONTROL_SOCKET or not old


async def run(argv: Sequence[str], *, deadline: float, keep: int) -> Run:
    """Run a program, and return its output and end.

    It and its children are killed at ``deadline`` (loop's clock), or if this call is cancelled.

    The first ``keep`` bytes of its standard output are kept; after ENDLESS times as many it is
    killed.
    Raise OSError where it can't be started.
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
            and await _ended(process, deadline)
        )
        took = loop.time() - started
    finally:
        out.close()
        err.close()
        process.stdout.close()
        process.stderr.close()
        if not done:
            # It wasn't waited for yet, so its process id can't be another process's.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await _ended(process, loop.time() + REAP)
    waited = took if out.first is None else out.first - started
    code = process.returncode if done else None
    return Run(out.text, err.text, code, took, waited, out.overflowed)


def _start(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a program in its own session, with non-blocking pipes, and return it. Raise OSError."""
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


async def _ended(process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Wait until a process has ended. Return whether it did by ``deadline`` (loop's clock)."""
    loop = asyncio.get_running_loop()
    while process.poll() is None:
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(GLANCE)
    return True


class Versions:
    """Asks whacks for their versions, each again only when its file has changed."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int, int], str | None]] = {}

    async def of(self, path: str, deadline: float) -> str | None:
        """Return a whack's version in the form in which pluto prints its own (``5.2``).

        None: it can't be run, doesn't print one, or didn't by ``deadline`` (loop's clock).

        It is asked with ``whack --version``, which doesn't talk to pluto.
        """
        try:
            s = os.stat(path)
            key = (s.st_mtime_ns, s.st_ino, s.st_size)
            known = self._known.get(path)
            if known is None or known[0] != key:
                said = await run([path, "--version"], deadline=deadline, keep=4096)
                if said.exit is None:
                    return None  # too slow this time: it isn't known yet
                found = re.fullmatch(r"(?:.* )?Libreswan v?(\S+)(?: .*)?", said.stdout.strip())
                known = self._known[path] = key, found[1] if found else None
        except OSError:
            return None
        return known[1]
