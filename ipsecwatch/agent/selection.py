# SPDX-License-Identifier: MIT
"""Decide about which tunnels there are notifications, by the settings and by the mutes. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ipsecwatch.agent.template_notification import template_of
from ipsecwatch.client.connection_names import L2TP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipsecwatch.client.views import View
    from ipsecwatch.config import AgentSettings


class Selection:
    """The settings and the mutes, and which tunnels they leave out."""

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self.muted: Mapping[str, float] = {}
        """When each mute ends, by the name of the muted tunnel: in monotonic seconds; infinity: not
        by time."""

    @property
    def wants_trouble(self) -> bool:
        """Whether ``down`` or ``stuck`` is set, in general or in one of the tables of tunnels."""
        s = self.settings
        return s.down or s.stuck or any(t.down or t.stuck for _, t in s.tunnels)

    def leaves_out(self, view: View) -> bool:
        """Return whether there are no notifications about a tunnel, by the settings or a mute.

        For an instance, those of its template count as well.
        """
        if view.managed and self._leaves_out_managed(view):
            return True
        names = [*view.names, *filter(None, (template_of(view),))]
        if any(name in self.muted for name in names):
            return True
        return any(fnmatchcase(name, glob) for name in names for glob in self.settings.ignore)

    def _leaves_out_managed(self, view: View) -> bool:
        """Return whether the setting ``managed`` leaves out a tunnel of NetworkManager's.

        "none" leaves out all of them. "losses" leaves out those of NetworkManager-l2tp, which
        notices a loss by itself, because pppd ends then, and reports it. NetworkManager-libreswan
        never notices one.
        """
        setting = self.settings.managed
        return setting == "none" or (setting == "losses" and view.managed == L2TP)

    def only_losses(self, view: View) -> bool:
        """Return whether only losses of this tunnel are reported.

        That is so for NetworkManager's tunnels if ``managed`` is "losses", since NetworkManager
        itself reports all else.
        """
        return bool(view.managed) and self.settings.managed == "losses"
