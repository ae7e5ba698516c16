# SPDX-License-Identifier: MIT
"""The names of all verbs, each with its description in ``ipsecwatch --help``.

The module with a verb's name (``-`` becomes ``_``) has the function ``add``, which describes the
verb's arguments. It is imported only when that verb is used, so that the others start fast.
"""

from __future__ import annotations

from typing import Final

VERBS: Final = {
    "status": "show how the tunnels are",
    "who": "show who is connected: user or identity, address, lease, since, traffic",
    "monitor": "show how tunnels are, then transitions as they happen, until interrupted",
    "history": "show what happened to the tunnels, and for how long they were up",
    "wait": "wait until tunnels are up, down or stuck",
    "explain": "say what a status, a piece of the log, or a word of them means, or how a tunnel is",
    "parse": "read a status text of libreswan's and print it as JSON",
    "record": "record what pluto says and logs, until interrupted",
    "redact": "hide what is private in a recording or a text, so that it can be shown to strangers",
    "replay": "play a recording through the tracker and print each transition",
    "check": "answer as a monitoring plugin: OK, WARNING, CRITICAL or UNKNOWN",
    "metrics": "print all tunnels as metrics for Prometheus",
    "bar": "print a line for a status bar (waybar, i3blocks, polybar, xmobar), anew at each change",
    "doctor": "say why nothing is to be seen, and what mends it",
    "check-config": "read both settings files, and say what is wrong with them",
    "daemon": "watch pluto and announce what happens; systemd starts this",
    "agent": "show desktop notifications when tunnels come up, get stuck or go down",
    "mute": "have the agent tell nothing of a tunnel, for an hour, until next login, or for good",
    "demo": "show it at work on recorded tunnels: no root, no libreswan",
    "help": "show how a verb is used",
}
