# SPDX-License-Identifier: MIT
"""The file in which the service keeps its state over a restart, in its runtime directory.

The next poll brings the true state in any case. But after an upgrade nobody should be notified
again of a tunnel that was up before, and changes during the restart should not be lost.

If the file can't be used, the service runs without it. Opening the file never blocks and follows no
link, and each value in it is checked (here and in tracking/records.py).
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
"""Name of an empty file, which exists while the journal may have entries about changes that aren't
in the state file yet."""
FRESH: Final = 60.0
"""Seconds. The file is used only if its modification time, which touch() renews, is less than so
long ago."""
OLDEST: Final = 600.0
"""Seconds that may lie between the time in the file (Saved.at) and its modification time, which
touch() renews. If it is more, the clock was set or the file is damaged, and the file isn't used."""
CLOCK_SLACK: Final = 1.0
"""Seconds by which the file's modification time may seem to be in the future, or before the time in
the file: the kernel's clock for files is coarse."""
MAX_RUN_ID: Final = 64
MAX_SIZE: Final = 16 << 20
"""Bytes that the file may have. Ten thousand tunnels take 6 MB. JSON of this size, once parsed,
fits into the unit's MemoryMax=."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The content of the state file. ``data`` is what Tracker.save() returned."""

    data: object
    at: float
    """When pluto was asked for the state in ``data``: wall clock, in seconds since the epoch. What
    pluto logged later isn't in it."""
    run_id: str = ""
    """The run id of the service's run that wrote the file; "": not known."""
    behind: bool = False
    """Whether that run may have written journal entries about later changes, which aren't in the
    file."""


class StateFile:
    """The state file in ``folder``; None: there is no folder, so nothing is read or written."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / NAME
        self._holds = False
        """Whether the last write() of this process succeeded; False before the first one."""
        self._behind = False
        """Whether mark_behind() was called since the last write() that succeeded, so that the file
        BEHIND needn't be made again."""
        self._trouble = ""
        """Why the last write() failed; "": it didn't fail."""

    @classmethod
    def of_unit(cls) -> StateFile:
        """Return the state file in the unit's RuntimeDirectory=.

        If the unit has none (RUNTIME_DIRECTORY isn't set), return one that keeps nothing.
        """
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        return cls(Path(folder) if folder.startswith("/") else None)

    def read(self) -> Saved | None:
        """Return the file's content. None: there is no file, it isn't fresh (FRESH), or it is bad.

        A bad file is renamed, and the reason is logged.
        """
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
        """Rename the file to ``state.bad``, so that it isn't read again, and log why."""
        if self._path is not None:
            logger.warning("%s is no good (%s): beginning afresh", self._path, why)
            try:
                self._path.replace(self._path.with_suffix(".bad"))
            except OSError as e:
                logger.warning("%s stays where it is: %s", self._path, e.strerror)

    def mark_behind(self) -> None:
        """Create the file BEHIND. Called before journal entries about changes are written.

        write() removes it again. Errors are ignored.
        """
        if self._path is not None and not self._behind:
            self._behind = True
            with suppress(OSError):
                flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
                os.close(os.open(self._path.with_name(BEHIND), flags, 0o600))

    def write(self, data: object, at: float, run_id: str = "") -> None:
        """Replace the file's content, whole or not at all, and delete BEHIND.

        ``data`` must include all changes about which journal entries were written. ``at`` is when
        pluto was asked for it (wall clock). Raise nothing: a failure is logged, unless the last
        call failed in the same way.
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
        """Set the file's modification time to now, because its content is still true.

        Do nothing if the last write() failed, or if this process has written nothing yet.
        """
        if self._path is not None and self._holds:
            try:
                os.utime(self._path, follow_symlinks=False)
            except OSError:
                logger.debug("%s is gone", self._path)


def _read(path: Path) -> Saved | None:
    """Return the content of the state file at ``path``; None: it isn't fresh (FRESH).

    Raise OSError if it can't be read, and ValueError or RecursionError if it isn't a regular file
    of our own user, is too large, or has other content than write() makes.
    """
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
    """Return all bytes of an open file. Raise ValueError if there are more than MAX_SIZE."""
    content = bytearray()
    while piece := os.read(descriptor, 1 << 20):
        content += piece
        if len(content) > MAX_SIZE:
            raise ValueError(f"more than {MAX_SIZE} bytes")
    return bytes(content)


def _refuse(constant: str) -> NoReturn:
    """Raise ValueError for NaN or Infinity, which Python's parser accepts but JSON doesn't have."""
    raise ValueError(f"{constant} is no number")


def _anything(value: object) -> object:
    return value


_FILE: Final = fields({"at": number(), "data": _anything}, {"run_id": optional(text(MAX_RUN_ID))})


def _write(path: Path, content: object) -> None:
    """Write ``content`` as JSON to a new file; a file or link that has this path is removed before.

    Raise OSError if that fails, ValueError for NaN and for more than MAX_SIZE bytes.
    """
    with suppress(FileNotFoundError):
        path.unlink()  # a service that was killed while it wrote has left it
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="ascii") as f:
        json.dump(content, f, allow_nan=False)
        if f.tell() > MAX_SIZE:
            raise ValueError(f"more than {MAX_SIZE} bytes")
