# SPDX-License-Identifier: MIT
"""A pluto in miniature whose tunnels change when a test says so: its status text and its log.

It prints what libreswan 4.10 prints. It knows how each tunnel truly is, and since when.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from tests.bench import gateway

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

TUNNELS: Final = 6


class Fate(StrEnum):
    """What becomes of a tunnel. The value is the state that ipsecwatch ends in."""

    ESTABLISHED = "up"
    REFUSED = "stuck"
    """pluto tries again and again, and shows no state of it: its policy has UP."""
    TAKEN_DOWN = "down"


_WORDS: Final = {
    Fate.ESTABLISHED: "initiator established Child SA using #1; IPsec tunnel [10.0.0.0/24]",
    Fate.REFUSED: "IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED",
    Fate.TAKEN_DOWN: "terminating SAs using this connection",
}

_OWNERS: Final = re.compile(r"(?<=newest IKE SA: )#\d+|(?<=newest IPsec SA: )#\d+")


@dataclass
class Tunnel:
    """One tunnel, and how it has been: for each change when it was."""

    number: int
    fate: Fate = Fate.ESTABLISHED
    serial: int = 0
    past: list[tuple[float, Fate]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"site-{self.number:04}"

    def was(self, fate: Fate, begin: float, end: float) -> bool:
        """Return whether it was so at some moment between two times of the wall clock."""
        ends = (*(at for at, _ in self.past[1:]), float("inf"))
        phases = zip(self.past, ends, strict=True)
        return any(f is fate and at <= end and begin <= over for (at, f), over in phases)


class Model:
    """All tunnels of one pluto."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._serial = 0
        self.tunnels = [Tunnel(n) for n in range(TUNNELS)]
        for tunnel in self.tunnels:
            self._become(tunnel, Fate.ESTABLISHED)

    @property
    def states(self) -> dict[str, str]:
        """How each tunnel is, once it has been so for long enough."""
        return {t.name: t.fate.value for t in self.tunnels}

    def change(self, count: int) -> list[str]:
        """Have another thing happen to so many tunnels; return what pluto logs of it."""
        lines = []
        for tunnel in self._rng.sample(self.tunnels, count):
            fate = self._rng.choice([f for f in Fate if f is not tunnel.fate])
            self._become(tunnel, fate)
            lines.append(f'"{tunnel.name}" #{tunnel.serial}: {_WORDS[fate]}')
        return lines

    def start_anew(self) -> None:
        """Be another pluto: serials begin again, and what is wanted is established anew."""
        self._serial = 0
        for tunnel in self.tunnels:
            self._become(tunnel, tunnel.fate)

    def text(self) -> str:
        """Write the status."""
        up = {t.number for t in self.tunnels if t.fate is Fate.ESTABLISHED}
        text = gateway.status(TUNNELS, only=up)
        return "".join(self._true(line) for line in text.splitlines(keepends=True))

    def _become(self, tunnel: Tunnel, fate: Fate) -> None:
        tunnel.fate = fate
        tunnel.past.append((time.time(), fate))
        self._serial += 2
        tunnel.serial = self._serial

    def _true(self, line: str) -> str:
        """Correct a line of the gateway's: serials, routing and policy of this tunnel."""
        for t in self._named(line):
            ike, child = f"#{t.serial - 1}", f"#{t.serial}"
            line = line.replace(f"#{2 * t.number + 1}", "#\0a").replace(
                f"#{2 * t.number + 2}", "#\0b"
            )
            line = line.replace("#\0a", ike).replace("#\0b", child)
            if t.fate is not Fate.ESTABLISHED:
                line = line.replace("erouted; eroute owner: " + child, "unrouted; eroute owner: #0")
                line = _OWNERS.sub("#0", line)
            if t.fate is Fate.TAKEN_DOWN:
                line = line.replace("+UP+", "+")
        return line

    def _named(self, line: str) -> Iterator[Tunnel]:
        return (t for t in self.tunnels if f'"{t.name}"' in line[:30])
