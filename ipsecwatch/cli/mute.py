# SPDX-License-Identifier: MIT
"""``ipsecwatch mute``: makes the agent show no notifications about a tunnel, for some time.

It writes to the user's file of mutes, which the agent reads.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Final

from ipsecwatch.agent import mutes
from ipsecwatch.agent.mutes import MutesError, Until
from ipsecwatch.cli.failure import EXIT_NO, EXIT_OK, EXIT_USAGE, Failure
from ipsecwatch.cli.parser import verb
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.client.connection_names import is_uuid, names_of
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    import argparse

    from ipsecwatch.agent.mutes import Mute

EXAMPLES: Final = (
    ("ipsecwatch mute", "what is muted, and until when"),
    ("ipsecwatch mute lab-7", "no notifications for an hour"),
    ("ipsecwatch mute lab-7 --for ever", "no notifications until --undo"),
    ("ipsecwatch mute --undo lab-7", "notifications about lab-7 again"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "mute", VERBS["mute"], run, EXAMPLES)
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="the tunnel to mute; without: list the muted ones"
    )
    parser.add_argument(
        "--for", dest="until", choices=[u.value for u in Until], metavar="TIME",
        help="1h, login (until your next login), or ever (default: 1h)",
    )  # fmt: skip
    parser.add_argument("--undo", action="store_true", help="unmute the tunnel")
    parser.add_argument(
        "--json", action="store_true", help="print what is muted afterwards, as JSON"
    )


def run(args: argparse.Namespace) -> int:
    try:
        said = _change(args)
        muted = mutes.load(mutes.mutes_file(), time.time())
    except MutesError as e:
        raise Failure(clean(str(e), 400), "Remove the file if nothing else helps") from e
    if args.json:
        print(json.dumps({"format": 1, "muted": [_fields(m) for m in muted]}))
    elif said:
        print(said)
    else:
        _list(muted)
    return EXIT_OK


def _change(args: argparse.Namespace) -> str:
    """Mute or unmute the tunnel that the arguments name. Return a line about what was done.

    Without a tunnel, change nothing and return "". Raise Failure for arguments that don't fit
    together, for a text that can't be a tunnel's name, and if a tunnel to unmute isn't muted. Raise
    MutesError if the file can't be read or written.
    """
    name, path, now = _name(args.name), mutes.mutes_file(), time.time()
    if name is None:
        if args.undo or args.until:
            raise Failure(
                "which tunnel?",
                "Give its name. List the muted tunnels: ipsecwatch mute",
                EXIT_USAGE,
            )
        return ""
    if args.undo:
        if args.until:
            raise Failure("--undo can't have --for", "See: ipsecwatch mute --help", EXIT_USAGE)
        # The UUID may have been muted before NetworkManager's name for it was known.
        undone = [n for n in dict.fromkeys((name, args.name)) if mutes.unmute(path, n, now)]
        if not undone:
            raise Failure(
                f"{clean(name)} isn't muted", "List the muted tunnels: ipsecwatch mute", EXIT_NO
            )
        return f"{undone[0]}: not muted any more"
    if not mutes.is_name(name):
        raise Failure(f"{clean(name)} can't be a tunnel's name", code=EXIT_USAGE)
    return _line(mutes.mute(path, name, Until(args.until or Until.HOUR), now))


def _name(given: str | None) -> str | None:
    """Return the name under which the agent shows a tunnel.

    For the UUID of a connection in NetworkManager, that is the connection's name. Return any other
    name, an unknown UUID, or None, unchanged.
    """
    if given is None or not is_uuid(given):
        return given
    known = asyncio.run(names_of([given]))
    return known[given].name if given in known else given


def _list(muted: tuple[Mute, ...]) -> None:
    if not muted:
        print("Nothing is muted.")
    for m in muted:
        print(_line(m))


def _line(m: Mute) -> str:
    match m.until:
        case Until.HOUR:
            return f"{m.name}: muted until {time.strftime('%H:%M', time.localtime(m.ends))}"
        case Until.LOGIN:
            return f"{m.name}: muted until your next login"
    return f"{m.name}: muted for good"


def _fields(m: Mute) -> dict[str, object]:
    return {"name": m.name, "for": m.until.value, "ends": m.ends or None}
