# SPDX-License-Identifier: MIT
"""libreswan's status texts, 3.18 to 5.4 and main, to a Report.

The text is unstable and its makers say so; nothing here counts on order, on the ``NNN`` prefix
(printed or not depending on release and way), or on a line being there. Lines are recognised by
their shape. What is not recognised is kept and counted, never guessed at in silence. Where a line
stands matters only for what is believed of an answer (consistency.py).
"""

from __future__ import annotations

from ipsecwatch.libreswan.status.connection_fields import connection_fields
from ipsecwatch.libreswan.status.parser import Reader, parse
from ipsecwatch.libreswan.status.topology import ON_DEMAND

__all__ = ["ON_DEMAND", "Reader", "connection_fields", "parse"]
