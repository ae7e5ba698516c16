# SPDX-License-Identifier: MIT
"""A container of systemd-nspawn's, on any host: what is written there goes to memory.

Takes root, systemd-nspawn and a kernel that lets us. Where the host's init isn't systemd, nobody
makes a control group for it: we do.
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
    """There is no such machine to be had here; the text says why."""


class Container:
    """Begins with the files of ``lower``, a folder or an image, and those in ``files`` over them.

    ``folder`` is made for it. ``options`` are systemd-nspawn's; what they run is to be systemd, or
    to become it.
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
        """The process id of its process 1, once find_init() has found it."""

    def start(self, console: Path) -> None:
        """Begin to boot; what it says goes to a file. Raises UnbootableError."""
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
        """Whether it hasn't ended yet."""
        return self._nspawn is not None and self._nspawn.poll() is None

    def find_init(self) -> int:
        """Find its process 1, as soon as that is systemd; 0: not yet."""
        parent = self._nspawn.pid if self._nspawn is not None else 0
        with suppress(OSError):
            for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    self.init = int(child)
        return self.init

    def stop(self) -> None:
        """Switch it off. Can be called twice."""
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
    """Quote the last line of what a machine said that didn't boot.

    Where its kernel panicked, quote the panic and the line before it, which tells the cause.
    """
    said = console.read_text(errors="replace").strip().splitlines() if console.exists() else []
    for number, line in enumerate(said):
        if line.startswith("Kernel panic"):
            return "; ".join(said[max(0, number - 1) : number + 1])
    return said[-1] if said else "no word"
