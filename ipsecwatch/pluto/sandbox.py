# SPDX-License-Identifier: MIT
"""Which folders systemd's sandbox hides from this process (PrivateTmp=, ProtectHome=)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_MADE_UP: Final = ("/systemd-private-", "/inaccessible/")
"""Parts of the paths that systemd mounts in place of a hidden folder (proc_pid_mountinfo(5)). The
second is below /run/systemd, and in a container below /run/host."""


def hidden_folder(path: str | Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the folder of a path that systemd hides from this process; None: it hides none.

    None as well where that can't be found out. A folder that is made visible again (BindPaths=) is
    a mount of its own, and isn't hidden.
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
    """Return the mount point of a line of mountinfo, and the path in its file system behind it.

    Both are "" for a line with too few fields.
    """
    fields = line.split(" ")
    return (fields[4], fields[3]) if len(fields) > 4 else ("", "")
