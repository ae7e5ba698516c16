# SPDX-License-Identifier: MIT
"""Reads the agent's settings file, and reads it again when it changes, and on SIGHUP.

A file with a mistake changes nothing: the agent keeps the last good settings, and reports the
mistake.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipsecwatch.config import AgentSettings, ConfigError, load_agent
from ipsecwatch.pluto.wakers.inotify import CREATED, DELETED, MOVED, Inotify

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

SETTLE: Final = 0.2
"""Seconds to wait before a changed file is read: editors write in several steps."""

_WRITTEN: Final = 0x8  # IN_CLOSE_WRITE


class SettingsFile:
    """The agent's settings file.

    ``settings`` are the last that had no mistake, and the defaults before there were any.
    ``mistake`` is one line about the mistake that the file has now; "": none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = AgentSettings()
        self.mistake = ""

    def load(self) -> bool:
        """Read the file; return whether ``settings`` or ``mistake`` have changed."""
        before = self.settings, self.mistake
        try:
            self.settings, self.mistake = load_agent(self.path), ""
        except ConfigError as e:
            self.mistake = str(e).replace(str(self.path), self.path.name)
            if self.mistake != before[1]:
                logger.warning("%s. Until it is corrected, the previous settings are used", e)
        return before != (self.settings, self.mistake)

    async def watch(self, changed: Callable[[], object], hup: asyncio.Event) -> None:
        """Read the file now, at each change, and whenever ``hup`` is set, for ever.

        Call ``changed`` whenever ``settings`` or ``mistake`` have changed.
        """
        while True:
            hup.clear()
            with FileWatch(self.path, hup):
                if self.load():
                    changed()
                await hup.wait()
                await asyncio.sleep(SETTLE)


class FileWatch:
    """Sets an event when a file may have changed; for a link, the link or its target.

    Where the file's folder is missing, the event is set when a folder above it may have changed. It
    does so from its creation until the context ends; never where inotify can't be used.
    """

    def __init__(self, path: Path, changed: asyncio.Event) -> None:
        self._changed = changed
        self._inotify: Inotify | None = None
        self._names: dict[int, set[str]] = {}
        try:
            self._inotify = Inotify()
        except (OSError, AttributeError) as e:
            logger.debug("the settings can't be watched: %s", e)
            return
        # Where the file is a link, the link or its target may change.
        for file in {path, Path(path.parent.resolve(), path.name).resolve()}:
            self._add(file)
        asyncio.get_running_loop().add_reader(self._inotify.fd, self._on_events)

    def _add(self, file: Path) -> None:
        """Watch the folder of a file; where that is missing, the nearest existing one above it."""
        assert self._inotify is not None
        folder, name = file.parent, file.name
        while not folder.is_dir() and folder != folder.parent:
            folder, name = folder.parent, folder.name
        try:
            number = self._inotify.add(folder, CREATED | DELETED | MOVED | _WRITTEN)
        except OSError as e:
            logger.debug("%s can't be watched: %s", folder, e)
        else:
            self._names.setdefault(number, set()).add(name)

    def _on_events(self) -> None:
        """Set the event if a watched name, or a watched folder itself, has changed."""
        if self._inotify is None:
            return
        for number, _, name in self._inotify.events():
            if name in self._names.get(number, ()) or not name:  # the folder itself was removed
                self._changed.set()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._inotify is not None:
            asyncio.get_running_loop().remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None
