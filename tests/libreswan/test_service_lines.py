# SPDX-License-Identifier: MIT
"""Tests of lines about the IPsec service itself, by pluto, systemd and the kernel."""

from __future__ import annotations

import pytest

from ipsecwatch.libreswan import log_text
from ipsecwatch.libreswan.log_attempts import Outcome, stories
from ipsecwatch.libreswan.service_lines import Fate

STAMP = "Nov 28 10:00:01"
FATES = {
    "pluto[7]: ABORT: ASSERTION FAILED: st != NULL (in f() at state.c:7)": Fate.CRASHED,
    "pluto[7]: FATAL: ASSERTION FAILED: st != NULL (f() +7 programs/pluto/state.c)": Fate.CRASHED,
    "kernel: [ 40.1] pluto[7]: segfault at 28 ip 00007f sp 00007f error 4 in pluto": Fate.CRASHED,
    "kernel: traps: pluto[7] general protection ip:7f sp:7f error:0": Fate.CRASHED,
    "ipsec__plutorun: !pluto failure!:  exited with error status 139 (signal 11)": Fate.CRASHED,
    "systemd-coredump[9]: Process 7 (pluto) of user 0 dumped core.": Fate.CRASHED,
    "systemd[1]: ipsec.service: Main process exited, code=dumped, status=6/ABRT": Fate.CRASHED,
    "systemd[1]: ipsec.service: Failed with result 'core-dump'.": Fate.CRASHED,
    "systemd[1]: ipsec.service: Main process exited, code=killed, status=9/KILL": Fate.KILLED,
    "kernel: Out of memory: Killed process 7 (pluto) total-vm:1kB": Fate.KILLED,
    "pluto[7]: FATAL ERROR: unable to create lock dir": Fate.REFUSED,
    "addconn[7]: cannot load config '/etc/ipsec.conf': /etc/ipsec.conf:12: syntax error, "
    "unexpected STRING [keyexchnge]": Fate.BAD_SETTINGS,
    "addconn[7]: /etc/ipsec.d/a.conf:3: unrecognized keyword 'lefft'": Fate.BAD_SETTINGS,
    "NetworkManager[7]: cannot load config '-': -:13: syntax error [x]": Fate.BAD_SETTINGS,
    "ipsec__plutorun: !pluto failure!:  exited with error status 1": Fate.FAILED,
    "systemd[1]: ipsec.service: Control process exited, code=exited, status=3/x": Fate.FAILED,
    "systemd[1]: ipsec.service: Failed with result 'exit-code'.": Fate.FAILED,
    "systemd[1]: Failed to start Internet Key Exchange (IKE) Protocol Daemon": Fate.FAILED,
    "pluto[7]: Pluto is shutting down": Fate.STOPPED,
    "pluto[7]: Starting Pluto (Libreswan Version 5.4) pid:7": Fate.STARTED,
    "pluto[7]: EXPECTATION FAILED: st != NULL (f() +7 state.c)": None,
    "systemd[1]: ssh.service: Main process exited, code=dumped, status=6/ABRT": None,
    "kernel: xl2tpd[7]: segfault at 28 ip 00007f sp 00007f error 4": None,
    "pluto[7]: packet from 192.0.2.9:500: ABORT: ASSERTION FAILED: x": None,
    "pluto[7]: | ABORT: ASSERTION FAILED: x": None,
    "pluto[7]: \"rw\"[1] 192.0.2.7 #3: peer ID 'ABORT: ASSERTION FAILED: x'": None,
}


@pytest.mark.parametrize("line", FATES)
def test_a_line_shows_what_happened_to_the_service(line: str) -> None:
    found = log_text.read(f"{STAMP} gw {line}\n")
    assert [x.fate for x in found.lines if x.of_pluto] == [FATES[line]] * (FATES[line] is not None)


TYPED = {
    "Job for ipsec.service failed because the control process exited with error code.": Fate.FAILED,
    "pluto: FATAL: unable to create lock dir": Fate.REFUSED,
    "systemd: ipsec.service: main process exited, code=killed, status=11/SEGV": Fate.CRASHED,
    "   Message: Process 7 (pluto) of user 0 dumped core.": Fate.CRASHED,
    "x ipsec.service - IPsec\n     Active: failed (Result: exit-code) since Sat": Fate.FAILED,
    " Checking that pluto is running                   \t[FAILED]": Fate.NOT_RUNNING,
}


@pytest.mark.parametrize("text", TYPED)
def test_so_do_the_outputs_of_commands(text: str) -> None:
    assert [x.fate for x in log_text.read(f"I see:\n{text}\n").lines] == [TYPED[text]]


def test_what_was_up_is_not_up_after_a_crash() -> None:
    lines = (
        '"office" #1: initiating IKEv2 connection',
        '"office" #2: initiator established Child SA using #1; IPsec tunnel [x]',
        "ABORT: ASSERTION FAILED: x",
    )
    (story,) = stories(log_text.read("\n".join(lines)).lines)
    assert story.outcome is Outcome.LOST
