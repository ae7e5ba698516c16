# SPDX-License-Identifier: MIT
"""Translates NetworkManager's names into pluto's, and back, for verbs on the command line."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ipsecwatch import client
from ipsecwatch.cli.tunnels import selection
from ipsecwatch.client.connection_names import MAX_KNOWN, called, is_uuid, names_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def in_pluto(names: Sequence[str], instance: str = "") -> list[str]:
    """Return pluto's names of these tunnels: the UUID for the name of a NetworkManager connection.

    Names that the service lists stay as they are, and so do patterns and all that NetworkManager
    doesn't have. Raise Failure where it has several connections of one name.
    """
    return asyncio.run(find_in_pluto(names, instance)) if _to_look_up(names) else list(names)


def _to_look_up(names: Sequence[str]) -> list[str]:
    """Return those names that may be NetworkManager's: no patterns and no UUIDs."""
    return [name for name in names if not (selection.is_pattern(name) or is_uuid(name))]


class Titles:
    """NetworkManager's names for tunnels whose name is a UUID.

    NetworkManager is asked once for each UUID, and gets little time to answer. Once it was asked
    for MAX_KNOWN or more, it isn't asked again.
    """

    def __init__(self) -> None:
        self.by_uuid: dict[str, str] = {}
        """The names by UUID, cleaned."""
        self._asked: set[str] = set()

    async def learn(self, names: Iterable[str]) -> None:
        """Ask NetworkManager for those UUIDs among ``names`` that it wasn't asked for before."""
        new = {name for name in names if is_uuid(name)} - self._asked
        if new and len(self._asked) < MAX_KNOWN:
            self._asked |= new
            self.by_uuid |= {uuid: k.name for uuid, k in (await names_of(new)).items()}

    def shown(self, name: str) -> str:
        """Return the name to show for a tunnel: NetworkManager's if it was learnt, else ``name``.

        Where two of the UUIDs have the same name, the UUID follows it.
        """
        title = self.by_uuid.get(name)
        if title is None:
            return name
        several = sum(each == title for each in self.by_uuid.values()) > 1
        return f"{title} ({name})" if several else title


async def find_in_pluto(names: Sequence[str], instance: str = "") -> list[str]:
    """Return what in_pluto() returns, for callers in an event loop. Raise Failure as it does.

    It may wait for the service as long as client.snapshot() does.
    """
    uuids: dict[str, list[str]] = {}
    asked = _to_look_up(names)
    for known in await called(asked) if asked else ():
        uuids.setdefault(known.name, []).append(known.uuid)
    for name in await _listed(instance) if uuids else ():
        uuids.pop(name, None)
    for name, several in uuids.items():
        if len(several) > 1:
            raise selection.ambiguous(name, several)
    return [uuids[name][0] if name in uuids else name for name in names]


async def _listed(instance: str) -> list[str]:
    """Return the names of all tunnels that the service lists; none where it doesn't answer."""
    try:
        seen = await client.snapshot(instance=instance)
    except client.ClientError:
        return []
    return [view.name for view in seen.tunnels.values()]
