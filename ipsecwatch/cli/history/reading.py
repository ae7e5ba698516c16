# SPDX-License-Identifier: MIT
"""Reads from the journal the entries that a history needs.

Any user can log entries that look like the service's. So entries are chosen by fields that journald
adds itself: the service's must be from root and from its unit, those about units from process 1,
and those about the machine's sleep from root.
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
"""Where journald keeps its files: on disk, or in memory until the next boot."""

ANSWER: Final = 2.0
"""Seconds that the service may take to answer with the identifier of its present run."""

T = TypeVar("T")

_IDS: Final = tuple(
    value
    for name, value in vars(message_ids).items()
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value)
)


@dataclass(slots=True)
class Source:
    """A journal, and which of its entries are used."""

    directory: Path | None = None
    """A folder of journal files; None: this machine's journal."""
    instance: str = ""
    any_unit: bool = False
    """Also use what root logs from any other unit, such as a service started by hand."""
    left_out: int = 0
    """The number of the instance's entries, in all readings so far, that weren't used.

    They are root's, but not from a unit of ipsecwatch's service.
    """
    remarks: tuple[str, ...] = ()
    """What the user should know about the journal, such as that it is lost at the next boot.

    (): nothing, or the journal wasn't read yet.
    """

    def read(self) -> Found:
        """Return all that a history needs. Raise Failure where the journal can't be read."""
        return self._try(self._read)

    def entries(self) -> list[Entry]:
        """Return the service's own entries, in the journal's order.

        Raise Failure where the journal can't be read.
        """
        return self._try(lambda: list(self._entries()))

    def _try(self, read: Callable[[], T]) -> T:
        """Return what ``read`` returns.

        Raise Failure where there is no journal, or it can't be read.
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
        """Return all that a history needs. Raise OSError where the journal can't be read.

        The time of a boot's end is read only where the service's last entry in that boot doesn't
        say that the service stopped.
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

        Unless ``any_unit``, leave out those from other units, and count them in ``left_out``.
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
        """Yield the system's entries about the machine's sleep."""
        yield from self._system([("_UID", ("0",)), ("MESSAGE_ID", tuple(SLEEP_SIGNS))])

    def _units(self, units: Iterable[str]) -> Iterator[SystemEntry]:
        """Yield systemd's entries about the starts and ends of these units; without units, none."""
        if units := tuple(units):
            ids = ("MESSAGE_ID", tuple(UNIT_SIGNS))
            yield from self._system([("_PID", ("1",)), ("_UID", ("0",)), ("UNIT", units), ids])

    def _system(self, matches: list[tuple[str, tuple[str, ...]]]) -> Iterator[SystemEntry]:
        for stamp, fields in self._matching(SYSTEM_FIELDS, matches):
            entry = system_entry_of(stamp, fields)
            if entry is not None:
                yield entry

    def _last_of(self, boot: str) -> Stamp | None:
        """Return the time of a boot's last entry, whoever logged it; None: it has none."""
        reader = self._open([("_BOOT_ID", (boot,))])
        try:
            reader.seek_tail()
            return _stamp(reader) if reader.previous() else None
        finally:
            reader.close()

    def _reaches_back(self) -> float | None:
        """Return the time of root's first entry in the journal; None: there is none."""
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
        """Yield the time of each entry that fits ``matches``, and those of its fields ``names``.

        ``matches`` is as in _open(). A field that an entry lacks is missing; damaged entries are
        left out.
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
        """Return a reader of the entries in which each field has one of the values given for it."""
        reader = binding().reader(self.directory)
        for name, values in matches:
            for value in values:
                reader.add_match(**{name: value})
        return reader

    # --- whether ------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise Failure where there is no journal, or this user may read none of its system files.

        Set ``remarks`` where the journal is kept only in memory.
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
        """Raise Failure where a folder has no journal files, or can't be read."""
        try:
            files = [f for f in folder.iterdir() if f.suffix in (".journal", ".journal~")]
        except OSError as e:
            raise Failure(f"cannot read {clean(str(folder))}: {e.strerror}") from e
        if not files:
            hint = "Name the folder that contains them, such as /var/log/journal/MACHINE-ID"
            raise Failure(f"there are no journal files in {clean(str(folder))}", hint)


def _running(instance: str) -> str:
    """Return the identifier of the service's present run; "": no answer within ANSWER seconds."""
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
