# SPDX-License-Identifier: MIT
"""Tests of the state file: whatever is in it, the service starts and runs.

A file that can't be right is put aside. From any other one, the service publishes and tracks on.
"""

from __future__ import annotations

import asyncio
import copy
import errno
import io
import json
import os
import random
import resource
import socket
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from ipsecwatch import recording
from ipsecwatch.config import Settings
from ipsecwatch.libreswan.status import Reader
from ipsecwatch.recording.fake_pluto import FakePluto
from ipsecwatch.report import LogLine, PlutoState, Poll
from ipsecwatch.service.daemon import Service
from ipsecwatch.service.details import tunnel_details
from ipsecwatch.service.journal import Journal
from ipsecwatch.service.journald import Sender
from ipsecwatch.service.object_tree import ObjectTree, Publication
from ipsecwatch.service.state_file import Saved, StateFile
from ipsecwatch.tracking.tracker import Tracker
from tests.support.recordings import ROOT, statuses
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.support.dbus_daemon import PrivateBus

# --- A file of a real run, and what a service does with it ---------------------------------------


@dataclass(frozen=True)
class Run:
    """What a service had saved at some moment, and the polls after that."""

    kept: dict[str, Any]
    later: list[Poll]


RUNS: Final = {
    "one tunnel that is up": ("4.10/site", 12),
    "one of several subnets": ("5.4/multi", 9),
    "an attempt that is stuck": ("5.4/wrongpsk", 40),
    "clients of a template": ("5.4/xauth-server", 8),
    "opportunistic groups": ("4.10/oe", 20),
    "a pluto that has just gone": ("5.4/daemon", 13),
}


@cache
def run_of(name: str) -> Run:
    path, count = RUNS[name]
    tracker, reader, polls = Tracker(), Reader(), 0
    kept: dict[str, Any] = {}
    later: list[Poll] = []
    for entry in recording.settled(recording.read(ROOT / f"{path}.jsonl.gz")[1]):
        if isinstance(entry, LogLine) and polls < count:
            tracker.add_log_line(entry)
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            look, polls = recording.poll(entry, reader), polls + 1
            if polls <= count:
                tracker.observe(look)
                kept = tracker.save()
            elif len(later) < 2:
                later.append(look)
    assert kept["tunnels"]
    assert len(later) == 2
    return Run(kept, later)


def content(kept: object, at: float | None = None) -> dict[str, Any]:
    """Return the content of a state file, as plain values."""
    return {"at": time.time() if at is None else at, "data": copy.deepcopy(kept)}


def restored(kept: StateFile) -> tuple[Tracker, float] | None:
    """Read the state file as the service does when it starts.

    Return the tracker and the time of the file, or None if there is no usable file.
    """
    saved = kept.read()
    if saved is None:
        return None
    tracker = Tracker()
    try:
        tracker.restore(saved.data)
    except ValueError as e:
        kept.put_aside(str(e))
        return None
    return tracker, saved.at


def go_on(tracker: Tracker, later: list[Poll]) -> None:
    """Publish what was restored, as after a failed poll; then publish further polls."""
    objects, journal, serial = (
        ObjectTree("1", "run"),
        Journal(Sender(None, io.StringIO()), "run"),
        0,
    )
    last = later[-1]
    looks = [
        None,
        Poll(later[0].at, later[0].mono, pluto=PlutoState.UNREACHABLE, why="timed out"),
        *later,
        Poll(last.at + 5, last.mono + 5, pluto=PlutoState.STOPPED, unit_inactive=True),
        Poll(last.at + 10, last.mono + 10, last.report, pid=1),
    ]
    for look in looks:
        changes = [] if look is None else [c for c in tracker.observe(look) if c.announced]
        for change in changes:
            journal.announce(change, serial)
        tunnels = tuple(tracker.tunnels.values())
        numbered = tuple(enumerate(changes, serial + 1))
        serial += len(changes)
        for a in objects.apply(Publication(tunnels, numbered, tracker.pluto)):
            assert a.body
        objects.make(len(tunnels))
        objects.snapshot()
        objects.managed()
        for tunnel in tunnels:
            # The bus disconnects a client that sends a string with NUL.
            assert "\0" not in tunnel.name + tunnel.managed
            tunnel.name.encode()
            assert tunnel.children_up <= tunnel.children
            tunnel_details(tunnel)
        json.dumps(tracker.save(), allow_nan=False)
        assert tracker.due is None or 0 <= tracker.due < 1e10


@pytest.mark.parametrize("name", RUNS)
def test_what_a_service_has_kept_is_taken_back(name: str, tmp_path: Path) -> None:
    run, now = run_of(name), time.time()
    kept = StateFile(tmp_path)
    kept.write(run.kept, now)
    found = restored(kept)
    assert found is not None
    assert found[0].save() == run.kept
    assert found[1] == now
    go_on(found[0], run.later)


# --- Files that can't be right -------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
T, P = "data.tunnels.0.", "data.pluto."

BAD_VALUES: Final[dict[str, tuple[str, object]]] = {
    "since is NaN": (T + "since", NAN),
    "since is Infinity": (T + "since", INF),
    "since is -Infinity": (T + "since", -INF),
    "since is 1e308": (T + "since", 1e308),
    "since is before 1970": (T + "since", -1.0),
    "since is a number of 400 digits": (T + "since", 10**400),
    "since is true": (T + "since", True),
    "since is text": (T + "since", "1764000000"),
    "since_mono is NaN": (T + "since_mono", NAN),
    "since_mono is 1e300": (T + "since_mono", 1e300),
    "trying_since is NaN": (T + "trying_since", NAN),
    "trying_since is Infinity": (T + "trying_since", INF),
    "trying_since is false": (T + "trying_since", False),
    "at is NaN": ("at", NAN),
    "at is Infinity": ("at", INF),
    "at is 2^64": ("at", 2**64),
    "at is the beginning of time": ("at", 0),
    "at is tomorrow": ("at", 1e5 + time.time()),
    "at is nothing": ("at", None),
    "children_up is 2^64": (T + "children_up", 2**64),
    "children_up is 2^32": (T + "children_up", 2**32),
    "children_up is more than children": (T + "children_up", 7),
    "children_up is less than what is up": (T + "children_up", 0),
    "children is 2^32": (T + "children", 2**32),
    "children is a fraction": (T + "children", 1.5),
    "instances is negative": (T + "instances", -1),
    "instances is 2^32": (T + "instances", 2**32),
    "attempts is 2^32 - 1": (T + "attempts", 2**32 - 1),
    "attempts is true": (T + "attempts", True),
    "name has a NUL": (T + "name", "si\0te"),
    "name has a lone surrogate": (T + "name", "\ud800"),
    "name has an escaped byte": (T + "name", "\udc80"),
    "name is another than the key's": (T + "name", "home"),
    "key has a NUL": (T + "key", "si\0te"),
    "key has a lone surrogate": (T + "key", "\ud800"),
    "key has no end": (T + "key", "x" * 100_000),
    "key is a number": (T + "key", 7),
    "managed is somebody else": (T + "managed", "somebody"),
    "managed has a NUL": (T + "managed", "\0"),
    "peer has a lone surrogate": (T + "peer", "\udfff"),
    "detail has a NUL": (T + "detail", "\0"),
    "detail has no end": (T + "detail", "x" * 100_000),
    "detail is a list": (T + "detail", ["x"]),
    "the state is none": (T + "state", "sideways"),
    "the state isn't hashable": (T + "state", {}),
    "the last known state is unknown": (T + "last_state", "unknown"),
    "the last known state is another": (T + "last_state", "down"),
    "the reason is none": (T + "reason", "weather"),
    "why has one half": (T + "why", ["none"]),
    "why has three": (T + "why", ["none", None, None]),
    "why is text": (T + "why", "no"),
    "why has a lone surrogate": (T + "why", ["none", "\ud800"]),
    "told_stuck is a number": (T + "told_stuck", 1),
    "last_try is 2^64": (T + "last_try", 2**64),
    "a serial is 2^64": (T + "held_children", [2**64]),
    "a serial is text": (T + "held_parents", ["1"]),
    "the serials are an object": (T + "held_children", {"2": 1}),
    "pid is 2^64": (P + "pid", 2**64),
    "pid is negative": (P + "pid", -1),
    "top is less than a serial": (P + "top", 0),
    "top is 2^64": (P + "top", 2**64),
    "an IKE SA has a list for a name": (P + "ikes", [[1, ["site"], []]]),
    "an IKE SA has text for an instance": (P + "ikes", [[1, "site", "1"]]),
    "an IKE SA's name has a lone surrogate": (P + "ikes", [[1, "\ud800", []]]),
    "an IKE SA is there twice": (P + "ikes", [[1, "site", []], [1, "site", []]]),
    "loaded is Infinity": (P + "loaded", INF),
    "gone is text": (P + "gone", "no"),
    "pluto is a list": ("data.pluto", []),
    "pluto is nothing": ("data.pluto", None),
    "tunnels is an object": ("data.tunnels", {}),
    "a tunnel is nothing": ("data.tunnels", [None]),
    "a tunnel is empty": ("data.tunnels", [{}]),
    "the format is another": ("data.format", 2),
    "the format is true": ("data.format", True),
    "data is nothing": ("data", None),
}

GOOD: Final = "one tunnel that is up"


def with_value(tree: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    *above, last = path.split(".")
    node: Any = tree
    for step in above:
        node = node[int(step) if step.isdigit() else step]
    node[last] = value
    return tree


def twice() -> bytes:
    tree = content(run_of(GOOD).kept)
    tree["data"]["tunnels"] *= 2
    return json.dumps(tree).encode()


def good() -> bytes:
    return json.dumps(content(run_of(GOOD).kept)).encode()


BAD_BYTES: Final[dict[str, Callable[[], bytes]]] = {
    "nothing": lambda: b"",
    "half of it": lambda: good()[: len(good()) // 2],
    "zeros, as after a crash": lambda: bytes(4096),
    "not ASCII": lambda: good().replace(b"site", b"s\xeete"),
    "a surrogate in UTF-8": lambda: good().replace(b"site", b"s\xed\xb2\x80te"),
    "in UTF-16": lambda: good().decode().encode("utf-16"),
    "no object": lambda: b"[]",
    "a number": lambda: b"7",
    "deep": lambda: b"[" * 100_000,
    "a number with 5,000 digits": lambda: b'{"at": ' + b"1" * 5000 + b', "data": {}}',
    "no moment": lambda: b'{"data": {}}',
    "something behind it": lambda: good() + b"x",
    "a tunnel twice": twice,
    "too large": lambda: good() + b" " * (17 << 20),
}


def bad(case: str) -> bytes:
    if case in BAD_BYTES:
        return BAD_BYTES[case]()
    return json.dumps(with_value(content(run_of(GOOD).kept), *BAD_VALUES[case])).encode()


@pytest.mark.parametrize("case", [*BAD_VALUES, *BAD_BYTES])
def test_a_file_that_cannot_be_right_is_put_aside_with_one_line(
    case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state.json").write_bytes(bad(case))
    assert restored(StateFile(tmp_path)) is None
    assert [p.name for p in tmp_path.iterdir()] == ["state.bad"]
    (record,) = caplog.records
    assert "beginning afresh" in record.getMessage()
    assert len(record.getMessage()) < 500 + len(str(tmp_path))
    record.getMessage().encode()


@pytest.mark.parametrize(
    "case", ["since is NaN", "name has a NUL", "name has a lone surrogate", "children_up is 2^64"]
)
async def test_a_service_that_finds_such_a_file_begins_afresh(
    case: str, tmp_path: Path, system_bus: PrivateBus
) -> None:
    data = bad(case)
    (tmp_path / "state.json").write_bytes(data)
    says = statuses(ROOT / "4.10/site.jsonl.gz")[10].stdout
    settings = Settings(control_socket=str(tmp_path / "pluto.ctl"), interval=0.2)
    service = Service(settings, Sender(None, io.StringIO()), kept=StateFile(tmp_path))
    async with FakePluto(settings.control_socket, lambda _: says, lambda: 0.0):
        running = asyncio.create_task(service.run())
        begun = {"state.bad", "state.json"}.issubset
        await until(lambda: running.done() or begun(os.listdir(tmp_path)), within=30.0)
        service.stop()
        await running
    assert (tmp_path / "state.bad").read_bytes() == data
    assert restored(StateFile(tmp_path)) is not None


# --- What isn't a file of ours -------------------------------------------------------------------


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_bytes(good())
    path.symlink_to(target)


def listening_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))


def endless_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("no device can be made here")


def somebody_elses(path: Path) -> None:
    path.write_bytes(good())
    try:
        os.chown(path, 65534, 65534)
    except PermissionError:
        pytest.skip("only root can give a file away")


@pytest.mark.parametrize(
    "make", [pipe, link, Path.mkdir, listening_socket, endless_device, somebody_elses]
)
def test_what_is_no_file_of_ours_is_neither_followed_nor_waited_for(
    make: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path / "state.json")
    kept, before = StateFile(tmp_path), os.listdir("/proc/self/fd")
    assert kept.read() is None
    assert os.listdir("/proc/self/fd") == before
    assert {"state.bad"} == {p.name for p in tmp_path.iterdir()} - {"elsewhere"}
    assert len(caplog.records) == 1
    now = time.time()
    kept.write({"a": 1}, now)
    assert kept.read() == Saved({"a": 1}, now)


def test_a_file_that_grows_while_it_is_read_is_read_to_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state.json").write_bytes(good())
    read, pieces = os.read, []

    def endless(descriptor: int, size: int) -> bytes:
        pieces.append(read(descriptor, size))
        return b" " * size

    monkeypatch.setattr(os, "read", endless)
    assert StateFile(tmp_path).read() is None
    assert len(pieces) == 17
    assert (tmp_path / "state.bad").exists()


# --- Keeping -------------------------------------------------------------------------------------


def test_what_is_old_is_worth_nothing_and_a_touch_keeps_it_fresh(tmp_path: Path) -> None:
    kept, now = StateFile(tmp_path), time.time()
    kept.write({"a": 1}, now)
    assert kept.read() == Saved({"a": 1}, now)
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    old = time.time() - 61
    os.utime(tmp_path / "state.json", (old, old))
    assert kept.read() is None
    kept.touch()
    assert kept.read() is not None


def test_where_nothing_can_be_kept_nothing_ends(tmp_path: Path) -> None:
    for folder in (None, tmp_path / "missing"):
        kept = StateFile(folder)
        kept.write({"a": 1}, time.time())
        kept.touch()
        assert kept.read() is None


def leave_a_link(folder: Path) -> None:
    (folder / "victim").write_text("precious")
    (folder / "state.new").symlink_to(folder / "victim")


def leave_a_file(folder: Path) -> None:
    (folder / "state.new").write_text("half of i")
    (folder / "state.new").chmod(0o666)


def leave_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "state.new")


@pytest.mark.parametrize("leave", [leave_a_link, leave_a_file, leave_a_pipe])
def test_what_lies_in_the_place_of_the_new_file_is_replaced_and_not_written_to(
    leave: Callable[[Path], None], tmp_path: Path
) -> None:
    leave(tmp_path)
    kept, now = StateFile(tmp_path), time.time()
    kept.write({"a": 1}, now)
    assert kept.read() == Saved({"a": 1}, now)
    state = (tmp_path / "state.json").lstat()
    assert (stat.S_ISREG(state.st_mode), state.st_mode & 0o777) == (True, 0o600)
    assert not (tmp_path / "state.new").exists()
    if leave is leave_a_link:
        assert (tmp_path / "victim").read_text() == "precious"


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Make the kernel write only the first ``size`` bytes of a file, and refuse the rest."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def refused(number: int) -> Iterator[None]:
    """Make the opening of all files fail with this error number."""

    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", refuse)
        yield


@contextmanager
def folder_away(folder: Path) -> Iterator[None]:
    away = folder.rename(folder.with_name("away"))
    try:
        yield
    finally:
        away.rename(folder)


TROUBLE: Final[dict[str, Callable[[Path], AbstractContextManager[None]]]] = {
    "too large a file": lambda _: files_up_to(10_000),
    "no room": lambda _: refused(errno.ENOSPC),
    "over quota": lambda _: refused(errno.EDQUOT),
    "read-only": lambda _: refused(errno.EROFS),
    "no folder": folder_away,
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_what_cannot_be_written_is_told_once_and_tried_again_at_the_next_save(
    trouble: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    folder = tmp_path / "run"
    folder.mkdir()
    kept, now = StateFile(folder), time.time()
    kept.write({"a": 1}, now)
    much = {"a": ["x" * 100] * 1000}
    with TROUBLE[trouble](folder):
        for _ in range(3):
            kept.write(much, now)
    assert [p.name for p in folder.iterdir()] == ["state.json"]
    assert kept.read() == Saved({"a": 1}, now)
    (told,) = caplog.records
    assert "can't be written" in told.getMessage()
    kept.write(much, now)
    assert kept.read() == Saved(much, now)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


def test_what_could_not_be_replaced_is_not_kept_fresh(tmp_path: Path) -> None:
    """If the old file looked fresh, the next service would announce again what happened since."""
    kept, old = StateFile(tmp_path), time.time() - 50
    kept.write({"a": 1}, old)
    os.utime(tmp_path / "state.json", (old, old))
    with refused(errno.ENOSPC):
        kept.write({"a": 2}, time.time())
    kept.touch()
    assert (tmp_path / "state.json").stat().st_mtime == pytest.approx(old, abs=0.1)


def test_more_than_is_read_again_is_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = StateFile(tmp_path)
    kept.write(["x" * (1 << 20)] * 17, time.time())
    assert list(tmp_path.iterdir()) == []
    assert "more than" in caplog.text


# --- Files that anything may have happened to ----------------------------------------------------

ODD: Final[tuple[Any, ...]] = (
    NAN, INF, -INF, 1e308, -1e308, 1e-320, -0.0, -1, 0, 1, 0.5, 2**31, 2**32 - 1, 2**32, 2**53,
    2**63, 2**64, 10**400, True, False, None, "", "x", "\0", "\ud800", "\udc80", "\U0010ffff",
    "x" * 300, "x" * 5000, "up", "unknown", "none", "$7", [], {}, [[]], [None], {"": None},
)  # fmt: skip

Place = tuple[Any, Any]


def places_in(tree: object) -> Iterator[Place]:
    """Yield all places in a tree of lists and dictionaries, as (container, key)."""
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield tree, key
            yield from places_in(value)


def mutated_values(rng: random.Random, tree: dict[str, Any]) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        places = list(places_in(tree))
        container, key = rng.choice(places)
        value = container[key]
        match rng.randrange(6):
            case 0 if isinstance(value, int | float) and abs(value) < 1e300:
                container[key] = rng.choice((-value, value + 1, value * 10, value / 3, value - 1))
            case 1 if isinstance(value, str):
                at = rng.randint(0, len(value))
                container[key] = value[:at] + chr(rng.choice((0, 36, 92, 0xD800, 0xDC81, 0x202E)))
            case 2:
                other, where = rng.choice(places)
                container[key] = copy.deepcopy(other[where])
            case 3 if isinstance(container, list):
                container.insert(key, copy.deepcopy(value))
            case 4:
                del container[key]
                if not tree:
                    break
            case _:
                container[key] = copy.deepcopy(rng.choice(ODD))
    return json.dumps(tree).encode()


def mutated_bytes(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(out))
        match rng.randrange(5):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                out[at] = rng.choice(b'0123456789eE+-.,:"[]{}\\ntu\x00\xff')
            case 2:
                out.insert(at, rng.choice(b'0123456789eE-.",[]\\'))
            case 3:
                del out[at : at + rng.choice((1, 1, 4, 50))]
            case _:
                end = at + rng.randrange(60)
                out[at:at] = out[at:end]
        if not out:
            break
    return bytes(out)


def mutants(seed: int, count: int) -> Iterator[tuple[str, Run, bytes]]:
    rng = random.Random(seed)
    for n in range(count):
        run = run_of(rng.choice(list(RUNS)))
        tree = content(run.kept)
        if rng.random() < 0.7:
            yield f"{seed}:{n} values", run, mutated_values(rng, tree)
        else:
            yield f"{seed}:{n} bytes", run, mutated_bytes(rng, json.dumps(tree).encode())


def ends_it(folder: Path, run: Run, data: bytes) -> Exception | bool:
    """Start a service from a file; return the exception that ends it, or if the file was used."""
    (folder / "state.json").write_bytes(data)
    try:
        found = restored(StateFile(folder))
        if found is None:
            return False
        go_on(found[0], run.later)
    except Exception as e:
        return e
    return True


def test_a_file_that_was_changed_at_random_is_put_aside_or_tracked_further(tmp_path: Path) -> None:
    outcomes = [(n, ends_it(tmp_path, run, data)) for n, run, data in mutants(1, 2000)]
    assert [(n, repr(e)) for n, e in outcomes if isinstance(e, Exception)] == []
    taken = sum(e is True for _, e in outcomes)
    assert 50 < taken < 1000  # or the mutations are no test


# --- What the journal may tell otherwise ---------------------------------------------------------


def test_what_was_kept_before_later_entries_is_said_to_be_behind(tmp_path: Path) -> None:
    run, kept = run_of("one tunnel that is up"), StateFile(tmp_path)
    kept.mark_behind()
    kept.write(run.kept, time.time(), "run-1")
    saved = StateFile(tmp_path).read()
    assert saved is not None
    assert (saved.run_id, saved.behind) == ("run-1", False)
    kept.mark_behind()
    saved = StateFile(tmp_path).read()
    assert saved is not None
    assert (saved.run_id, saved.behind) == ("run-1", True)


def test_a_file_of_an_earlier_release_names_no_run(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps(content(run_of("one tunnel that is up").kept)))
    saved = StateFile(tmp_path).read()
    assert saved is not None
    assert (saved.run_id, saved.behind) == ("", False)


def test_a_mark_that_cannot_be_made_stops_nobody_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "state.behind").symlink_to(tmp_path / "elsewhere")
    kept = StateFile(tmp_path)
    kept.mark_behind()
    assert not (tmp_path / "elsewhere").exists()
    StateFile(None).mark_behind()
    StateFile(tmp_path / "gone").mark_behind()
    kept.write(run_of("one tunnel that is up").kept, time.time())
    assert not (tmp_path / "state.behind").is_symlink()
