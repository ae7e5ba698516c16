# SPDX-License-Identifier: MIT
"""Metrics as text: OpenMetrics 1.0, or the older text format of Prometheus (0.0.4).

The older one has neither ``info`` nor units, names a counter's family with its ``_total``, and has
no end mark. node_exporter's textfile collector reads only this one.
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
    """The text format."""

    OPENMETRICS = "openmetrics"
    PROMETHEUS = "prometheus"


_SUFFIX = {Kind.GAUGE: "", Kind.COUNTER: "_total", Kind.INFO: "_info"}
_OLDER_TYPE = {Kind.GAUGE: "gauge", Kind.COUNTER: "counter", Kind.INFO: "gauge"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value; its labels distinguish it from the others of its family."""

    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """The samples of one metric, whose name is without the suffix of its kind."""

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]
    unit: str = ""


def write(families: Iterable[Family], format_: Format) -> str:
    """Return the text of all families that have a sample, each with its type and help."""
    openmetrics = format_ is Format.OPENMETRICS
    lines = [
        line
        for family in families
        if family.samples
        for line in _family(family, openmetrics=openmetrics)
    ]
    return "".join(f"{line}\n" for line in [*lines, *(["# EOF"] if openmetrics else [])])


def _family(family: Family, *, openmetrics: bool) -> Iterator[str]:
    """Yield the lines of one family."""
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
    """Return a number without loss of precision; a whole one without a fraction."""
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) else repr(value)
