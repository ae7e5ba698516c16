# SPDX-License-Identifier: MIT
"""A machine in User-mode Linux: a kernel of its own as a process, with ESP wherever it runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.support.container import UnbootableError

KERNEL: Final = "linux.uml"
MEMORY: Final = 512
"""MiB that it has."""
WIDE_REGISTERS: Final = Path(__file__).with_name("wide_registers.c")
"""The library that it needs on a processor with AMX."""


def require() -> None:
    """Raise UnbootableError where it can't run."""
    if shutil.which(KERNEL) is None:
        raise UnbootableError("this kernel has no ESP, and user-mode-linux isn't installed")
    if has_amx() and shutil.which("cc") is None:
        raise UnbootableError(
            "this processor has AMX, with which user-mode-linux needs a library of ours,"
            " and there is no cc to compile it"
        )


def has_amx() -> bool:
    """Return whether the processor's registers are too large for User-mode Linux alone."""
    return "amx_tile" in Path("/proc/cpuinfo").read_text(encoding="utf-8").split()


class UserModeLinux:
    """Boots from an image; what is written there goes to ``folder``. ``shared`` is seen there."""

    def __init__(self, folder: Path, image: Path, shared: Path) -> None:
        self._folder = folder
        self._changes = folder / "changes"
        self._argv = [
            # However we end, it goes with us, and all of its processes with it: they are processes
            # of ours, and would run on without their kernel.
            "setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child",
            # After a panic it aborts itself, which no process 1 can: that is the shell.
            "/bin/sh", "-c", '"$@"; exit', "sh", KERNEL,
            "umid=bed", f"uml_dir={folder}/", f"mem={MEMORY}M", f"ubd0={self._changes},{image}",
            "root=/dev/ubda", "rw", "con=null", "con0=null,fd:1", "ssl=null", "quiet", "loglevel=4",
            "audit=0", "systemd.show_status=0", "net.ifnames=0", "init=/bed-init", f"bed={shared}",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, console: Path) -> None:
        """Begin to boot; what it says goes to a file. Raises UnbootableError."""
        environment = {**os.environ, "TMPDIR": str(self._memory()), "HOME": str(self._folder)}
        if has_amx():
            environment["LD_PRELOAD"] = str(self._compile(WIDE_REGISTERS))
        with console.open("wb") as out:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env=environment, start_new_session=True,
            )  # fmt: skip

    def _compile(self, source: Path) -> Path:
        library = self._folder / source.with_suffix(".so").name
        done = subprocess.run(
            ["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise UnbootableError(f"{source.name} can't be compiled: {done.stderr.strip()}")
        return library

    def _memory(self) -> Path:
        """Find a folder for its memory, which is mapped executable."""
        fast = Path("/dev/shm")
        with suppress(OSError):
            room = os.statvfs(fast)
            free = room.f_bavail * room.f_frsize >> 20
            if not room.f_flag & os.ST_NOEXEC and free > 2 * MEMORY:
                return fast
        return self._folder

    @property
    def running(self) -> bool:
        """Whether it hasn't ended yet."""
        return self._process is not None and self._process.poll() is None

    def cut(self) -> None:
        """Take its power away. What was written to its disk stays, for the next start()."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)

    def stop(self) -> None:
        """Switch it off, and drop what was written to its disk. Can be called twice."""
        self.cut()
        self._changes.unlink(missing_ok=True)
