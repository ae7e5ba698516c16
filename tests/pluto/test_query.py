# SPDX-License-Identifier: MIT
"""Tests of asking pluto, with real sockets, real processes, and fake plutos of every bad kind."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.pluto import query, whack
from ipsecwatch.pluto.query import Answer, AskError, Command, PlutoClient, Trouble, Via, judge
from ipsecwatch.pluto.whack import Run
from ipsecwatch.recording.fake_pluto import FakePluto
from ipsecwatch.report import PlutoState
from tests.support.bad_pluto import LINE, STATUS, BadPluto
from tests.support.loop_watch import no_harm
from tests.support.other_user import NOBODY, OtherUser

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SHORT = 0.3
"""A time limit in seconds that is meant to be exceeded."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pluto.ctl"


async def refusal(
    pluto_client: PlutoClient, command: Command = Command.STATUS, **more: str
) -> AskError:
    with pytest.raises(AskError) as caught:
        await pluto_client.ask(command, **more)
    text = str(caught.value)
    assert text
    assert "\n" not in text
    return caught.value


# --- A good pluto ----------------------------------------------------------------------------


@pytest.mark.parametrize("packets", [False, True], ids=["stream", "packets"])
async def test_a_good_pluto_is_asked_over_its_socket(path: Path, packets: bool) -> None:
    with BadPluto(path, packets=packets) as pluto:
        pluto_client = PlutoClient(str(path))
        async with no_harm():
            first, second = await pluto_client.ask(), await pluto_client.ask()
        assert first.text == second.text == STATUS
        assert (first.via, first.exit, first.pid) == (Via.SOCKET, None, pluto.pid)
        assert 0 <= first.waited <= first.took < 5
        met = pluto.end()
    question = bytes.fromhex(met[0]["question"])
    assert question == int.to_bytes(0x77686B19, 4, sys.byteorder) + b"\1" + bytes(59)
    assert [m["error"] for m in met] == ["", ""]


async def test_bytes_that_are_no_utf_8_survive(path: Path) -> None:
    text = STATUS + "000 id=\udcff\udcfeé\n"
    with BadPluto(path, text=text):
        assert (await PlutoClient(str(path)).ask()).text == text


@pytest.mark.parametrize("packets", [False, True], ids=["stream", "packets"])
async def test_a_long_answer_arrives_whole(path: Path, packets: bool) -> None:
    text = "".join(f"000 é {i} {LINE}" for i in range(20_000))
    with BadPluto(path, text=text, packets=packets):
        async with no_harm():
            answer = await PlutoClient(str(path)).ask()
    assert answer.text == text


async def test_a_pluto_that_was_upgraded_is_asked_the_way_it_wants_it(path: Path) -> None:
    pluto_client = PlutoClient(str(path))
    for packets in (False, True, True, False):  # packets from 5.4 on
        with BadPluto(path, packets=packets) as pluto:
            assert (await pluto_client.ask()).pid == pluto.pid
        os.unlink(path)
        assert (await refusal(pluto_client)).trouble is Trouble.STOPPED


async def test_questions_wait_here_and_not_at_plutos(path: Path) -> None:
    with BadPluto(path, "slow", pause=0.2) as pluto:
        pluto_client = PlutoClient(str(path))
        began = time.monotonic()
        answers = await asyncio.gather(pluto_client.ask(), pluto_client.ask(), pluto_client.ask())
        assert time.monotonic() - began >= 0.6
        assert all(0.2 <= a.took < 0.6 for a in answers)
        assert len(pluto.end()) == 3


# --- No pluto --------------------------------------------------------------------------------


async def test_no_socket_means_that_pluto_is_stopped(path: Path) -> None:
    async with no_harm():
        e = await refusal(PlutoClient(str(path)))
    assert (e.trouble, e.pluto) == (Trouble.STOPPED, PlutoState.STOPPED)
    assert "systemctl start ipsec" in e.hint


async def test_a_socket_that_a_killed_pluto_left_means_that_it_is_stopped(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    e = await refusal(PlutoClient(str(path)))
    assert e.trouble is Trouble.STOPPED


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become somebody else")
async def test_who_may_not_ask_is_told_so(tmp_path: Path) -> None:
    with BadPluto(tmp_path / "pluto.ctl") as pluto, OtherUser() as stranger:
        os.chmod(tmp_path, 0o700)
        trouble, text, hint = await stranger.run(refused, str(pluto.path))
    assert trouble is Trouble.UNREACHABLE
    assert text.startswith("not allowed to ask pluto")
    assert "Only root" in hint


async def refused(path: str) -> tuple[Trouble, str, str]:
    """Ask a pluto that must be refused; return the trouble, the text and the hint of the error.

    The error itself can't be sent to another process.
    """
    e = await refusal(PlutoClient(path))
    return e.trouble, str(e), e.hint


@asynccontextmanager
async def played_by(uid: int, path: Path) -> AsyncIterator[None]:
    """Run a fake pluto whose socket was opened by another user; the kernel remembers that user."""
    os.seteuid(uid)
    try:
        pluto = await FakePluto(str(path), lambda _: STATUS, lambda: 0.0).__aenter__()
    finally:
        os.seteuid(0)
    try:
        yield
    finally:
        await pluto.__aexit__(None, None, None)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
async def test_another_user_than_root_is_believed_in_a_folder_of_his_own_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory() as name:  # not pytest's: he must be able to get there
        path = Path(name) / "pluto.ctl"
        os.chmod(name, 0o777)
        pluto_client = PlutoClient(str(path))
        async with played_by(NOBODY, path):
            async with no_harm():
                e = await refusal(pluto_client)
            assert str(e) == f"not root but user {NOBODY} listens on {path}"
            assert (e.trouble, e.pluto) == (Trouble.UNREACHABLE, PlutoState.UNREACHABLE)
            assert "created that socket" in e.hint
            os.chown(name, NOBODY, NOBODY)
            assert (await pluto_client.ask()).text.endswith("000 Bare Shunt list:\n000  \n")
            # At the usual place there is root's pluto, or none.
            monkeypatch.setattr(query, "CONTROL_SOCKET", str(path))
            assert (await refusal(pluto_client)).trouble is Trouble.UNREACHABLE


async def test_a_path_that_is_no_socket_is_an_error_in_one_line(tmp_path: Path) -> None:
    script(tmp_path, "")
    # The kernel refuses the connection, because this isn't a socket.
    assert (await refusal(PlutoClient(str(tmp_path / "whack")))).trouble is Trouble.STOPPED
    assert (await refusal(PlutoClient(f"/{'x' * 200}"))).trouble is Trouble.UNREACHABLE


# --- Bad plutos ------------------------------------------------------------------------------


async def test_a_stopped_process_is_given_up_and_found_again(path: Path) -> None:
    with BadPluto(path, text=LINE * 5000) as pluto:
        pluto.hang()
        async with no_harm():
            pluto_client, recovered = PlutoClient(str(path), timeout=SHORT), asyncio.Event()
            pluto_client.on_recovered = recovered.set
            began = time.monotonic()
            first = await refusal(pluto_client)
            assert SHORT <= time.monotonic() - began < SHORT + 1
            assert (first.trouble, first.pluto) == (Trouble.UNREACHABLE, PlutoState.UNREACHABLE)
            # Six connections can wait in pluto's queue. Our questions mustn't fill it.
            for _ in range(10):
                began = time.monotonic()
                assert (await refusal(pluto_client)).trouble is Trouble.UNREACHABLE
                assert time.monotonic() - began < 0.1
            pluto.go_on()
            await asyncio.wait_for(recovered.wait(), 5)
            assert (await pluto_client.ask()).text == LINE * 5000
        met = pluto.end()
    # All clients were still there when it answered: a real pluto logs each answer that it can't
    # send.
    assert [(m["sent"], m["error"]) for m in met] == [(len(LINE) * 5000, "")] * 2


async def test_a_pluto_that_stalls_after_any_line_is_given_up(path: Path) -> None:
    lines = STATUS.splitlines(keepends=True)
    with BadPluto(path, "stall") as pluto:
        async with no_harm():
            for said in range(len(lines) + 1):
                pluto_client = PlutoClient(str(path), timeout=0.3)
                e = await refusal(pluto_client)
                assert e.trouble is Trouble.UNREACHABLE
                assert ("finished" if said else "answered") in str(e)
                await pluto_client.close(grace=0)
        assert pluto.pid


@pytest.mark.parametrize("how", ["trickle", "leave_open", "slow"])
@pytest.mark.parametrize("packets", [False, True], ids=["stream", "packets"])
async def test_a_pluto_that_takes_too_long_is_given_up(path: Path, how: str, packets: bool) -> None:
    with BadPluto(path, how, packets=packets):
        async with no_harm():
            pluto_client = PlutoClient(str(path), timeout=SHORT)
            began = time.monotonic()
            e = await refusal(pluto_client)
            assert e.trouble is Trouble.UNREACHABLE
            assert SHORT <= time.monotonic() - began < SHORT + 1
            assert (await refusal(pluto_client)).trouble is Trouble.UNREACHABLE
            await pluto_client.close(grace=0)


async def test_an_unanswered_question_is_given_up_in_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "LATE", 0.2)
    with BadPluto(path, "leave_open") as pluto:
        async with no_harm():
            pluto_client = PlutoClient(str(path), timeout=0.1)
            await refusal(pluto_client)
            await asyncio.sleep(0.2)
            assert "finished" in str(await refusal(pluto_client))  # asked again
            await pluto_client.close(grace=0)
        assert pluto.pid


@pytest.mark.parametrize("how", ["half", "reset"])
@pytest.mark.parametrize("size", [1, 4, 70, len(STATUS) - 1])
async def test_half_an_answer_is_none(path: Path, how: str, size: int) -> None:
    with BadPluto(path, how, size=size):
        async with no_harm():
            e = await refusal(PlutoClient(str(path)))
    assert (e.trouble, e.pluto) == (Trouble.CUT, PlutoState.RUNNING)
    assert e.partial == STATUS[:size]


async def test_a_whole_answer_that_ends_in_a_reset_is_not_trusted(path: Path) -> None:
    with BadPluto(path, "reset", size=len(STATUS)):
        e = await refusal(PlutoClient(str(path)))
    assert (e.trouble, e.partial) == (Trouble.CUT, STATUS)


async def test_no_word_at_all_is_no_answer(path: Path) -> None:
    with BadPluto(path, "close"):
        e = await refusal(PlutoClient(str(path)))
    assert (e.trouble, e.partial) == (Trouble.CUT, "")


async def test_garbage_is_handed_on_as_it_came(path: Path) -> None:
    garbage = "".join(chr(0xDC80 + i % 128) for i in range(300_000)) + "\0\x1b[2J\n"
    with BadPluto(path, text=garbage[-100_000:]):
        async with no_harm():
            assert (await PlutoClient(str(path)).ask()).text == garbage[-100_000:]


@pytest.mark.parametrize("packets", [False, True], ids=["stream", "packets"])
async def test_an_answer_of_200_mb_is_read_to_its_end_and_dropped(
    path: Path, packets: bool
) -> None:
    with BadPluto(path, "pour", size=200_000_000 if not packets else 20_000_000) as pluto:
        async with no_harm():
            pluto_client = PlutoClient(
                str(path), timeout=60, max_answer=(64 << 20) if not packets else 1 << 23
            )
            e = await refusal(pluto_client)
            assert e.trouble is Trouble.TOO_LONG
            assert "max_answer" in e.hint
            assert e.busy > 0
        (met,) = pluto.end()
    assert met["error"] == ""


async def test_an_answer_without_end_is_given_up(path: Path) -> None:
    with BadPluto(path, "pour", size=1 << 40) as pluto:
        async with no_harm():
            e = await refusal(PlutoClient(str(path), timeout=60, max_answer=1 << 20))
            assert e.trouble is Trouble.TOO_LONG
        (met,) = pluto.end()
    assert met["error"] in ("BrokenPipeError", "ConnectionResetError")


async def test_a_full_queue_is_waited_for_without_blocking(path: Path) -> None:
    with BadPluto(path, "deaf"):
        async with no_harm():
            others = [socket.socket(socket.AF_UNIX) for _ in range(6)]
            for other in others:
                other.connect(str(path))
            e = await refusal(PlutoClient(str(path), timeout=SHORT))
            assert e.trouble is Trouble.UNREACHABLE
            assert "other programs" in str(e)
            for other in others:
                other.close()


async def test_who_is_cancelled_leaves_pluto_nobody_to_wait_for(path: Path) -> None:
    with BadPluto(path, "slow", text=LINE * 5000, pause=0.2) as pluto:
        async with no_harm():
            pluto_client = PlutoClient(str(path))
            question = asyncio.create_task(pluto_client.ask())
            await asyncio.sleep(0.1)
            question.cancel()
            with pytest.raises(asyncio.CancelledError):
                await question
            await pluto_client.close(grace=5)
        assert [m["error"] for m in pluto.end()] == [""]


# --- whack -----------------------------------------------------------------------------------


def script(tmp_path: Path, body: str) -> str:
    """Write a fake whack with this body, and return its path."""
    file = tmp_path / "whack"
    file.write_text(f"#!/bin/sh\necho run $* >> {tmp_path}/runs\n{body}\n")
    file.chmod(0o755)
    return str(file)


def runs(tmp_path: Path) -> list[str]:
    file = tmp_path / "runs"
    return file.read_text().splitlines() if file.exists() else []


def alive(pid: str) -> bool:
    """Return whether a process runs; a zombie doesn't."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def at(tmp_path: Path) -> str:
    """Return the option that tells whack the control socket of over_whack()'s pluto."""
    return f"--ctlsocket {tmp_path}/no.ctl"


SAY = f"cat <<'END'\n{STATUS}END"


def over_whack(
    tmp_path: Path, body: str, timeout: float = 10.0, max_answer: int = 1 << 20
) -> PlutoClient:
    return PlutoClient(
        str(tmp_path / "no.ctl"),
        whack=script(tmp_path, body),
        timeout=timeout,
        max_answer=max_answer,
    )


@pytest.mark.parametrize("code", [0, 1, 3])
async def test_whack_is_asked_where_there_is_no_socket(tmp_path: Path, code: int) -> None:
    # Up to 3.23 whack exits with 1 or 3 after a good answer.
    async with no_harm():
        answer = await over_whack(tmp_path, f"{SAY}\nexit {code}").ask()
    assert (answer.text, answer.via, answer.exit) == (STATUS, Via.WHACK, code)
    assert runs(tmp_path) == [f"run {at(tmp_path)} --status"]


async def test_whack_gets_a_clean_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_PRELOAD_NOT", "x")
    answer = await over_whack(tmp_path, "env; pwd; readlink /proc/$$/fd/0").ask()
    lines = set(answer.text.splitlines())
    assert {"LC_ALL=C", "/", "/dev/null"} <= lines
    assert not any(line.startswith(("LD_", "HOME=", "PYTHON")) for line in lines)


async def test_whack_that_knows_no_more_than_the_socket_rests(tmp_path: Path) -> None:
    body = 'echo "whack: Pluto is not running (no \\"/run/pluto/pluto.ctl\\")" >&2; exit 33'
    pluto_client = over_whack(tmp_path, body)
    for _ in range(3):
        assert (await refusal(pluto_client)).trouble is Trouble.STOPPED
    assert len(runs(tmp_path)) == 1
    # Once the socket has answered, whack may be asked again.
    with BadPluto(tmp_path / "no.ctl"):
        await pluto_client.ask()
    (tmp_path / "no.ctl").unlink()
    await refusal(pluto_client)
    assert len(runs(tmp_path)) == 2


async def test_a_whack_that_nobody_named_isnt_asked_how_a_pluto_elsewhere_is(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whack, "PLACES", (script(tmp_path, SAY),))
    assert (await refusal(PlutoClient(str(path)))).trouble is Trouble.STOPPED
    assert not runs(tmp_path)


VERSIONS = {"old": "4.10", "new": "5.2", "3rd": "5.4"}


def several(tmp_path: Path) -> list[str]:
    """Write a fake whack of each version, as if several libreswans were installed.

    Return their paths.
    """
    for name, version in VERSIONS.items():
        (tmp_path / name).mkdir()
        body = f'[ "$1" = --version ] && echo "Libreswan {version}" && exit; echo "said {version}"'
        script(tmp_path / name, body)
    return [str(tmp_path / name / "whack") for name in VERSIONS]


@pytest.mark.parametrize("name", VERSIONS)
async def test_of_several_whacks_the_one_of_plutos_version_is_asked(
    name: str, tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whack, "PLACES", several(tmp_path))
    pluto_client = PlutoClient(str(path))
    for command in (Command.STATES, Command.TRAFFIC):
        answer = await pluto_client.ask(command, version=VERSIONS[name])
        assert answer.text == f"said {VERSIONS[name]}\n"
    for other in VERSIONS:
        asked = [f"run --ctlsocket {path} --{c}" for c in ("showstates", "trafficstatus")]
        wanted = ["run --version", *(asked if other == name else [])]
        assert runs(tmp_path / other) == wanted, "each version is asked for once"


async def test_where_no_whack_is_of_plutos_version_none_is_asked(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whack, "PLACES", several(tmp_path))
    e = await refusal(PlutoClient(str(path)), Command.STATES, version="5.3")
    assert e.trouble is Trouble.UNAVAILABLE
    assert str(e) == "whack is 4.10 and 5.2 and 5.4, pluto 5.3"
    assert {line for name in VERSIONS for line in runs(tmp_path / name)} == {"run --version"}


@pytest.mark.parametrize(
    ("version", "told"),
    [("3.20", False), ("3.24", False), ("3.25", True), ("3.32", True), ("4.10", True),
     ("5.4", True), ("v5.2-23-gabcdef", True), ("v3.20-1-gabcdef", False), ("main", True)],
)  # fmt: skip
def test_an_old_whack_cannot_be_told_of_a_pluto_elsewhere(version: str, told: bool) -> None:
    assert whack.reaches(version, "/run/acme/pluto.ctl") is told
    assert whack.reaches(version, whack.CONTROL_SOCKET)
    command = whack.command("/w", "showstates", whack.CONTROL_SOCKET)
    assert command == ["/w", "--showstates"]


async def test_a_whack_that_hangs_is_killed_with_all_its_children(tmp_path: Path) -> None:
    body = f"sleep 1000 & echo $! > {tmp_path}/child\nsleep 1000"
    async with no_harm():
        began = time.monotonic()
        e = await refusal(over_whack(tmp_path, body, timeout=SHORT))
        assert SHORT <= time.monotonic() - began < SHORT + 1
    assert e.trouble is Trouble.STOPPED  # the result of the socket is kept
    assert not alive((tmp_path / "child").read_text().strip())


async def test_a_child_of_whacks_that_keeps_the_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pluto_client = over_whack(tmp_path, f"sleep 1000 &\n{SAY}", timeout=SHORT)
    async with no_harm():
        e = await refusal(pluto_client, Command.TRAFFIC, version="x")
        assert e.trouble is Trouble.UNAVAILABLE


async def test_both_pipes_of_whacks_are_drained(tmp_path: Path) -> None:
    flood = (
        "head -c 1000000 /dev/zero | tr '\\0' e >&2; head -c 500000 /dev/zero | tr '\\0' o; echo"
    )
    async with no_harm():
        answer = await over_whack(tmp_path, flood).ask()
    assert len(answer.text) == 500_001
    assert len(answer.stderr) == 64 << 10


async def test_a_whack_that_never_ends_its_answer_is_killed(tmp_path: Path) -> None:
    async with no_harm():
        pluto_client = over_whack(tmp_path, "exec yes", timeout=30, max_answer=1 << 16)
        began = time.monotonic()
        await refusal(pluto_client)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("tool", ["5.0", "4.1", "4.10rc1", ""])
async def test_a_whack_of_another_version_is_never_asked_what_could_stop_pluto(
    tmp_path: Path, tool: str
) -> None:
    pluto_client = over_whack(
        tmp_path, f'[ "$1" = --version ] && echo "Libreswan {tool}" && exit; {SAY}'
    )
    for command in (Command.TRAFFIC, Command.STATES):
        e = await refusal(pluto_client, command, version="4.10")
        assert e.trouble is Trouble.UNAVAILABLE
    with pytest.raises(AskError):
        await pluto_client.ask(Command.TRAFFIC)  # nobody knows what runs
    assert set(runs(tmp_path)) == {"run --version"}


async def test_a_whack_of_the_same_version_is_asked_and_its_version_remembered(
    tmp_path: Path,
) -> None:
    body = '[ "$1" = --version ] && echo "Libreswan 4.10" && exit; echo "006 #2: said $3"'
    pluto_client = over_whack(tmp_path, body)
    async with no_harm():
        for command in (Command.TRAFFIC, Command.STATES):
            answer = await pluto_client.ask(command, version="4.10")
            assert (answer.text, answer.command) == (f"006 #2: said --{command}\n", command)
    where = at(tmp_path)
    assert runs(tmp_path) == [
        "run --version", f"run {where} --trafficstatus", f"run {where} --showstates",
    ]  # fmt: skip
    # An upgrade of the package: another file.
    script(tmp_path, 'echo "Libreswan 5.2"')
    await refusal(pluto_client, Command.TRAFFIC, version="4.10")
    assert runs(tmp_path)[3:] == ["run --version"]


async def test_a_whack_that_once_was_too_slow_is_asked_for_its_version_again(
    tmp_path: Path,
) -> None:
    slow = tmp_path / "slow"
    slow.touch()
    body = f'[ -e {slow} ] && sleep 1000; [ "$1" = --version ] && echo "Libreswan 4.10"; exit 0'
    pluto_client = over_whack(tmp_path, body, timeout=1.0)
    e = await refusal(pluto_client, Command.TRAFFIC, version="4.10")
    assert (e.trouble, "of an unknown version" in str(e)) == (Trouble.UNAVAILABLE, True)
    slow.unlink()
    async with no_harm():
        answer = await pluto_client.ask(Command.TRAFFIC, version="4.10")
    assert answer.command is Command.TRAFFIC


async def test_nothing_up_is_an_empty_answer(tmp_path: Path) -> None:
    body = '[ "$1" = --version ] && echo "Libreswan 5.2"; exit 0'
    answer = await over_whack(tmp_path, body).ask(Command.TRAFFIC, version="5.2")
    assert answer.text == ""


async def test_a_pluto_that_hangs_is_not_asked_through_whack_either(
    tmp_path: Path, path: Path
) -> None:
    pluto_client = PlutoClient(
        str(path), whack=script(tmp_path, 'echo "Libreswan 5.2"'), timeout=0.1
    )
    with BadPluto(path, "leave_open"):
        for command in (Command.STATUS, Command.TRAFFIC, Command.STATES):
            e = await refusal(pluto_client, command, version="5.2")
            assert e.trouble is Trouble.UNREACHABLE
        await pluto_client.close(grace=0)
    assert not runs(tmp_path)


@pytest.mark.parametrize("what", ["missing", "no program", "a folder"])
async def test_a_whack_that_cannot_be_run_is_no_way(tmp_path: Path, what: str) -> None:
    file = tmp_path / "whack"
    if what == "no program":
        file.write_text("not a program")
        file.chmod(0o755)
    elif what == "a folder":
        file.mkdir()
    pluto_client = PlutoClient(str(tmp_path / "no.ctl"), whack=str(file))
    async with no_harm():
        assert (await refusal(pluto_client)).trouble is Trouble.STOPPED
        assert (
            await refusal(pluto_client, Command.TRAFFIC, version="5.2")
        ).trouble is Trouble.UNAVAILABLE


CTL = '"/run/pluto/pluto.ctl"'
NOT_RUNNING = [
    f"whack: Pluto is not running (no {CTL})",
    f"whack: is Pluto running?  connect() for {CTL} failed (111 Connection refused)",
    f"ERROR: ipsec whack: Pluto is not running (no {CTL}): No such file or directory (errno 2)",
    "ERROR: ipsec whack: connect(pluto_ctl) failed: Connection refused (errno 111)",
    f"ipsec whack: ERROR: Pluto is not running (no {CTL}): No such file or directory (errno 2)",
]
NO_RIGHT = f"no right to communicate with pluto (access({CTL}))"
NOT_ALLOWED = [
    f"whack: {NO_RIGHT}",
    f"ERROR: ipsec whack: {NO_RIGHT}: Permission denied (errno 13)",
    f"ipsec whack: ERROR: {NO_RIGHT}: Permission denied (errno 13)",
]
BROKEN = [
    "whack: read() failed (104 Connection reset by peer)",
    "ipsec whack: ERROR: read() failed: Connection reset by peer (errno 104)",
    "whack: last line from pluto too long or unterminated",
]


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        *((s, Trouble.STOPPED) for s in NOT_RUNNING),
        *((s, Trouble.UNREACHABLE) for s in NOT_ALLOWED),
        *((s, Trouble.CUT) for s in BROKEN),
        ("whack: socket() failed (24 Too many open files)", Trouble.UNREACHABLE),
        ("", Trouble.UNREACHABLE),
    ],
)
@pytest.mark.parametrize("code", [1, 33])
def test_what_whack_says_on_stderr_is_told_apart_by_its_words(
    said: str, trouble: Trouble, code: int
) -> None:
    with pytest.raises(AskError) as caught:
        judge(Command.STATUS, Run("", said + "\n" if said else "", code, 0.1, 0.1))
    assert caught.value.trouble is trouble
    if said in NOT_ALLOWED:
        assert "root" in caught.value.hint


@pytest.mark.parametrize("said", BROKEN)
@pytest.mark.parametrize("code", [0, 1, 33])
def test_half_an_answer_through_whack_is_none(said: str, code: int) -> None:
    with pytest.raises(AskError) as caught:
        judge(Command.STATUS, Run(STATUS, said, code, 0.2, 0.1))
    assert (caught.value.trouble, caught.value.partial) == (Trouble.CUT, STATUS)
    assert caught.value.busy == pytest.approx(0.1)


@pytest.mark.parametrize("code", [-9, -11])
def test_a_whack_that_was_killed_has_not_answered(code: int) -> None:
    for stdout, trouble in ((STATUS, Trouble.CUT), ("", Trouble.UNREACHABLE)):
        with pytest.raises(AskError) as caught:
            judge(Command.STATUS, Run(stdout, "", code, 0.1, 0.1))
        assert caught.value.trouble is trouble


def test_what_whack_says_is_fit_to_be_shown() -> None:
    with pytest.raises(AskError) as caught:
        judge(Command.STATUS, Run("", "whack: \x1b[31mred\nmore\n", 33, 0.1, 0.1))
    assert str(caught.value) == r"whack: \x1b[31mred"


def test_an_answer_remembers_how_it_came() -> None:
    answer = judge(Command.STATUS, Run(STATUS, "", 3, 0.5, 0.2))
    assert answer == Answer(Command.STATUS, STATUS, 0.5, 0.2, Via.WHACK, None, 3, "")
