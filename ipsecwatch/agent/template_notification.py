# SPDX-License-Identifier: MIT
"""Decide when to report how many devices are connected to a template for any peer. Pure.

The instances of a template have no notifications of their own: there may be hundreds of them, and
they come and go all day.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from ipsecwatch.agent.notifications import News
from ipsecwatch.agent.rules import Kind
from ipsecwatch.client.views import View
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from ipsecwatch.config import TunnelSettings

SELDOM: Final = 60.0
"""Seconds between two notifications about one template at least."""

_INSTANCE: Final = re.compile(r"(.+?)(?:\[\d+\])+", re.DOTALL)


def template_of(view: View) -> str | None:
    """Return the name of the template of which a tunnel is an instance: ``rw`` for ``rw[3]``.

    Return None if it isn't an instance. Only the form of the tunnel's name counts. A connection of
    NetworkManager may have any name, and is never an instance.
    """
    found = None if view.managed else _INSTANCE.fullmatch(view.name)
    return found[1] if found else None


class TemplateNotification:
    """The connected instances of one template, and when their number is reported.

    Times are monotonic, in seconds.
    """

    def __init__(self, name: str, settings: TunnelSettings) -> None:
        state = TunnelState.WAITING
        # An object path never has a blank, so this key is unique.
        self.view = View(f"template {name}", name, state, state, Reason.NONE, 0.0, 0.0)
        self.settings = settings
        self.due: float | None = None
        self._up: set[str] = set()
        self._told = 0
        self._told_at = -math.inf

    def record(self, path: str, state: TunnelState, now: float | None) -> None:
        """Record the state of an instance of the template. ``path`` is the instance's object path.

        The instance is connected if it is UP or PARTIAL. A state of UNKNOWN changes nothing.
        ``now`` is None for an instance in a Snapshot: the number of instances is then taken as
        reported already.
        """
        if state is TunnelState.UNKNOWN:
            return
        (self._up.add if state.carries else self._up.discard)(path)
        if now is None:
            self._told = len(self._up)
        elif len(self._up) == self._told:
            self.due = None
        elif self.due is None:
            self.due = max(now + self.settings.settle, self._told_at + SELDOM)

    def has(self, path: str) -> bool:
        """Return whether the instance with this path is connected."""
        return path in self._up

    def forget_all(self) -> None:
        """Forget all instances, before those in a Snapshot are recorded.

        A number of 0 is then taken as reported already.
        """
        self._up.clear()
        self._told = 0
        self.due = None

    def update(self, now: float) -> News | None:
        """Return the number of connected instances as news, if that is due; otherwise None.

        It is due when the number has differed for ``settle`` seconds from the one that was last
        reported, or that was in the last Snapshot, and when SELDOM seconds have passed since the
        last report. Return None also if the settings ask for no such news: ``up`` for a larger
        number, ``down`` for a smaller one.
        """
        if self.due is None or now < self.due:
            return None
        more = len(self._up) > self._told
        self.due, self._told, self._told_at = None, len(self._up), now
        wanted = self.settings.up if more else self.settings.down
        return News(Kind.DEVICES, self.view, times=self._told) if wanted else None
