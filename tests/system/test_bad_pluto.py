# SPDX-License-Identifier: MIT
"""Tests of the whole service with a pluto that misbehaves: it answers, and its loop runs on."""

from __future__ import annotations

import asyncio
import gc
import io
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.config import Settings
from ipsecwatch.service.daemon import Service
from ipsecwatch.service.journald import Sender
from tests.support.bad_pluto import LINE, BadPluto
from tests.support.bus_service import calling
from tests.support.loop_gauge import Gauge
from tests.support.recordings import ROOT, statuses
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from pathlib import Path
    from typing import Any

DOWN = statuses(ROOT / "4.10/site.jsonl.gz")[0].stdout
LIMIT = 0.05
"""How many seconds of processor time one step of the event loop may take."""


@pytest.fixture
def gauge() -> Iterator[Gauge]:
    gc.collect()
    gc.freeze()  # objects of other tests aren't the service's
    made = Gauge()
    yield made
    made.remove()
    gc.unfreeze()


@asynccontextmanager
async def serving(path: str, **settings: Any) -> AsyncGenerator[Service]:  # noqa: ANN401
    chosen = {"interval": 0.2, "fast_interval": 0.1, "timeout": 1.0, **settings}
    service = Service(Settings(control_socket=path, **chosen), Sender(None, io.StringIO()))
    task = asyncio.create_task(service.run())
    try:
        await until(lambda: service._bus.connected, within=30.0)
        yield service
    finally:
        service.stop()
        await task


async def state() -> tuple[str, int]:
    """Return pluto's state and the number of tunnels, as the service's clients see them."""
    async with calling() as caller:
        _, _, tunnels = await caller.call("GetSnapshot")
        properties = "org.freedesktop.DBus.Properties"
        pluto = await caller.call(
            "Get", "ss", "org.ipsecwatch1.Manager", "PlutoState", interface=properties
        )
        return pluto, len(tunnels)


ILL: dict[str, tuple[dict[str, Any], str]] = {
    "stalls before a word": ({"how": "slow", "pause": 1000.0}, "unreachable"),
    "stalls after a line, and after one more each time": ({"how": "stall"}, "unreachable"),
    "trickles": ({"how": "trickle", "pause": 0.2}, "unreachable"),
    "never closes": ({"how": "leave_open"}, "unreachable"),
    "takes no question": ({"how": "deaf"}, "unreachable"),
    "breaks off": ({"how": "half", "size": 100}, "running"),
    "resets": ({"how": "reset", "size": 100}, "running"),
    "hangs up": ({"how": "close"}, "running"),
    "says 200 MB": ({"how": "pour", "size": 200_000_000}, "running"),
    "says 4 MB of rubbish": ({"text": "\x00\x1b[2J\udcff" * 700_000}, "running"),
    "says a line of 5 MB": ({"text": LINE[:-1] + "x" * 5_000_000 + "\n"}, "running"),
}


WAYS = [(case, False) for case in ILL]
WAYS += [(case, True) for case in ILL if "MB" not in case]  # a packet has some 200 KB at most


@pytest.mark.slow
@pytest.mark.parametrize(("case", "packets"), WAYS)
async def test_whatever_pluto_does_the_loop_goes_on(
    case: str, packets: bool, gauge: Gauge, tmp_path: Path, system_bus: object
) -> None:
    options, told = ILL[case]
    timeout = 30.0 if "MB" in case else 0.3
    with BadPluto(tmp_path / "pluto.ctl", packets=packets, **options) as pluto:
        await asyncio.sleep(0)  # so that the time to make this text isn't measured as the service's
        gauge.busy = 0.0
        async with serving(pluto.path, timeout=timeout) as service:
            polls = 1 if "MB" in case else 2
            await until(lambda: service._poller.polls >= polls, within=60.0)
            await until(lambda: service._tracker.pluto == told, within=60.0)
            assert await state() == (told, 0)
            assert gauge.busy < LIMIT


@pytest.mark.slow
async def test_a_pluto_that_is_stopped_and_goes_on_is_found_again(
    gauge: Gauge, tmp_path: Path, system_bus: object
) -> None:
    with BadPluto(tmp_path / "pluto.ctl", text=DOWN) as pluto:
        async with serving(pluto.path, timeout=0.3) as service:
            await until(lambda: service._tracker.tunnels, within=30.0)
            assert await state() == ("running", 1)
            pluto.hang()
            await until(lambda: service._tracker.pluto == "unreachable", within=30.0)
            assert await state() == ("unreachable", 1)
            pluto.go_on()
            await until(lambda: service._tracker.pluto == "running", within=30.0)
            assert await state() == ("running", 1)
            assert gauge.busy < LIMIT
