# SPDX-License-Identifier: MIT
"""Runs a private dbus-broker, with a configuration that PrivateBus makes of the distribution's.

The broker's launcher expects three things from systemd: a listening socket, a journal to log to,
and a bus on which it can ask systemd to start services. The journal is a fake that drops all
messages, and the bus is a private one without systemd.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.support.dbus_daemon import POLICY, PrivateBus
from tests.support.dbus_daemon import missing as bus_missing

START = """
set -e
mount --make-rprivate /
mount --bind "$1" /run
exec 3<&0 </dev/null
shift
LISTEN_PID=$$ exec "$@"
"""


def missing() -> str | None:
    """Return in one line why no private dbus-broker can run here; None if one can."""
    if why := bus_missing():
        return why
    for tool in ("dbus-broker-launch", "dbus-broker", "unshare"):
        if shutil.which(tool) is None:
            return f"{tool} isn't installed"
    if os.getuid() != 0:
        return "a dbus-broker of one's own needs root"
    if not Path("/etc/machine-id").exists():
        return "there is no /etc/machine-id, and no dbus-broker without"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "no mount namespaces here" if tried.returncode else None


class PrivateBroker(PrivateBus):
    """A private system bus that is a dbus-broker."""

    def __init__(self, policies: tuple[Path, ...] = (POLICY,)) -> None:
        super().__init__(system=True, policies=policies)
        self._parts = ExitStack()

    @property
    def pid(self) -> int:
        """The process id of the broker, which is a child of its launcher; 0 if there is none."""
        assert self._process is not None
        launcher = self._process.pid
        try:
            children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
        except OSError:
            return 0
        return int(children[0]) if children else 0

    def start(self) -> None:
        """Start the broker, and wait until its process exists.

        Raise RuntimeError if the launcher ends, or after 10 s.
        """
        path = Path(self.address.removeprefix("unix:path="))
        path.unlink(missing_ok=True)
        listener = self._parts.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(128)
        systemds = self._parts.enter_context(PrivateBus(system=False))
        command = ["dbus-broker-launch", "--scope", "user", "--config-file", str(self._conf)]
        self._process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", START, "sh", str(self._run()), *command],
            env={
                **os.environ,
                "LISTEN_FDS": "1",
                "LISTEN_FDNAMES": "dbus.socket",
                "DBUS_SESSION_BUS_ADDRESS": systemds.address,
            },
            stdin=listener.fileno(),
        )
        give_up = time.monotonic() + 10
        while not self.pid:
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.stop()
                raise RuntimeError("dbus-broker didn't start")
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill the broker and its launcher, and end the fake journal and the launcher's bus."""
        if self._process is not None:
            broker = self.pid
            self._process.kill()
            self._process.wait()
            if broker:
                with suppress(ProcessLookupError):
                    os.kill(broker, signal.SIGKILL)
            self._process = None
        self._parts.close()

    def _run(self) -> Path:
        """Make the folder that is mounted as the broker's /run, and return its path.

        It has the socket of a fake journal, which drops the messages that it receives.
        """
        folder = self._directory / "run"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "systemd/journal").mkdir(parents=True)
        journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        journal.bind(str(folder / "systemd/journal/socket"))
        thread = threading.Thread(target=_swallow, args=(journal,), daemon=True)
        thread.start()
        self._parts.callback(thread.join, 5.0)
        self._parts.callback(journal.shutdown, socket.SHUT_RDWR)
        return folder


def _swallow(journal: socket.socket) -> None:
    with journal, suppress(OSError):
        while journal.recv(1 << 16):
            pass
