# SPDX-License-Identifier: MIT
"""The translation that this process uses, and functions that translate texts with it. Pure.

The texts in the source are English. language.py loads the translation for the user's language. Only
notifications and ``ipsecwatch bar`` are translated; logs, the other verbs and JSON stay English.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Catalog(Protocol):
    """The translations into one language. The methods are those of Python's gettext."""

    def gettext(self, message: str, /) -> str:
        """Return the translation of a text; the text itself if it has none."""

    def ngettext(self, msgid1: str, msgid2: str, n: int, /) -> str:
        """Return the translation for ``n`` things: languages may have several plural forms."""


@dataclass(frozen=True, slots=True)
class Plural:
    """A sentence in two forms: ``one`` for one thing, and ``many`` for any other number ``{n}``."""

    one: str
    many: str

    def of(self, n: int) -> str:
        """Return the form for ``n`` things, translated.

        The placeholder ``{n}`` in it isn't replaced.
        """
        return _catalogs[0].ngettext(self.one, self.many, n)


class English:
    """The catalog for English: the texts stay as they are in the source."""

    def gettext(self, message: str, /) -> str:
        """Return the text unchanged."""
        return message

    def ngettext(self, msgid1: str, msgid2: str, n: int, /) -> str:
        """Return the first text if ``n`` is 1, and the second for all other numbers."""
        return msgid1 if n == 1 else msgid2


_catalogs: list[Catalog] = [English()]


def use(catalog: Catalog) -> None:
    """Translate with this catalog from now on, in the whole process."""
    _catalogs[:] = [catalog]


def translated(text: str) -> str:
    """Return a text in the language that is in use; the text itself if it has no translation."""
    return _catalogs[0].gettext(text) if text else ""  # gettext("") is the file's header
