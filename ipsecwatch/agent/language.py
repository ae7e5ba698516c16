# SPDX-License-Identifier: MIT
"""Load the translation for the user's language.

The language is found as gettext finds it: by LANGUAGE, LC_ALL, LC_MESSAGES and LANG.
"""

from __future__ import annotations

import gettext
import logging
import os
import re
import struct
import sys
from pathlib import Path
from typing import Final

from ipsecwatch.agent import translation

logger = logging.getLogger(__name__)

DOMAIN: Final = "ipsecwatch"
FOLDERS: Final = (
    Path(__file__).parents[1] / "locale",  # in a wheel, or in a checkout
    Path(sys.prefix, "share", "locale"),
    Path("/usr/share/locale"),
)
"""The folders in which translations are looked for. The first folder counts that has one for any of
languages()."""


def choose() -> None:
    """Find the translation for the user's language, and use it from now on in this process.

    If there is none, or it can't be read, English is used.
    """
    for folder in FOLDERS:
        try:
            found = gettext.find(DOMAIN, folder, languages())
            if found is not None:
                with open(found, "rb") as file:
                    translation.use(gettext.GNUTranslations(file))
                return
        except (OSError, ValueError, LookupError, struct.error) as e:
            logger.warning("the translation in %s can't be used: %r", folder, e)
    translation.use(translation.English())


def languages() -> list[str]:
    """Return the languages that the user prefers to English, the most preferred one first.

    They are names of locales, such as ``de_DE.UTF-8``. The list is empty if the user prefers
    English, or if the locale is C or POSIX.
    """
    names = (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next(filter(None, names), "C")
    if locale.partition(".")[0] in ("C", "POSIX"):  # overrides LANGUAGE, as in glibc
        return []
    wanted = [*os.environ.get("LANGUAGE", "").split(":"), locale]
    # Only the languages preferred to English count: English has no translation.
    plain = [name for name in wanted if re.fullmatch(r"[A-Za-z0-9_.@-]+", name)]
    english = next((n for n, name in enumerate(plain) if re.match(r"en([_.@]|$)", name)), None)
    return plain[:english]
