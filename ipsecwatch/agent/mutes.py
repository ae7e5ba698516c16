# SPDX-License-Identifier: MIT
"""Read and write the user's file of muted tunnels, which says until when each of them is muted.

The agent's buttons and ``ipsecwatch mute`` write the file, and the agent reads it again whenever it
changes. Times are wall clock, so that an hour also ends while no agent runs.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.agent.notifications import shown
from ipsecwatch.jsonutil import JsonError, each, fields, number, one_of, text, whole

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT: Final = 1
MAX_SIZE: Final = 1 << 20
"""The number of bytes that the file may have."""
MAX_MUTES: Final = 1000
MAX_NAME: Final = 400
"""The number of characters that a tunnel's name may have, with the name of the service's instance
before it."""
HOUR: Final = 3600.0


class Until(StrEnum):
    """How long a tunnel is muted. The value is the word for it on the command line."""

    HOUR = "1h"
    LOGIN = "login"
    """Until the next time that the user logs in."""
    EVER = "ever"


@dataclass(frozen=True, slots=True)
class Mute:
    """One muted tunnel, about which no notifications are shown."""

    name: str
    """The tunnel's name, as notifications show it. It may also be a template's name."""
    until: Until
    ends: float = 0.0
    """When the hour is over, in seconds since the epoch. 0 if the mute doesn't last for an hour."""

    def left(self, now: float) -> float:
        """Return how many seconds are left of the mute; infinity if it doesn't end by the clock.

        For a mute that has ended it is 0 or less. For one of an hour it is at most HOUR, even if
        the clock was set back.
        """
        return min(self.ends - now, HOUR) if self.until is Until.HOUR else float("inf")


class MutesError(Exception):
    """The file can't be used, or the change isn't possible.

    The text is one line, ready to be shown.
    """


def mutes_file() -> Path:
    """Return the path of the user's file of muted tunnels, whether it exists or not.

    It is below XDG_STATE_HOME, or below ``~/.local/state`` if that variable is unset or not an
    absolute path.
    """
    base = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not base.is_absolute():
        base = Path(os.environ.get("HOME") or "/", ".local", "state")
    return base / "ipsecwatch" / "mutes.json"


def load(path: Path, now: float) -> tuple[Mute, ...]:
    """Return the mutes in the file that haven't ended at ``now``, sorted by the tunnels' names.

    Return an empty tuple if there is no file. Raise MutesError if it can't be read or has a
    mistake.
    """
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            data = file.read(MAX_SIZE + 1)
        if len(data) > MAX_SIZE:
            raise MutesError(f"{path} is larger than {MAX_SIZE >> 20} MiB")
        found = _FILE(json.loads(data))["mutes"]
    except FileNotFoundError:
        return ()
    except OSError as e:
        raise MutesError(f"{path} can't be read: {e.strerror}") from e
    except (ValueError, RecursionError, JsonError) as e:
        raise MutesError(f"{path} has a mistake: {e!s:.200}") from e
    mutes = {m["name"]: Mute(m["name"], m["for"], m["ends"]) for m in found}
    return tuple(m for _, m in sorted(mutes.items()) if m.left(now) > 0)


def save(path: Path, mutes: Iterable[Mute]) -> None:
    """Write these mutes to the file, in place of all that was in it.

    Raise MutesError if that fails, or if there are more than MAX_MUTES.
    """
    kept = list(mutes)
    if len(kept) > MAX_MUTES:
        raise MutesError(f"more than {MAX_MUTES} tunnels can't be muted")
    said = [{"name": m.name, "for": m.until.value, "ends": m.ends} for m in kept]
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, new = tempfile.mkstemp(prefix=".mutes-", dir=path.parent)
        with open(handle, "w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, "mutes": said}, file)
        os.replace(new, path)
    except OSError as e:
        raise MutesError(f"{path} can't be written: {e.strerror}") from e


def mute(path: Path, name: str, until: Until, now: float) -> Mute:
    """Mute a tunnel from ``now`` on: write that to the file, and return the new Mute.

    An earlier mute of the tunnel is replaced. ``name`` is as notifications show it. Raise
    MutesError if that isn't possible.
    """
    if not is_name(name):
        raise MutesError("it can't be a tunnel's name")
    new = Mute(name, until, now + HOUR if until is Until.HOUR else 0.0)
    save(path, [*(m for m in load(path, now) if m.name != name), new])
    return new


def unmute(path: Path, name: str, now: float) -> bool:
    """Remove a tunnel's mute from the file. Return whether it was muted at ``now``.

    Raise MutesError if the file can't be read or written.
    """
    before = load(path, now)
    after = [m for m in before if m.name != name]
    if len(after) < len(before):
        save(path, after)
    return len(after) < len(before)


def begin_login(path: Path, now: float) -> None:
    """Remove from the file the mutes that last until the next login, since that is now.

    Raise MutesError if the file can't be read or written.
    """
    before = load(path, now)
    after = [m for m in before if m.until is not Until.LOGIN]
    if len(after) < len(before):
        save(path, after)


def is_name(name: str) -> bool:
    """Return whether a text can be a tunnel's name, as notifications show it.

    It must have 1 to MAX_NAME characters, all of them visible and harmless.
    """
    return 0 < len(name) <= MAX_NAME and shown(name, MAX_NAME) == name


def _checked_name(value: object) -> str:
    """Return a tunnel's name from the file. Raise JsonError if it isn't a name by is_name()."""
    name = text(MAX_NAME)(value)
    if not is_name(name):
        raise JsonError("it can't be a tunnel's name")
    return name


def _checked_mutes(value: object) -> tuple[dict[str, Any], ...]:
    """Return the checked mutes of the file.

    Raise JsonError if one is wrong, or if they are too many.
    """
    found = each(_MUTE)(value)
    if len(found) > MAX_MUTES:
        raise JsonError(f"{len(found)} are more than {MAX_MUTES}")
    return found


_MUTE: Final = fields({"name": _checked_name, "for": one_of(Until), "ends": number(0.0)})
_FILE: Final = fields({"format": whole(FORMAT, FORMAT), "mutes": _checked_mutes})
