# SPDX-License-Identifier: MIT
"""A small model of a pluto 4.10, whose tunnels change when a test wants it.

It makes the status and the log lines that libreswan 4.10 prints. It knows the true state of each
tunnel, and since when.
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
    """What has happened to a tunnel.

    The value is the state that ipsecwatch must reach in the end.
    """

    ESTABLISHED = "up"
    REFUSED = "stuck"
    """The peer refuses each attempt. pluto tries again and again (its policy has UP), and lists no
    SA."""
    TAKEN_DOWN = "down"


_WORDS: Final = {
    Fate.ESTABLISHED: "initiator established Child SA using #1; IPsec tunnel [10.0.0.0/24]",
    Fate.REFUSED: "IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED",
    Fate.TAKEN_DOWN: "terminating SAs using this connection",
}

_OWNERS: Final = re.compile(r"(?<=newest IKE SA: )#\d+|(?<=newest IPsec SA: )#\d+")


@dataclass
class Tunnel:
    """One tunnel. ``past`` has each of its fates with the time from which it was so (wall clock).

    ``serial`` is the number of its Child SA; that of its IKE SA is one less.
    """

    number: int
    fate: Fate = Fate.ESTABLISHED
    serial: int = 0
    past: list[tuple[float, Fate]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"site-{self.number:04}"

    def was(self, fate: Fate, begin: float, end: float) -> bool:
        """Return whether the tunnel had this fate at any moment between two times (wall clock)."""
        ends = (*(at for at, _ in self.past[1:]), float("inf"))
        phases = zip(self.past, ends, strict=True)
        return any(f is fate and at <= end and begin <= over for (at, f), over in phases)


class Model:
    """A pluto with all its tunnels, and their true states."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._serial = 0
        self.tunnels = [Tunnel(n) for n in range(TUNNELS)]
        for tunnel in self.tunnels:
            self._become(tunnel, Fate.ESTABLISHED)

    @property
    def states(self) -> dict[str, str]:
        """The state that ipsecwatch must reach for each tunnel, by the tunnel's name."""
        return {t.name: t.fate.value for t in self.tunnels}

    def change(self, count: int) -> list[str]:
        """Change the fate of ``count`` tunnels at random; return pluto's log lines about it."""
        lines = []
        for tunnel in self._rng.sample(self.tunnels, count):
            fate = self._rng.choice([f for f in Fate if f is not tunnel.fate])
            self._become(tunnel, fate)
            lines.append(f'"{tunnel.name}" #{tunnel.serial}: {_WORDS[fate]}')
        return lines

    def start_anew(self) -> None:
        """Become another pluto: serial numbers begin again. Each tunnel keeps its fate."""
        self._serial = 0
        for tunnel in self.tunnels:
            self._become(tunnel, tunnel.fate)

    def text(self) -> str:
        """Return pluto's status."""
        up = {t.number for t in self.tunnels if t.fate is Fate.ESTABLISHED}
        text = gateway.status(TUNNELS, only=up)
        return "".join(self._true(line) for line in text.splitlines(keepends=True))

    def _become(self, tunnel: Tunnel, fate: Fate) -> None:
        """Set a tunnel's fate from now on, with new SAs."""
        tunnel.fate = fate
        tunnel.past.append((time.time(), fate))
        self._serial += 2
        tunnel.serial = self._serial

    def _true(self, line: str) -> str:
        """Return a line of the gateway's status with the true values of its tunnel.

        These are serial numbers, routing and policy. A line about no tunnel is returned as it is.
        """
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
