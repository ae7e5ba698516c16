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
"""The environment variable with the modules or folders to log.

They are written without ``ipsecwatch.``, and with commas between them; ``all`` stands for all.
"""
ALL: Final = "all"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*")

logger = logging.getLogger(__name__)


class LineFormatter(logging.Formatter):
    """Formats a log record for stderr: its message is one line, whatever its values contain.

    Only the traceback of an error, which is our own text, has several lines.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base's name
        """Return a record's message as one line, without its traceback."""
        return harmless(super().formatMessage(record)).replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's message as one line, and below it the traceback if there is one."""
        return harmless(super().format(record))


def begin(value: str) -> None:
    """Log debug messages of the modules named in ``value`` from now on, on stderr.

    Where stderr is the journal, each entry names its module as ``LOGGER=``. The service, which logs
    in its own way, replaces the handler and keeps the levels. For a name that isn't a module, log a
    warning that lists the folders.
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
    """Return whether ``ipsecwatch`` has a module or folder of this name, like ``pluto.poller``."""
    path = _top() / name.replace(".", "/")
    return bool(_NAME.fullmatch(name)) and (path.is_dir() or path.with_suffix(".py").is_file())


def folders() -> list[str]:
    """Return the names of the folders directly below ``ipsecwatch`` that have code, sorted."""
    return sorted(p.parent.name for p in _top().glob("*/__init__.py"))


def _top() -> Path:
    return Path(ipsecwatch.__file__).parent
