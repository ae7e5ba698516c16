# SPDX-License-Identifier: MIT
"""Find out by its file whether a systemd unit can be started here, without asking systemd."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_BOOTED: Final = Path("/run/systemd/system")
"""Exists where systemd is the init (sd_booted(3))."""
_FOLDERS: Final = tuple(
    Path(folder)
    for folder in (
        "/etc/systemd/system",
        "/run/systemd/system",
        "/run/systemd/generator",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    )
)
"""Where systemd looks for units, in this order (systemd.unit(5))."""


def find_unit(name: str, folders: tuple[Path, ...] = _FOLDERS, booted: Path = _BOOTED) -> str:
    """Return ``name`` if there is a file for this unit, or for its template; else "".

    "" as well if the first such file shows that the unit is masked, because it leads to /dev/null
    or is empty, or if systemd isn't the init. ``booted`` is a folder that exists only if it is.
    """
    if not booted.is_dir():
        return ""
    template = _template(name)
    for folder in folders:
        for file in (folder / name, folder / template):
            if os.path.lexists(file):
                return "" if _is_empty(file) else name
    return ""


def _is_empty(file: Path) -> bool:
    """Return whether a file is /dev/null or has no content. A link is followed."""
    if os.path.realpath(file) == os.devnull:
        return True
    try:
        return file.is_file() and file.stat().st_size == 0
    except OSError:
        return False


def _template(name: str) -> str:
    """Return the name of a unit's template: ``a@.service`` for ``a@b.service``.

    For a unit without a template, return its own name.
    """
    before, at, rest = name.partition("@")
    return f"{before}@.{rest.rpartition('.')[2]}" if at else name
