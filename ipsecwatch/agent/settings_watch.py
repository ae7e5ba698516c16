# SPDX-License-Identifier: MIT
"""Read the agent's settings file, again whenever it changes, and on SIGHUP.

If the file has a mistake, the agent keeps the last settings without one, and reports the mistake.
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
"""Seconds between a change of the file and reading it, because editors write in several steps."""

_WRITTEN: Final = 0x8  # IN_CLOSE_WRITE


class SettingsFile:
    """The agent's settings file, and what was read from it.

    ``settings`` are the last ones in it that had no mistake; before there were any, the defaults.
    ``mistake`` describes in one line the mistake that the file has now; "": none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = AgentSettings()
        self.mistake = ""

    def load(self) -> bool:
        """Read the file. Return whether ``settings`` or ``mistake`` has changed by that."""
        before = self.settings, self.mistake
        try:
            self.settings, self.mistake = load_agent(self.path), ""
        except ConfigError as e:
            self.mistake = str(e).replace(str(self.path), self.path.name)
            if self.mistake != before[1]:
                logger.warning("%s. Until it is corrected, the previous settings are used", e)
        return before != (self.settings, self.mistake)

    async def watch(self, changed: Callable[[], object], hup: asyncio.Event) -> None:
        """Read the file now, whenever it changes, and whenever ``hup`` is set, for ever.

        Call ``changed`` each time that ``settings`` or ``mistake`` has changed by that.
        """
        while True:
            hup.clear()
            with FileWatch(self.path, hup):
                if self.load():
                    changed()
                await hup.wait()
                await asyncio.sleep(SETTLE)


class FileWatch:
    """A context in which an event is set whenever a file may have changed, or comes into being.

    If the file is a link, a change of the link and of its target count. If the file's folder
    doesn't exist, the event is set when a folder above it may have changed. The watch begins when
    this object is made, and ends with the context. If inotify can't be used, the event is never
    set.
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
        """Watch a file's folder; if that is missing, the nearest folder above it that exists."""
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
        """Set the event if a watched name changed, a folder is gone, or events were lost."""
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
