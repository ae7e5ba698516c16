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


def require() -> None:
    """Raise UnbootableError where there is none."""
    if shutil.which(KERNEL) is None:
        raise UnbootableError("this kernel has no ESP, and user-mode-linux isn't installed")


class UserModeLinux:
    """Boots from an image; what is written there goes to ``folder``. ``shared`` is seen there."""

    def __init__(self, folder: Path, image: Path, shared: Path) -> None:
        self._folder = folder
        self._changes = folder / "changes"
        self._argv = [
            # However we end, it goes with us, and all of its processes with it: they are processes
            # of ours, and would run on without their kernel.
            "setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", KERNEL,
            "umid=bed", f"uml_dir={folder}/", f"mem={MEMORY}M", f"ubd0={self._changes},{image}",
            "root=/dev/ubda", "rw", "con=null", "con0=null,fd:1", "ssl=null", "quiet", "loglevel=4",
            "audit=0", "systemd.show_status=0", "net.ifnames=0", "init=/bed-init", f"bed={shared}",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, console: Path) -> None:
        """Begin to boot; what it says goes to a file."""
        with console.open("wb") as out:
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(self._memory()), "HOME": str(self._folder)},
                start_new_session=True,
            )  # fmt: skip

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

    def stop(self) -> None:
        """Switch it off, and drop what was written to its disk. Can be called twice."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)
        self._changes.unlink(missing_ok=True)
