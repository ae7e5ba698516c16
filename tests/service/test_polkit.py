# SPDX-License-Identifier: MIT
"""Tests of who may read details, with a real polkitd on a private bus."""

from __future__ import annotations

import asyncio
import os
import time
import xml.etree.ElementTree as ET
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch import client
from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.errors import ErrorReplyError
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.service import polkit
from tests.support import dbus_daemon as buses
from tests.support import polkitd as polkits
from tests.support.bus_service import MANAGER, NAME, ROOT, calling, serving
from tests.support.dbus_daemon import PrivateBus
from tests.support.other_user import OtherUser
from tests.support.polkitd import PrivatePolkit
from tests.support.tunnels import tunnel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ipsecwatch.dbus.connection import BusConnection
    from ipsecwatch.dbus.messages import Call
    from ipsecwatch.service.polkit import Verdict

Outcome = list[str] | str
"""The paths of the tunnels in the answer, or the name of the error."""

OFFICE = f"{ROOT}/tunnel/office"
AGENT = "org.freedesktop.PolicyKit1.AuthenticationAgent"
AUTHORITY = "org.freedesktop.PolicyKit1.Authority"
AUTHORITY_PATH = "/org/freedesktop/PolicyKit1/Authority"
POLKIT = "org.freedesktop.PolicyKit1"
YES = f'if (action.id == "{polkit.READ_DETAILS}") return polkit.Result.YES;'
NO = f'if (action.id == "{polkit.READ_DETAILS}") return polkit.Result.NO;'


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[PrivateBus]:
    """A private system bus on which polkitd may own its name."""
    if why := buses.missing() or polkits.missing():
        pytest.skip(why)
    with PrivateBus(system=True, policies=(buses.POLICY, polkits.BUS_POLICY)) as made:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", made.address)
        yield made


@pytest.fixture
def stranger(bus: PrivateBus) -> Iterator[OtherUser]:
    with OtherUser() as made:
        yield made


async def ask(connection: BusConnection, *, interactive: bool = False) -> Outcome:
    """Call GetDetails; return the paths of the tunnels in the answer, or the error's name."""
    try:
        reply = await connection.call(
            NAME, ROOT, MANAGER, "GetDetails", "asa{sv}", [[], {}], interactive=interactive
        )
    except ErrorReplyError as e:
        return e.name.removeprefix("org.freedesktop.DBus.Error.")
    return sorted(reply.body[0])


async def his_details(*, interactive: bool = False) -> Outcome:
    connection = await connect("system")
    try:
        return await ask(connection, interactive=interactive)
    finally:
        await connection.close()


async def his_interactive_details() -> Outcome:
    return await his_details(interactive=True)


async def test_whom_polkit_lets_gets_details_after_one_check(
    bus: PrivateBus, stranger: OtherUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[tuple[str, bool]] = []
    check = polkit.check

    async def counted(
        connection: BusConnection, sender: str, action: str, *, interactive: bool
    ) -> Verdict:
        checks.append((action, interactive))
        return await check(connection, sender, action, interactive=interactive)

    monkeypatch.setattr(polkit, "check", counted)
    with PrivatePolkit(bus, YES):
        async with serving() as service:
            await service.look(tunnel("office", peer="192.0.2.1"), tunnel("home"))
            assert len(await stranger.run(his_details)) == 2
    assert checks == [("org.ipsecwatch1.read-details", False)]


async def test_whom_polkit_refuses_gets_nothing_asked_or_not(
    bus: PrivateBus, stranger: OtherUser
) -> None:
    with PrivatePolkit(bus, NO):
        async with serving() as service, calling() as root:
            await service.look(tunnel("office"))
            assert await stranger.run(his_details) == "AccessDenied"
            assert await stranger.run(his_interactive_details) == "AccessDenied"
            assert await ask(root.connection) == [OFFICE]


async def test_who_is_in_no_session_needs_an_administrators_password(
    bus: PrivateBus, stranger: OtherUser
) -> None:
    with PrivatePolkit(bus):
        async with serving() as service, calling() as root:
            await service.look(tunnel("office"))
            assert await stranger.run(his_details) == "InteractiveAuthorizationRequired"
            # No agent in this user's session shows a dialog.
            assert await stranger.run(his_interactive_details) == "AccessDenied"
            assert await ask(root.connection) == [OFFICE]


async def his_words() -> tuple[str, str]:
    with pytest.raises(client.NotAllowedError) as caught:
        await client.details()
    return str(caught.value), caught.value.hint


async def test_a_person_is_told_in_words_what_is_missing(
    bus: PrivateBus, stranger: OtherUser
) -> None:
    with PrivatePolkit(bus):
        async with serving():
            words, hint = await stranger.run(his_words)
    assert "need a password" in words
    assert hint == "Try it as root"


async def test_the_rules_see_the_caller_and_not_the_service(
    bus: PrivateBus, stranger: OtherUser
) -> None:
    with PrivatePolkit(bus, 'if (subject.user == "nobody") return polkit.Result.YES;'):
        async with serving():
            assert await stranger.run(his_details) == []
    with PrivatePolkit(bus, 'if (subject.user == "root") return polkit.Result.YES;'):
        async with serving():
            assert await stranger.run(his_details) == "InteractiveAuthorizationRequired"


async def test_a_polkit_that_hangs_is_a_no_and_keeps_nobody_else_waiting(
    bus: PrivateBus, stranger: OtherUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polkit, "LIMIT", 0.5)
    with PrivatePolkit(bus, YES) as hanging:
        async with serving() as service, calling() as root:
            await service.look(tunnel("office"))
            hanging.hang()
            began = time.monotonic()
            asking = asyncio.create_task(stranger.run(his_details))
            await until(lambda: service.bus._methods._admission._tasks)
            assert await ask(root.connection) == [OFFICE]
            assert len(await root.call("GetSnapshot")) == 3
            assert time.monotonic() - began < 0.5
            assert await asking == "AccessDenied"
            assert 0.5 <= time.monotonic() - began < 2.0
            hanging.go_on()
            assert await stranger.run(his_details) == [OFFICE]


async def many_ask(connections: int, calls: int) -> Counter[str]:
    """Make many calls of GetDetails at once; count the outcomes ("told" is an answer)."""
    callers = [await connect("system") for _ in range(connections)]
    outcomes = await asyncio.gather(*(ask(each) for each in callers * calls))
    for each in callers:
        await each.close()
    return Counter(o if isinstance(o, str) else "told" for o in outcomes)


async def test_one_user_who_waits_for_a_hung_polkit_keeps_nobody_else_from_being_asked_about(
    bus: PrivateBus, stranger: OtherUser
) -> None:
    with PrivatePolkit(bus, YES) as hanging, OtherUser(uid=1) as bystander:
        async with serving() as service:
            await service.look(tunnel("office"))
            hanging.hang()
            asking = asyncio.create_task(stranger.run(many_ask, 4, 8))
            checks = service.bus._methods._checks
            await until(lambda: checks._by_user.total() == polkit.MAX_CHECKS_USER)
            patient = asyncio.create_task(bystander.run(his_details))
            await until(lambda: checks._by_user.total() == polkit.MAX_CHECKS_USER + 1)
            hanging.go_on()
            assert await patient == [OFFICE]
            assert await asking == {"told": 8, "LimitsExceeded": 24}
            assert not checks._by_user


def test_checks_are_bounded_for_all_users_together() -> None:
    checks = polkit.PendingChecks()
    with ExitStack() as pending:
        for n in range(polkit.MAX_CHECKS):
            pending.enter_context(checks.one_more(1000 + n % 16))
        with pytest.raises(polkit.TooManyChecksError), checks.one_more(2000):
            pass
    with checks.one_more(2000):
        pass


async def test_a_polkit_that_ends_in_the_middle_is_a_no(
    bus: PrivateBus, stranger: OtherUser
) -> None:
    async with serving() as service:
        with PrivatePolkit(bus, YES) as ending:
            ending.hang()
            asking = asyncio.create_task(stranger.run(his_details))
            await until(lambda: service.bus._methods._admission._tasks)
        assert await asking == "AccessDenied"


# --- Dialogs ------------------------------------------------------------------------------------


def started() -> int:
    """Return when this process was started, in the unit that polkit expects (clock ticks)."""
    status = Path(f"/proc/{os.getpid()}/stat").read_text()
    return int(status.rpartition(")")[2].split()[19])


async def his_dialog() -> tuple[list[str], Outcome]:
    """Be polkit's agent with a dialog in which nobody types, and call GetDetails.

    Return the calls that the agent received, and the outcome.
    """
    connection, calls = await connect("system"), []

    def called(connection: BusConnection, call: Call) -> None:
        calls.append(call.member)
        if call.member == "BeginAuthentication":
            calls.append(call.body[0])
        else:
            connection.reply(call, "", [])

    connection.on_call = called
    process = {
        "pid": Variant("u", os.getpid()),
        "start-time": Variant("t", started()),
        "uid": Variant("i", os.getuid()),
    }
    body = [["unix-process", process], "C.UTF-8", "/agent"]
    await connection.call(
        POLKIT,
        AUTHORITY_PATH,
        AUTHORITY,
        "RegisterAuthenticationAgent",
        "(sa{sv})ss",
        body,
    )
    outcome = await ask(connection, interactive=True)
    await until(lambda: "CancelAuthentication" in calls, within=3.0)
    await connection.close()
    return calls, outcome


async def test_a_dialog_that_nobody_answers_is_taken_away(
    bus: PrivateBus, stranger: OtherUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polkit, "INTERACTIVE_LIMIT", 0.5)
    with PrivatePolkit(bus):
        async with serving():
            calls, outcome = await stranger.run(his_dialog)
    assert calls == ["BeginAuthentication", polkit.READ_DETAILS, "CancelAuthentication"]
    assert outcome == "AccessDenied"


async def test_a_service_that_ends_takes_its_dialogs_away(
    bus: PrivateBus, stranger: OtherUser
) -> None:
    with PrivatePolkit(bus):
        async with serving() as service:
            asking = asyncio.create_task(stranger.run(his_dialog))
            await until(lambda: service.bus._methods._admission._tasks)
            await asyncio.sleep(0.3)
        calls, outcome = await asking
    assert calls[:3] == ["BeginAuthentication", polkit.READ_DETAILS, "CancelAuthentication"]
    assert outcome == "NoReply"


# --- A polkit that isn't one --------------------------------------------------------------------

ROOT_MAY_BE_POLKIT = """<busconfig><policy user="root"><allow own="org.freedesktop.PolicyKit1"/>
</policy><policy context="default"><allow send_destination="org.freedesktop.PolicyKit1"/></policy>
</busconfig>"""


@contextmanager
def bus_with_odd_polkit(folder: Path) -> Iterator[PrivateBus]:
    policy = folder / "odd.conf"
    policy.write_text(ROOT_MAY_BE_POLKIT)
    with PrivateBus(system=True, policies=(buses.POLICY, policy)) as made:
        yield made


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("", []),
        ("b", [True]),
        ("(bb)", [[True, True]]),
        ("(sba{ss})", [["yes", False, {}]]),
        ("(bba{ss})", [[False, False, {}]]),
        ("(bba{ss})s", [[True, False, {}], "really"]),
        ("error", []),
    ],
)
async def test_every_answer_but_yes_is_a_no(
    signature: str, body: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why := buses.missing():
        pytest.skip(why)
    if os.getuid() != 0:
        pytest.skip("only root can become another user")

    def answer(connection: BusConnection, call: Call) -> None:
        if signature == "error":
            connection.error(call, f"{POLKIT}.Error.Failed", "no")
        else:
            connection.reply(call, signature, body)

    with bus_with_odd_polkit(tmp_path) as odd:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", odd.address)
        with OtherUser() as stranger:
            async with serving(), calling() as fake:
                fake.connection.on_call = answer
                await fake.connection.call_bus("RequestName", "su", POLKIT, 4)
                assert await stranger.run(his_details) == "AccessDenied"


# --- The policy file ----------------------------------------------------------------------------


def test_the_policy_lets_the_active_user_and_asks_others_for_a_password() -> None:
    root = ET.parse(polkits.POLICY).getroot()
    [action] = root.iter("action")
    assert action.attrib["id"] == polkit.READ_DETAILS
    assert {e.tag: e.text for e in action.iterfind("defaults/*")} == {
        "allow_any": "auth_admin_keep",
        "allow_inactive": "auth_admin_keep",
        "allow_active": "yes",
    }


async def test_polkit_takes_the_policy_file(bus: PrivateBus) -> None:
    with PrivatePolkit(bus):
        connection = await connect("system")
        reply = await connection.call(
            POLKIT, AUTHORITY_PATH, AUTHORITY, "EnumerateActions", "s", ["C"]
        )
        await connection.close()
    [action] = [a for a in reply.body[0] if a[0] == polkit.READ_DETAILS]
    assert "addresses" in action[2]
    # polkit's numbers: 4 is an administrator's password that is kept for a while, 5 is yes.
    assert tuple(action[6:9]) == (4, 4, 5)
