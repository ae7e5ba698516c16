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
    """Return the piece for a connection's name without its quotes; a name contains no quote.

    ``without`` are further characters that it must not match, as a line feed where more lines may
    follow. ``length`` is the repetition as in a pattern: ``{1,200}`` for 1 to 200 characters.
    """
    return f'[^"{without}]{length}'


def instances(most: int | None = None) -> str:
    """Return the piece for the instance numbers behind a name (``[3]``): none, or several.

    ``most`` is the highest number of them; None: any. 5.x prints up to two.
    """
    return rf"(?:\[{NUMBER}\])" + ("*" if most is None else f"{{0,{most}}}")


def suffix(*, without: str = "") -> str:
    """Return the piece for what follows an instance's name: its peer, perhaps with both clients.

    It has at most three words. A word with an @ in it, or a comma at its end, isn't matched: such
    words belong to other kinds of lines about an SA. ``without`` are further such characters.
    """
    return f"(?: [^ @{without}]*[^ @,{without}]){{0,3}}?"


PORT: Final = r"\d{1,5}"
TCP: Final = r"\(tcp\)"
"""What is printed behind the port where IKE goes over TCP, from 4.0 on."""

SELECTOR: Final = r"[0-9a-fA-F:.]{2,60}(?:/\d{1,3})?(?::\d{1,5})?"
"""One end of a shunt: an address, its prefix, up to 3.29 a port."""

PROTOCOL: Final = r"\d{1,3}"
"""The number of an IP protocol, between a shunt's ends: ``-17->``."""
