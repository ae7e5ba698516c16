# SPDX-License-Identifier: MIT
"""The sentence and the advice for a tunnel's reason, for people who may see its peer and log lines.

These are written to the journal, and shown to users who may ask pluto. Others get the general texts
of reasons.py, over the bus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.reasons import IPSEC, ReasonText, words_for
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from ipsecwatch.tunnel import Tunnel


def reason_text(reason: Reason, tunnel: Tunnel, unit: str = IPSEC) -> ReasonText:
    """Return the sentence and the advice for a tunnel's reason, with what is known of the cause.

    For UNREACHABLE, if the peer's DNS name doesn't resolve, the sentence has that name. If the
    tunnel's log line shows a failure on this machine, the text is about that failure. Else it is
    the general text for the reason. ``unit`` is the systemd unit that runs pluto, for the advice;
    "": none is known.
    """
    if reason is Reason.UNREACHABLE and tunnel.unresolved is not None:
        return ReasonText(
            f"The peer's name {clean(tunnel.unresolved)} does not resolve.",
            "Check this machine's DNS and network, and the name in the configuration.",
        )
    return _local_failure(reason, tunnel) or words_for(reason, unit)


def _local_failure(reason: Reason, tunnel: Tunnel) -> ReasonText | None:
    """Return the text for the failure on this machine that the reason's log line shows, or None."""
    if reason is Reason.NONE or tunnel.detail is None:
        return None
    from ipsecwatch.libreswan.local_failures import local_failure  # a status has no log line
    from ipsecwatch.libreswan.log_lines import parse_line

    line = parse_line(tunnel.detail)
    failure = local_failure(line.text if line is not None else tunnel.detail)
    return ReasonText(failure.sentence, failure.advice) if failure is not None else None
