# SPDX-License-Identifier: MIT
"""Reads metrics with Prometheus's own parsers of both text formats; OpenMetrics' is strict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from prometheus_client import Metric


def openmetrics(text: str) -> list[Metric]:
    """Return the metrics in a text in OpenMetrics' format. Raise ValueError if it breaks a rule."""
    return list(openmetrics_parser.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


def older(text: str) -> list[Metric]:
    """Return the metrics in a text in Prometheus' older text format."""
    return list(text_string_to_metric_families(text))
