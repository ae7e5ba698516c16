# SPDX-License-Identifier: MIT
"""``ipsecwatch daemon``: runs the service. The systemd unit ipsecwatch.service starts this verb."""

from __future__ import annotations

import asyncio
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Final

from ipsecwatch import config
from ipsecwatch.cli.common import instance_settings
from ipsecwatch.cli.failure import EXIT_OK, EXIT_UNKNOWN, EXIT_USAGE, Failure
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.libsystemd.binding import NoLibraryError, binding
from ipsecwatch.pluto.sandbox import hidden_folder
from ipsecwatch.service.bus import RefusedError, SocketTakenError
from ipsecwatch.service.daemon import CoreEndedError, Service
from ipsecwatch.service.journald import Sender, log_to
from ipsecwatch.service.state_file import StateFile
from ipsecwatch.service.worker import share_the_processor

if TYPE_CHECKING:
    import argparse

EXIT_FAILED = 1
"""Exit code if an error in our own code ended the service. systemd then starts it again
(Restart=on-failure)."""

EXAMPLES: Final = (
    ("systemctl start ipsecwatch", "start the service as usual"),
    ("ipsecwatch daemon --config ./test.toml", "without systemd, with other settings"),
)


DESCRIPTORS: Final = 32
"""The number of file descriptors that the service must be allowed to have: twice as many as it has
open on a small machine."""
THREADS: Final = 2
"""The number of threads beside the main one: one evaluates polls, one writes the state file."""
START_LIMIT: Final = 10.0
"""Seconds that each thread waits at most, when it has been started, until all others run, too."""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "daemon", VERBS["daemon"], run, EXAMPLES)
    parser.add_argument(
        "--config", type=Path, metavar="F", help="read F instead of the settings in /etc/ipsecwatch"
    )
    add_instance(parser)


def run(args: argparse.Namespace) -> int:
    settings = instance_settings(args.instance, args.config)
    if folder := hidden_folder(settings.control_socket):
        raise Failure(
            f"control_socket is in {folder}, which the service's sandbox hides",
            "Make pluto create its socket elsewhere, for example below /run",
            EXIT_USAGE,
        )
    _check_descriptors()
    _require_libsystemd()
    sender = Sender()
    log_to(sender)
    share_the_processor()
    try:
        asyncio.run(_serve(settings, sender, args.instance, args.config))
    except RefusedError as e:
        # With EXIT_USAGE systemd doesn't restart it: it needs other settings.
        code = EXIT_USAGE if isinstance(e, SocketTakenError) else EXIT_UNKNOWN
        raise Failure(str(e), e.hint, code) from e
    except RuntimeError as e:
        if "can't start new thread" not in str(e):
            raise
        hint = "Check how many tasks it may have: systemctl show --property=TasksMax ipsecwatch"
        raise Failure("no thread can be started", hint) from e
    except CoreEndedError:  # it was logged; systemd restarts the service
        return EXIT_FAILED
    finally:
        sender.close()
    return EXIT_OK


def _require_libsystemd() -> None:
    """Raise Failure if libsystemd can't be loaded.

    Its code is EXIT_USAGE, with which the unit isn't started again: that wouldn't help.
    """
    try:
        binding()
    except NoLibraryError as e:
        raise Failure(str(e), e.hint, EXIT_USAGE) from e


def _check_descriptors() -> None:
    """Raise Failure if this process may open fewer than DESCRIPTORS files (LimitNOFILE=)."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= limit < DESCRIPTORS:
        hint = f"Set LimitNOFILE= to at least {DESCRIPTORS}, and more with a large journal"
        raise Failure(f"the service may open only {limit} files", hint)


def _started_threads() -> ThreadPoolExecutor:
    """Start THREADS threads, all that the service will need, and return them as a pool.

    Raise RuntimeError if one can't be started. If threads were started only when they are needed,
    such an error would come while the service runs.
    """
    pool = ThreadPoolExecutor(THREADS)
    all_run = Barrier(THREADS, timeout=START_LIMIT)
    try:
        for _ in range(THREADS):
            pool.submit(all_run.wait)
    except RuntimeError:
        all_run.abort()  # or a started thread would wait for the other
        raise
    return pool


async def _serve(
    settings: config.Settings, sender: Sender, instance: str, path: Path | None
) -> None:
    """Run the service until a signal ends it.

    ``path`` None: its settings file is the instance's usual one. Raise RuntimeError if a thread
    can't be started. Raise RefusedError if the bus denies the service its name, or another program
    has it. Raise CoreEndedError if a task of the service ended with an error.
    """
    asyncio.get_running_loop().set_default_executor(_started_threads())
    path = path or config.settings_file(instance)
    await Service(settings, sender, path, StateFile.of_unit(), instance).run()
