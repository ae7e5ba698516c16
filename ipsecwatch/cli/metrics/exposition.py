# SPDX-License-Identifier: MIT
"""Writes metrics as text, in OpenMetrics 1.0 or in the older text format of Prometheus (0.0.4).

The older format has no type ``info``, no units and no end mark, and a counter's family has
``_total`` in its name. node_exporter's textfile collector reads only this one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Kind(StrEnum):
    """The type of a metric family, in the words of OpenMetrics."""

    GAUGE = "gauge"
    COUNTER = "counter"
    INFO = "info"


class Format(StrEnum):
    """A text format of metrics. The value is the word for --format."""

    OPENMETRICS = "openmetrics"
    PROMETHEUS = "prometheus"


_SUFFIX = {Kind.GAUGE: "", Kind.COUNTER: "_total", Kind.INFO: "_info"}
_OLDER_TYPE = {Kind.GAUGE: "gauge", Kind.COUNTER: "counter", Kind.INFO: "gauge"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric family. Its labels distinguish it from the family's other values."""

    value: float
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Family:
    """A metric family: all samples of one metric. ``name`` has no suffix such as ``_total``.

    ``help`` explains the metric. ``unit`` is the last part of ``name``; "": there is no unit.
    """

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]
    unit: str = ""


def write(families: Iterable[Family], format_: Format) -> str:
    """Return the families as a text in the given format.

    Families without a sample are left out. An OpenMetrics text ends with the line ``# EOF``.
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
    """Yield the lines of one family: its help, type and unit, and a line for each sample.

    ``openmetrics`` False: in the older format, which has no units.
    """
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
    """Return a number as text, with all its digits. A whole number gets no ``.0``."""
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) else repr(value)
