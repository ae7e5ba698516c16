# SPDX-License-Identifier: MIT
"""Parse the status texts of libreswan 3.18 to 5.4, and of its development branch, into a Report.

libreswan's authors say that these texts may change. So each line is recognised by its shape, with
or without a prefix of three digits (``000 ``), and any line may be missing. The place of a line
decides only whether the line is believed, and whether an answer was cut off (consistency.py,
completeness.py). A line that isn't recognised is kept and counted. An SA whose state is in no
known release is guessed from its words, and marked as guessed (``SaState.guessed``).
"""

from __future__ import annotations

from ipsecwatch.libreswan.status.connection_fields import connection_fields
from ipsecwatch.libreswan.status.parser import Reader, parse
from ipsecwatch.libreswan.status.topology import ON_DEMAND

__all__ = ["ON_DEMAND", "Reader", "connection_fields", "parse"]
