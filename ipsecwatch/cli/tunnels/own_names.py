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
    """Return ``names`` with pluto's name for each: a UUID in place of NetworkManager's name.

    A name that the service lists stays as it is, and so does a pattern, a UUID, and a name that
    NetworkManager doesn't have. Raise Failure where several of NetworkManager's connections have
    one of the names.
    """
    return asyncio.run(find_in_pluto(names, instance)) if _to_look_up(names) else list(names)


def _to_look_up(names: Sequence[str]) -> list[str]:
    """Return those names that may be NetworkManager's: no patterns and no UUIDs."""
    return [name for name in names if not (selection.is_pattern(name) or is_uuid(name))]


class Titles:
    """Learns and keeps NetworkManager's names for tunnels whose name in pluto is a UUID.

    NetworkManager is asked only once for each UUID, and gets little time to answer. After it was
    asked for MAX_KNOWN UUIDs, it isn't asked again.
    """

    def __init__(self) -> None:
        self.by_uuid: dict[str, str] = {}
        """NetworkManager's names, by the UUID in pluto, as far as NetworkManager answered. They are
        cleaned, so they can be printed."""
        self._asked: set[str] = set()

    async def learn(self, names: Iterable[str]) -> None:
        """Ask NetworkManager for the names of the UUIDs among ``names``, and keep its answers.

        Other names, and UUIDs that it was asked for before, are left out.
        """
        new = {name for name in names if is_uuid(name)} - self._asked
        if new and len(self._asked) < MAX_KNOWN:
            self._asked |= new
            self.by_uuid |= {uuid: k.name for uuid, k in (await names_of(new)).items()}

    def shown(self, name: str) -> str:
        """Return the name to show for a tunnel whose name in pluto is ``name``.

        That is NetworkManager's if learn() got it, as selection.distinct() returns it, else
        ``name``.
        """
        return selection.distinct(self.by_uuid).get(name, name)


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
    """Return pluto's names of all tunnels that the service lists; [] where it doesn't answer."""
    try:
        seen = await client.snapshot(instance=instance)
    except client.ClientError:
        return []
    return [view.name for view in seen.tunnels.values()]
