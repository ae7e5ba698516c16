# SPDX-License-Identifier: MIT
"""The parts of which libreswan's lines begin: prefix, serial, name, instance, suffix, port.

    000 #12: "rw"[3] 192.0.2.1:4500 STATE_X (story); …     a state
    000 "rw"[3]:   key: value                              a connection
    "rw"[3] 192.0.2.1 #12: text                            the log

Each part is a piece of a regular expression (with re.ASCII, for its digits). No piece has a group
of its own: whoever wants what it matches puts it in parentheses. Repetitions are bounded, or stop
at what the next piece begins with, so that a pattern put together of them takes linear time.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = r"(?:\d{3} )?"
"""What stands in front of a line: whack prints it up to 4.15, pluto's socket in every release."""

NUMBER: Final = r"\d{1,10}"
"""A serial without its mark (``#12`` of an SA, ``$12`` of a connection), or an instance's number.

The mark is a pattern's own: up to 3.23 whack may lose the ``#`` at the begin of a line.
"""


def name(*, without: str = "", length: str = "*") -> str:
    """Return the piece for a connection's name between its quotes, in which no quote can be.

    Where more than one line may follow, it must be ``without`` a line feed, too.
    """
    return f'[^"{without}]{length}'


def instances(most: int | None = None) -> str:
    """Return the piece for the instance numbers behind a name: mostly none, in 5.x up to two."""
    return rf"(?:\[{NUMBER}\])" + ("*" if most is None else f"{{0,{most}}}")


def suffix(*, without: str = "") -> str:
    """Return the piece for what an instance's name carries: its peer, perhaps with both clients.

    It is at most three words. A comma at the end of one, or an @ in it, stands in the other kinds
    of lines about an SA.
    """
    return f"(?: [^ @{without}]*[^ @,{without}]){{0,3}}?"


PORT: Final = r"\d{1,5}"
TCP: Final = r"\(tcp\)"
"""What stands behind the port where IKE goes over TCP, from 4.0 on."""

SELECTOR: Final = r"[0-9a-fA-F:.]{2,60}(?:/\d{1,3})?(?::\d{1,5})?"
"""One end of a shunt: an address, its prefix, up to 3.29 a port."""

PROTOCOL: Final = r"\d{1,3}"
"""The number of an IP protocol, between a shunt's ends: ``-17->``."""
