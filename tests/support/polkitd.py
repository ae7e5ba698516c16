# SPDX-License-Identifier: MIT
"""Runs a real polkitd on a private bus, with our actions and a test's rule as the only ones.

Those are mounted over the system's, in a mount namespace.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.paths import TOP

if TYPE_CHECKING:
    from tests.support.dbus_daemon import PrivateBus

PLACES = (
    Path("/usr/lib/polkit-1/polkitd"),
    Path("/usr/libexec/polkitd"),
    Path("/usr/libexec/polkit-1/polkitd"),
)
BUS_POLICY = Path("/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf")
ACTIONS = Path("/usr/share/polkit-1/actions")
POLICY = TOP / "systemd/org.ipsecwatch1.policy"

START = """
set -e
mount --make-rprivate /
mount --bind "$1/actions" /usr/share/polkit-1/actions
mount --bind "$1/none" /usr/share/polkit-1/rules.d
mount --bind "$1/rules" /etc/polkit-1/rules.d
exec "$2"
"""


def missing() -> str | None:
    """Return in one line why no private polkitd can run here; None if one can."""
    if os.getuid() != 0:
        return "a polkitd of one's own needs root"
    for path in (BUS_POLICY, ACTIONS, Path("/etc/polkit-1/rules.d")):
        if not path.exists():
            return f"{path} is missing: is polkitd installed?"
    if not any(p.exists() for p in PLACES):
        return "polkitd isn't installed"
    try:
        pwd.getpwnam("polkitd")
    except KeyError:
        return "there is no user polkitd"
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return "no mount namespaces here" if tried.returncode else None


class PrivatePolkit:
    """A private polkitd, which runs while its context lasts.

    ``rules`` is the body of a JavaScript function of ``action`` and ``subject``; this is polkitd's
    only rule. With "" it decides nothing.
    """

    def __init__(self, bus: PrivateBus, rules: str = "") -> None:
        self._bus = bus
        self._folder = Path(tempfile.mkdtemp(prefix="ipsecwatch-polkit-"))
        self._folder.chmod(0o755)
        for name in ("actions", "rules", "none"):
            (self._folder / name).mkdir()
        shutil.copy(POLICY, self._folder / "actions")
        rule = f"polkit.addRule(function(action, subject) {{ {rules} }});\n"
        (self._folder / "rules/10-test.rules").write_text(rule)

    def __enter__(self) -> Self:
        daemon = next(p for p in PLACES if p.exists())
        self._process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", START, "sh", str(self._folder), str(daemon)],
            env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self._bus.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # It prints this when it has its name on the bus, and can be asked.
        said = ""
        give_up = time.monotonic() + 10
        assert self._process.stdout is not None
        while "Acquired the name" not in said:
            line = self._process.stdout.readline()
            said += line
            if not line or time.monotonic() > give_up:
                self.__exit__()
                raise RuntimeError(f"polkitd didn't start: {said}")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self._folder)

    def hang(self) -> None:
        """Stop polkitd with SIGSTOP, so that it answers nothing until go_on()."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self._process.pid, signal.SIGCONT)
