# SPDX-License-Identifier: MIT
"""Makes the status of a gateway with many tunnels from a recorded one of a single tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

TUNNELS: Final = 1000


def status(
    tunnels: int = TUNNELS,
    seconds: int = 0,
    *,
    up: bool = True,
    only: Collection[int] | None = None,
) -> str:
    """Return a status, as libreswan 4.10 prints it, with this number of tunnels.

    Later ``seconds`` change only timers and counters. With ``up`` all tunnels are established, or
    those with the numbers ``only``; of the others there are only the connections.
    """
    established = (range(tunnels) if only is None else sorted(only)) if up else ()
    lines = statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout.splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.startswith('000 "'))
    total = next(i for i, line in enumerate(lines) if "Total IPsec connections" in line) - 1
    states = next(i for i, line in enumerate(lines) if line.startswith("000 #"))
    shunts = next(i for i, line in enumerate(lines) if "Bare Shunt list" in line) - 1
    return "".join(
        [
            *lines[:first],
            *_each(lines[first:total], range(tunnels), seconds),
            *(_counted(line, tunnels, len(established)) for line in lines[total:states]),
            *_each(lines[states:shunts], established, seconds),
            *lines[shunts:],
        ]
    )


def _each(lines: Iterable[str], numbers: Iterable[int], seconds: int) -> Iterable[str]:
    """Yield the lines of one tunnel, once for each number."""
    block = "".join(lines)
    return (_one(block, number, seconds) for number in numbers)


def _one(block: str, n: int, seconds: int) -> str:
    """Return the lines of one tunnel, with a name, addresses, numbers and counters of its own."""
    ike, child = 2 * n + 1, 2 * n + 2
    high, low = divmod(n, 250)
    for old, new in {
        '"site"': f'"site-{n:04}"',
        "192.0.1.0": f"10.{high}.{low}.0",
        "192.0.2.0": f"10.{100 + high}.{low}.0",
        "192.1.2.23": f"198.51.{high}.{low + 1}",
        "@east": f"@peer-{n}",
        "#2": f"#\0{child}",
        "#1": f"#{ike}",
        "\0": "",
        "$1;": f"${n + 1};",
        "27727s": f"{27727 - n % 977 - seconds}s",
        "27808s": f"{27808 - n % 511 - seconds}s",
        "28796s": f"{28796 - seconds}s",
        "esp.b869f6f1": f"esp.{0xB869F6F1 + 7919 * n & 0xFFFFFFFF:08x}",
        "=336B": f"={336 * (seconds + 1) + n}B",
    }.items():
        block = block.replace(old, new)
    return block


def _counted(line: str, tunnels: int, active: int) -> str:
    """Return a line with its totals set."""
    for old, new in {
        "loaded 1, active 1": f"loaded {tunnels}, active {active}",
        "(1)": f"({active})",
    }.items():
        line = line.replace(old, new)
    return line
