# SPDX-License-Identifier: MIT
"""Parse libreswan's status texts, of 3.18 to 5.4 and main, into a Report.

libreswan's authors say that the text may change. So nothing here relies on the order of lines, on
the ``NNN`` prefix (which depends on release and way), or on the presence of a line. Lines are
recognised by their shape. What isn't recognised is kept and counted, never guessed without saying
so. The place of a line matters only for what is believed of an answer (consistency.py).
"""

from __future__ import annotations

from ipsecwatch.libreswan.status.connection_fields import connection_fields
from ipsecwatch.libreswan.status.parser import Reader, parse
from ipsecwatch.libreswan.status.topology import ON_DEMAND

__all__ = ["ON_DEMAND", "Reader", "connection_fields", "parse"]
