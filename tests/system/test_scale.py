# SPDX-License-Identifier: MIT
"""Tests with 10,000 tunnels: nothing is lost, and the event loop isn't blocked."""

from __future__ import annotations

import pytest

from ipsecwatch.tunnel import TunnelState
from tests.support.bus_process import BusProcess
from tests.support.bus_service import calling
from tests.support.waiting import until

TUNNELS = 10_000
BLOCKED = 0.2
"""How many seconds of processor time one step of the event loop may take."""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.usefixtures("system_bus")
async def test_10000_tunnels_come_and_all_go_down_and_up_again() -> None:
    figures = []
    with BusProcess() as service:
        async with calling(listen=True) as client:
            figures.append(await service.look(TUNNELS))
            await until(lambda: len(client.heard) == TUNNELS + 1, within=60.0)
            serial = 0
            for state in (TunnelState.DOWN, TunnelState.UP):
                client.heard.clear()
                figures.append(await service.become(state))
                reply = await client.connection.call(
                    "org.ipsecwatch1",
                    "/org/ipsecwatch1",
                    "org.ipsecwatch1.Manager",
                    "GetSnapshot",
                    within=60.0,
                )
                _, told, tunnels = reply.body
                # All signals came before the answer.
                changes = [s.body for s in client.heard if s.member == "TunnelStateChanged"]
                assert [c[5] for c in changes] == list(range(serial + 1, serial + TUNNELS + 1))
                assert {c[3] for c in changes} == {str(state)}
                assert {t["State"].value for t in tunnels.values()} == {str(state)}
                assert (told, len(tunnels), len(client.heard)) == (
                    serial + TUNNELS,
                    TUNNELS,
                    3 * TUNNELS,
                )
                serial = told
            figures.append(await service.figures())
    assert max(f.busy for f in figures) < BLOCKED
