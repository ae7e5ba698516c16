# SPDX-License-Identifier: MIT
"""Which folders systemd's sandbox hides from this process (PrivateTmp=, ProtectHome=yes)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")
_MADE_UP: Final = ("/systemd-private-", "/inaccessible/")
"""Parts of the paths that systemd mounts in place of a hidden folder (proc_pid_mountinfo(5)). The
first is that of PrivateTmp=; the second is that of ProtectHome=yes and InaccessiblePaths=, below
/run/systemd, and in a container below /run/host."""


def hidden_folder(path: str | Path, mounts: Path = _MOUNTS) -> str | None:
    """Return which folder of a path systemd hides from this process; None: none, or it isn't known.

    It is hidden if systemd has mounted one of _MADE_UP there. Of the mounts on the way to the path,
    the last one decides, so that a folder that is made visible again (BindPaths=) isn't hidden. A
    tmpfs in place of a folder (ProtectHome=tmpfs, TemporaryFileSystem=) isn't recognised.
    ``mounts`` is the table of mounts; None is returned as well if it can't be read.
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
    """Return two paths of a line of mountinfo: the mount point, and what is mounted there.

    The second is the path within its own file system (the field "root"). Both are "" for a line
    with too few fields.
    """
    fields = line.split(" ")
    return (_unescape(fields[4]), _unescape(fields[3])) if len(fields) > 4 else ("", "")


def _unescape(path: str) -> str:
    """Return a path of mountinfo with its blanks, tabs, line ends and backslashes as they are.

    The kernel writes each of them as a backslash with three octal digits (proc_pid_mountinfo(5)).
    """
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), path)
