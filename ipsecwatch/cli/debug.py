# SPDX-License-Identifier: MIT
"""Debug logging for the service, the agent and every verb: ``IPSECWATCH_DEBUG=module,…``."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Final

import ipsecwatch
from ipsecwatch.sanitize import clean
from ipsecwatch.service.journald import LogHandler, Sender, harmless, stderr_is_journal

VARIABLE: Final = "IPSECWATCH_DEBUG"
"""Modules or folders, without ``ipsecwatch.``, with commas between; ``all`` for all of them."""
ALL: Final = "all"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*")

logger = logging.getLogger(__name__)


class LineFormatter(logging.Formatter):
    """Writes a record for stderr. Whatever a value in it contains, the record stays one line.

    Only the traceback of an error, which is ours, has lines of its own.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base's name
        """Return the line."""
        return harmless(super().formatMessage(record)).replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and the traceback if there is one."""
        return harmless(super().format(record))


def begin(value: str) -> None:
    """Log from now on what the modules named in ``value`` have to say; never on stdout.

    In the journal, with the module as ``LOGGER=``, where that is what stderr is. A verb that logs
    in its own way (the service) replaces the handler and keeps the levels.
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
    """Return whether there is such a module, or folder, below ``ipsecwatch``."""
    path = _top() / name.replace(".", "/")
    return bool(_NAME.fullmatch(name)) and (path.is_dir() or path.with_suffix(".py").is_file())


def folders() -> list[str]:
    """Return the folders of the code, which are names to begin with."""
    return sorted(p.parent.name for p in _top().glob("*/__init__.py"))


def _top() -> Path:
    return Path(ipsecwatch.__file__).parent
