# SPDX-License-Identifier: MIT
"""Runs private dbus-daemons: as a distribution's system bus, or as a session's bus.

The configuration is the distribution's /usr/share/dbus-1/system.conf or session.conf, without the
settings that tie it to the machine, such as its user, pidfile and included directories. The system
bus also gets the project's own policy file.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Self

from tests.support.paths import TOP

SYSTEM_CONF = Path("/usr/share/dbus-1/system.conf")
SESSION_CONF = Path("/usr/share/dbus-1/session.conf")
POLICY = TOP / "systemd/org.ipsecwatch1.conf"


def missing() -> str | None:
    """Return in one line why no private bus can run here; None if one can."""
    if shutil.which("dbus-daemon") is None:
        return "dbus-daemon isn't installed"
    for conf in (SYSTEM_CONF, SESSION_CONF):
        if not conf.exists():
            return f"{conf} is missing"
    return None


class PrivateBus:
    """A private dbus-daemon, which runs while the context lasts.

    It has the same address each time it is started. With ``system`` it is a system bus with these
    policy files, else a session's bus. ``limits`` are limits that its configuration sets, such as
    ``{"max_incoming_bytes": 1000000}``.
    """

    def __init__(
        self,
        *,
        system: bool,
        policies: tuple[Path, ...] = (POLICY,),
        limits: dict[str, int] | None = None,
    ) -> None:
        # Not pytest's tmp_path: other users must be able to get here.
        self._directory = Path(tempfile.mkdtemp(prefix="ipsecwatch-bus-"))
        self._directory.chmod(0o755)
        self.address = f"unix:path={self._directory}/bus"
        self._process: subprocess.Popen[bytes] | None = None
        conf = self._system_conf(policies) if system else self._session_conf()
        for name, value in (limits or {}).items():
            limit = f'<limit name="{name}">{value}</limit></busconfig>'
            conf = conf.replace("</busconfig>", limit)
        self._conf = self._directory / "bus.conf"
        self._conf.write_text(conf)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._directory)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the daemon, and return when it accepts connections."""
        assert self._process is None
        self._process = subprocess.Popen(
            [
                shutil.which("dbus-daemon") or "",
                f"--config-file={self._conf}",
                "--nofork",
                "--nopidfile",
                "--nosyslog",
                "--print-address=1",
            ],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "dbus-daemon didn't start"

    def stop(self) -> None:
        """Kill the daemon with SIGKILL. As after a crash, all connections are lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def pause(self) -> None:
        """Stop the daemon with SIGSTOP, so that it neither reads nor writes until resume()."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _system_conf(self, policies: tuple[Path, ...]) -> str:
        """Return the configuration of a system bus with a copy of each of these policy files.

        If the tests don't run as root, their user takes root's place in the copies.
        """
        conf = self._adapted(SYSTEM_CONF)
        # A folder each, read in order, as /usr/share/dbus-1/system.d and /etc/dbus-1/system.d are.
        for n, policy in enumerate(policies):
            folder = self._directory / f"system{n}.d"
            folder.mkdir()
            text = policy.read_text()
            if os.getuid() != 0:  # the service then runs as the user who runs the tests
                text = text.replace('user="root"', f'user="{os.getuid()}"')
            (folder / policy.name).write_text(text)
            include = f"<includedir>{folder}</includedir></busconfig>"
            conf = conf.replace("</busconfig>", include)
        return conf

    def _session_conf(self) -> str:
        return self._adapted(SESSION_CONF)

    def _adapted(self, conf: Path) -> str:
        """Return a configuration file's text, without the settings that tie it to the machine.

        It lets the bus listen at our address.
        """
        text = re.sub(r"<!--.*?-->", "", conf.read_text(), flags=re.DOTALL)
        ours = (
            "user|fork|pidfile|syslog|listen|include|includedir|servicehelper|keep_umask|"
            "standard_system_servicedirs|standard_session_servicedirs"
        )
        text = re.sub(rf"<({ours})\b[^>]*/>", "", text)
        text = re.sub(rf"<({ours})\b[^>]*>[^<]*</\1>", "", text)
        return text.replace("</busconfig>", f"<listen>{self.address}</listen></busconfig>")
