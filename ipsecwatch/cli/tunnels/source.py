# SPDX-License-Identifier: MIT
"""Looks up tunnels for verbs: from the service, from pluto itself, or from a saved text.

Some functions import a module themselves, as most callers don't need it: a saved text needs no bus,
and the service's answer needs no parser.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.common import instance_settings
from ipsecwatch.cli.display.terminal import Row
from ipsecwatch.cli.failure import Failure
from ipsecwatch.cli.tunnels.found import Depth, Details, Found
from ipsecwatch.cli.tunnels.health import ILL, not_recognised
from ipsecwatch.cli.tunnels.selection import distinct
from ipsecwatch.sanitize import clean
from ipsecwatch.states import Extent, LogState, PlutoState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ipsecwatch import client
    from ipsecwatch.report import Report
    from ipsecwatch.tunnel import Tunnel


class PlutoStopped(Failure):
    """Raised where the service doesn't answer, and pluto isn't running: there are no tunnels.

    Most verbs end with it. ``found`` is for a verb that reports pluto's state: it has no tunnels,
    and a remark that pluto is stopped.
    """

    def __init__(self, message: str, hint: str, found: Found) -> None:
        super().__init__(message, hint)
        self.found = found


Choose = Callable[[Sequence[Row]], Iterable[Row]]
"""A function that gets all tunnels, and returns those whose details are wanted.

It may raise Failure, such as where the user named a tunnel that doesn't exist.
"""


def find(
    file: str | None,
    depth: Depth,
    choose: Choose | None = None,
    *,
    interactive: bool = False,
    instance: str = "",
) -> Found:
    """Return all tunnels, from a saved text if ``file`` is given, and else as ask() does.

    ``file`` is a path, or ``-`` for stdin. Of its tunnels, all have details; the other arguments
    don't matter then, except ``depth``. Raise Failure as ask() does, or where the file can't be
    read, isn't a status, or doesn't show whether there are tunnels.
    """
    if file is not None:
        return _from_file(file, depth)
    import asyncio

    return asyncio.run(ask(depth, choose, interactive=interactive, instance=instance))


async def ask(
    depth: Depth,
    choose: Choose | None = None,
    *,
    interactive: bool = False,
    instance: str = "",
) -> Found:
    """Return all tunnels from the service, with details of those that ``choose`` returns.

    ``choose`` None: with details of all; ``depth`` says how many details. ``interactive``: the user
    may be asked for a password on this terminal, to be allowed details. ``instance``: the instance
    of the service; "": the service itself. Where the service doesn't answer, and this user is root,
    pluto itself is asked, which gives details of all tunnels. Raise PlutoStopped where pluto isn't
    running either, and Failure where nobody answers, or where ``choose`` raises it.
    """
    found = await _ask_service(instance)
    if isinstance(found, str):
        return await _titled(await _ask_pluto(depth, instance, found))
    found = await _titled(found)
    names = [row.name for row in choose(found.rows)] if choose is not None else None
    told, refused = await details(depth, names, interactive=interactive, instance=instance)
    if interactive:  # the state after the password was given
        titles = {row.name: row.title for row in found.rows if row.title}
        again = await _ask_service(instance)
        found = found if isinstance(again, str) else again
        found = replace(found, rows=with_titles(found.rows, titles))
    return replace(found, rows=with_details(found.rows, told), details=told, refused=refused)


_UUID_LENGTH: Final = 36


async def _titled(found: Found) -> Found:
    """Return ``found`` with titles: NetworkManager's names for tunnels whose names are UUIDs.

    NetworkManager is asked for them; where it doesn't answer, there are no titles.
    """
    if not any(len(row.name) == _UUID_LENGTH for row in found.rows):
        return found
    from ipsecwatch.client.connection_names import names_of

    known = await names_of(row.name for row in found.rows)
    titles = {uuid: k.name for uuid, k in known.items()}
    return replace(found, rows=with_titles(found.rows, titles))


def with_titles(rows: Iterable[Row], titles: Mapping[str, str]) -> list[Row]:
    """Return the rows with the titles from ``titles``, which has them by pluto's name.

    A row whose name isn't in ``titles`` keeps the title that it has. Where several names have the
    same title in ``titles``, the UUID is shown, too.
    """
    called = distinct(titles)
    return [
        replace(row, title=titles[row.name], called=called[row.name]) if row.name in titles else row
        for row in rows
    ]


async def _ask_service(instance: str) -> Found | str:
    """Return the service's tunnels, without details and titles.

    Where the service doesn't answer, return for root a text that says why; for any other user,
    raise Failure, as that user can't ask pluto either.
    """
    from ipsecwatch import client

    try:
        return of_snapshot(await client.snapshot(instance=instance))
    except client.ClientError as e:
        if os.geteuid() == 0:
            return str(e)
        hint = (
            e.hint
            or "Start it: systemctl start ipsecwatch. As root, this command asks pluto itself"
        )
        raise Failure(str(e), hint) from e


def of_snapshot(seen: client.Snapshot) -> Found:
    """Return the tunnels of a snapshot of the service, with what it reports about pluto."""
    remark = "" if seen.pluto_state is PlutoState.RUNNING else ILL[seen.pluto_state]
    return Found(
        [Row.of_view(v) for v in seen.tunnels.values()],
        "service",
        seen.pluto_state,
        remark,
        seen.log,
        seen.complete or bool(remark),
        seen.unrecognised,
        seen.last_poll,
        seen.unit,
    )


_ROOM: Final = 12 << 10
"""Bytes of tunnels' names in one request for details, at most. The service accepts 16 KiB of
arguments."""


async def details(
    depth: Depth, names: Sequence[str] | None, *, interactive: bool, instance: str = ""
) -> tuple[dict[str, Details], bool]:
    """Ask the service for details of these tunnels. Return them by pluto's name of the tunnel.

    ``names`` None: of all tunnels. Details of all are returned also where one of ``names`` is gone
    by now, or where they are too long for a request. The details are {} where the service refuses
    them or doesn't answer, where ``depth`` is PUBLIC, and where ``names`` is []. The second value
    is True if the service refused them to this user. ``interactive``: the user may be asked for a
    password on this terminal.
    """
    from ipsecwatch import client

    if depth is Depth.PUBLIC or names == []:
        return {}, False
    if names is None or sum(len(name.encode()) + 8 for name in names) > _ROOM:
        names = ()
    brief = depth is Depth.BRIEF
    try:
        if not interactive:
            return await client.details(names, brief=brief, instance=instance), False
        from ipsecwatch.cli.display.password_agent import password_agent

        async with password_agent():
            told = await client.details(names, interactive=True, brief=brief, instance=instance)
            return told, False
    except client.NotAllowedError:
        return {}, True
    except client.NoSuchTunnelError:  # it is gone just now, as happens with clients
        if not names:
            return {}, False
        return await details(depth, None, interactive=interactive, instance=instance)
    except client.ClientError:  # the snapshot shows what is wrong, if anything
        return {}, False


def with_details(rows: Iterable[Row], details: Mapping[str, Details]) -> list[Row]:
    """Return the rows, with values from the details of their tunnels filled in.

    ``details`` has these by pluto's name of the tunnel. A row without details there stays as it is.
    """
    return [_with_details(row, details[row.name]) if row.name in details else row for row in rows]


def _with_details(row: Row, told: Details) -> Row:
    """Return a row with these values from its details: peer, bytes, losses, incoming attempt.

    Except for the peer, a value that isn't in the details becomes None.
    """
    at = told.get("LastIncomingFailureAt")
    return replace(
        row,
        peer=told.get("PeerAddress", row.peer),
        bytes_in=told.get("BytesIn"),
        bytes_out=told.get("BytesOut"),
        losses=told.get("LossesLately"),
        incoming=told.get("LastIncomingFailure"),
        incoming_at=at / 1_000_000 if at is not None else None,
    )


# --- Without the service ------------------------------------------------------------------------


async def _ask_pluto(depth: Depth, instance: str, why: str) -> Found:
    """Ask pluto itself, and return its tunnels, all with details.

    ``why``: why the service doesn't answer; that is shown, too. Raise PlutoStopped where pluto
    isn't running. Raise Failure where it doesn't answer for another reason, where its answer can't
    be read, or where the settings are wrong.
    """
    from ipsecwatch.libreswan.status import parse
    from ipsecwatch.pluto import query
    from ipsecwatch.pluto.unit_file import find_unit
    from ipsecwatch.tracking.single_report import tunnels_of

    settings = instance_settings(instance)
    unit = find_unit(settings.unit)
    pluto_client = query.PlutoClient.of(settings)
    try:
        answer = await pluto_client.ask()
    except query.AskError as e:
        message, hint = f"{why}, and {e}", e.hint_for(unit)
        if e.trouble is not query.Trouble.STOPPED:
            raise Failure(message, hint) from e
        stopped = PlutoState.STOPPED
        remark = f"{ILL[stopped]} {hint}"
        found = Found([], "pluto", stopped, remark, unit=unit, unwatched=why)
        raise PlutoStopped(message, hint, found) from e
    finally:
        await pluto_client.close()
    report = parse(answer.text, "status")
    tunnels = tunnels_of(report).values()
    if not tunnels and not _lists_none(report):
        raise Failure(f"pluto's answer can't be read: {clean(report.why or '')}")
    found = _found(report, tunnels, "pluto", depth)
    return replace(found, log=LogState.NONE, unit=unit, unwatched=why)


def _from_file(file: str, depth: Depth) -> Found:
    from ipsecwatch.cli import saved_text

    report, tunnels = saved_text.read_tunnels(file)
    if not tunnels and not _lists_none(report):
        raise _none(report, file)
    return _found(report, tunnels, "file", depth)


def _lists_none(report: Report) -> bool:
    """Return whether a report without tunnels proves that pluto has none.

    It does if it has the whole list of connections, which is empty then.
    """
    return report.knowledge.connections is Extent.WHOLE


def _none(report: Report, file: str) -> Failure:
    """Return the Failure for a text that names no tunnel, and doesn't prove that there is none.

    It says what the text is instead, such as the answer to another command.
    """
    explain = f"Try: ipsecwatch explain {clean(file, 200)}. "
    save = "Save a whole status: ipsec whack --status > FILE"
    if report.why == "empty" or _answers_not(report):
        return Failure(f"this text shows no tunnels: {clean(report.why or '')}", save)
    if report.command not in ("status", "connectionstatus", None):
        what = f"this is the answer to {report.command}, which lists no tunnels"
        return Failure(what, explain + save)
    return Failure("this is a part of a status that names no tunnel", explain + save)


def _answers_not(report: Report) -> bool:
    return (report.why or "").startswith("pluto did not answer")


def _found(report: Report, tunnels: Iterable[Tunnel], source: str, depth: Depth) -> Found:
    """Return the tunnels of a report, with details unless ``depth`` is PUBLIC.

    ``source`` is Found.source. There is a remark where the report isn't complete, or has lines that
    weren't recognised.
    """
    # An incomplete text is shown with a remark: here the reader judges it.
    listed = list(tunnels)
    details = (
        {t.name: _plain_details(t, depth) for t in listed} if depth is not Depth.PUBLIC else {}
    )
    rows = with_details([Row.of_tunnel(t) for t in listed], details)
    remarks = []
    if not report.complete:
        remarks.append(f"The text is not complete: {clean(report.why or '')}.")
    if report.unrecognised_count:
        remarks.append(not_recognised(report.unrecognised_count))
    return Found(rows, source, None, " ".join(remarks), details=details)


def _plain_details(tunnel: Tunnel, depth: Depth) -> Details:
    from ipsecwatch.service.details import brief_details, tunnel_details

    told = (brief_details if depth is Depth.BRIEF else tunnel_details)(tunnel)
    unknown = ("LossesLately", "Transitions")  # a single text doesn't contain them
    return {key: _plain(value) for key, value in told.items() if key not in unknown}


def _plain(typed: tuple[str, object]) -> object:
    """Return the value of a pair of D-Bus signature and value.

    If it is a list of dicts (``aa{sv}``), their values lose their signatures, too.
    """
    signature, value = typed
    if signature == "aa{sv}" and isinstance(value, list):
        return [{key: _plain(inner) for key, inner in each.items()} for each in value]
    return value
