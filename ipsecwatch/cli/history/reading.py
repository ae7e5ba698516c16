# SPDX-License-Identifier: MIT
"""Reads from the journal the entries that a history needs.

Any user can log entries that look like the service's. So entries are chosen by fields that journald
itself adds. An entry of the service must be from root and from the service's unit, one about the
start or end of a unit from process 1, and one about the machine's sleep from root.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from ipsecwatch import client
from ipsecwatch.cli.failure import Failure
from ipsecwatch.history import message_ids
from ipsecwatch.history.entries import (
    FIELDS,
    SLEEP_SIGNS,
    SYSTEM_FIELDS,
    UNIT_SIGNS,
    Entry,
    Kind,
    Stamp,
    SystemEntry,
    entry_of,
    is_our_unit,
    system_entry_of,
)
from ipsecwatch.history.watches import Found
from ipsecwatch.libsystemd.binding import NoLibraryError, binding
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ipsecwatch.libsystemd.journal_reader import JournalReader

FOLDERS: Final = (Path("/var/log/journal"), Path("/run/log/journal"))
"""The folders of this machine's journal: on disk, and in memory until the next boot."""

ANSWER: Final = 2.0
"""Seconds that the service may take to answer which run of it this is."""

T = TypeVar("T")

_IDS: Final = tuple(
    value
    for name, value in vars(message_ids).items()
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value)
)


@dataclass(slots=True)
class Source:
    """A journal, and which of its entries are used: those of one instance of the service."""

    directory: Path | None = None
    """The folder of the journal's files; None: this machine's journal."""
    instance: str = ""
    any_unit: bool = False
    """Whether to use root's entries from outside of the service's unit, too. A service that was
    started by hand writes such entries."""
    left_out: int = 0
    """How many of the instance's entries weren't used in all readings so far.

    They are from root, but not from a unit of the service, and ``any_unit`` is False.
    """
    remarks: tuple[str, ...] = ()
    """Sentences for the user about the journal, such as that it is lost at the next boot.

    It is empty if there is nothing to say, or if the journal wasn't read yet.
    """

    def read(self) -> Found:
        """Read the service's entries, and what else a history needs: starts of units, sleep, boots.

        Raise Failure if there is no journal, or it can't be read.
        """
        return self._try(self._read)

    def entries(self) -> list[Entry]:
        """Read only the service's entries. They are in the journal's order.

        Raise Failure if there is no journal, or it can't be read.
        """
        return self._try(lambda: list(self._entries()))

    def _try(self, read: Callable[[], T]) -> T:
        """Call ``read``, which reads the journal, and return what it returns.

        Raise Failure if there is no journal, or if ``read`` raises OSError or NoLibraryError.
        """
        self._check()
        try:
            return read()
        except NoLibraryError as e:
            raise Failure(str(e), e.hint) from e
        except OSError as e:
            raise Failure(
                f"the journal can't be read: {e.strerror or e}", "See: journalctl --verify"
            ) from e

    def _read(self) -> Found:
        """Return what read() returns. Raise OSError or NoLibraryError if the journal can't be read.

        When a boot ended is looked up only if the service's last entry in this boot isn't the one
        that it was stopped.
        """
        entries = list(self._entries())
        units = sorted({e.unit for e in entries if e.unit})
        system = [*self._sleep(), *self._units(units)]
        last = {e.stamp.boot: e for e in entries}
        # For each end all files are opened; where the service stopped, it isn't needed.
        unclear = [boot for boot, e in last.items() if e.kind is not Kind.ENDED]
        ends = {boot: end for boot in unclear if (end := self._last_of(boot)) is not None}
        local = self.directory is None
        return Found(
            entries,
            system,
            ends,
            _running(self.instance) if local and entries else "",
            Stamp(_boot_id(), time.time(), time.monotonic()) if local else None,
            self._reaches_back(),
        )

    # --- what is read -----------------------------------------------------------------------

    def _entries(self) -> Iterator[Entry]:
        """Yield the entries of this instance of the service, in the journal's order.

        If ``any_unit`` is False, leave out entries that aren't from a unit of the service, and
        count them in ``left_out``.
        """
        for stamp, fields in self._matching(FIELDS, [("_UID", ("0",)), ("MESSAGE_ID", _IDS)]):
            if fields.get("IPSECWATCH_INSTANCE", "") != self.instance:
                continue
            if not self.any_unit and not is_our_unit(fields.get("_SYSTEMD_UNIT", "")):
                self.left_out += 1
                continue
            entry = entry_of(stamp, fields)
            if entry is not None:
                yield entry

    def _sleep(self) -> Iterator[SystemEntry]:
        """Yield root's entries that the machine goes to sleep, or wakes up."""
        yield from self._system([("_UID", ("0",)), ("MESSAGE_ID", tuple(SLEEP_SIGNS))])

    def _units(self, units: Iterable[str]) -> Iterator[SystemEntry]:
        """Yield systemd's entries that one of these units started or ended."""
        if units := tuple(units):
            ids = ("MESSAGE_ID", tuple(UNIT_SIGNS))
            yield from self._system([("_PID", ("1",)), ("_UID", ("0",)), ("UNIT", units), ids])

    def _system(self, matches: list[tuple[str, tuple[str, ...]]]) -> Iterator[SystemEntry]:
        for stamp, fields in self._matching(SYSTEM_FIELDS, matches):
            entry = system_entry_of(stamp, fields)
            if entry is not None:
                yield entry

    def _last_of(self, boot: str) -> Stamp | None:
        """Return the time of the last entry of any program in a boot; None: there is no entry.

        ``boot`` is the boot's id.
        """
        reader = self._open([("_BOOT_ID", (boot,))])
        try:
            reader.seek_tail()
            return _stamp(reader) if reader.previous() else None
        finally:
            reader.close()

    def _reaches_back(self) -> float | None:
        """Return when the journal's first entry by root was written; None: there is none.

        It is in seconds since the epoch.
        """
        reader = self._open([("_UID", ("0",))])
        try:
            reader.seek_head()
            return reader.realtime() / 1e6 if reader.next() else None
        finally:
            reader.close()

    # --- how ----------------------------------------------------------------------------------

    def _matching(
        self, names: Iterable[str], matches: list[tuple[str, tuple[str, ...]]]
    ) -> Iterator[tuple[Stamp, dict[str, str]]]:
        """Yield time and fields of each entry that fits ``matches``, in the journal's order.

        ``matches`` is explained in _open(). Of the fields, there are only those in ``names`` that
        the entry has. Damaged entries are left out.
        """
        names = tuple(names)
        reader = self._open(matches)
        try:
            reader.seek_head()
            while reader.next():
                with suppress(OSError):  # a damaged entry
                    yield _stamp(reader), dict(_fields(reader, names))
        finally:
            reader.close()

    def _open(self, matches: list[tuple[str, tuple[str, ...]]]) -> JournalReader:
        """Return a reader of the entries that fit ``matches``: fields, each with possible values.

        An entry fits if each of these fields has one of its values.
        """
        reader = binding().reader(self.directory)
        for name, values in matches:
            for value in values:
                reader.add_match(**{name: value})
        return reader

    # --- whether ------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise Failure if there is no journal, or if this user may read no file of the system's.

        If the journal is kept only in memory, set ``remarks``.
        """
        if self.directory is not None:
            self._check_folder(self.directory)
            return
        kept, fleeting = (list(folder.glob("*/system*.journal")) for folder in FOLDERS)
        if not kept and not fleeting:
            raise Failure(
                "there is no journal on this machine",
                "systemd-journald keeps none with Storage=none: see journald.conf(5)",
            )
        if not any(os.access(file, os.R_OK) for file in (*kept, *fleeting)):
            raise Failure(
                "you may not read the system's journal",
                "Run this as root, or join the group: usermod -aG systemd-journal USER",
            )
        if not kept:
            text = "The journal is kept in memory, until the next boot. To keep it on disk: "
            self.remarks = (text + "mkdir /var/log/journal; systemctl restart systemd-journald",)

    def _check_folder(self, folder: Path) -> None:
        """Raise Failure if a folder has no journal files, or can't be listed."""
        try:
            files = [f for f in folder.iterdir() if f.suffix in (".journal", ".journal~")]
        except OSError as e:
            raise Failure(f"cannot read {clean(str(folder))}: {e.strerror}") from e
        if not files:
            hint = "Name the folder that contains them, such as /var/log/journal/MACHINE-ID"
            raise Failure(f"there are no journal files in {clean(str(folder))}", hint)


def _running(instance: str) -> str:
    """Return the run ID of the running service; "": it doesn't answer within ANSWER seconds."""
    try:
        return asyncio.run(client.run_id(ANSWER, instance=instance))
    except client.ClientError:
        return ""


def _boot_id() -> str:
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        return ""
    return text.strip().replace("-", "")


def _stamp(reader: JournalReader) -> Stamp:
    mono, boot = reader.monotonic()
    return Stamp(boot, reader.realtime() / 1e6, mono / 1e6)


def _fields(reader: JournalReader, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            yield name, reader.field(name).decode("utf-8", "backslashreplace")
        except KeyError:
            continue
