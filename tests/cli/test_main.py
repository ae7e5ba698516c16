# SPDX-License-Identifier: MIT
"""Tests of the command line as its users see it."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli.common import PLAIN_SIGNS
from ipsecwatch.cli.display import terminal
from ipsecwatch.config import Settings
from ipsecwatch.pluto.unit_file import find_unit
from ipsecwatch.reasons import LOG_TEXTS, advice_about_pluto
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.bus_service import asks_for_details, serving
from tests.support.paths import TOP
from tests.support.recordings import ROOT, statuses
from tests.support.tunnels import becomes, tunnel

if TYPE_CHECKING:
    from tests.support.dbus_daemon import PrivateBus

UP = statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout
DOWN = statuses(ROOT / "4.10/site.jsonl.gz")[0].stdout


def ipsecwatch(
    *arguments: str | Path, text: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ipsecwatch", *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1", **environment},
    )


def test_a_saved_status_is_shown_as_a_table() -> None:
    done = ipsecwatch("status", "--file", "-", text=UP)
    assert done.returncode == 0
    head, row, count = done.stdout.splitlines()
    assert head.split() == ["TUNNEL", "STATE", "PEER", "SINCE", "IN", "OUT", "WHY"]
    assert row.split() == ["●", "site", "up", "192.1.2.23", "-", "336", "336", "-"]
    assert count == "1 tunnel: 1 up"
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(("text", "code"), [(UP, 0), (DOWN, 1)], ids=["up", "down"])
def test_status_of_a_named_tunnel_answers_by_its_exit_code(text: str, code: int) -> None:
    done = ipsecwatch("status", "--file", "-", "site", text=text)
    assert done.returncode == code
    assert done.stdout.splitlines()[0].endswith(" site")


def test_status_of_an_unknown_tunnel_says_which_may_be_meant() -> None:
    done = ipsecwatch("status", "--file", "-", "sight", text=UP)
    assert done.returncode == 3
    assert done.stderr == "ipsecwatch: no such tunnel: sight. There are: site\n"


def test_status_prints_json() -> None:
    done = ipsecwatch("status", "--file", "-", "--json", text=UP)
    found = json.loads(done.stdout)
    assert found["source"] == "file"
    assert [(t["name"], t["state"], t["children_up"]) for t in found["tunnels"]] == [
        ("site", "up", 1)
    ]


BAD = {
    "empty": ("", "empty"),
    "garbage": ("\x00\x1b[31mhello\n", "not a status text"),
    "processes": ("  PID  Process\n", "processstatus"),
    "no pluto": ("whack: Pluto is not running (no \"/run/pluto/pluto.ctl\")\n", "not running"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_is_no_status_is_a_one_line_error_with_a_hint(case: str) -> None:
    text, word = BAD[case]
    done = ipsecwatch("status", "--file", "-", text=text)
    assert done.returncode == 3
    assert word in done.stderr
    assert done.stderr.count("\n") == 1
    assert "\x1b" not in done.stderr
    assert "ipsec whack --status" in done.stderr


def test_a_cut_status_shows_what_there_is_and_says_so() -> None:
    done = ipsecwatch("status", "--file", "-", text=UP[: UP.index("State Information")])
    assert done.returncode == 0
    assert "site" in done.stdout
    assert "not complete" in done.stderr


no_pluto = pytest.mark.skipif(
    os.getuid() == 0 and Path(Settings().control_socket).exists(), reason="a pluto runs here"
)
"""Mark for tests without a service: as root, the command would ask a pluto that runs here."""

UNSERVED = 0 if os.getuid() == 0 else 3
"""The exit code of ``status`` without a service. Only root can find out that pluto doesn't run."""


def start_pluto() -> str:
    """Return the advice to start pluto, which depends on whether this machine has a unit for it."""
    return advice_about_pluto(Reason.PLUTO_STOPPED, find_unit(Settings().unit))


@no_pluto
@pytest.mark.usefixtures("system_bus")
def test_without_service_and_pluto_the_error_says_what_to_start() -> None:
    done = ipsecwatch("status")
    assert done.returncode == UNSERVED
    assert done.stderr.count("\n") == 1
    assert (start_pluto() if os.getuid() == 0 else "systemctl start ipsecwatch") in done.stderr


@no_pluto
def test_without_a_bus_and_pluto_the_error_says_what_to_do(tmp_path: Path) -> None:
    done = ipsecwatch("status", DBUS_SYSTEM_BUS_ADDRESS=f"unix:path={tmp_path}/none")
    assert done.returncode == UNSERVED
    assert done.stderr.count("\n") == 1
    # Everybody may ask the bus, but only root may ask pluto.
    hint = start_pluto() if os.getuid() == 0 else "systemctl status dbus"
    assert hint in done.stderr


@pytest.mark.parametrize("arguments", [[], ["status", "--nonsense"], ["dance"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert ipsecwatch(*arguments).returncode == 2


def test_output_into_a_closed_pipe_ends_quietly() -> None:
    words = ["bash", "-o", "pipefail", "-c", '"$1" -m ipsecwatch replay "$2" | head -1', "bash"]
    words += [sys.executable, f"{ROOT}/4.10/daemon.jsonl.gz"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


def test_output_onto_a_full_disk_is_an_error_of_one_line() -> None:
    words = ["sh", "-c", 'exec "$0" -m ipsecwatch explain --list >/dev/full', sys.executable]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 3
    said = "ipsecwatch: cannot write: No space left on device. Make room, then try again\n"
    assert done.stderr == said


def test_a_closed_stdout_is_no_reason_to_fail() -> None:
    words = ["sh", "-c", 'exec "$0" -m ipsecwatch explain --list >&-', sys.executable]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_stdin_has_no_text() -> None:
    words = ["sh", "-c", 'exec "$0" -m ipsecwatch parse - <&-', sys.executable]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["why"] == "empty"


def test_where_stderr_is_closed_an_error_is_not_printed_to_stdout() -> None:
    words = ["sh", "-c", 'exec "$0" -m ipsecwatch dance 2>&-', sys.executable]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_terminal_without_unicode_is_no_reason_to_fail() -> None:
    done = ipsecwatch("status", "--file", "-", text=UP, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "* site" in done.stdout


def test_a_terminal_without_unicode_gets_our_own_signs_in_ascii() -> None:
    begun = DOWN.replace("Total IPsec", '#3: "site":500 STATE_V2_ODD (odd); idle;\nTotal IPsec')
    explained = ipsecwatch("explain", text=begun, LC_ALL="C", PYTHONIOENCODING="ascii")
    helped = ipsecwatch("wait", "--help", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert 'is at "STATE_V2_ODD": ' in explained.stdout
    assert "&& rsync ..." in helped.stdout
    # A name that others chose is escaped and not replaced: so it can't look like another name.
    assert "\\xe4" in ipsecwatch("explain", "\u00e4rger", PYTHONIOENCODING="ascii").stderr


def test_all_signs_in_texts_of_ours_have_a_form_in_ascii() -> None:
    drawn = "●◐✗…○✓→↔█▄▁·"  # only where can_show_symbols() says so
    markup = "‹›＆％"  # for a desktop, whose texts are in UTF-8
    modules = [*(TOP / "ipsecwatch/cli").rglob("*.py"), *(TOP / "ipsecwatch/libreswan").rglob("*")]
    for module in (m for m in modules if m.suffix == ".py" and m.name not in _READS_SIGNS):
        tree = ast.parse(module.read_text())
        notes = {id(x.value) for x in ast.walk(tree) if isinstance(x, ast.Expr)}
        told = [x for x in ast.walk(tree) if isinstance(x, ast.Constant) and id(x) not in notes]
        shown = {c for x in told for c in str(x.value) if c.isprintable() and not c.isascii()}
        for sign in shown - set(drawn + markup):
            assert "\\" not in sign.encode("ascii", PLAIN_SIGNS).decode(), (module, sign)


_READS_SIGNS = ("pasted_text.py", "log_text.py", "repair.py")
"""Modules that contain special characters only to find them in other people's texts."""


async def test_status_and_monitor_show_what_the_service_says(system_bus: PrivateBus) -> None:
    async with serving() as service:
        stuck = tunnel("b", TunnelState.STUCK, reason=Reason.NO_ANSWER, attempts=3)
        await service.look(tunnel("a", TunnelState.UP), stuck)
        status = await asyncio.to_thread(ipsecwatch, "status")
        assert status.returncode == 0
        assert [line.split()[1:3] for line in status.stdout.splitlines()[1:3]] == [
            ["b", "stuck"],
            ["a", "up"],
        ]
        assert "The peer does not answer; 3 attempts" in status.stdout
        assert status.stdout.splitlines()[-1] == LOG_TEXTS[LogState.NONE]
        as_json = await asyncio.to_thread(ipsecwatch, "status", "--json")
        assert json.loads(as_json.stdout)["log"] == "none"
        assert (await asyncio.to_thread(ipsecwatch, "status", "a")).returncode == 0
        assert (await asyncio.to_thread(ipsecwatch, "status", "a", "b")).returncode == 1
        monitor = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ipsecwatch", "monitor", "--json", stdout=asyncio.subprocess.PIPE
        )
        assert monitor.stdout is not None
        first = json.loads(await asyncio.wait_for(monitor.stdout.readline(), 20))
        assert first["tunnels"] == {"a": "up", "b": "stuck"}
        await service.become(tunnel("a", TunnelState.DOWN), reason=Reason.OPERATOR)
        second = json.loads(await asyncio.wait_for(monitor.stdout.readline(), 20))
        assert (second["tunnel"], second["old"], second["new"]) == ("a", "up", "down")
        assert (second["told"], second["serial"]) == ("down", 1)
        await service.publish([], log=LogState.FILE, unit="vpn.service")
        third = json.loads(await asyncio.wait_for(monitor.stdout.readline(), 20))
        assert (third["event"], third["state"]) == ("log", "file")
        assert third["sentence"] == LOG_TEXTS[LogState.FILE]
        lost = becomes(tunnel("b", TunnelState.UP), tunnel("b"), Reason.OTHER)
        await service.publish([lost], log=LogState.FILE, unit="vpn.service")
        fourth = json.loads(await asyncio.wait_for(monitor.stdout.readline(), 20))
        assert fourth["advice"].endswith("journalctl -u vpn")
        monitor.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(monitor.wait(), 10) == 0


@asks_for_details
async def test_a_named_tunnel_shows_what_somebody_tried_from_outside(
    system_bus: PrivateBus,
) -> None:
    line = '"a"[1] #3: responding to IKE_SA_INIT \x1b[2J with NO_PROPOSAL_CHOSEN'
    async with serving() as service:
        await service.look(
            tunnel("a", TunnelState.UP, incoming=(time.time() - 130, line)),
            tunnel("b", TunnelState.UP),
        )
        status = await asyncio.to_thread(ipsecwatch, "status", "a", "b")
    told = " ".join(status.stdout.partition("incoming")[2].split())
    shown = line.replace("\x1b", r"\x1b")
    assert re.match(rf"somebody tried to connect 2m 1\ds ago: {re.escape(shown)}", told)
    assert status.stdout.count("incoming") == 1


@pytest.mark.parametrize(
    ("pluto", "states", "code", "said"),
    [
        (PlutoState.RUNNING, [], 0, "No tunnels are configured."),
        (PlutoState.STOPPED, [], 0, "The IPsec service is not running."),
        (PlutoState.STARTING, [], 0, "The IPsec service is starting."),
        (PlutoState.UNREACHABLE, [], 3, "The IPsec service does not answer."),
        (PlutoState.UNREACHABLE, [TunnelState.UNKNOWN], 3, "The IPsec service does not answer."),
        (PlutoState.UNREACHABLE, [TunnelState.DOWN], 0, "The IPsec service does not answer."),
    ],
)
async def test_status_ends_with_3_where_nothing_is_known(
    pluto: PlutoState, states: list[TunnelState], code: int, said: str, system_bus: PrivateBus
) -> None:
    async with serving() as service:
        service.pluto = pluto
        await service.look(*(tunnel(f"t{n}", state) for n, state in enumerate(states)))
        status = await asyncio.to_thread(ipsecwatch, "status")
    assert status.returncode == code
    assert said in status.stdout + status.stderr
    assert ("No tunnels" in status.stdout) == (pluto is PlutoState.RUNNING)


DURATIONS = {0: "0s", 42: "42s", 310: "5m 10s", 11100: "3h 05m", 1051200: "12d 4h", -5: "0s"}


@pytest.mark.parametrize(("seconds", "text"), DURATIONS.items())
def test_durations_are_written_in_two_units(seconds: int, text: str) -> None:
    assert terminal.ago(seconds) == text


def test_wide_characters_keep_columns_aligned() -> None:
    assert terminal.width("東京") == 4
    assert terminal.width("é") == 1
    assert terminal.pad("東京", 6) == "東京  "


FIELD = TOP / "tests/fixtures/field"


@pytest.mark.parametrize(
    ("case", "names", "code"),
    [
        ("02", [], 0),
        ("02", ["office"], 0),
        ("03", [], 0),
        ("03", ["office"], 0),
        ("03", ["paris"], 3),
        ("08", [], 3),
        ("09", ["office"], 1),
    ],
)
def test_what_a_part_of_a_status_does_not_tell_could_not_be_found_out(
    case: str, names: list[str], code: int
) -> None:
    done = ipsecwatch("status", "--file", str(FIELD / f"{case}.txt"), *names)
    assert done.returncode == code
    assert ("isn't in the text" in done.stdout) == (code == 3 or (case == "03" and not names))


NO_STATUS = {
    "JSON": ('{\n  "office": {\n    "state": "up"\n  }\n}\n', "not a status text"),
    "a web page": (
        '<html><body>\n<p>My <b>tunnel</b></p>\n<a href="x">y</a>\n</body></html>\n',
        "not a status text",
    ),
    "a recording": ('{"format": 1, "kind": "ipsecwatch-recording"}\n', "ipsecwatch replay FILE"),
    "binary": ("\x00\x01\x02", "binary"),
    "a log": ('"office" #1: initiating IKEv2 connection\n', "ipsecwatch explain"),
    "quoted": ("".join(f"> {line}\n" for line in UP.splitlines()), "ipsecwatch explain"),
    "indented": ("".join(f"    {line}\n" for line in UP.splitlines()), "ipsecwatch explain"),
    "logged": (
        "".join(f"Nov 24 00:21:07 gw ipsec[1]: {line}\n" for line in UP.splitlines()),
        "ipsecwatch explain",
    ),
}


@pytest.mark.parametrize("verb", [["status", "--file"], ["parse"]])
@pytest.mark.parametrize("case", NO_STATUS)
def test_what_is_not_as_libreswan_prints_it_is_refused(case: str, verb: list[str]) -> None:
    text, hint = NO_STATUS[case]
    done = ipsecwatch(*verb, "-", text=text)
    assert (done.returncode, done.stdout) == (3, "")
    assert hint in done.stderr
    assert done.stderr.count("\n") == 1
