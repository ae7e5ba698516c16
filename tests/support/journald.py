# SPDX-License-Identifier: MIT
"""A real systemd-journald, for itself: in mount, PID and IPC namespaces of its own.

Its /run is a folder of ours, so that its socket and its files are seen from here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

JOURNALD = Path("/lib/systemd/systemd-journald")
NEEDS = ("unshare", "journalctl")

# With an own PID namespace journald is its process 1, and ends with the parent that unshare is.
START = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$1" /run
mkdir -p /run/systemd/journal
exec /lib/systemd/systemd-journald
"""


def missing() -> str | None:
    """Say why there can be none here, in one line."""
    if os.getuid() != 0:
        return "a journald of one's own needs root"
    if not JOURNALD.exists():
        return f"there is no {JOURNALD}"
    for tool in NEEDS:
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if not Path("/etc/machine-id").exists():
        return "there is no /etc/machine-id, and no journald without"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--ipc", "--fork", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return tried.stderr.strip() or "no namespaces here" if tried.returncode else None


class PrivateJournald:
    """Runs one while its context lasts. ``folder`` becomes its /run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = str(folder / "systemd/journal/socket")

    def __enter__(self) -> PrivateJournald:
        self._folder.mkdir(exist_ok=True)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def restart(self) -> None:
        """Stop it and start it anew: another process with another socket."""
        self._stop()
        os.unlink(self.socket)
        self._start()

    def hang(self) -> None:
        """Stop it from reading."""
        os.kill(self._journald(), signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._journald(), signal.SIGCONT)

    def entries(self, *matches: str) -> list[dict[str, Any]]:
        """Read all entries that match, oldest first."""
        out = self._journalctl("--output=json", "--all", *matches)
        return [json.loads(line) for line in out.splitlines()]

    def explained(self, root: Path, *matches: str) -> str:
        """Read them as `journalctl -x` shows them, with the catalog that is under ``root``.

        There is no option for that with -x: it is mounted over the real one.
        """
        script = f'mount --bind "{root}/var/lib" /var/lib && exec "$@"'
        within = ("unshare", "--mount", "sh", "-c", script, "sh")
        return self._journalctl("--catalog", *matches, within=within)

    def wait_for(self, count: int, *matches: str) -> list[dict[str, Any]]:
        """Wait until there are so many: journald writes in its own time."""
        give_up = time.monotonic() + 10
        while len(found := self.entries(*matches)) < count and time.monotonic() < give_up:
            time.sleep(0.05)
        return found

    def _journalctl(self, *options: str, within: tuple[str, ...] = ()) -> str:
        (logs,) = (self._folder / "log/journal").iterdir()
        command = [*within, "journalctl", "--quiet", "--no-pager", f"--directory={logs}", *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def _start(self) -> None:
        self._parent = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child",
             "sh", "-c", START, "sh", str(self._folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        give_up = time.monotonic() + 10
        while not self._listens():
            if self._parent.poll() is not None or time.monotonic() > give_up:
                self._parent.kill()
                raise RuntimeError(f"journald didn't start: {self._parent.communicate()[1]}")
            time.sleep(0.02)

    def _listens(self) -> bool:
        return Path(self.socket).exists() and any((self._folder / "log").glob("journal/*/*"))

    def _stop(self) -> None:
        self._parent.kill()
        self._parent.communicate()

    def _journald(self) -> int:
        pid = self._parent.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0])
