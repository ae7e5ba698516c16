# SPDX-License-Identifier: MIT
"""Saves for the session's next agent what is on the screen, and what the user closed.

It is saved to a file in the user's runtime folder, which is removed with the session; there is one
file for each session bus. Where the file can't be used, the agent works without it.
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
"""Bytes of the file that are read, at most."""
MAX_CLOSED: Final = 1000
"""Notifications that are remembered as closed, at most."""


@dataclass(slots=True)
class Memory:
    """What is saved in the file. ``session`` is the id of the login in which it was written."""

    session: str = ""
    server: str = ""
    """The unique bus name of the notification server that the numbers are from."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The server's number of the notification in each slot."""
    slots: dict[str, Slot] = field(default_factory=dict)
    closed: dict[str, int] = field(default_factory=dict)
    """The ranks of the notifications that the user closed, by key."""
    restarted_for: str = ""
    """The installed version for which an agent restarted itself last; "": none did."""


class MemoryFile:
    """The file for one session bus; the bus's id is part of its name."""

    def __init__(self, bus_id: str) -> None:
        folder = os.environ.get("XDG_RUNTIME_DIR", "")
        usable = os.path.isabs(folder) and bus_id.isalnum()
        self.path = Path(folder, "ipsecwatch", f"agent-{bus_id}.json") if usable else None
        self._session = os.environ.get("XDG_SESSION_ID", "")
        self.is_new_login = False
        """Whether load() found no file, or one that an agent saved in an earlier login."""
        self._last = ""

    def load(self) -> Memory:
        """Return what was saved; an empty Memory where nothing was, or where it can't be read.

        What an earlier login saved is returned without the closed notifications.
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
        """Write the file, if its content has changed; return False where it can't be written.

        Of more than MAX_CLOSED closed notifications only the last are kept, in ``memory`` as well.
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
    """Return the Memory in a file's data. Raise ValueError, TypeError, KeyError, AttributeError."""
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
