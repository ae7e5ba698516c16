# SPDX-License-Identifier: MIT
"""Boots a container with this system's files, and with a real systemd that runs a test's units.

None of the services that are enabled on the host start in it.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.container import Container, UnbootableError, last_word

if TYPE_CHECKING:
    from types import TracebackType


class Machine:
    """A container with systemd, which runs while its context lasts.

    Its root is this system's, or ``lower``, with the files of ``files`` copied over it. ``units``
    replaces /etc/systemd/system; the units that its ``machine.target`` wants are started. ``shown``
    maps folders of the host to paths in the container, where they can be read. ``init`` is a
    program in the container that becomes systemd; with "--boot" systemd itself is run. Changes are
    lost at the end.
    """

    def __init__(
        self,
        folder: Path,
        files: Path,
        units: Path,
        shown: dict[Path, str],
        init: str = "--boot",
        lower: Path = Path("/"),
    ) -> None:
        self._console = folder.with_name("console.log")
        self._container = Container(
            folder, lower,
            f"--bind-ro={units}:/etc/systemd/system",
            *(f"--bind-ro={path}:{inside}" for path, inside in shown.items()),
            init, "systemd.unit=machine.target", files=files,
        )  # fmt: skip

    def __enter__(self) -> Machine:
        """Boot the container. Raise UnbootableError if that isn't possible here, or after 20 s."""
        for tool in ("nsenter", "systemctl"):
            if shutil.which(tool) is None:
                raise UnbootableError(f"{tool} isn't installed")
        try:
            self._container.start(self._console)
            self._wait_for_boot()
        except UnbootableError:
            self._container.stop()
            raise
        return self

    def _wait_for_boot(self, patience: float = 20) -> None:
        """Wait until machine.target is active.

        Raise UnbootableError if the container ends, or after ``patience`` seconds.
        """
        give_up = time.monotonic() + patience
        while time.monotonic() < give_up and self._container.running:
            if (
                self._container.find_init()
                and self.run("systemctl", "is-active", "machine.target").stdout == "active\n"
            ):
                return
            time.sleep(0.05)
        raise UnbootableError(f"the container didn't boot: {last_word(self._console)}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill the container."""
        self._container.stop()

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program in the container, wait until it has ended, and return its result.

        A failure isn't an error. Raise TimeoutExpired after 30 s.
        """
        return subprocess.run(
            # --root is needed if the container's root isn't the root of its mount namespace.
            ["nsenter", f"--target={self._container.init}", "--mount", "--uts", "--ipc", "--net",
             "--pid", "--cgroup", "--root", "--wd=/", "--", *argv],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )  # fmt: skip

    def path(self, inside: str) -> Path:
        """Return the host's path for a path in the container."""
        return Path(f"/proc/{self._container.init}/root{inside}")
