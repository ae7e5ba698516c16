# SPDX-License-Identifier: MIT
"""Build the content of notifications: title, body, details and buttons. Pure.

The texts are plain: desktop.py escapes what a notification server would read as markup. The names
in them come from the service, which has cleaned them. Here they are cut to a length, and cleaned
again.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from ipsecwatch.agent import texts
from ipsecwatch.agent.rules import RULES, Button, Kind, Urgency
from ipsecwatch.agent.translation import translated
from ipsecwatch.reasons import IPSEC, words_for
from ipsecwatch.sanitize import MAX_SHOWN, clean
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.agent.texts import Words
    from ipsecwatch.client.views import View

SERVICE: Final = "service"
"""The key of the notification about pluto or the service. The key of one about a tunnel is its
path."""
SUMMARY: Final = "summary"
"""The key of the notification about several tunnels."""
OFFLINE: Final = "offline"
"""The key of the notification that this machine has no network."""
SETTINGS: Final = "settings"
"""The key of the notification that the settings file has a mistake."""
ANSWER: Final = "answer"
"""The key of the notification that answers a pressed button."""

MAX_TITLE_NAME: Final = 24
"""The number of characters that a tunnel's name may have in a title. A longer one is cut to
CUT_NAME there, and the body has it in full."""
CUT_NAME: Final = 20
"""The number of characters to which a long name is cut in a title. GNOME's banner has room for some
50, and more text comes after the name."""
MAX_LISTED_NAME: Final = 28
"""The number of characters to which a long name is cut in a list of names."""
MAX_WHOLE_NAME: Final = 120
"""The number of characters to which a name is cut in the body, if it was already cut in the
title."""
MAX_LISTED: Final = 6
"""The number of names in a list at most. If there are more, all but the first MAX_LISTED - 1 are
only counted."""
MAX_MESSAGE: Final = 200
"""The number of characters to which another program's error message is cut."""
MAX_BODY: Final = 500
"""The number of characters to which a body is cut. Our own texts have at most 300."""
PASSING: Final = 10.0
"""Seconds after which a notification that isn't ``lasting`` disappears."""

_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"
_ISOLATES: Final = dict.fromkeys(map(ord, _ISOLATE + _END_OF_ISOLATE))


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification to show. It takes the place of an earlier one with the same key."""

    key: str
    title: str
    body: str
    icon: str
    """The name of its icon in the desktop's icon theme."""
    category: str
    urgency: Urgency = Urgency.NORMAL
    lasting: bool = False
    """Whether it stays until it is removed, or the user closes it. Others disappear after PASSING
    seconds."""
    rank: int = 0
    """How bad the news in it is, from 0 (good) to 3 (Rule.rank)."""
    wrong: int = 1
    """In a summary, the number of tunnels that have a problem; in other notifications 1."""
    details: str = ""
    """The facts for an administrator, which are shown when the button "Details" is pressed; "":
    there are none, and no such button."""
    name: str = ""
    """The name of the tunnel or template that it is about; "" if it is about none, or about
    several."""
    path: str = ""
    """The path in the View of that tunnel or template; "" if ``name`` is ""."""
    buttons: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class News:
    """Something to report about one tunnel or template: the content of a notification."""

    kind: Kind
    view: View
    reason: Reason = Reason.NONE
    away: float | None = None
    """For the kind BACK: for how many seconds the tunnel was lost. None for other kinds."""
    times: int = 1
    """For the kind UNSTABLE: how often the tunnel was lost within ``within`` seconds. For DEVICES:
    how many devices are connected. 1 for other kinds."""
    within: float = 0.0
    quiet: bool = False
    """Whether the notification should attract no attention, because the matter is already over."""


def single(news: News, unit: str = IPSEC) -> Notification:
    """Return the notification about one tunnel or template. Its key is the path in the view.

    ``unit`` is the systemd unit that runs pluto, which some details name; "": none is known.
    """
    name = shown(news.view.name, MAX_SHOWN)
    title = _title(news.kind, news.view.name)
    lines = [_body(news)]
    if len(name) > MAX_TITLE_NAME:
        whole = isolated(shown(news.view.name, MAX_WHOLE_NAME))
        lines.append(translated(texts.NAME_IN_FULL).format(name=whole))
    notification = _notification(news.view.path, news.kind, title, lines, quiet=news.quiet)
    details = _details([news], unit)
    return replace(
        notification, details=details, name=news.view.name, path=news.view.path,
        buttons=(*_if(Button.DETAILS, details), Button.MUTE_HOUR),
    )  # fmt: skip


def summary(many: Sequence[News], unit: str = IPSEC) -> Notification:
    """Return one notification about several tunnels. Its icon and rank are those of the worst news.

    ``unit`` is the systemd unit that runs pluto, which some details name; "": none is known.
    """
    many = sorted(many, key=lambda n: -RULES[n.kind].rank)
    wrong = [n for n in many if RULES[n.kind].lasting]
    groups: dict[str, list[News]] = {}
    for n in many:
        groups.setdefault(translated(texts.SUMMARY_LINES[n.kind]), []).append(n)
    lines = [text.format(names=names(group)) for text, group in groups.items()]
    if len(reasons := {n.reason for n in wrong}) == 1:
        lines.append(_why(texts.REASONS[reasons.pop()]))
    quiet = all(n.quiet or RULES[n.kind].urgency is Urgency.LOW for n in many)
    notification = _notification(
        SUMMARY, many[0].kind, _summary_title(wrong or many), lines, quiet=quiet
    )
    details = _details(wrong, unit)
    buttons = _if(Button.DETAILS, details)
    return replace(notification, wrong=len(wrong), details=details, buttons=buttons)


def _summary_title(many: Sequence[News]) -> str:
    """Return a title that fits the kinds of all these news, such as "3 VPNs are down".

    If none fits, the title says that so many have changed. If there is only one piece of news, it
    is the title that this would have without a summary.
    """
    if len(many) == 1:
        return _title(many[0].kind, many[0].view.name)
    kinds = {n.kind for n in many}
    sort = next((text for text, of in texts.SUMMARY_TITLES.items() if kinds <= of), texts.CHANGED)
    return sort.of(len(many)).format(n=len(many))


def offline() -> Notification:
    """Return the notification that this machine has no network."""
    return _notification(OFFLINE, Kind.OFFLINE, _title(Kind.OFFLINE), [_why(texts.OFFLINE)])


def stopped(lost: Sequence[News], unit: str = IPSEC) -> Notification:
    """Return the notification that pluto stopped.

    It names the tunnels that were ``lost`` by that.
    """
    lines = [translated(texts.STOPPED.sentence)]
    if lost:
        lines.append(translated(texts.STOPPED_TUNNELS).format(names=names(lost)))
    lines.append(translated(texts.STOPPED.advice))
    notification = _notification(SERVICE, Kind.STOPPED, _title(Kind.STOPPED), lines)
    details = _admin_words(Reason.PLUTO_STOPPED, unit)
    return replace(notification, details=details, buttons=(Button.DETAILS,))


def unknown(why: Words, details: str = "") -> Notification:
    """Return the notification that it isn't known whether the tunnels are up.

    It is needed because users take silence for good news. ``why`` is the reason for the user, and
    ``details`` are the facts for an administrator; "": no button "Details".
    """
    notification = _notification(SERVICE, Kind.UNKNOWN, _title(Kind.UNKNOWN), [_why(why)])
    said = shown(details, MAX_BODY)
    return replace(notification, details=said, buttons=_if(Button.DETAILS, said))


def details_of(notification: Notification, *, terminal: bool) -> Notification:
    """Return the notification that answers the button "Details" of another one.

    It shows the facts for an administrator. With ``terminal``, it has a button that opens a
    terminal.
    """
    title = translated(texts.DETAILS_OF_ALL)
    if notification.name:
        title = _title(Kind.DETAILS, notification.name)
    # The command may be copied into a shell: a name with characters special there is left out.
    plain_name = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", notification.name)
    command = f"ipsecwatch status {notification.name}" if plain_name else "ipsecwatch status"
    lines = [notification.details, translated(texts.DETAILS_COMMAND).format(command=command)]
    buttons = (*_if(Button.TERMINAL, terminal), *_if(Button.MUTE_HOUR, notification.name))
    return _answer(notification, Kind.DETAILS, title, lines, buttons)


def muted(notification: Notification, how: Button) -> Notification:
    """Return the notification that answers a mute button (``how``) of another one.

    It has a button to unmute the tunnel, and, if that is muted only for an hour, buttons to mute it
    for longer.
    """
    title = _title(Kind.MUTED, notification.name)
    longer = [b for b in (Button.MUTE_LOGIN, Button.MUTE_EVER) if b is not how]
    buttons = (*(longer if how is Button.MUTE_HOUR else ()), Button.UNMUTE)
    return _answer(notification, Kind.MUTED, title, [translated(texts.MUTED[how])], buttons)


def not_changed(notification: Notification, mistake: str) -> Notification:
    """Return the notification that a tunnel couldn't be muted or unmuted, with the error.

    ``notification`` is the one whose button was pressed for that, and ``mistake`` is the error
    message.
    """
    title = _title(Kind.SETTINGS)
    said = translated(texts.NOT_CHANGED).format(mistake=shown(mistake, MAX_MESSAGE))
    return _answer(notification, Kind.SETTINGS, title, [said], ())


def _answer(
    notification: Notification,
    kind: Kind,
    title: str,
    lines: Sequence[str],
    buttons: tuple[Button, ...],
) -> Notification:
    """Return a notification that answers a button of another one, and is about the same tunnel.

    It is ``lasting``: it stays until the user closes it, or the policy removes it.
    """
    made = _notification(ANSWER, kind, title, lines)
    return replace(
        made, lasting=True, rank=0, name=notification.name, path=notification.path, buttons=buttons,
        details=notification.details,
    )  # fmt: skip


def _if(button: Button, wanted: object) -> tuple[Button, ...]:
    """Return a tuple with the button; an empty tuple if ``wanted`` is false."""
    return (button,) if wanted else ()


def _details(many: Sequence[News], unit: str) -> str:
    """Return why these tunnels aren't up, for an administrator: one line for each reason.

    Each line begins with the names of its tunnels, unless there is only one reason. Tunnels without
    a known reason are left out. Return "" if no reason is known.
    """
    groups: dict[Reason, list[News]] = {}
    for n in many:
        if n.reason is not Reason.NONE:
            groups.setdefault(n.reason, []).append(n)
    if len(groups) == 1:
        return _admin_words(next(iter(groups)), unit)
    found = [f"{names(group)}: {_admin_words(reason, unit)}" for reason, group in groups.items()]
    return "\n".join(found)


def _admin_words(reason: Reason, unit: str) -> str:
    """Return the sentence and the advice for a reason, as ``ipsecwatch status`` shows them."""
    told = words_for(reason, unit)
    return _sentences(told.sentence, told.advice)


def bad_settings(mistake: str) -> Notification:
    """Return the notification that the agent's settings file has a mistake.

    ``mistake`` is one line, with the file and the line number.
    """
    lines = [shown(mistake, MAX_MESSAGE), translated(texts.SETTINGS)]
    return _notification(SETTINGS, Kind.SETTINGS, _title(Kind.SETTINGS), lines)


def _notification(
    key: str, kind: Kind, title: str, lines: Sequence[str], *, quiet: bool = False
) -> Notification:
    """Return a notification with the icon, urgency, rank and so on that rules.py has for its kind.

    Those of ``lines`` that aren't empty are the lines of its body, which is cut to MAX_BODY. With
    ``quiet``, its urgency is low, whatever its kind is.
    """
    rule = RULES[kind]
    return Notification(
        key=key,
        title=title,
        body=_bounded("\n".join(filter(None, lines))),
        icon=rule.icon,
        category=f"network.{rule.category}" if rule.category else "network",
        urgency=Urgency.LOW if quiet else rule.urgency,
        lasting=rule.lasting,
        rank=rule.rank,
    )


def line(notification: Notification, at: float) -> str:
    """Return a notification as one line of text, with the time before it.

    ``at`` is in seconds since the epoch.
    """
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S}  {plain(notification)}"


def plain(notification: Notification) -> str:
    """Return a notification as one line of text: the title, and after a colon the body."""
    parts = [notification.title, *notification.body.split("\n")]
    title, *body = (shown(part.translate(_ISOLATES), MAX_BODY) for part in parts)
    return f"{title}: {' '.join(body)}" if any(body) else title


def _title(kind: Kind, name: str = "") -> str:
    return translated(texts.TITLES[kind]).format(name=_in_title(name))


def _in_title(whole: str) -> str:
    """Return a tunnel's name for a title: cut if it is long, and isolated()."""
    name = shown(whole, MAX_SHOWN)
    return isolated(_short(name, CUT_NAME) if len(name) > MAX_TITLE_NAME else name)


def isolated(name: str) -> str:
    """Return a name in a form that doesn't change the direction of the text around it.

    If it has letters that are written from right to left, it gets Unicode's isolate marks. Other
    names get none, because some fonts show these marks.
    """
    if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in name):
        return f"{_ISOLATE}{name}{_END_OF_ISOLATE}"
    return name


def shown(text: str, limit: int) -> str:
    r"""Return a text of the service, which has cleaned it, cleaned once more and cut to ``limit``.

    If it was cut, it ends in ``…``. A backslash stays one, unlike in sanitize.clean(), because it
    is already the beginning of an escape such as ``\x1b``.
    """
    cleaned = "\\".join(clean(part, limit) for part in text[: limit + 1].split("\\"))
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def _body(news: News) -> str:
    """Return the body of the notification about one tunnel or template. It depends on the kind."""
    view, words = news.view, _translated(texts.REASONS[news.reason])
    lost = words.sentence or translated(texts.LOST)
    match news.kind:
        case Kind.CONNECTED:
            return _networks(view) or translated(texts.CONNECTED)
        case Kind.BACK:
            return translated(texts.BACK_AFTER).format(duration=duration(news.away or 0.0))
        case Kind.ENDED:
            waits = texts.RECONNECTS_WHEN_USED if view.state is TunnelState.WAITING else ""
            return _sentences(lost, translated(waits))
        case Kind.IN_PART:
            return _networks(view) or translated(texts.SOME_NETWORKS)
        case Kind.DEVICES:
            return texts.DEVICES.of(news.times).format(n=news.times)
        case Kind.PARTIAL:
            facts = _sentences(_networks(view) or translated(texts.SOME_NETWORKS), words.sentence)
            return _lines(facts, words.advice)
        case Kind.UNSTABLE:
            often = texts.LOST_OFTEN.of(news.times)
            told = often.format(n=news.times, duration=duration(news.within))
            return _lines(told, translated(texts.UNSTABLE_ADVICE))
        case Kind.RECONNECTING:
            facts = _sentences(lost, translated(texts.RECONNECTING))
            return _lines(facts, words.advice)
        case Kind.STUCK:
            return _lines(words.sentence or translated(texts.TRYING), words.advice)
    return _lines(lost, words.advice)


def _sentences(*whole: str) -> str:
    return " ".join(filter(None, whole))


def _lines(*whole: str) -> str:
    return "\n".join(filter(None, whole))


def _why(words: Words) -> str:
    said = _translated(words)
    return _lines(said.sentence, said.advice)


def _translated(words: Words) -> Words:
    return replace(words, sentence=translated(words.sentence), advice=translated(words.advice))


def _networks(view: View) -> str:
    """Return a sentence that says how many of a tunnel's children are up; "" for fewer than two."""
    if view.children < 2:
        return ""
    told = texts.NETWORKS.of(view.children)
    return told.format(up=view.children_up, n=view.children)


def names(many: Sequence[News]) -> str:
    """Return the names of the tunnels: ``a, b``, or ``a, b, c, d, e and 2 more`` if they are many.

    If there are more than MAX_LISTED, the first MAX_LISTED - 1 are named, and the others are
    counted.
    """
    few = many if len(many) <= MAX_LISTED else many[: MAX_LISTED - 1]
    listed = [isolated(_short(shown(n.view.name, MAX_SHOWN), MAX_LISTED_NAME)) for n in few]
    if len(few) == len(many):
        return ", ".join(listed)
    more = len(many) - len(few)
    return texts.NAMES_AND_MORE.of(more).format(names=", ".join(listed), n=more)


def _short(name: str, limit: int) -> str:
    """Return a name. If it has more than ``limit`` characters, the middle becomes ``…``."""
    if len(name) <= limit:
        return name
    end = (limit - 1) // 2
    return f"{name[: limit - 1 - end]}…{name[-end:]}"


def duration(seconds: float) -> str:
    """Return a duration as roughly rounded text: ``4 s``, ``12 min``, ``3 h 5 min``, ``2 d 4 h``.

    The least is ``1 s``.
    """
    s = max(1, round(seconds))
    minutes = round(s / 60)
    hours, rest = divmod(minutes, 60)
    if s < 60:
        form = "s"
    elif minutes < 60:
        form = "min"
    elif hours < 24:
        form = "h min" if rest else "h"
    else:
        return translated(texts.DURATIONS["d h"]).format(d=hours // 24, h=hours % 24)
    return translated(texts.DURATIONS[form]).format(s=s, min=rest, h=hours)


def _bounded(body: str) -> str:
    return body if len(body) <= MAX_BODY else body[: MAX_BODY - 1] + "…"
