# SPDX-License-Identifier: MIT
"""Writes real journal files, with entries of any time, any boot and any sender.

systemd-journal-remote writes them from journald's export format. Therefore a test can also choose
the fields about the sender, which journald itself would set.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch.history import message_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

WRITER: Final = Path("/lib/systemd/systemd-journal-remote")

needs_writer = pytest.mark.skipif(
    not WRITER.exists() or shutil.which("journalctl") is None,
    reason="systemd-journal-remote is not installed",
)

BOOT_1: Final = "1" * 32
BOOT_2: Final = "2" * 32
OURS: Final = {"_UID": "0", "_PID": "400", "_SYSTEMD_UNIT": "ipsecwatch.service"}
SYSTEMD: Final = {"_UID": "0", "_PID": "1", "_SYSTEMD_UNIT": "init.scope"}
ENDED_BY_SIGNAL: Final = {
    **SYSTEMD,
    "MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15",
    "UNIT": "ipsecwatch.service",
    "MESSAGE": "ipsecwatch.service: Main process exited, code=killed, status=9/KILL",
}
"""The fields of systemd's entry about a service whose process was killed by a signal."""


@dataclass
class JournalFiles:
    """Entries that write() writes. To begin another boot, set ``boot`` and ``up``."""

    boot: str = BOOT_1
    """The id of the boot of the entries that are added next."""
    up: float = 1_700_000_000.0
    """The wall clock's time when the monotonic clock of this boot was 0."""
    text: list[str] = field(default_factory=list)

    def add(self, at: float, fields: Mapping[str, str], **more: str) -> None:
        """Add an entry that was logged ``at`` seconds after the boot."""
        wall, mono = round((self.up + at) * 1e6), round(at * 1e6)
        self.text.append(f"__CURSOR=x\n__REALTIME_TIMESTAMP={wall}\n__MONOTONIC_TIMESTAMP={mono}\n")
        entry = {"_BOOT_ID": self.boot, "MESSAGE": "-", **fields, **more}
        self.text += [f"{name}={value}\n" for name, value in entry.items()] + ["\n"]

    def ours(self, at: float, message_id: str, run: str = "run-1", **fields: str) -> None:
        """Add an entry of the service.

        ``IPSECWATCH_`` is put in front of the names in ``fields``.
        """
        entry = {f"IPSECWATCH_{name}": value for name, value in fields.items()}
        self.add(at, {**OURS, "MESSAGE_ID": message_id, "IPSECWATCH_RUN_ID": run, **entry})

    def began(self, at: float, run: str = "run-1", previous: str = "") -> None:
        """Add the service's entry about the start of a run."""
        self.ours(at, message_ids.BEGAN, run, PREVIOUS_RUN_ID=previous)

    def found(self, at: float, state: str, run: str = "run-1", name: str = "site") -> None:
        """Add the service's entry about a tunnel's state in the run's first poll."""
        self.ours(at, message_ids.FIRST_LOOK, run, TUNNEL=name, STATE=state, REASON="none")

    def write(self, folder: Path) -> Path:
        """Write all entries to a journal file in this folder, which is made; return the folder."""
        folder.mkdir(exist_ok=True)
        subprocess.run(
            [str(WRITER), f"--output={folder / 'remote.journal'}", "-"],
            input="".join(self.text), text=True, check=True, capture_output=True,
        )  # fmt: skip
        return folder
