# SPDX-License-Identifier: MIT
"""What the service remembers over its own restart, in a file of its runtime directory.

Not needed for truth, which the next poll brings; but whoever was told that a tunnel is up should
not be told again because of an upgrade, and what happened meanwhile should not be lost.

Whatever is in the way of the file, or in it, the service runs without: it is never waited for,
never followed to another place, and each value is checked (here and in tracking/records.py).
"""

from __future__ import annotations

import json
import logging
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from ipsecwatch.jsonutil import JsonError, fields, number, optional, text

logger = logging.getLogger(__name__)

NAME: Final = "state.json"
BEHIND: Final = "state.behind"
"""An empty file: the journal has entries of later changes than those that NAME tells of."""
FRESH: Final = 60.0
"""Seconds for which what was kept is still worth anything."""
OLDEST: Final = 600.0
"""Seconds between the moment that a file tells of and the last time that it was said to hold. With
more the clock was set meanwhile, or the file is damaged: the log since then is another one."""
CLOCK_SLACK: Final = 1.0
"""Seconds by which a file's time may be ahead; the kernel's clock for files is a coarse one."""
MAX_RUN_ID: Final = 64
MAX_SIZE: Final = 16 << 20
"""Bytes; ten thousand tunnels take 6 MB. What JSON of this size may become fits our MemoryMax."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What was kept."""

    data: object
    at: float
    """When pluto was asked for it, on the wall clock: what was logged later isn't in it."""
    run_id: str = ""
    """Of the service that kept it; "" where that isn't known."""
    behind: bool = False
    """That service has written entries since that it doesn't reflect."""


class StateFile:
    """Keeps plain values in ``folder``; None: there is nowhere to keep them."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / NAME
        self._holds = False
        """The file has what was last to be kept."""
        self._behind = False
        """It is marked so that it doesn't reflect all entries."""
        self._trouble = ""
        """Why it couldn't be written the last time."""

    @classmethod
    def of_unit(cls) -> StateFile:
        """Find the place that systemd has made for us, if it has."""
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        return cls(Path(folder) if folder.startswith("/") else None)

    def read(self) -> Saved | None:
        """Return what was kept, if it is fresh. What can't be read is put aside."""
        if self._path is None:
            return None
        try:
            return _read(self._path)
        except FileNotFoundError:
            return None
        except OSError as e:
            self.put_aside(e.strerror or repr(e))
        except RecursionError:
            self.put_aside("nested too deeply")
        except ValueError as e:
            self.put_aside(str(e))
        return None

    def put_aside(self, why: str) -> None:
        """Move a file that is no good out of the way, and log it."""
        if self._path is not None:
            logger.warning("%s is no good (%s): beginning afresh", self._path, why)
            try:
                self._path.replace(self._path.with_suffix(".bad"))
            except OSError as e:
                logger.warning("%s stays where it is: %s", self._path, e.strerror)

    def mark_behind(self) -> None:
        """Note that entries are written that what was kept doesn't reflect. Before that is done."""
        if self._path is not None and not self._behind:
            self._behind = True
            with suppress(OSError):
                flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                os.close(os.open(self._path.with_name(BEHIND), flags, 0o600))

    def write(self, data: object, at: float, run_id: str = "") -> None:
        """Keep values of some moment, whole or not at all: all that entries were written of.

        That it fails is logged once. The next values are tried again: a full disk may have room.
        """
        if self._path is None:
            return
        new = self._path.with_suffix(".new")
        try:
            _write(new, {"at": at, "data": data, "run_id": run_id})
            new.replace(self._path)
            self._path.with_name(BEHIND).unlink(missing_ok=True)
        except (OSError, ValueError) as e:
            with suppress(OSError):
                new.unlink()
            self._holds = False
            trouble = (e.strerror if isinstance(e, OSError) else None) or str(e)
            if trouble != self._trouble:
                logger.warning("%s can't be written: %s; trying again", self._path, trouble)
            self._trouble = trouble
        else:
            self._holds, self._behind = True, False
            if self._trouble:
                logger.info("%s can be written again", self._path)
            self._trouble = ""

    def touch(self) -> None:
        """Say that what was kept still holds, if it could be written."""
        if self._path is not None and self._holds:
            try:
                os.utime(self._path, follow_symlinks=False)
            except OSError:
                logger.debug("%s is gone", self._path)


def _read(path: Path) -> Saved | None:
    """Return what a file holds, or None if it is too old. Raise OSError or ValueError."""
    # Opening a pipe would wait for a writer, and a link may lead to anything that root can read.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("not a regular file")
        if about.st_uid != os.geteuid():
            raise ValueError(f"it belongs to user {about.st_uid}")
        if not -CLOCK_SLACK <= time.time() - about.st_mtime < FRESH:
            return None
        content = _content(descriptor)
    finally:
        os.close(descriptor)
    kept = _FILE(json.loads(content.decode("ascii"), parse_constant=_refuse))
    lag = about.st_mtime - kept["at"]
    if not -CLOCK_SLACK <= lag <= OLDEST:
        raise JsonError(f"{lag:.0f} seconds before the file was written", "at")
    behind = os.path.lexists(path.with_name(BEHIND))
    return Saved(kept["data"], kept["at"], kept["run_id"] or "", behind)


def _content(descriptor: int) -> bytes:
    """Read to the end, however large the file was said to be. Raise ValueError for too much."""
    content = bytearray()
    while piece := os.read(descriptor, 1 << 20):
        content += piece
        if len(content) > MAX_SIZE:
            raise ValueError(f"more than {MAX_SIZE} bytes")
    return bytes(content)


def _refuse(constant: str) -> NoReturn:
    """Refuse what Python's reader takes and JSON doesn't have: NaN and Infinity."""
    raise ValueError(f"{constant} is no number")


def _anything(value: object) -> object:
    return value


_FILE: Final = fields({"at": number(), "data": _anything}, {"run_id": optional(text(MAX_RUN_ID))})


def _write(path: Path, content: object) -> None:
    """Make a new file, never through a link in its place. Raise OSError or ValueError."""
    with suppress(FileNotFoundError):
        path.unlink()  # a service that was killed while it wrote has left it
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="ascii") as f:
        json.dump(content, f, allow_nan=False)
        if f.tell() > MAX_SIZE:
            raise ValueError(f"more than {MAX_SIZE} bytes")
