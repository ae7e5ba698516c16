# SPDX-License-Identifier: MIT
"""A virtual machine in User-mode Linux: its kernel is a process, and has ESP on any host."""

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
"""The machine's memory in MiB."""
WIDE_REGISTERS: Final = Path(__file__).with_name("wide_registers.c")
"""The source of a library that linux.uml needs on a processor with AMX."""


def require() -> None:
    """Raise UnbootableError if User-mode Linux can't run here."""
    if shutil.which(KERNEL) is None:
        raise UnbootableError("this kernel has no ESP, and user-mode-linux isn't installed")
    if has_amx() and shutil.which("cc") is None:
        raise UnbootableError(
            "this processor has AMX, with which user-mode-linux needs a library of ours,"
            " and there is no cc to compile it"
        )


def has_amx() -> bool:
    """Return whether the processor has AMX, whose registers are too large for linux.uml alone."""
    return "amx_tile" in Path("/proc/cpuinfo").read_text(encoding="utf-8").split()


class UserModeLinux:
    """A virtual machine that boots from an image, which stays unchanged.

    What it writes to its disk is kept in ``folder``. ``shared`` is a folder of the host that it can
    mount.
    """

    def __init__(self, folder: Path, image: Path, shared: Path) -> None:
        self._folder = folder
        self._changes = folder / "changes"
        self._argv = [
            # It ends when we end, however that happens, and its processes end with it: they are
            # processes of the host, too, and would run on without their kernel.
            "setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child",
            # After a panic linux.uml aborts. A process 1 can't: therefore a shell is process 1.
            "/bin/sh", "-c", '"$@"; exit', "sh", KERNEL,
            "umid=bed", f"uml_dir={folder}/", f"mem={MEMORY}M", f"ubd0={self._changes},{image}",
            "root=/dev/ubda", "rw", "con=null", "con0=null,fd:1", "ssl=null", "quiet", "loglevel=4",
            "audit=0", "systemd.show_status=0", "net.ifnames=0", "init=/bed-init", f"bed={shared}",
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, console: Path) -> None:
        """Begin to boot, without waiting; the console's output goes to the file ``console``.

        Raise UnbootableError if a library that it needs can't be compiled.
        """
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
        """Return a folder for the file of its memory: /dev/shm if that has room and allows code."""
        fast = Path("/dev/shm")
        with suppress(OSError):
            room = os.statvfs(fast)
            free = room.f_bavail * room.f_frsize >> 20
            if not room.f_flag & os.ST_NOEXEC and free > 2 * MEMORY:
                return fast
        return self._folder

    @property
    def running(self) -> bool:
        """Whether the machine was started and hasn't ended."""
        return self._process is not None and self._process.poll() is None

    def cut(self) -> None:
        """Cut its power. What was written to its disk is kept for the next start()."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(20)

    def stop(self) -> None:
        """Switch it off, and drop what was written to its disk. It may be called twice."""
        self.cut()
        self._changes.unlink(missing_ok=True)
