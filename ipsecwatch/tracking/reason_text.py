# SPDX-License-Identifier: MIT
"""What to tell of a reason to a person who may know the tunnel's peer and pluto's log.

For the journal and for who asks pluto: the bus shows everybody the words of the table alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ipsecwatch.libreswan.local_failures import local_failure
from ipsecwatch.libreswan.log_lines import parse_line
from ipsecwatch.reasons import IPSEC, ReasonText, words_for
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import Reason

if TYPE_CHECKING:
    from ipsecwatch.tunnel import Tunnel


def reason_text(reason: Reason, tunnel: Tunnel, unit: str = IPSEC) -> ReasonText:
    """Return the sentence and the advice for a tunnel's reason; ``unit`` runs pluto ("": none).

    Where the peer's name doesn't resolve it has the name; where what is missing is our own, it
    blames nobody else.
    """
    if reason is Reason.UNREACHABLE and tunnel.unresolved is not None:
        return ReasonText(
            f"The peer's name {clean(tunnel.unresolved)} does not resolve.",
            "Check this machine's DNS and network, and the name in the configuration.",
        )
    return _ours(reason, tunnel) or words_for(reason, unit)


def _ours(reason: Reason, tunnel: Tunnel) -> ReasonText | None:
    """Return what to tell of a failure of our own, by the log line behind the reason."""
    if reason is Reason.NONE or tunnel.detail is None:
        return None
    line = parse_line(tunnel.detail)
    failure = local_failure(line.text if line is not None else tunnel.detail)
    return ReasonText(failure.sentence, failure.advice) if failure is not None else None
