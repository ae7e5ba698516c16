# SPDX-License-Identifier: MIT
"""The translation that this process uses, and functions that look texts up in it. Pure.

The source texts are English; language.py loads the translation for the user's language. Only
notifications and ``ipsecwatch bar`` are translated: logs, the other verbs and JSON stay English.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Catalog(Protocol):
    """The translations of one language, with the methods of Python's gettext."""

    def gettext(self, message: str, /) -> str:
        """Return a text in this language; unchanged where it has no translation."""

    def ngettext(self, msgid1: str, msgid2: str, n: int, /) -> str:
        """Return the form of a text for ``n`` things in this language."""


@dataclass(frozen=True, slots=True)
class Plural:
    """A sentence in two forms: about one thing, and about ``{n}`` things."""

    one: str
    many: str

    def of(self, n: int) -> str:
        """Return the form for ``n`` things, in the language that is in use; ``{n}`` stays in it."""
        return _catalogs[0].ngettext(self.one, self.many, n)


class English:
    """The texts as they stand in the source."""

    def gettext(self, message: str, /) -> str:
        """Return the text unchanged."""
        return message

    def ngettext(self, msgid1: str, msgid2: str, n: int, /) -> str:
        """Return the singular for 1, and the plural for all other numbers."""
        return msgid1 if n == 1 else msgid2


_catalogs: list[Catalog] = [English()]


def use(catalog: Catalog) -> None:
    """Use this translation from now on, in the whole process."""
    _catalogs[:] = [catalog]


def translated(text: str) -> str:
    """Return a text in the language that is in use; unchanged where it has no translation."""
    return _catalogs[0].gettext(text) if text else ""  # gettext("") is the file's header
