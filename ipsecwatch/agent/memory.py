# SPDX-License-Identifier: MIT
"""Save what is on the screen and what the user closed, for the session's next agent.

It is saved in a file in XDG_RUNTIME_DIR, a folder that is removed when the session ends. Each
session bus has a file of its own. If the file can't be used, the agent works without it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from ipsecwatch.agent.delivery import SLOTS, Slot

logger = logging.getLogger(__name__)

FORMAT: Final = 1
MAX_SIZE: Final = 1 << 20
"""The number of bytes of the file that are read at most."""
MAX_CLOSED: Final = 1000
"""The number of closed notifications that are remembered at most."""


@dataclass(slots=True)
class Memory:
    """The content of the file.

    ``session`` is the id of the login session in which it was written.
    """

    session: str = ""
    server: str = ""
    """The unique bus name of the notification server that ``numbers`` are from; "": none."""
    numbers: dict[str, int] = field(default_factory=dict)
    """For each slot, the number that the server gave to the notification in it."""
    slots: dict[str, Slot] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    """The notifications that the user closed: the rank (rules.py) that each had, by its key."""
    restarted_for: str = ""
    """The installed version for which an agent last restarted itself; "": none has done so."""


class MemoryFile:
    """The file for one session bus. The id of the bus is a part of the file's name."""

    def __init__(self, bus_id: str) -> None:
        folder = os.environ.get("XDG_RUNTIME_DIR", "")
        usable = os.path.isabs(folder) and bus_id.isalnum()
        self.path = Path(folder, "ipsecwatch", f"agent-{bus_id}.json") if usable else None
        self._session = os.environ.get("XDG_SESSION_ID", "")
        self.is_new_login = False
        """Whether this agent is the first one in its login session. It is set by load(), and is
        true if there was no file, one from an earlier login, or no folder for it."""
        self._last = ""

    def load(self) -> Memory:
        """Return what was saved; an empty Memory if nothing was, or if it can't be read.

        If it is from an earlier login, the notifications closed then are left out.
        """
        self.is_new_login = self.path is None or not self.path.exists()
        if self.path is None:
            return Memory(self._session)
        try:
            with self.path.open("rb") as file:
                memory = _read(json.loads(file.read(MAX_SIZE)))
        except FileNotFoundError:
            return Memory(self._session)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
            logger.warning("what the last agent left can't be read: %r", e)
            return Memory(self._session)
        if memory.session != self._session:  # closed in another login
            memory.closed = {}
            self.is_new_login = True
        memory.session = self._session
        return memory

    def save(self, memory: Memory) -> bool:
        """Write ``memory`` to the file, unless it is there already. Return False if that fails.

        If there are more than MAX_CLOSED closed notifications, the oldest ones are dropped, in
        ``memory`` itself as well.
        """
        if self.path is None:
            return False
        memory.closed = dict(list(memory.closed.items())[-MAX_CLOSED:])
        text = json.dumps({"format": FORMAT, **asdict(memory)})
        if text == self._last:
            return True
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            new = self.path.with_suffix(".new")
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "w", encoding="utf-8") as file:
                file.write(text)
            new.replace(self.path)
        except OSError as e:
            logger.debug("nothing can be left for the next agent: %s", e)
            return False
        self._last = text
        return True


def _read(data: dict[str, Any]) -> Memory:
    """Return a Memory from the data in the file.

    Raise ValueError, TypeError, KeyError or AttributeError if the data has another form.
    """
    if data["format"] != FORMAT:
        raise ValueError("it is of another version")
    slots = {
        name: Slot(str(s["key"]), int(s["rank"]), int(s["wrong"]), int(s["text"]), bool(s["there"]))
        for name, s in data["slots"].items()
        if name in SLOTS
    }
    numbers = {name: int(n) for name, n in data["numbers"].items() if name in slots}
    closed = {str(key): int(rank) for key, rank in data["closed"].items()}
    return Memory(
        str(data["session"]), str(data["server"]), numbers, slots, closed,
        str(data["restarted_for"]),
    )  # fmt: skip
