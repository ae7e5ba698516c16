# SPDX-License-Identifier: MIT
"""Benchmark ``parser``: how long reading a status takes. Run it with ``python -m tests.bench``.

Compare ratios of one run only, since times of different machines can't be compared. The yardstick
is a pair of regular expressions, searched in each line: so Open vSwitch's ovs-monitor-ipsec reads
the same text, and finds nothing but names. Everything is measured in turns, and medians are
printed, so that a busy machine affects everything alike.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
import tracemalloc
from statistics import median
from typing import TYPE_CHECKING, Final

from ipsecwatch.libreswan.status import Reader, connection_fields
from ipsecwatch.libreswan.status.states import remarks
from tests.bench import gateway

if TYPE_CHECKING:
    from collections.abc import Callable

    from ipsecwatch.report import Report

CONNECTION: Final = re.compile(r'"(.*)": [0-9a-f]+.*(===|\.\.\.).*')
STATE: Final = re.compile(r'#\d+: .*"(.*)".*esp[.:][0-9a-f]+@.*')


def yardstick(text: str) -> None:
    """Read a status as Open vSwitch does: search each line for a connection and for an SA."""
    for line in text.splitlines():
        CONNECTION.search(line)
        STATE.search(line)


def needs(report: Report) -> None:
    """Read all values of a report on which a tunnel's state depends."""
    for s in report.states:
        _ = (s.serial, s.name, s.instance, s.kind, s.role, s.stage, s.parent_serial)
    for c in report.connections:
        _ = (c.policy, c.aliases, c.newest_ike, c.newest_child, c.conn_serial, c.routing)
        for t in c.topologies:
            _ = (t.routing, t.remote_host, t.remote_client, t.remote_id)
    assert report.complete
    assert report.pending == ()


def everything(report: Report) -> None:
    """Read all values of all connections and SAs of a report."""
    needs(report)
    for s in report.states:
        _ = (s.timers, s.sa, remarks(s))
    for c in report.connections:
        connection_fields(c)


class Turns:
    """Measures several things in turns.

    ``took`` has the seconds of processor time of each, by name.
    """

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[[], object]) -> object:
        """Call ``work``, measure its processor time, and return its result.

        The caller drops the result, so that the time for this isn't measured.
        """
        begin = time.process_time()
        result = work()
        self.took.setdefault(name, []).append(time.process_time() - begin)
        return result


def run(rounds: int, tunnels: int) -> Turns:
    """Measure everything ``rounds`` times, with a status of so many tunnels."""
    texts = [gateway.status(tunnels), gateway.status(tunnels, seconds=5)]
    text = texts[0]
    turns = Turns()
    reader = Reader()
    reader.read(texts[1], "status")

    def fresh() -> Report:
        report = Reader().read(text, "status")
        needs(report)
        return report

    def whole() -> Report:
        report = Reader().read(text, "status")
        everything(report)
        return report

    def again() -> Report:
        report = reader.read(texts[0], "status")
        needs(report)
        return report

    for _ in range(rounds):
        turns.time("yardstick", lambda: yardstick(text))
        turns.time("splitlines", text.splitlines)
        turns.time("what the tracker needs", fresh)
        turns.time("everything", whole)
        turns.time("a poll with new timers and counters", again)
        texts.reverse()
    return turns


def peak(text: str) -> float:
    """Return the most memory that reading a text takes, in multiples of the text's size."""
    reader = Reader()
    tracemalloc.start()
    try:
        report = reader.read(text, "status")
        needs(report)
        return tracemalloc.get_traced_memory()[1] / len(text)
    finally:
        tracemalloc.stop()


def main() -> int:
    """Print the median of each time, and its ratio to the yardstick's."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--tunnels", type=int, default=gateway.TUNNELS)
    args = parser.parse_args()
    text = gateway.status(args.tunnels)
    print(f"{args.tunnels} tunnels, {text.count(chr(10)):,} lines, {len(text):,} bytes")
    took = run(args.rounds, args.tunnels).took
    unit = took["yardstick"]
    for name, times in took.items():
        ratio = median(t / u for t, u in zip(times, unit, strict=True))
        print(f"{name:38}{median(times) * 1e3:8.1f} ms{ratio:8.2f}")
    print(f"{'peak memory, in multiples of the text':38}{peak(text):19.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
