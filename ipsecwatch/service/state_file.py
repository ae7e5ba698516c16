# SPDX-License-Identifier: MIT
"""What the service remembers over its own restart, in a file of its runtime directory.

Not needed for truth, which the next poll brings; but whoever was told that a tunnel is up should
not be told again because of an upgrade, and what happened meanwhile should not be lost.
"""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

logger = logging.getLogger(__name__)

NAME: Final = "state.json"
FRESH: Final = 60.0
"""Seconds for which what was kept is still worth anything."""
MAX_SIZE: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Saved:
    """What was kept."""

    data: object
    at: float
    """When pluto was asked for it, on the wall clock: what was logged later isn't in it."""


class StateFile:
    """Keeps plain values in ``folder``; None: there is nowhere to keep them."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / NAME

    @classmethod
    def of_unit(cls) -> StateFile:
        """Find the place that systemd has made for us, if it has."""
        folder = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
        return cls(Path(folder) if folder.startswith("/") else None)

    def read(self) -> Saved | None:
        """Give what was kept, if it is fresh. What can't be read is put aside."""
        if self._path is None:
            return None
        try:
            with self._path.open("rb") as f:
                about = os.fstat(f.fileno())
                age = time.time() - about.st_mtime
                if not -1.0 <= age < FRESH or about.st_size > MAX_SIZE:
                    return None
                content = json.loads(f.read())
                return Saved(content["data"], float(content["at"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as e:
            self.put_aside(str(e))
            return None

    def put_aside(self, why: str) -> None:
        """Move a file that is no good out of the way, and say so."""
        if self._path is not None:
            logger.warning("%s is no good (%s): beginning afresh", self._path, why)
            try:
                self._path.replace(self._path.with_suffix(".bad"))
            except OSError as e:
                logger.warning("%s stays where it is: %s", self._path, e.strerror)

    def write(self, data: object, at: float) -> None:
        """Keep values of some moment, whole or not at all. That it fails is logged, no more."""
        if self._path is None:
            return
        new = self._path.with_suffix(".new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as f:
                json.dump({"at": at, "data": data}, f)
            new.replace(self._path)
        except OSError as e:
            logger.warning("%s can't be written: %s", self._path, e.strerror)
            self._path = None

    def touch(self) -> None:
        """Say that what was kept still holds."""
        if self._path is not None:
            try:
                os.utime(self._path)
            except OSError:
                logger.debug("%s is gone", self._path)
