# SPDX-License-Identifier: MIT
"""Restarts the agent after an upgrade of its package: a session may last for weeks."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import Final

import ipsecwatch
from ipsecwatch import __version__

logger = logging.getLogger(__name__)

EXIT_RESTART: Final = 75
"""The exit code after which systemd starts the agent again (see its unit)."""
_VERSION: Final = re.compile(r"""^__version__ = ["']([0-9][0-9A-Za-z.+~-]*)["']""", re.MULTILINE)


def newer_version(on_the_bus: str) -> str:
    """Return the installed version, if the service has another and it is newer than ours.

    Return "" otherwise. The service's version alone doesn't decide, as it may be an older one.
    """
    if on_the_bus in ("", __version__):
        return ""
    installed = installed_version()
    return installed if _parts(installed) > _parts(__version__) else ""


def installed_version() -> str:
    """Return the version of the package in the folder that this one was loaded from.

    Return "" where that can't be read.
    """
    try:
        text = Path(ipsecwatch.__file__ or "").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    found = _VERSION.search(text)
    return found[1] if found else ""


def _parts(version: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def start_anew() -> int:
    """Replace this process by the installed agent, or return the exit code for a restart.

    Under systemd, or where it can't be started, return EXIT_RESTART.
    """
    if os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid()):
        return EXIT_RESTART
    program = sys.argv[0]
    # With ``python -m``, argv[0] isn't an executable file.
    command = sys.argv if os.access(program, os.X_OK) else [sys.executable, *sys.orig_argv[1:]]
    logger.warning("a newer version is installed: starting it")
    try:
        os.execv(command[0], command)  # noqa: S606 - what was started, with what it was given
    except OSError as e:
        logger.error("the newer version can't be started: %s", e)
        return EXIT_RESTART
