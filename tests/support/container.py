# SPDX-License-Identifier: MIT
"""Runs a container with systemd-nspawn on any host; its files are changed in memory only.

This needs root, systemd-nspawn and a kernel that allows containers. If the host's init isn't
systemd, nothing makes a control group for the container; therefore this module makes one.
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
    """A container can't be booted on this machine. The error's text says why."""


class Container:
    """A systemd-nspawn container with the files of ``lower``, and those of ``files`` on top.

    ``lower`` is a folder or the image of a file system, and stays unchanged. start() creates
    ``folder``, and mounts a tmpfs there for the container's changes. ``options`` are further
    arguments of systemd-nspawn; the program that they name must be systemd, or become systemd.
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
        """The host's process id of the container's process 1, once find_init() has found it; 0
        before."""

    def start(self, console: Path) -> None:
        """Begin to boot, without waiting; the container's output goes to the file ``console``.

        Raise UnbootableError if this process isn't root, or if a tool is missing.
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
        """Whether the container was started, and hasn't ended."""
        return self._nspawn is not None and self._nspawn.poll() is None

    def find_init(self) -> int:
        """Return the host's process id of the container's process 1; 0 until that is systemd."""
        parent = self._nspawn.pid if self._nspawn is not None else 0
        with suppress(OSError):
            for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    self.init = int(child)
        return self.init

    def stop(self) -> None:
        """Kill the container, and remove its control groups. Do nothing if it wasn't started."""
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
    """Return the last line in the console output of a container or machine that didn't boot.

    If its kernel panicked, return the line about the panic and the line before it, which has the
    cause. Return "no word" if there is no output.
    """
    said = console.read_text(errors="replace").strip().splitlines() if console.exists() else []
    for number, line in enumerate(said):
        if line.startswith("Kernel panic"):
            return "; ".join(said[max(0, number - 1) : number + 1])
    return said[-1] if said else "no word"
