# SPDX-License-Identifier: MIT
"""Which tunnels the user wants to hear of: by the settings, and by what is muted. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ipsecwatch.agent.template_notice import template_of
from ipsecwatch.client.connection_names import L2TP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipsecwatch.client.events import View
    from ipsecwatch.config import AgentSettings


class Selection:
    """What is reported, of all that there is."""

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self.muted: Mapping[str, float] = {}
        """Until when tunnels are muted, by name."""

    @property
    def wants_trouble(self) -> bool:
        """Whether the loss of any tunnel, or that it is stuck, is reported."""
        s = self.settings
        return s.down or s.stuck or any(t.down or t.stuck for _, t in s.tunnels)

    def leaves_out(self, view: View) -> bool:
        """Return whether the settings or a mute leave out a tunnel, or its template."""
        if view.managed and self._leaves_out_managed(view):
            return True
        names = [*view.names, *filter(None, (template_of(view),))]
        if any(name in self.muted for name in names):
            return True
        return any(fnmatchcase(name, glob) for name in names for glob in self.settings.ignore)

    def _leaves_out_managed(self, view: View) -> bool:
        """Return whether the settings leave out one of NetworkManager's connections.

        With "losses" these are those of NetworkManager-l2tp, which itself learns of a loss, as pppd
        ends, and reports it. NetworkManager-libreswan never learns of one.
        """
        setting = self.settings.managed
        return setting == "none" or (setting == "losses" and view.managed == L2TP)

    def only_losses(self, view: View) -> bool:
        """Return whether only losses of this tunnel are reported.

        That is set for NetworkManager's tunnels, as NetworkManager itself reports the rest.
        """
        return bool(view.managed) and self.settings.managed == "losses"
