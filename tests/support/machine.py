# SPDX-License-Identifier: MIT
"""A machine of our own: this system's files in a container, with a systemd that really runs units.

What is written there goes to an overlay in memory, and none of the services that are enabled on
the host start there. Takes root, systemd-nspawn and a kernel that lets us.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import TracebackType

# In a mount namespace of its own, so that no mount is left behind however this ends.
_START: Final = """
set -e
mount -t tmpfs -o mode=755 machine "$1"
mkdir "$1/changes" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" machine "$1/root"
cp -a "$2/." "$1/root/"
folder=$1
shift 2
exec systemd-nspawn --directory "$folder/root" "$@"
"""

_CGROUPS: Final = [Path("/sys/fs/cgroup/systemd"), Path("/sys/fs/cgroup/unified")]
"""Where the host's init isn't systemd, nobody else makes a control group for the container."""


class UnbootableError(Exception):
    """There is no such machine to be had here; the text says why."""


class Machine:
    """Runs while its context lasts. ``files`` is laid over the system's root first.

    ``units`` takes the place of /etc/systemd/system; what its ``machine.target`` wants is started.
    ``shown`` are folders of the host, and where they are to be seen inside.
    """

    def __init__(self, folder: Path, files: Path, units: Path, shown: dict[Path, str]) -> None:
        self._folder = folder
        self._console = folder.with_name("console.log")
        name = f"ipsecwatch-{os.getpid()}"
        self._groups = [g / name for g in _CGROUPS if g.is_dir()]
        self._argv = [
            "/bin/sh", "-c", _START, "sh", str(folder), str(files),
            "--quiet", "--boot", "--register=no", "--link-journal=no", "--private-network",
            "--console=pipe",
            f"--machine={name}", f"--bind-ro={units}:/etc/systemd/system",
            *(f"--bind-ro={path}:{inside}" for path, inside in shown.items()),
            *([] if Path("/run/systemd/system").is_dir() else ["--keep-unit"]),
            "systemd.unit=machine.target",
        ]  # fmt: skip
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._init = 0

    def __enter__(self) -> Machine:
        """Boot. Raises UnbootableError."""
        if os.geteuid() != 0:
            raise UnbootableError("only root can boot a container")
        for tool in ("systemd-nspawn", "unshare", "nsenter", "systemctl"):
            if shutil.which(tool) is None:
                raise UnbootableError(f"{tool} isn't installed")
        self._folder.mkdir()
        try:
            self._spawn()
            self._wait_for_boot()
        except UnbootableError:
            self.__exit__(None, None, None)
            raise
        return self

    def _spawn(self) -> None:
        join = ""
        for group in self._groups:
            with suppress(OSError):
                group.mkdir(exist_ok=True)
                join += f"echo $$ >{group}/cgroup.procs; "
        with self._console.open("wb") as console:
            self._nspawn = subprocess.Popen(
                ["/bin/sh", "-c", join + 'exec unshare --mount --propagation private "$@"', "sh",
                 *self._argv],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )  # fmt: skip

    def _wait_for_boot(self, patience: float = 20) -> None:
        assert self._nspawn is not None
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up and self._nspawn.poll() is None:
            if not self._init:
                self._init = self._find_init(self._nspawn.pid)
            elif self.run("systemctl", "is-active", "machine.target").stdout == "active\n":
                return
            time.sleep(0.05)
        said = self._console.read_text(errors="replace").strip().splitlines()
        raise UnbootableError(f"the container didn't boot: {said[-1] if said else 'no word'}")

    def _find_init(self, parent: int) -> int:
        """Find the container's process 1 among the children of systemd-nspawn, or answer 0."""
        with suppress(OSError):
            for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
                if Path(f"/proc/{child}/comm").read_text() == "systemd\n":
                    return int(child)
        return 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Switch it off."""
        if self._init:
            with suppress(ProcessLookupError):
                os.kill(self._init, signal.SIGKILL)
        elif self._nspawn is not None:
            self._nspawn.terminate()
        if self._nspawn is not None:
            self._nspawn.wait(20)
        for group in self._groups:
            for folder in sorted(group.glob("**/"), reverse=True):
                with suppress(OSError):
                    folder.rmdir()

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program there and wait for it."""
        return subprocess.run(
            # Its root as well: in a chroot that isn't the root of its mount namespace.
            ["nsenter", f"--target={self._init}", "--mount", "--uts", "--ipc", "--net", "--pid",
             "--cgroup", "--root", "--wd=/", "--", *argv],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )  # fmt: skip

    def path(self, inside: str) -> Path:
        """Where a file of the machine's is to be found from here."""
        return Path(f"/proc/{self._init}/root{inside}")
