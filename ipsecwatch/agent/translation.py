# SPDX-License-Identifier: MIT
"""The words of people's languages: what texts are called in the one that is in use. Pure.

English is the source; language.py finds another. ``ipsecwatch bar`` may use these, too; all else
that the program says stays English: logs, the command line, JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Catalog(Protocol):
    """Translations, as Python's gettext has them."""

    def gettext(self, message: str, /) -> str:
        """Return a text in this language."""

    def ngettext(self, msgid1: str, msgid2: str, n: int, /) -> str:
        """Return the form of a text for so many."""


@dataclass(frozen=True, slots=True)
class Plural:
    """A sentence about one thing, and about ``{n}`` of them."""

    one: str
    many: str

    def of(self, n: int) -> str:
        """Return the form for so many in the language that is in use."""
        return _catalogs[0].ngettext(self.one, self.many, n)


class English:
    """The source's own words."""

    def gettext(self, message: str, /) -> str:
        """Return it."""
        return message

    def ngettext(self, msgid1: str, msgid2: str, n: int, /) -> str:
        """Return the form for so many."""
        return msgid1 if n == 1 else msgid2


_catalogs: list[Catalog] = [English()]


def use(catalog: Catalog) -> None:
    """Speak this language from now on, everywhere in this process."""
    _catalogs[:] = [catalog]


def translated(text: str) -> str:
    """Return a text in the language that is in use."""
    return _catalogs[0].gettext(text) if text else ""  # of "" gettext has the file's header
