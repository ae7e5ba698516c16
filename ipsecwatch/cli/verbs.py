# SPDX-License-Identifier: MIT
"""The names of all verbs, each with its description in ``ipsecwatch --help``.

The module of a verb has the verb's name, with ``_`` for ``-``. Its function ``add`` adds the verb
and its arguments to a parser. Only the module of the verb that is used is imported, so that verbs
start fast.
"""

from __future__ import annotations

from typing import Final

VERBS: Final = {
    "status": "show the state of each tunnel",
    "who": "show who is connected through templates (road warriors), from where, since when",
    "monitor": "show the tunnels, then each transition when it happens, until interrupted",
    "history": "show what happened to the tunnels, and how much of the time they were up",
    "wait": "wait until tunnels are up, down or stuck",
    "explain": "explain in plain words a status, pluto's log, a word of these, or a tunnel's state",
    "parse": "print the output of `ipsec status` or a similar command as JSON",
    "record": "record pluto's answers and log, until interrupted; needs root",
    "redact": "replace private data in a recording or a text, so that strangers may see it",
    "replay": "print the transitions that the service would have announced for a recording",
    "check": "work as a monitoring plugin: print OK, WARNING, CRITICAL or UNKNOWN",
    "metrics": "print metrics of all tunnels, for Prometheus",
    "bar": "print a line for a status bar (waybar, i3blocks, polybar, xmobar) after each change",
    "doctor": "find out why no tunnels are shown, and what repairs it",
    "check-config": "check the settings files of the service and the agent",
    "daemon": "run the service, which watches pluto and announces changes; systemd starts it",
    "agent": "show desktop notifications when tunnels come up, get stuck or go down",
    "mute": "stop notifications about a tunnel for an hour, until the next login, or for good",
    "demo": "play recorded tunnels to the real service; needs neither root nor libreswan",
    "help": "show how to use a verb",
}
