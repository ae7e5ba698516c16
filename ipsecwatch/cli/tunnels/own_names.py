# SPDX-License-Identifier: MIT
"""NetworkManager's names on the command line, for verbs that don't list all tunnels first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ipsecwatch import client
from ipsecwatch.cli.tunnels import selection
from ipsecwatch.client.connection_names import MAX_KNOWN, called, is_uuid, names_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def in_pluto(names: Sequence[str], instance: str = "") -> list[str]:
    """Return pluto's names of these tunnels: a UUID where NetworkManager has such a name.

    A name that the service lists stays, and so do patterns. Raise Failure where NetworkManager has
    several connections of one name.
    """
    asked = [name for name in names if not (selection.is_pattern(name) or is_uuid(name))]
    return asyncio.run(_in_pluto(names, asked, instance)) if asked else list(names)


class Titles:
    """What people call tunnels whose name is a UUID. Each is asked for once, and only briefly."""

    def __init__(self) -> None:
        self.by_uuid: dict[str, str] = {}
        """Cleaned, as NetworkManager has them."""
        self._asked: set[str] = set()

    async def learn(self, names: Iterable[str]) -> None:
        """Ask NetworkManager for those of these names that it hasn't been asked for."""
        new = {name for name in names if is_uuid(name)} - self._asked
        if new and len(self._asked) < MAX_KNOWN:
            self._asked |= new
            self.by_uuid |= {uuid: k.name for uuid, k in (await names_of(new)).items()}

    def shown(self, name: str) -> str:
        """Return what people are shown of a tunnel's name; both, where two are called the same."""
        title = self.by_uuid.get(name)
        if title is None:
            return name
        several = sum(each == title for each in self.by_uuid.values()) > 1
        return f"{title} ({name})" if several else title


async def _in_pluto(names: Sequence[str], asked: Sequence[str], instance: str) -> list[str]:
    """Return the names with UUIDs in place of NetworkManager's; ask only for ``asked``.

    Raise Failure where a name is ambiguous.
    """
    uuids: dict[str, list[str]] = {}
    for known in await called(asked):
        uuids.setdefault(known.name, []).append(known.uuid)
    for name in await _listed(instance) if uuids else ():
        uuids.pop(name, None)
    for name, several in uuids.items():
        if len(several) > 1:
            raise selection.ambiguous(name, several)
    return [uuids[name][0] if name in uuids else name for name in names]


async def _listed(instance: str) -> list[str]:
    """Return the names of all tunnels; none where the service doesn't answer."""
    try:
        seen = await client.snapshot(instance=instance)
    except client.ClientError:
        return []
    return [view.name for view in seen.tunnels.values()]
