# SPDX-License-Identifier: MIT
"""Which established IKE SAs are idle: no sign that anybody tries to bring a Child SA up.

An IKE SA is idle if it has or had a Child SA, or if the first report listed it already. One that
came later, and has carried no Child SA yet, is an attempt to bring one up. An IKE SA that replaced
an idle one in a rekey is idle, too. So is the IKE SA of a client that this gateway redirects to
another one in IKE_AUTH (send-redirect=yes): the client goes there, and need not delete it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ipsecwatch.report import Role
from ipsecwatch.tracking.observation import is_child, is_ike

if TYPE_CHECKING:
    from ipsecwatch.report import ConnectionKey, Report
    from ipsecwatch.tracking.log_evidence import LogEvidence
    from ipsecwatch.tracking.pluto_run import PlutoRun


def note_ikes(run: PlutoRun, log: LogEvidence, report: Report) -> None:
    """Update what ``run`` has about IKE SAs, by a report and by what pluto logged.

    That is ``run.ikes`` (the established ones), ``run.idle`` (those that are idle), and
    ``run.busy`` (the connections with a Child SA). Then forget what the log told about IKE SAs that
    the report doesn't list, except those that were logged since the last report.
    """
    ikes = {s.serial: s.key for s in report.states if is_ike(s)}
    idle = {serial for serial in ikes if _was_idle(serial, run, log)}
    idle.update(_redirected(log, ikes, report))
    carrying = [s for s in report.states if is_child(s)]
    idle.update(s.parent_serial for s in carrying if s.parent_serial is not None)
    if run.ikes is None:  # found at the first look
        idle.update(ikes)
    else:
        new = [
            serial for serial in ikes if serial not in run.ikes and serial not in log.sas.origins
        ]
        idle.update(_rekeyed_idle(run, ikes, new) if new else ())
    run.ikes, run.idle = ikes, frozenset(idle)
    run.busy = frozenset([s.key for s in carrying])
    log.sas.keep(ikes.keys())


def _redirected(log: LogEvidence, ikes: dict[int, ConnectionKey], report: Report) -> list[int]:
    """Return the IKE SAs of peers that this machine redirects to another gateway.

    Up to 3.32 the report shows which IKE SAs this machine began, else only the log does.
    """
    away = {c.key for c in report.connections if _REDIRECTS in c.policy}
    if not away:
        return []
    ours = {s.serial for s in report.states if s.role is Role.INITIATOR}
    return [
        s
        for s, key in ikes.items()
        if key in away and s not in ours and not log.incoming.is_ours(s)
    ]


_REDIRECTS: Final = "SEND_REDIRECT_ALWAYS"
"""The word in a connection's policy for send-redirect=yes."""


def _was_idle(serial: int, run: PlutoRun, log: LogEvidence) -> bool:
    """Return whether an IKE SA was idle in the last report, or had a Child SA by the log.

    It is enough if that is so for an older IKE SA which it replaced in a rekey.
    """
    seen: set[int] = set()
    while serial not in seen:
        if serial in run.idle or serial in log.sas.carriers:
            return True
        seen.add(serial)
        serial = log.sas.origins.get(serial, serial)
    return False


def _rekeyed_idle(run: PlutoRun, ikes: dict[int, ConnectionKey], new: list[int]) -> list[int]:
    """Return those of the ``new`` IKE SAs that are taken for a rekey of an idle one.

    Their connection had an idle IKE SA and no Child SA in the last report. ``new`` are the serials
    of which the log doesn't say whether they replaced another IKE SA. ``ikes`` has all IKE SAs of
    the present report.
    """
    idle = {key for serial, key in (run.ikes or {}).items() if serial in run.idle}
    quiet = idle - run.busy
    return [serial for serial in new if ikes[serial] in quiet]
