# SPDX-License-Identifier: MIT
"""Runs a container of systemd-nspawn's on any host; what is written in it goes to memory.

This needs root, systemd-nspawn and a kernel that allows it. Where the host's init isn't systemd,
nobody makes a control group for the container, and so it is made here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

# In a mount namespace of its own, so that no mount is left behind however this ends.
_START: Final = """
set -e
folder=$1 lower=$2 files=$3
shift 3
mount -t tmpfs -o mode=755 container "$folder"
mkdir "$folder/changes" "$folder/work" "$folder/root" "$folder/image"
if [ -f "$lower" ]; then
    mount -o loop,ro "$lower" "$folder/image"
    lower=$folder/image
fi
mount -t overlay -o "lowerdir=$lower,upperdir=$folder/changes,workdir=$folder/work" container \
    "$folder/root"
[ -z "$files" ] || cp -a "$files/." "$folder/root/"
exec systemd-nspawn --directory "$folder/root" "$@"
"""

_CGROUPS: Final = [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified")]


class UnbootableError(Exception):
    """A container can't be booted here; the text says why."""


class Container:
    """A container with the files of ``lower``, a folder or an image, and those in ``files`` on top.

    ``folder`` is created for its changes. ``options`` are systemd-nspawn's; the program that they
    run must be systemd, or become it.
    """

    def __init__(self, folder: Path, lower: Path, *options: str, files: Path | None = None) -> None:
        self._folder = folder
        name = f"ipsecwatch-{os.getpid()}-{folder.name}"
        self._groups = [g / name for g in _CGROUPS if g.is_dir()]
        self._argv = [
            "/bin/sh", "-c", _START, "sh", str(folder), str(lower), str(files or ""),
            "--quiet", "--register=no", "--link-journal=no", "--private-network",
            "--console=pipe", f"--machine={name}",
            *([] if Path("/run/systemd/system").is_dir() else ["--keep-unit"]),
            *options,
        ]  # fmt: skip
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.init = 0
        """The host's process id of the container's process 1, once find_init() has found it."""

    def start(self, console: Path) -> None:
        """Begin to boot; the container's output goes to the file ``console``.

        Raise UnbootableError.
        """
        if os.geteuid() != 0:
            raise UnbootableError("only root can boot a container")
        for tool in ("systemd-nspawn", "unshare"):
            if shutil.which(tool) is None:
                raise UnbootableError(f"{tool} isn't installed")
        self._folder.mkdir()
        join = ""
        for group in self._groups:
            with suppress(OSError):
                group.mkdir(exist_ok=True)
                join += f"echo $$ >{group}/cgroup.procs; "
        with console.open("wb") as out:
            self._nspawn = subprocess.Popen(
                ["/bin/sh", "-c", join + 'exec unshare --mount --propagation private "$@"', "sh",
                 *self._argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )  # fmt: skip

    @property
    def running(self) -> bool:
        """Whether the container was started, and hasn't ended yet."""
        return self._nspawn is not None and self._nspawn.poll() is None

    def find_init(self) -> int:
        """Return the process id of the container's process 1, once that is systemd; else 0."""
        parent = self._nspawn.pid if self._nspawn is not None else 0
        with suppress(OSError):
            for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    self.init = int(child)
        return self.init

    def stop(self) -> None:
        """Kill the container, and remove its control groups. It may be called twice."""
        if self._nspawn is None:
            return
        if self.running:
            if self.find_init():
                with suppress(ProcessLookupError):
                    os.kill(self.init, signal.SIGKILL)
            else:
                self._nspawn.terminate()
        self._nspawn.wait(20)
        for group in self._groups:
            for folder in sorted(group.glob("**/"), reverse=True):
                with suppress(OSError):
                    folder.rmdir()


def last_word(console: Path) -> str:
    """Return the last line in the output of a machine that didn't boot.

    Where its kernel panicked, return the panic and the line before it, which has the cause.
    """
    said = console.read_text(errors="replace").strip().splitlines() if console.exists() else []
    for number, line in enumerate(said):
        if line.startswith("Kernel panic"):
            return "; ".join(said[max(0, number - 1) : number + 1])
    return said[-1] if said else "no word"
