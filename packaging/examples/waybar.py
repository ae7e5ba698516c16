#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Print a line of JSON for waybar, or i3status-rust's custom block, at each change of a tunnel."""
# "custom/vpn": {"exec": "/usr/share/doc/ipsecwatch/examples/waybar.py", "return-type": "json"}

import asyncio
import json
import sys
from html import escape
from importlib.util import find_spec

if not find_spec("ipsecwatch"):  # the packages have it where no other program looks
    sys.path.insert(0, "/usr/share/ipsecwatch/python")

from ipsecwatch.client import Change, Lost, Snapshot, Update, View, follow

LOST = json.dumps({"text": "VPN ?", "class": "lost"})


def line(tunnels: dict[str, View]) -> str:
    up = sum(t.state == "up" for t in tunnels.values())
    state = "up" if up == len(tunnels) else "down"
    told = "\n".join(f"{escape(t.name)}: {t.state}" for t in tunnels.values())
    return json.dumps({"text": f"VPN {up}/{len(tunnels)}", "tooltip": told, "class": state})


async def main() -> None:
    tunnels: dict[str, View] = {}
    shown = ""
    async for event in follow():
        match event:
            case Snapshot(tunnels=found):
                tunnels = dict(found)
            case Update(path=path, view=None):
                tunnels.pop(path, None)
            case Change(path=path, view=View() as view) | Update(path=path, view=View() as view):
                tunnels[path] = view
        shown, before = LOST if isinstance(event, Lost) else line(tunnels), shown
        if shown != before:
            print(shown, flush=True)


asyncio.run(main())
