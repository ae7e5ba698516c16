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
"""Where whack may be. It is never looked for in PATH; and ``ipsec`` isn't used, which is a
script."""

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
    """The exit code of the program; negative: the number of the signal that ended it. None: we
    killed it, because it took too long or wrote too much."""
    took: float
    """Seconds from the program's start to its end, or until we killed it."""
    waited: float
    """Seconds from the program's start to its first byte on standard output. If none came, the same
    as ``took``."""
    overflowed: bool = False
    """Whether the program wrote more to its standard output than was to be kept."""


def find(configured: str = "") -> list[str]:
    """Return the paths of the whacks that we may run: the ``configured`` one, else all in PLACES.

    Files that aren't there or can't be executed are left out; so the list may be empty. If several
    libreswans are installed, any of them may be the one that runs.
    """
    places = (configured,) if configured else PLACES
    return [path for path in places if os.path.isfile(path) and os.access(path, os.X_OK)]


def command(path: str, question: str, control_socket: str) -> list[str]:
    """Return the command line for a whack that asks the pluto at a control socket a question.

    ``path`` is the whack's. ``question`` is the name of its option, without the dashes
    (``status``).
    """
    where = [] if control_socket == CONTROL_SOCKET else ["--ctlsocket", control_socket]
    return [path, *where, f"--{question}"]


def reaches(version: str, control_socket: str) -> bool:
    """Return whether a whack of this version can ask the pluto at this control socket.

    A whack from 3.25 on can be told which socket to use, and an unknown version is assumed to be so
    new. An older whack can ask only at CONTROL_SOCKET.
    """
    number = re.match(r"v?(\d+)\.(\d+)", version, re.ASCII)
    old = number is not None and (int(number[1]), int(number[2])) < _TAKES_A_SOCKET
    return control_socket == CONTROL_SOCKET or not old


async def run(argv: Sequence[str], *, deadline: float, keep: int) -> Run:
    """Run a program until it ends, and return its output, exit code and times.

    It and its children are killed if it hasn't ended by ``deadline`` (loop's clock), or if this
    call is cancelled. Of its standard output, the first ``keep`` bytes are kept. It is killed as
    well after ENDLESS times as many. Raise OSError if it can't be started.
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
    """Start a program in a session of its own, with non-blocking pipes. Raise OSError."""
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
    """Wait until a process has ended, at most until ``deadline`` (loop's clock).

    Return whether it has ended.
    """
    loop = asyncio.get_running_loop()
    while process.poll() is None:
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(GLANCE)
    return True


class Versions:
    """Asks whacks for their versions. Asks the same one again only if its file has changed.

    One that didn't answer in time is asked again, too.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[int, int, int], str | None]] = {}

    async def of(self, path: str, deadline: float) -> str | None:
        """Return a whack's version in the form in which pluto prints its own (``5.2``).

        It is asked with ``whack --version``, which doesn't talk to pluto. None: it can't be run,
        doesn't print a version, or hasn't by ``deadline`` (loop's clock).
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
