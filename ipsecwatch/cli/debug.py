# SPDX-License-Identifier: MIT
"""Debug logging, for every verb: ``IPSECWATCH_DEBUG=pluto,service.bus ipsecwatch status``."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Final

import ipsecwatch
from ipsecwatch.sanitize import clean
from ipsecwatch.service.journald import LogHandler, Sender, harmless, stderr_is_journal

VARIABLE: Final = "IPSECWATCH_DEBUG"
"""The environment variable that names the modules and folders whose debug messages are logged.

Names have no ``ipsecwatch.`` in front, and commas between them. ``all`` stands for all modules.
"""
ALL: Final = "all"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*")

logger = logging.getLogger(__name__)


class LineFormatter(logging.Formatter):
    """Formats a log record for stderr: the message as one line, a traceback on lines below it.

    Unprintable characters are escaped. Line ends in the message are escaped, too, so that a text
    from outside can't look like a log line of its own.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base's name
        """Return a record's message as one line; format() appends the traceback to it."""
        return harmless(super().formatMessage(record)).replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's message as one line, and its traceback, if any, on lines below it."""
        return harmless(super().format(record))


def begin(value: str) -> None:
    """Log the debug messages of the modules that ``value`` names, from now on.

    ``value`` is that of IPSECWATCH_DEBUG. Messages go to stderr, or, if stderr is connected to the
    journal, to the journal as entries with the module's name in ``LOGGER=``. The service replaces
    this handler by its own when it starts; the modules' levels stay as they are set here. For a
    name that is no module or folder, log a warning that lists the folders.
    """
    if stderr_is_journal():
        handler: logging.Handler = LogHandler(Sender())
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(LineFormatter("%(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    for name in filter(None, (part.strip() for part in value.split(","))):
        if name == ALL:
            logging.getLogger(ipsecwatch.__name__).setLevel(logging.DEBUG)
        elif is_module(name):
            logging.getLogger(f"{ipsecwatch.__name__}.{name}").setLevel(logging.DEBUG)
        else:
            known = ", ".join([ALL, *folders()])
            logger.warning("%s: there is no module “%s”, but: %s", VARIABLE, clean(name), known)


def is_module(name: str) -> bool:
    """Return whether there is a module or folder of this name, such as ``pluto.poller``.

    Names have no ``ipsecwatch.`` in front.
    """
    path = _top() / name.replace(".", "/")
    return bool(_NAME.fullmatch(name)) and (path.is_dir() or path.with_suffix(".py").is_file())


def folders() -> list[str]:
    """Return the sorted names of the packages directly in ``ipsecwatch``, such as ``pluto``."""
    return sorted(p.parent.name for p in _top().glob("*/__init__.py"))


def _top() -> Path:
    return Path(ipsecwatch.__file__).parent
