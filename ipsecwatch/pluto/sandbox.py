# SPDX-License-Identifier: MIT
"""What a service of systemd's doesn't see of the file system (PrivateTmp=, ProtectHome=)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_MADE_UP: Final = ("/systemd-private-", "/inaccessible/")
"""What systemd mounts in the place of a folder comes from these (proc_pid_mountinfo(5)); the latter
is below /run/systemd, and in a container below /run/host."""


def hidden_folder(path: str | Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the folder above a path in whose place this process sees another one; None: none.

    A folder that is made visible again (BindPaths=) is a mount of its own, and no such one.
    """
    try:
        table = mounts.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    roots = dict(_mount(line) for line in table.splitlines())
    wanted = Path(os.path.normpath(path))
    for folder in (wanted, *wanted.parents):
        root = roots.get(str(folder))
        if root is not None:
            return str(folder) if any(made in root for made in _MADE_UP) else None
    return None


def _mount(line: str) -> tuple[str, str]:
    """Return where a line's mount is, and which folder of its file system is seen there."""
    fields = line.split(" ")
    return (fields[4], fields[3]) if len(fields) > 4 else ("", "")
