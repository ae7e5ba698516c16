# SPDX-License-Identifier: MIT
"""Changes statuses as ticket systems, mails, terminals and logs do."""

from __future__ import annotations

import html
import re
import textwrap
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFIX: Final = re.compile(r"^0\d\d ", re.MULTILINE)


def _several(text: str) -> str:
    """Return a text with every three lines joined, as by a program that drops single line ends."""
    lines = text.split("\n")
    return "\n".join(" ".join(lines[i : i + 3]) for i in range(0, len(lines), 3))


def _terminal(width: int) -> Callable[[str], str]:
    """Return a function that breaks lines after ``width`` characters, even within words."""

    def wrap(text: str) -> str:
        lines = text.split("\n")
        return "\n".join(x[i : i + width] for x in lines for i in range(0, max(1, len(x)), width))

    return wrap


def _mail(width: int) -> Callable[[str], str]:
    """Return a function that breaks lines longer than ``width`` at blanks.

    The blanks there are removed.
    """

    def wrap(text: str) -> str:
        wraps = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
        return "\n".join("\n".join(wraps.wrap(line) or [""]) for line in text.split("\n"))

    return wrap


def _fold(width: int, *, strip: bool) -> Callable[[str], str]:
    """Return a function that breaks lines longer than ``width`` as ``fold -s`` does.

    It breaks after a blank, or within a word that is too long. ``strip``: it also removes blanks at
    the ends of lines.
    """

    def wrap(text: str) -> str:
        out = []
        for line in text.split("\n"):
            rest = line
            while len(rest) > width:
                at = rest.rfind(" ", 0, width) + 1 or width
                out.append(rest[:at])
                rest = rest[at:]
            out.append(rest)
        return "\n".join([x.rstrip() for x in out] if strip else out)

    return wrap


def _behind(mark: str) -> Callable[[str], str]:
    return lambda text: "".join(f"{mark}{line}\n" for line in text.split("\n"))


def _stripped(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n"))


MANGLED: Final[dict[str, Callable[[str], str]]] = {
    "line ends lost": lambda text: text.replace("\n", " "),
    "line ends and blanks lost": lambda text: " ".join(text.split()),
    "several on a line": _several,
    "terminal of 72 columns": _terminal(72),
    "terminal of 80 columns": _terminal(80),
    "terminal of 132 columns": _terminal(132),
    "terminal of 80 columns, ends stripped": lambda text: "\n".join(
        line.rstrip() for line in _terminal(80)(text).split("\n")
    ),
    "mail of 72 columns": _mail(72),
    "mail of 80 columns": _mail(80),
    "folded at 60": _fold(60, strip=False),
    "folded at 70, ends stripped": _fold(70, strip=True),
    "folded at 76": _fold(76, strip=False),
    "quoted, then folded at 60": lambda text: _fold(60, strip=False)(_behind("> ")(text)),
    "folded at 60, then quoted": lambda text: _behind("> ")(_fold(60, strip=True)(text)),
    "quoted with |": _behind("| "),
    "quoted with >": _behind("> "),
    "quoted with > alone": _behind(">"),
    "quoted twice": _behind(">> "),
    "mailed, then quoted": lambda text: _behind("> ")(_mail(70)(text)),
    "indented": _behind("    "),
    "indented with a tab": _behind("\t"),
    "tabs for blanks": lambda text: text.replace("   ", "\t"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "syslog": _behind("Nov 24 00:21:07 gw ipsec[123]: "),
    "journalctl -o short-iso": _behind("2026-11-24T00:21:07+0000 gw ipsec[123]: "),
    "double-spaced": lambda text: text.replace("\n", "\n\n"),
    "last line end lost": lambda text: text.rstrip("\n"),
    "stripped": _stripped,
    "without prefixes": lambda text: _PREFIX.sub("", text),
    "without prefixes and stripped": lambda text: _stripped(_PREFIX.sub("", text)),
    "HTML": html.escape,
    "coloured": lambda text: re.sub(r"^", "\x1b[0;32m", text, flags=re.MULTILINE) + "\x1b[0m",
    "typographic quotes": lambda text: re.sub('"([^"\n]*)"', r"“\1”", text),
    "French quotes": lambda text: re.sub('"([^"\n]*)"', "«\xa0\\1\xa0»", text),
    "code fence": lambda text: f"Our tunnel:\n\n```\n{text}\n```\nwhat is it?\n",
    "at a prompt": lambda text: f"[root@gw ~]# ipsec status\n{text}[root@gw ~]# \n",
    "at another prompt": lambda text: f"root@gw:~# ipsec auto --status\n{text}root@gw:~# \n",
    "below the command": lambda text: f"sudo ipsec status\n{text}",
}
"""Functions that return a changed text, by a description of the change."""
