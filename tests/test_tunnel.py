# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import fields, replace

from ipsecwatch.report import Part
from ipsecwatch.tunnel import Reason, Tunnel, TunnelState
from tests.support.reports import child, connection


def test_a_tunnel_that_is_seen_again_is_the_same_with_other_lines() -> None:
    """Each field has another value, so that a mix-up of two fields would be found."""
    tunnel = Tunnel(
        "key", "name", TunnelState.UNKNOWN, TunnelState.UP, 1.0, 2.0, Reason.OTHER, 3, 4, 5, "nm",
        6, "peer", "detail", 7.0, False, (Part.STATES,), (8.0, "line"), "dns",
    )  # fmt: skip
    new = (connection("site"),), (child(2, "site", 1),)
    again = tunnel.seen_again(*new)
    whole = replace(tunnel, connections=new[0], states=new[1])
    for f in fields(Tunnel):
        assert getattr(again, f.name) is getattr(whole, f.name)
