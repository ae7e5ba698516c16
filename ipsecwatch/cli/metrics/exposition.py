# SPDX-License-Identifier: MIT
"""Writes metrics as text: OpenMetrics 1.0, or the older text format of Prometheus (0.0.4).

The older format has neither ``info`` nor units, names a counter's family with its ``_total``, and
has no end mark. It is the only one that node_exporter's textfile collector reads.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Kind(StrEnum):
    """The type of a metric family."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


class Format(StrEnum):
    """A text format of metrics."""

    OPENMETRICS = "openmetrics"
    PROMETHEUS = "prometheus"


_SUFFIX = {Kind.GAUGE: "", Kind.COUNTER: "_total", Kind.INFO: "_info"}
_OLDER_TYPE = {Kind.GAUGE: "gauge", Kind.COUNTER: "counter", Kind.INFO: "gauge"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric family; its labels distinguish it from the family's others."""

    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family: the samples of one metric. ``name`` has no suffix such as ``_total``."""

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]
    unit: str = ""


def write(families: Iterable[Family], format_: Format) -> str:
    """Return as text all families that have a sample, each with its type and help.

    An OpenMetrics text ends in ``# EOF``.
    """
    openmetrics = format_ is Format.OPENMETRICS
    lines = [
        line
        for family in families
        if family.samples
        for line in _family(family, openmetrics=openmetrics)
    ]
    return "".join(f"{line}\n" for line in [*lines, *(["# EOF"] if openmetrics else [])])


def _family(family: Family, *, openmetrics: bool) -> Iterator[str]:
    """Yield the lines of one metric family: help, type, unit, and a line for each sample."""
    full = family.name + _SUFFIX[family.kind]
    name = family.name if openmetrics else full
    kind = family.kind if openmetrics else _OLDER_TYPE[family.kind]
    yield f"# HELP {name} {_escaped(family.help)}"
    yield f"# TYPE {name} {kind}"
    if openmetrics and family.unit:
        yield f"# UNIT {name} {family.unit}"
    for sample in family.samples:
        yield f"{full}{_labels(sample.labels)} {_number(sample.value)}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """Return a number as text without loss of precision; a whole one without a fraction."""
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) else repr(value)
