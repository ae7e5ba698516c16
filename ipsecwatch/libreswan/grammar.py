# SPDX-License-Identifier: MIT
"""Regular expressions for the parts of a line's beginning: prefix, serial, name, instance, port.

    000 #12: "rw"[3] 192.0.2.1:4500 STATE_X (story); …     a state
    000 "rw"[3]:   key: value                              a connection
    "rw"[3] 192.0.2.1 #12: text                            the log

Each part is a piece of a pattern, for re.ASCII, because of its digits. No piece has a group of its
own: put it in parentheses to get what it matches. Repetitions are bounded, or stop at what the
next piece begins with, so that a pattern made of these pieces takes linear time.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = r"(?:\d{3} )?"
"""The prefix of a line (``000 ``), or nothing.

whack prints one up to 4.15, pluto's socket in every release.
"""

NUMBER: Final = r"\d{1,10}"
"""A serial without its mark (``#12`` of an SA, ``$12`` of a connection), or an instance's number.

Each pattern adds the mark itself: up to 3.23 whack may lose the ``#`` at the beginning of a line.
"""


def name(*, without: str = "", length: str = "*") -> str:
    """Return the piece that matches a connection's name, without the quotes around it.

    A name contains no quote. ``without`` are further characters that the piece must not match, as a
    line feed if more lines may follow. ``length`` is the number of characters, in the form of a
    regular expression: ``{1,200}`` for 1 to 200, ``*`` for any number.
    """
    return f'[^"{without}]{length}'


def instances(most: int | None = None) -> str:
    """Return the piece that matches instance numbers behind a name: ``[3]``, ``[1][2]``, or none.

    ``most`` is how many of them it matches at most; None: any number. 5.x prints up to two.
    """
    return rf"(?:\[{NUMBER}\])" + ("*" if most is None else f"{{0,{most}}}")


def suffix(*, without: str = "") -> str:
    """Return the piece that matches the words behind an instance's name, which name its peer.

    They are the peer's address, perhaps with the subnets of both ends: at most three words, each
    with a blank before it. A word with an @ in it, or a comma at its end, isn't matched: such words
    are in other kinds of lines about an SA. ``without`` are further characters that a word must not
    contain.
    """
    return f"(?: [^ @{without}]*[^ @,{without}]){{0,3}}?"


PORT: Final = r"\d{1,5}"
TCP: Final = r"\(tcp\)"
"""What is printed behind the port if IKE goes over TCP, from 4.0 on."""

SELECTOR: Final = r"[0-9a-fA-F:.]{2,60}(?:/\d{1,3})?(?::\d{1,5})?"
"""One end of a bare shunt: an address or a subnet (``192.0.2.0/24``), up to 3.29 with a port."""

PROTOCOL: Final = r"\d{1,3}"
"""The number of an IP protocol. It is printed between the ends of a bare shunt: ``-17->``."""
