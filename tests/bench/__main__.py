# SPDX-License-Identifier: MIT
"""How long reading a status takes: `python -m tests.bench`.

Times of different machines don't compare; ratios of one run do. The yardstick is a pair of
searches over each line, which is how Open vSwitch's ovs-monitor-ipsec reads the same text, and
which learns only names. Everything runs in turns, and medians are told, so that a noisy machine
does to one what it does to the others.
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
    """Learn the names of connections and of established SAs as Open vSwitch does."""
    for line in text.splitlines():
        CONNECTION.search(line)
        STATE.search(line)


def needs(report: Report) -> None:
    """Look at all that decides about a tunnel's state."""
    for s in report.states:
        _ = (s.serial, s.name, s.instance, s.kind, s.role, s.stage, s.parent_serial)
    for c in report.connections:
        _ = (c.policy, c.aliases, c.newest_ike, c.newest_child, c.conn_serial, c.routing)
        for t in c.topologies:
            _ = (t.routing, t.remote_host, t.remote_client, t.remote_id)
    assert report.complete
    assert report.pending == ()


def everything(report: Report) -> None:
    """Look at every key of every line as a value."""
    needs(report)
    for s in report.states:
        _ = (s.timers, s.sa, remarks(s))
    for c in report.connections:
        connection_fields(c)


class Turns:
    """Times several things in turns."""

    def __init__(self) -> None:
        self.took: dict[str, list[float]] = {}

    def time(self, name: str, work: Callable[[], object]) -> object:
        """Do one of them; its result is dropped outside the time that is measured."""
        begin = time.process_time()
        result = work()
        self.took.setdefault(name, []).append(time.process_time() - begin)
        return result


def run(rounds: int, tunnels: int) -> Turns:
    """Time everything so many times."""
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
    """Measure the largest amount of memory taken while reading, in multiples of the text."""
    reader = Reader()
    tracemalloc.start()
    try:
        report = reader.read(text, "status")
        needs(report)
        return tracemalloc.get_traced_memory()[1] / len(text)
    finally:
        tracemalloc.stop()


def main() -> int:
    """Print medians, and what they are in terms of the yardstick's."""
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
