# SPDX-License-Identifier: MIT
"""Tests of ``ipsecwatch wait``: with a service on a real bus, and what it decides at each event."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.failure import EXIT_NO, EXIT_OK, EXIT_UNKNOWN
from ipsecwatch.cli.wait import Waiting
from ipsecwatch.client import Lost, Update
from ipsecwatch.report import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import serving
from tests.support.fake_events import Story, path, view
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from tests.support.dbus_daemon import PrivateBus

UP, DOWN, STUCK = TunnelState.UP, TunnelState.DOWN, TunnelState.STUCK


class Process:
    """A process of ``ipsecwatch wait``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def ended(self) -> tuple[int, str, str]:
        """Wait until it has ended; return its exit code, output and error output."""
        async with asyncio.timeout(30):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()

    async def says(self) -> str:
        """Return the next line of its error output."""
        assert self.process.stderr is not None
        return (await asyncio.wait_for(self.process.stderr.readline(), 30)).decode()


async def wait(*arguments: str) -> Process:
    pipe = asyncio.subprocess.PIPE
    run = [sys.executable, "-m", "ipsecwatch", "wait", *arguments]
    return Process(await asyncio.create_subprocess_exec(*run, stdout=pipe, stderr=pipe))


async def test_what_is_so_already_is_waited_for_no_longer(system_bus: PrivateBus) -> None:
    async with serving() as service:
        await service.look(tunnel("a", UP), tunnel("b", STUCK, reason=Reason.NO_ANSWER))
        several = [
            await wait("a", "--for", "up"),
            await wait("a", "b", "--for", "up", "--any"),
            await wait("b", "--for", "stuck"),
            await wait("b", "--for", "down", "--json"),
        ]
        ended = [await each.ended() for each in several]
    assert [(code, err) for code, _, err in ended] == [(EXIT_OK, "")] * 4
    told = json.loads(ended[3][1])
    assert (told["done"], told["tunnels"][0]["state"]) == (True, "stuck")


async def test_the_time_limit_and_what_there_is_not_have_exit_codes_of_their_own(
    system_bus: PrivateBus,
) -> None:
    async with serving() as service:
        unknown = tunnel("u", TunnelState.UNKNOWN, last_state=UP)
        stuck = tunnel("b", STUCK, reason=Reason.NO_ANSWER)
        await service.look(tunnel("office", UP), stuck, unknown)
        several = {
            "timed out: b is stuck (The peer does not answer), and 1 more. Check": (
                EXIT_NO, await wait("b", "x", "--for", "up", "--any", "--timeout", "0.5")
            ),
            "timed out: office is up. See": (
                EXIT_NO, await wait("office", "--for", "down", "--timeout", "0")
            ),
            "timed out: u is unknown.": (
                EXIT_UNKNOWN, await wait("u", "--for", "down", "--timeout", "0.5")
            ),
            "no such tunnel: ofice. Did you mean office?": (
                EXIT_UNKNOWN, await wait("ofice", "--for", "up")
            ),
            r"no such tunnel: \x1b[2J. There are": (
                EXIT_UNKNOWN, await wait("\x1b[2J", "--for", "up", "--timeout", "0")
            ),
        }  # fmt: skip
        for said, (code, process) in several.items():
            ended = await process.ended()
            assert (ended[0], ended[1]) == (code, "")
            assert ended[2].splitlines()[-1].startswith(f"ipsecwatch: {said}")


async def test_without_a_service_only_a_time_limit_makes_it_wait(system_bus: PrivateBus) -> None:
    at_once = await (await wait("a", "--for", "up")).ended()
    in_vain = await (await wait("a", "--for", "up", "--timeout", "0.5")).ended()
    hint = "ipsecwatch: ipsecwatch isn't running. Start it with: systemctl start ipsecwatch\n"
    assert at_once == (EXIT_UNKNOWN, "", hint)
    waiting = "ipsecwatch: ipsecwatch isn't running: waiting for the service\n"
    assert in_vain == (EXIT_UNKNOWN, "", waiting + hint)


async def test_service_and_tunnel_may_come_later_and_the_service_twice(
    system_bus: PrivateBus,
) -> None:
    process = await wait("a", "--for", "up", "--timeout", "60")
    assert await process.says() == "ipsecwatch: ipsecwatch isn't running: waiting for the service\n"
    async with serving() as service:
        await service.look(tunnel("b", UP))
        assert (await process.says()).startswith(
            "ipsecwatch: there is no tunnel a yet: waiting for it."
        )
        await service.become(tunnel("a", TunnelState.CONNECTING))
    async with serving("run-2") as service:
        await service.look(tunnel("a", TunnelState.CONNECTING))
        await service.become(tunnel("a", UP))
        assert (await process.ended())[0] == EXIT_OK


async def test_a_tunnel_that_is_up_for_a_moment_was_up(system_bus: PrivateBus) -> None:
    async with serving() as service:
        await service.look(tunnel("a", DOWN), tunnel("b", DOWN))
        process = await wait("a", "missing", "--for", "up", "--timeout", "60", "--any")
        await process.says()  # it has read the snapshot
        await service.become(tunnel("a", UP))
        await service.become(tunnel("a", DOWN), reason=Reason.PEER_DELETED)
        assert (await process.ended())[0] == EXIT_OK


async def test_a_tunnel_that_is_unloaded_meanwhile_is_down(system_bus: PrivateBus) -> None:
    async with serving() as service:
        await service.look(tunnel("a", UP))
        process = await wait("a", "missing", "--for", "down", "--timeout", "60", "--any")
        await process.says()
        await service.become(gone=("a",), reason=Reason.UNLOADED)
        assert (await process.ended())[0] == EXIT_OK


async def test_ctrl_c_ends_it_quietly(system_bus: PrivateBus) -> None:
    async with serving() as service:
        await service.look(tunnel("a", DOWN))
        process = await wait("b", "--for", "up", "--timeout", "60")
        await process.says()
        process.process.send_signal(signal.SIGINT)
        assert await process.ended() == (128 + signal.SIGINT, "", "")


def test_all_have_to_be_so_at_one_time() -> None:
    story, waiting = Story(), Waiting(("a", "b"), "up", any_=False)
    waiting.record(story.look(a="up", b="down"), 0.0)
    waiting.record(story.become("a", "down"), 0.0)
    waiting.record(story.become("b", "up"), 0.0)
    assert not waiting.is_done()
    waiting.record(story.become("a", "up"), 0.0)
    assert waiting.is_done()


def test_a_partial_tunnel_of_which_the_service_says_so_is_stuck() -> None:
    story, waiting = Story(), Waiting(("a",), "stuck", any_=False)
    waiting.record(story.look(a="partial"), 0.0)
    assert not waiting.is_done()
    waiting.record(story.become("a", "partial", "no-answer", told="stuck"), 0.0)
    assert waiting.is_done()
    waiting.record(story.become("a", "up", told="up"), 0.0)
    assert not waiting.is_done()


DOWNS = {"down": True, "stuck": True, "connecting": True, "waiting": True, "unknown": False,
         "up": False, "partial": False}  # fmt: skip


@pytest.mark.parametrize(("state", "content"), DOWNS.items())
def test_down_is_any_known_state_in_which_nothing_passes(state: str, content: bool) -> None:
    waiting = Waiting(("a",), "down", any_=False)
    waiting.record(Story().look(a=state), 0.0)
    assert waiting.is_done() is content


@pytest.mark.parametrize(
    ("pluto", "done"),
    [
        (PlutoState.RUNNING, True),
        (PlutoState.STOPPED, True),
        (PlutoState.STARTING, False),
        (PlutoState.UNREACHABLE, False),
    ],
)
def test_what_a_new_service_does_not_list_is_down_where_pluto_was_heard(
    pluto: PlutoState, done: bool
) -> None:
    story, waiting = Story(), Waiting(("a",), "down", any_=False)
    waiting.record(story.look(a="up"), 0.0)
    waiting.record(Lost("ipsecwatch isn't running"), 0.0)
    story.pluto = pluto
    waiting.record(story.look("run-2", b="up"), 0.0)
    assert waiting.is_done() is done
    waiting.record(Update(path("a"), view("a", "up")), 0.0)
    assert not waiting.is_done()


def test_nothing_is_true_of_a_service_that_is_lost() -> None:
    story, waiting = Story(), Waiting(("a",), "up", any_=False)
    waiting.record(story.look(a="down"), 0.0)
    waiting.record(Lost("ipsecwatch isn't running", "Start it"), 0.0)
    assert not waiting.is_done()
    assert waiting.failure().code == EXIT_UNKNOWN


@pytest.mark.parametrize("any_", [False, True])
def test_a_pattern_means_all_listed_tunnels_that_fit_it(any_: bool) -> None:
    story, waiting = Story(), Waiting(("gw-*",), "up", any_=any_)
    waiting.record(story.look(**{"gw-2": "down", "gw-10": "up", "lab": "down"}), 0.0)
    assert waiting.names == ["gw-2", "gw-10"]
    assert waiting.is_done() is any_
    waiting.record(story.become("gw-2", "up"), 0.0)
    assert waiting.is_done()
    waiting.record(Update(path("gw-3"), view("gw-3", "down")), 0.0)
    assert waiting.is_done() is any_


def test_a_pattern_that_fits_nothing_is_absent_until_something_fits() -> None:
    story, waiting = Story(), Waiting(("gw-*",), "up", any_=True)
    waiting.record(story.look(lab="up"), 0.0)
    absent = waiting.absent()
    assert absent is not None
    assert (absent.message, absent.code) == ("no tunnel's name fits gw-*", EXIT_UNKNOWN)
    assert not waiting.is_done()
    waiting.record(Update(path("gw-1"), view("gw-1", "up")), 0.0)
    assert waiting.absent() is None
    assert waiting.is_done()


def test_tunnels_of_a_pattern_that_are_deleted_and_added_again_are_waited_for() -> None:
    story, waiting = Story(), Waiting(("gw-*",), "up", any_=False)
    waiting.record(story.look(**{"gw-1": "down"}), 0.0)
    waiting.record(story.gone("gw-1"), 0.0)
    assert waiting.absent() is None
    assert not waiting.is_done()
    waiting.record(story.listed("gw-1", "up"), 0.0)
    assert waiting.is_done()


def test_tunnels_of_a_pattern_that_are_no_longer_listed_are_down() -> None:
    story, waiting = Story(), Waiting(("rw*",), "down", any_=False)
    waiting.record(story.look(**{"rw[1]": "up", "lab": "up"}), 0.0)
    assert not waiting.is_done()
    waiting.record(Update(path("rw[1]"), None), 0.0)
    assert waiting.is_done()
