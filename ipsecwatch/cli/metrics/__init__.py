# SPDX-License-Identifier: MIT
"""``ipsecwatch metrics``: prints numbers about all tunnels, for Prometheus and compatible programs.

Labels contain connection names, which libreswan's administrator chose, and nothing from a peer. The
clients of a listed template are counted and not named, since each new client would create new
series. An unknown value is NaN, which no alert takes for 0, or is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipsecwatch import __version__, client
from ipsecwatch.cli.failure import EXIT_OK, EXIT_UNKNOWN, Failure, fail
from ipsecwatch.cli.metrics.exposition import Family, Format, Kind, Sample, write
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.tunnels.selection import template_of
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from enum import StrEnum

    from ipsecwatch.client import Snapshot, View

EXAMPLES: Final = (
    ("ipsecwatch metrics", "OpenMetrics text"),
    (
        "ipsecwatch metrics --output /var/lib/prometheus/node-exporter/ipsecwatch.prom",
        "for node_exporter's textfiles",
    ),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "metrics", VERBS["metrics"], run, EXAMPLES)
    parser.add_argument(
        "--format", choices=[str(each) for each in Format], metavar="FORMAT",
        help="openmetrics (the default), or prometheus: the older text format, which "
        "node_exporter's textfile collector reads (the default with --output)",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="FILE",
        help="write to FILE, not to stdout; it is replaced at once, and never half written",
    )  # fmt: skip
    add_instance(parser)


def run(args: argparse.Namespace) -> int:
    failure, seen = None, None
    try:
        seen = asyncio.run(client.snapshot(instance=args.instance))
    except client.ClientError as e:
        failure = Failure(str(e), e.hint, EXIT_UNKNOWN)
    format_ = Format(args.format or (Format.PROMETHEUS if args.output else Format.OPENMETRICS))
    text = write(_of_instance(families(seen), args.instance), format_)
    if args.output:
        _replace(args.output, text)
    else:
        # Both formats are UTF-8, whatever the locale.
        sys.stdout.buffer.write(text.encode())
    # Written even so: whoever reads the metrics learns that nobody answered, which an old file
    # wouldn't show.
    return fail(failure) if failure else EXIT_OK


def _of_instance(told: Iterable[Family], instance: str) -> Iterator[Family]:
    """Yield the families, each sample with the instance's name as the label ``service``.

    For the service itself (``instance`` ""), there is no such label.
    """
    more = {"service": instance} if instance else {}
    for family in told:
        samples = (replace(sample, labels={**sample.labels, **more}) for sample in family.samples)
        yield replace(family, samples=tuple(samples))


def families(seen: Snapshot | None) -> Iterator[Family]:
    """Yield all metrics that follow from a Snapshot.

    ``seen`` None: the service didn't answer. Yield only that, and the version of this program.
    """
    yield _gauge("up", "Whether ipsecwatch.service answered.", seen is not None)
    yield _info("build", "The version of the ipsecwatch that wrote this.", __version__)
    if seen is not None:
        yield from _service(seen)
        yield from _tunnels(seen)


def _service(seen: Snapshot) -> Iterator[Family]:
    """Yield the metrics about the service, about pluto, and about the number of tunnels."""
    if seen.pluto_version:
        yield _info("libreswan", "The version of the pluto that runs.", clean(seen.pluto_version))
    yield _one_of("pluto_state", "The state of libreswan's daemon.", PlutoState, seen.pluto_state)
    if seen.log is not None:
        yield _one_of("log_state", "Where pluto's log is read from.", LogState, seen.log)
    if seen.last_poll:
        what = "When pluto last answered."
        yield _gauge("last_answer_timestamp_seconds", what, seen.last_poll, unit="seconds")
    what = "Whether pluto's last answer was complete and free of contradictions."
    yield _gauge("answer_complete", what, seen.complete)
    what = "Lines of pluto's last answer that weren't recognised."
    yield _gauge("unrecognised_lines", what, seen.unrecognised)
    what = "Transitions of all tunnels since the service started."
    yield _counter("transitions", what, seen.serial)
    if seen.missed is not None:
        what = "SAs that came and went between two polls, since the service started."
        yield _counter("missed_sas", what, seen.missed)
    states = Counter([view.state for view in seen.tunnels.values()])
    yield Family(
        "ipsecwatch_tunnels", Kind.GAUGE, "Tunnels in each state, clients of templates included.",
        tuple(Sample(states[state], {"state": state}) for state in TunnelState),
    )  # fmt: skip


def _tunnels(seen: Snapshot) -> Iterator[Family]:
    """Yield the metrics of single tunnels, except for clients of a listed template."""
    named = _named(seen.tunnels)
    yield _each(
        "up", "Whether every child of the tunnel has a Child SA; NaN: it isn't known.",
        ((label, _is_up(view)) for label, view in named),
    )  # fmt: skip
    yield Family(
        "ipsecwatch_tunnel_state", Kind.GAUGE, "The state of a tunnel: 1 for the present one.",
        tuple(
            Sample(view.state is state, {"tunnel": label, "state": state})
            for label, view in named
            for state in TunnelState
        ),
    )  # fmt: skip
    yield Family(
        "ipsecwatch_tunnel_reason", Kind.GAUGE, "Why a tunnel isn't up, if that is known.",
        tuple(
            Sample(1, {"tunnel": label, "reason": view.reason})
            for label, view in named
            if view.reason is not Reason.NONE
        ),
    )  # fmt: skip
    yield _each(
        "state_timestamp_seconds", "When the tunnel changed to its state, if that was seen.",
        ((label, view.since) for label, view in named if view.since_known), unit="seconds",
    )  # fmt: skip
    numbers = {
        "children": "Pairs of subnets of the tunnel.",
        "children_up": "Pairs of subnets that have a Child SA.",
        "clients": "Peers that are connected through a template.",
        "attempts": "Negotiations since pluto began to try to bring the tunnel up.",
    }
    read = {"clients": "instances"}
    for name, what in numbers.items():
        field = read.get(name, name)
        yield _each(name, what, [(label, getattr(view, field)) for label, view in named])


def _is_up(view: View) -> float:
    return math.nan if view.state is TunnelState.UNKNOWN else view.state is TunnelState.UP


def _named(tunnels: Mapping[str, View]) -> Sequence[tuple[str, View]]:
    """Return each tunnel with a label that no other tunnel has, in the order of the labels.

    ``tunnels`` are by object path. The label is the tunnel's name, or, if several tunnels have this
    name, the last part of the path. Clients such as ``rw[3]`` are left out if ``rw`` is listed.
    """
    count = Counter([view.name for view in tunnels.values()])
    found = []
    for path, view in tunnels.items():
        if template_of(view.name) not in count:
            # Long names are cut, and may be equal then; paths are unique.
            unique = count[view.name] == 1
            found.append((view.name if unique else path.rpartition("/")[2], view))
    return sorted(found, key=lambda pair: pair[0])


def _each(name: str, what: str, values: Iterable[tuple[str, float]], *, unit: str = "") -> Family:
    samples = tuple(Sample(value, {"tunnel": label}) for label, value in values)
    return Family(f"ipsecwatch_tunnel_{name}", Kind.GAUGE, what, samples, unit)


def _gauge(name: str, what: str, value: float, *, unit: str = "") -> Family:
    return Family(f"ipsecwatch_{name}", Kind.GAUGE, what, (Sample(value, {}),), unit)


def _counter(name: str, what: str, value: float) -> Family:
    return Family(f"ipsecwatch_{name}", Kind.COUNTER, what, (Sample(value, {}),))


def _info(name: str, what: str, version: str) -> Family:
    return Family(f"ipsecwatch_{name}", Kind.INFO, what, (Sample(1, {"version": version}),))


def _one_of(name: str, what: str, words: type[StrEnum], word: StrEnum) -> Family:
    samples = tuple(Sample(word is each, {"state": each}) for each in words)
    return Family(f"ipsecwatch_{name}", Kind.GAUGE, f"{what} 1 for the present one.", samples)


def _replace(file: Path, text: str) -> None:
    """Replace the file's content by ``text``, so that a reader never sees only a part of it.

    The target of a symbolic link is replaced, not the link. All users may read the file. Raise
    Failure if it can't be written, or isn't a regular file.
    """
    try:
        if file.exists() and not file.is_file():
            hint = "Give a file; without --output they go to stdout"
            raise Failure(f"cannot write {clean(str(file))}: it is no regular file", hint)
        file = Path(os.path.realpath(file))  # replace the target of a link, not the link
        # Hidden and not *.prom, since the collector reads every file *.prom.
        handle, new = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(new, 0o644)  # node_exporter runs as another user
            os.replace(new, file)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise
    except OSError as e:
        hint = "Give a file in a folder that you may write to"
        raise Failure(f"cannot write {clean(str(file))}: {e.strerror}", hint) from e
