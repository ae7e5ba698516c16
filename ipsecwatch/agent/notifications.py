# SPDX-License-Identifier: MIT
"""What the agent says, in plain words. Pure: news in, texts out.

Texts are plain: whoever shows them escapes them for what the screen takes as special. Names come
from the service, which has cleaned them; they are bounded here, and cleaned again all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ipsecwatch.reasons import IPSEC, ReasonText, words_for
from ipsecwatch.sanitize import MAX_SHOWN, clean
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.client.events import Lost, View

PLUTO: Final = "pluto"
"""Key of the notice that the IPsec service stopped. Keys of tunnels are object paths."""
SUMMARY: Final = "summary"
"""Key of the notice that sums many changes up."""
SERVICE: Final = "service"
"""Key of the notice that nobody watches."""

MAX_TITLE_NAME: Final = 24
"""Characters of a name in a title; a longer one is told in full below."""
CUT_NAME: Final = 16
"""Characters that are left of such a name in the title: Xfce cuts titles at some 25 characters,
and what is told comes last."""
MAX_LISTED_NAME: Final = 28
"""Characters of a name in a list of them."""
MAX_WHOLE_NAME: Final = 120
"""Characters of a name that is told in full."""
MAX_LISTED: Final = 6
"""Names in a list; of the others only the number is told."""
MAX_MESSAGE: Final = 200
"""Characters of somebody's error message."""
MAX_BODY: Final = 500
"""Characters of a body. What we say ourselves has some 300 at most."""


class Urgency(StrEnum):
    """How loud a notice is.

    None is critical: that one would stay until it is clicked away and break through "do not
    disturb". A lost tunnel is news, not an alarm.
    """

    LOW = "low"
    NORMAL = "normal"


@dataclass(frozen=True, slots=True)
class Notification:
    """Something to show. It takes the place of an earlier one with the same key."""

    key: str
    title: str
    body: str
    icon: str
    """Its name in the desktop's icon theme."""
    category: str
    """One of the Desktop Notifications specification's (table "Categories")."""
    urgency: Urgency = Urgency.NORMAL
    transient: bool = False
    """Not worth keeping once it has been seen: it asks for nothing."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The notice with this key says what is no longer so, and nothing takes its place."""

    key: str


class NewsKind(StrEnum):
    """What there is to tell of a tunnel."""

    UP = "up"
    DOWN = "down"
    STUCK = "stuck"
    PARTIAL = "partly up"
    BLIP = "up again"
    """It was lost, and was back before anybody was told."""


@dataclass(frozen=True, slots=True)
class News:
    """What there is to tell of one tunnel."""

    kind: NewsKind
    view: View
    reason: Reason = Reason.NONE
    away: float | None = None
    """Seconds for which it was down, where that is over and known."""
    times: int = 1
    """How many times it was lost lately, this one included."""
    unit: str = IPSEC
    """The systemd unit that runs pluto; "": none is known to."""


@dataclass(frozen=True, slots=True)
class _Look:
    icon: str
    category: str


# Names of the freedesktop icon naming specification, but for network-vpn, which Adwaita, Breeze
# and Papirus have all the same. Those that end in -symbolic are dark on a dark ground where the
# server doesn't recolour them (dunst).
_LOOKS: Final = {
    NewsKind.UP: _Look("network-vpn", "network.connected"),
    NewsKind.BLIP: _Look("network-vpn", "network.connected"),
    NewsKind.DOWN: _Look("network-offline", "network.disconnected"),
    NewsKind.STUCK: _Look("dialog-warning", "network.error"),
    NewsKind.PARTIAL: _Look("dialog-warning", "network.error"),
}

DELIBERATE: Final = frozenset({Reason.OPERATOR, Reason.UNLOADED})
"""Somebody of this machine's did it, and knows."""


def single(news: News) -> Notification:
    """Tell of one tunnel."""
    name = shown(news.view.name, MAX_SHOWN)
    long = len(name) > MAX_TITLE_NAME
    quiet = news.kind is NewsKind.BLIP or news.reason in DELIBERATE
    return Notification(
        key=news.view.path,
        title=f"{_short(name, CUT_NAME) if long else name} is {news.kind.value}",
        body=_bounded(f"{shown(name, MAX_WHOLE_NAME)}\n{_body(news)}" if long else _body(news)),
        icon=_LOOKS[news.kind].icon,
        category=_LOOKS[news.kind].category,
        urgency=Urgency.LOW if quiet else Urgency.NORMAL,
        transient=news.kind in (NewsKind.UP, NewsKind.BLIP),
    )


def summary(many: Sequence[News]) -> Notification:
    """Tell of several tunnels at once, the worst first."""
    groups = [
        (kind, [n for n in many if n.kind is kind])
        for kind in (NewsKind.DOWN, NewsKind.STUCK, NewsKind.PARTIAL, NewsKind.UP, NewsKind.BLIP)
    ]
    groups = [(kind, group) for kind, group in groups if group]
    (worst, first), *rest = groups
    are = "is" if len(first) == 1 else "are"
    title = f"{_tunnels(len(first))} {are} {worst.value}"
    title += "".join(f", {len(group)} {kind.value}" for kind, group in rest)
    if rest:
        lines = [f"{kind.value.capitalize()}: {_names(group)}." for kind, group in groups]
    else:
        lines = [f"{_names(first)}."]
    bad = {n.reason for n in many if n.kind not in (NewsKind.UP, NewsKind.BLIP)}
    if len(bad) == 1 and bad != {Reason.NONE}:
        lines.append(_why(bad.pop(), "", many[0].unit))
    calm = all(n.kind is NewsKind.BLIP or n.reason in DELIBERATE for n in many)
    return Notification(
        key=SUMMARY,
        title=title,
        body=_bounded("\n".join(lines)),
        icon=_LOOKS[worst].icon,
        category=_LOOKS[worst].category,
        urgency=Urgency.LOW if calm else Urgency.NORMAL,
        transient=worst in (NewsKind.UP, NewsKind.BLIP),
    )


def pluto_stopped(lost: Sequence[News]) -> Notification:
    """Tell that libreswan stopped, and which tunnels with it."""
    are = "is" if len(lost) == 1 else "are"
    advice = words_for(Reason.PLUTO_STOPPED, lost[0].unit).advice
    return Notification(
        key=PLUTO,
        title="The IPsec service stopped",
        body=_bounded(f"{_names(lost)} {are} down.\n{advice}"),
        icon="network-offline",
        category="network.disconnected",
    )


def unwatched(lost: Lost) -> Notification:
    """Tell that the service is away, so that silence isn't taken for good news."""
    why, hint = shown(lost.why, MAX_MESSAGE), shown(lost.hint, MAX_MESSAGE)
    stop = "" if why.endswith((".", "!", "?")) else "."
    return Notification(
        key=SERVICE,
        title="Tunnels are not watched",
        body=_bounded(f"{why}{stop}\n{hint}".strip()),
        icon="dialog-information",
        category="network",
        urgency=Urgency.LOW,
    )


def line(notice: Notification, at: float) -> str:
    """Write a notice as one line for a terminal; ``at`` in seconds since the epoch."""
    body = " ".join(shown(part, MAX_BODY) for part in notice.body.split("\n"))
    told = f"{shown(notice.title, MAX_BODY)}: {body}" if body else shown(notice.title, MAX_BODY)
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S}  {told}"


def shown(text: str, limit: int) -> str:
    r"""Bound a text that was cleaned before, and clean what wasn't.

    As text.clean(), but a backslash stays one: in a cleaned text it belongs to an ``\x1b``.
    """
    cleaned = "\\".join(clean(part, limit) for part in text[: limit + 1].split("\\"))
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def _body(news: News) -> str:
    view = news.view
    match news.kind:
        case NewsKind.UP:
            if news.away is not None:
                return f"It was down for {_duration(news.away)}."
            return _subnets(view) or "The tunnel is established."
        case NewsKind.BLIP:
            often = f" It happened {news.times} times lately." if news.times > 1 else ""
            return f"It was lost for {_duration(news.away or 0)}.{often}"
        case NewsKind.PARTIAL:
            some = "Some of its subnets are not connected."
            return _why(news.reason, "", news.unit, before=_subnets(view) or some)
        case NewsKind.STUCK:
            unknown = "It has been trying to connect, without success so far."
            return _why(news.reason, unknown, news.unit)
        case NewsKind.DOWN:
            outlook = _OUTLOOK.get(view.state, "")
            return _why(news.reason, "The tunnel was lost.", news.unit, after=outlook)


_OUTLOOK: Final = {
    TunnelState.CONNECTING: "It is being set up again.",
    TunnelState.WAITING: "It comes back when it is needed.",
}
"""What becomes of a tunnel that was lost, where something does by itself."""


def _why(reason: Reason, unknown: str, unit: str, *, before: str = "", after: str = "") -> str:
    """Give the reason on a line, and what to do about it on the next."""
    words = words_for(reason, unit) if reason is not Reason.NONE else ReasonText(unknown)
    facts = " ".join(filter(None, (before, words.sentence, after)))
    return "\n".join(filter(None, (facts, words.advice)))


def _subnets(view: View) -> str:
    if view.children < 2:
        return ""
    are = "is" if view.children_up == 1 else "are"
    return f"{view.children_up} of {view.children} subnets {are} connected."


def _names(many: Sequence[News]) -> str:
    """List names: ``a``, ``a and b``, ``a, b and 7 more``."""
    if len(many) == 1:
        return _listed(many[0])
    names = [_listed(n) for n in many[:MAX_LISTED]]
    if len(many) > MAX_LISTED:
        names[-1] = f"{len(many) - MAX_LISTED + 1} more"
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _listed(news: News) -> str:
    return _short(shown(news.view.name, MAX_SHOWN), MAX_LISTED_NAME)


def _short(name: str, limit: int) -> str:
    """Cut a long name in its middle: people put what differs at either end."""
    if len(name) <= limit:
        return name
    end = (limit - 1) // 2
    return f"{name[: limit - 1 - end]}…{name[-end:]}"


def _tunnels(n: int) -> str:
    return "1 tunnel" if n == 1 else f"{n} tunnels"


def _duration(seconds: float) -> str:
    """Write a duration roughly: ``4 s``, ``12 min``, ``3 h 5 min``, ``2 d 4 h``."""
    s = max(1, round(seconds))
    if s < 60:
        return f"{s} s"
    minutes = round(s / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d {hours % 24} h"


def _bounded(body: str) -> str:
    return body if len(body) <= MAX_BODY else body[: MAX_BODY - 1] + "…"
