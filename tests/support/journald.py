# SPDX-License-Identifier: MIT
"""Runs a real, private systemd-journald in mount, PID and IPC namespaces of its own.

Its /run is a folder that the test chooses, so that the test can use its socket and its files.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

JOURNALD = Path("/lib/systemd/systemd-journald")
NEEDS = ("unshare", "journalctl")

START = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount --bind "$1" /run
mkdir -p /run/systemd/journal
# Otherwise the reason why it ends would go to the console.
export SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=err
exec "$2" -S -c "$3"
"""

# Process 1 of the PID namespace, in the place of systemd: it keeps the socket open, and starts a
# journald whenever one has ended. It ends with its parent, which is unshare.
HOLD = """
import os, socket
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")
os.chmod("/run/systemd/journal/socket", 0o666)
while True:
    journald = os.fork()
    if journald == 0:
        if journal.fileno() != 3:
            os.dup2(journal.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
        os.execv("/lib/systemd/systemd-journald", ["systemd-journald"])
    while os.wait()[0] != journald:
        pass
"""


CGROUPS = [Path("/sys/fs/cgroup"), *map(Path("/sys/fs/cgroup").joinpath, ("systemd", "unified"))]
"""Folders in which control groups may be; the control group of a process tells journald its unit.
The first is used on today's systems."""

# Runs in journald's PID namespace, because journald looks up the sender by the kernel's process id.
LOG = """
import os, socket, sys
print(os.getpid(), flush=True)
journald = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journald.connect(sys.argv[1])
for line in sys.stdin:
    if line == "\\4\\n":
        break
    journald.send(("MESSAGE=" + line.rstrip() + "\\n" + sys.argv[2]).encode())
"""


def unable_to_be_units() -> str | None:
    """Return in one line why PrivateJournald.process() can't work here; None if it can."""
    if why := missing():
        return why
    if shutil.which("nsenter") is None:
        return "nsenter is not installed"
    for group in CGROUPS:
        if (group / "cgroup.procs").exists():
            try:
                (group / PROBE).mkdir()
                (group / PROBE).rmdir()
            except OSError as e:
                return f"no control group can be made in {group}: {e.strerror}"
            return None
    return "there are no control groups here"


SLICE = f"ipsecwatch{os.getpid()}.slice"
"""The control group in which our units are. It contains the process id, as another run of the tests
has units with the same names."""
PROBE = f"ipsecwatch-{os.getpid()}-probe.service"


def missing() -> str | None:
    """Return in one line why no private journald can run here; None if one can."""
    if os.getuid() != 0:
        return "a journald of one's own needs root"
    if not JOURNALD.exists():
        return f"there is no {JOURNALD}"
    for tool in NEEDS:
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    if not Path("/etc/machine-id").exists():
        return "there is no /etc/machine-id, and no journald without"
    if not Path("/sys/fs/cgroup").exists():
        return "there is no /sys/fs/cgroup, and no journald without"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--ipc", "--fork", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return tried.stderr.strip() or "no namespaces here" if tried.returncode else None


needs_journald = pytest.mark.skipif(missing() is not None, reason=missing() or "")


class PrivateJournald:
    """A private journald, which runs while its context lasts. ``folder`` becomes its /run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = str(folder / "systemd/journal/socket")

    def __enter__(self) -> PrivateJournald:
        self._folder.mkdir(exist_ok=True)
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def restart(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End journald with this signal, and wait until a new one runs with the same socket.

        systemd restarts journald in the same way. Raise RuntimeError after 10 s.
        """
        before = self._journald()
        os.kill(before, how)
        give_up = time.monotonic() + 10
        while self._journald() in (before, 0):
            if time.monotonic() > give_up:
                raise RuntimeError("no other journald came")
            time.sleep(0.01)

    def replace(self) -> None:
        """End journald, and start one with a new socket; messages in the old one are lost."""
        self._stop()
        os.unlink(self.socket)
        self._start()

    def hang(self) -> None:
        """Stop journald with SIGSTOP, so that it reads nothing until go_on()."""
        os.kill(self._journald(), signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._journald(), signal.SIGCONT)

    def entries(self, *matches: str) -> list[dict[str, Any]]:
        """Return all entries that journalctl finds with these matches, oldest first."""
        out = self._journalctl("--output=json", "--all", *matches)
        return [json.loads(line) for line in out.splitlines()]

    def explained(self, root: Path, *matches: str) -> str:
        """Return what ``journalctl -x`` prints of these entries, with the catalog in ``root``.

        journalctl has no option for another catalog together with -x. Therefore ``root``/var/lib is
        mounted over /var/lib for the command.
        """
        script = f'mount --bind "{root}/var/lib" /var/lib && exec "$@"'
        within = ("unshare", "--mount", "sh", "-c", script, "sh")
        return self._journalctl("--catalog", *matches, within=within)

    def wait_for(self, count: int, *matches: str) -> list[dict[str, Any]]:
        """Wait until ``count`` entries match, for at most 10 s; return all that match then."""
        give_up = time.monotonic() + 10
        while len(found := self.entries(*matches)) < count and time.monotonic() < give_up:
            time.sleep(0.05)
        return found

    def within(self) -> tuple[str, ...]:
        """Return words to put before a command, so that it runs in journald's PID namespace.

        Only there can journald look up the user of a process.
        """
        return ("nsenter", f"--target={self._journald()}", "--pid", "--")

    @property
    def logs(self) -> Path:
        """The folder with journald's journal files."""
        (logs,) = (self._folder / "log/journal").iterdir()
        return logs

    @contextmanager
    def unit(self, name: str) -> Iterator[Callable[[Sequence[str]], None]]:
        """Run a process that journald takes for a process of the unit ``name``; see process().

        Yield a function that makes the process log lines, as pluto.
        """
        with self.process(name) as (log, _):
            yield log

    @contextmanager
    def process(
        self,
        name: str,
        program: Path = Path(sys.executable),
        fields: str = "SYSLOG_IDENTIFIER=pluto",
    ) -> Iterator[tuple[Callable[[Sequence[str]], None], int]]:
        """Run a process that journald takes for a process of the unit ``name``.

        It runs while the context lasts. Yield a function that makes it log lines, and its process
        id as the journal shows it. ``program`` is this Python or a copy of it. ``fields`` are sent
        with each line.
        """
        groups = [g / SLICE / name for g in CGROUPS if (g / "cgroup.procs").exists()]
        for group in groups:
            group.parent.mkdir(exist_ok=True)
            group.mkdir()
        join = "".join(f"echo $$ >{group}/cgroup.procs; " for group in groups)
        process = subprocess.Popen(
            ["/bin/sh", "-c", join + 'exec nsenter --target="$0" --pid -- "$@"',
             str(self._journald()), str(program), "-S", "-c", LOG, self.socket,
             f"{fields}\n"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHOME": sys.base_prefix},
            text=True,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        stdin = process.stdin
        pid = int(process.stdout.readline())

        def log(lines: Sequence[str]) -> None:
            stdin.writelines(f"{line}\n" for line in lines)
            stdin.flush()

        try:
            yield log, pid
        finally:
            process.stdout.close()
            # Closing the pipe isn't enough: a process that was forked meanwhile has it open, too.
            with suppress(BrokenPipeError):
                log(["\4"])
            with suppress(BrokenPipeError):
                stdin.close()
            process.wait(30)
            for group in groups:
                group.rmdir()
                with suppress(OSError):  # there is another unit in it
                    group.parent.rmdir()

    def _journalctl(self, *options: str, within: tuple[str, ...] = ()) -> str:
        command = [*within, "journalctl", "--quiet", "--no-pager", f"--directory={self.logs}"]
        return subprocess.run(
            [*command, *options], capture_output=True, text=True, check=True
        ).stdout

    def _start(self) -> None:
        """Start journald in its namespaces, and wait until it listens and has a journal file.

        Raise RuntimeError if it ends, or after 10 s.
        """
        self._parent = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child",
             "sh", "-c", START, "sh", str(self._folder), sys.executable, HOLD],
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
        """Return journald's process id; 0 if there is none at the moment."""
        return _child(_child(self._parent.pid))


def _child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0
