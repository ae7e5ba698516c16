# SPDX-License-Identifier: MIT
"""A status with a peer in it that writes whatever it likes wherever pluto prints a peer's text.

The status of each dialect is put together from the recorded one of a single tunnel: before and
behind the hostile one stand tunnels that are up, one that we try to bring up and one that is down.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from ipsecwatch.survey import survey
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipsecwatch.model import Report

DIALECTS: Final = ("3.20", "3.32", "4.10", "5.2", "5.4")
HOSTILE: Final = "mallory"
OTHERS: Final = {"alpha": "up", "november": "up", "oscar": "connecting", "papa": "down"}
"""The other tunnels, and how they are."""

SLOTS: Final = ("topology", "id", "user", "banner", "domain", "sa-user")
"""Where pluto prints what the peer, or the peer's gateway, chose."""

_FIRST: Final = {"alpha": 1, "mallory": 3, "november": 5, "oscar": 9, "papa": 11}
"""The serials of their IKE SAs; the Child's is the next."""

_TRIES: Final = {
    "3.20": "STATE_PARENT_I1 (sent v2I1, expected v2R1); EVENT_v2_RETRANSMIT in 1s; idle;"
    " import:admin initiate",
    "3.32": "STATE_PARENT_I1 (sent v2I1, expected v2R1); EVENT_RETRANSMIT in 1s; idle;",
    "4.10": "STATE_V2_PARENT_I1 (sent IKE_SA_INIT request); RETRANSMIT in 1s; idle;",
    "5.2": "IKE_SA_INIT_I (sent IKE_SA_INIT request); RETRANSMIT in 1s; idle;",
    "5.4": "sent IKE_SA_INIT request; RETRANSMIT in 1s; idle;",
}


def verdicts(report: Report) -> dict[str, tuple[str, bool, frozenset[int]]]:
    """Say how each tunnel but the hostile one is: its state, whether it is tried, its Children."""
    seen = survey(report, frozenset(), frozenset())
    return {
        key: (seen[key].state.value, seen[key].trying, seen[key].children)
        if key in seen
        else ("gone", False, frozenset())
        for key in OTHERS
    }


def status(dialect: str, said: Mapping[str, str] | None = None) -> str:
    """Write the status of a dialect, with what the hostile peer said in each slot."""
    said = said or {}
    before, mine, between, sas, after = _parts(dialect)
    prefix = "000 " if dialect < "5" else ""
    begin = f'{prefix}"{HOSTILE}":'
    if (text := said.get("topology")) is not None:
        mine = mine.replace("[@east]", f"[{text}]", 1)
    if (text := said.get("id")) is not None:
        mine = mine.replace("their id=@east", f"their id={text}")
    if (text := said.get("user")) is not None:
        mine = mine.replace("their_username=[any]", f"their_username={text}")
    if (text := said.get("domain")) is not None:
        mine = mine.replace("domain:unset", f"domain:{text}")
        mine = mine.replace("domains:unset", f"domains:{text}")
    if (text := said.get("banner")) is not None:
        at = mine.index("_label")
        at = mine.rindex("\n", 0, at) + 1
        blanks = " " if prefix else "   "
        mine = f"{mine[:at]}{begin}{blanks}banner:{text};\n{mine[at:]}"
    if (text := said.get("sa-user")) is not None:
        lines = sas.splitlines(keepends=True)
        i = next(i for i, line in enumerate(lines) if " esp." in line)
        lines[i] = f"{lines[i].rstrip()} username={text}\n"
        sas = "".join(lines)
    return before + mine + between + sas + after


@cache
def _parts(dialect: str) -> tuple[str, str, str, str, str]:
    """Cut a status of all tunnels around what is the hostile one's."""
    answers = [a.stdout for a in statuses(ROOT / f"{dialect}/site.jsonl.gz")]
    up = next(a for a in answers if "#2:" in a).splitlines(keepends=True)
    down = next(a for a in answers if "#1" not in a and '"site"' in a).splitlines(keepends=True)
    lists, sas = {}, {}
    for name, first in _FIRST.items():
        is_up = OTHERS.get(name, "up") == "up"
        lines = [_named(line, name, first) for line in (up if is_up else down)]
        prefix = "000 " if dialect < "5" else ""
        lists[name] = "".join(x for x in lines if x.startswith(f'{prefix}"'))
        sas[name] = "".join(x for x in lines if x.startswith(f"{prefix}#"))
    sas["oscar"] = f'{prefix}#9: "oscar":500 {_TRIES[dialect]}\n'
    if not prefix:
        old, routing = "unrouted;", "unrouted-bare-negotiation;"
        lists["oscar"] = (
            lists["oscar"].replace(f"; {old} my_ip", f"; {routing} my_ip")
            .replace(f"routing: {old}", f"routing: {routing} owner: IKE SA #9; negotiating IKE SA: #9;")
            .replace("remote: 192.1.2.23;", "remote: 192.1.2.23; negotiating IKE SA: #9;")
        )  # fmt: skip
    first = next(i for i, line in enumerate(up) if '"site":' in line[:20])
    total = next(i for i, line in enumerate(up) if "Total IPsec conn" in line) - 1
    states = next(i for i, line in enumerate(up) if line.removeprefix("000 ").startswith("#"))
    rest = next(i for i in range(states, len(up)) if "#" not in up[i])
    counted = "".join(up[total:states]).replace("(1)", "(3)")
    counted = (
        counted.replace("loaded 1", "loaded 5").replace("ed 1", "ed 3").replace("ve 1", "ve 3")
    )
    counted = counted.replace("IKE SAs: total(3), half-open(0)", "IKE SAs: total(4), half-open(1)")
    return (
        "".join(up[:first]) + lists["alpha"],
        lists[HOSTILE],
        lists["november"] + lists["oscar"] + lists["papa"] + counted + sas["alpha"],
        sas[HOSTILE],
        sas["november"] + sas["oscar"] + "".join(up[rest:]),
    )


def _named(line: str, name: str, first: int) -> str:
    for old, new in {
        '"site"': f'"{name}"', "#2": f"#\0{first + 1}", "#1": f"#{first}", "\0": "",
        "$1;": f"${first};",
    }.items():  # fmt: skip
        line = line.replace(old, new)
    return line
