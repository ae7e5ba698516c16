# SPDX-License-Identifier: MIT
"""Builds the content of notifications: title, body, details and buttons. Pure.

Texts are plain: desktop.py escapes what a notification server would read as markup. Names come from
the service, which has cleaned them; here they are cut to a length, and cleaned again.
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
"""Key of the notification about pluto or the service. Keys of tunnels are object paths."""
SUMMARY: Final = "summary"
"""Key of the notification about several tunnels."""
OFFLINE: Final = "offline"
"""Key of the notification that this machine has no network."""
SETTINGS: Final = "settings"
"""Key of the notification that the settings have a mistake."""
ANSWER: Final = "answer"
"""Key of the notification that answers a pressed button."""

MAX_TITLE_NAME: Final = 24
"""Characters of a name in a title, at most. A longer name is cut there, and is in the body, too."""
CUT_NAME: Final = 20
"""Characters of a name that is longer than MAX_TITLE_NAME, in the title. More text comes after it,
and GNOME's banner has room for some 50 characters."""
MAX_LISTED_NAME: Final = 28
"""Characters of a name in a list of names."""
MAX_WHOLE_NAME: Final = 120
"""Characters of a name that had to be cut in the title, in the body, at most."""
MAX_LISTED: Final = 6
"""Names in a list, at most. Of more names one fewer is listed, and the others are counted."""
MAX_MESSAGE: Final = 200
"""Characters of another program's error message."""
MAX_BODY: Final = 500
"""Characters of a body. Our own texts have 300 at most."""
PASSING: Final = 10.0
"""Seconds for which a notification stays that isn't ``lasting``."""

_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"
_ISOLATES: Final = dict.fromkeys(map(ord, _ISOLATE + _END_OF_ISOLATE))


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification to show. It replaces an earlier one with the same key."""

    key: str
    title: str
    body: str
    icon: str
    """Its name in the desktop's icon theme."""
    category: str
    urgency: Urgency = Urgency.NORMAL
    lasting: bool = False
    """Whether it stays until it is removed or closed; others disappear after PASSING seconds."""
    rank: int = 0
    """How bad it is (rules.py)."""
    wrong: int = 1
    """In a summary, the number of tunnels with a problem; otherwise 1."""
    details: str = ""
    """The facts for an administrator, which the button "Details" shows; "": none."""
    name: str = ""
    """The name of its tunnel or template; "": it is about none, or several."""
    path: str = ""
    """The path in the View of its tunnel or template; "" where ``name`` is ""."""
    buttons: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class News:
    """Something to report about one tunnel, or about one template."""

    kind: Kind
    view: View
    reason: Reason = Reason.NONE
    away: float | None = None
    """For BACK, the seconds for which the tunnel was lost; otherwise None."""
    times: int = 1
    """For UNSTABLE, how often the tunnel was lost within ``within`` seconds; for DEVICES, how many
    devices are connected; otherwise 1."""
    within: float = 0.0
    quiet: bool = False
    """Whether the notification shouldn't attract attention."""


def single(news: News, unit: str = IPSEC) -> Notification:
    """Return the notification about one tunnel or template; ``unit`` is pluto's systemd unit."""
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
    """Return one notification about several tunnels; its looks are those of the worst news.

    ``unit``: the systemd unit that runs pluto, which the advice names.
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
    """Return the summary's title: one that fits the kinds of all these news, or a general one.

    Where there is one piece of news only, the title is the same as without a summary.
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
    """Return the notification that pluto stopped, with the names of the tunnels lost by that."""
    lines = [translated(texts.STOPPED.sentence)]
    if lost:
        lines.append(translated(texts.STOPPED_TUNNELS).format(names=names(lost)))
    lines.append(translated(texts.STOPPED.advice))
    notification = _notification(SERVICE, Kind.STOPPED, _title(Kind.STOPPED), lines)
    details = _admin_words(Reason.PLUTO_STOPPED, unit)
    return replace(notification, details=details, buttons=(Button.DETAILS,))


def unknown(why: Words, details: str = "") -> Notification:
    """Return the notification that the tunnels' state isn't known.

    Without it a user would take silence for good news. ``why`` is for the user, ``details`` for an
    administrator.
    """
    notification = _notification(SERVICE, Kind.UNKNOWN, _title(Kind.UNKNOWN), [_why(why)])
    said = shown(details, MAX_BODY)
    return replace(notification, details=said, buttons=_if(Button.DETAILS, said))


def details_of(notification: Notification, *, terminal: bool) -> Notification:
    """Return the notification that answers the button "Details": the facts for an administrator.

    ``terminal``: it gets a button that opens a terminal.
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
    """Return the notification that answers the mute button ``how`` of another notification.

    It has buttons to unmute, and, after a mute for an hour, to mute for longer.
    """
    title = _title(Kind.MUTED, notification.name)
    longer = [b for b in (Button.MUTE_LOGIN, Button.MUTE_EVER) if b is not how]
    buttons = (*(longer if how is Button.MUTE_HOUR else ()), Button.UNMUTE)
    return _answer(notification, Kind.MUTED, title, [translated(texts.MUTED[how])], buttons)


def not_changed(notification: Notification, mistake: str) -> Notification:
    """Return the answer to a notification whose button couldn't mute or unmute, with the error."""
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
    """Return a notification that answers a button of another one, and has that one's tunnel.

    It is ``lasting``: it stays until it is closed, or policy.py removes it.
    """
    made = _notification(ANSWER, kind, title, lines)
    return replace(
        made, lasting=True, rank=0, name=notification.name, path=notification.path, buttons=buttons,
        details=notification.details,
    )  # fmt: skip


def _if(button: Button, wanted: object) -> tuple[Button, ...]:
    """Return a button as a tuple, which is empty where it isn't wanted."""
    return (button,) if wanted else ()


def _details(many: Sequence[News], unit: str) -> str:
    """Return the reasons of these tunnels in an administrator's words, with the tunnels' names.

    Each reason has a line. The names are left out where there is only one reason. Tunnels without a
    reason are left out; "": none has one.
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
    """Return the sentence and the advice for a reason, as the command line has them."""
    told = words_for(reason, unit)
    return _sentences(told.sentence, told.advice)


def bad_settings(mistake: str) -> Notification:
    """Return the notification about a mistake in the agent's settings file.

    ``mistake`` is one line, with file and line number.
    """
    lines = [shown(mistake, MAX_MESSAGE), translated(texts.SETTINGS)]
    return _notification(SETTINGS, Kind.SETTINGS, _title(Kind.SETTINGS), lines)


def _notification(
    key: str, kind: Kind, title: str, lines: Sequence[str], *, quiet: bool = False
) -> Notification:
    """Return a notification with the icon, urgency and rank of its kind (rules.py).

    The lines that aren't empty become its body, cut to MAX_BODY. ``quiet``: its urgency is low,
    whatever its kind.
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
    """Return a notification as one line with the time in front; ``at``: seconds since the epoch."""
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S}  {plain(notification)}"


def plain(notification: Notification) -> str:
    """Return a notification as one line: its title, and its body after a colon."""
    parts = [notification.title, *notification.body.split("\n")]
    title, *body = (shown(part.translate(_ISOLATES), MAX_BODY) for part in parts)
    return f"{title}: {' '.join(body)}" if any(body) else title


def _title(kind: Kind, name: str = "") -> str:
    return translated(texts.TITLES[kind]).format(name=_in_title(name))


def _in_title(whole: str) -> str:
    """Return a tunnel's name for a title: short, and isolated where it is written right to left."""
    name = shown(whole, MAX_SHOWN)
    return isolated(_short(name, CUT_NAME) if len(name) > MAX_TITLE_NAME else name)


def isolated(name: str) -> str:
    """Return a name that doesn't change the direction of the text around it.

    A name with letters written from right to left gets Unicode's isolate marks. Other names get
    none, as some fonts have no invisible glyph for these marks.
    """
    if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in name):
        return f"{_ISOLATE}{name}{_END_OF_ISOLATE}"
    return name


def shown(text: str, limit: int) -> str:
    r"""Return a text that the service has cleaned, cleaned again and cut to ``limit`` characters.

    A text that was cut ends in "…". A backslash stays, unlike in sanitize.clean(): in a cleaned
    text it is the beginning of an ``\x1b``.
    """
    cleaned = "\\".join(clean(part, limit) for part in text[: limit + 1].split("\\"))
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def _body(news: News) -> str:
    """Return the body of a notification about one tunnel, by its kind."""
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
    """Return a sentence on how many of a tunnel's children are up; "" for fewer than two."""
    if view.children < 2:
        return ""
    told = texts.NETWORKS.of(view.children)
    return told.format(up=view.children_up, n=view.children)


def names(many: Sequence[News]) -> str:
    """Return the names of the tunnels in these news: ``a, b``, or ``a, b, c, d, e and 2 more``.

    Of more than MAX_LISTED, only the first MAX_LISTED - 1 are in the text, and the others are
    counted.
    """
    few = many if len(many) <= MAX_LISTED else many[: MAX_LISTED - 1]
    listed = [isolated(_short(shown(n.view.name, MAX_SHOWN), MAX_LISTED_NAME)) for n in few]
    if len(few) == len(many):
        return ", ".join(listed)
    more = len(many) - len(few)
    return texts.NAMES_AND_MORE.of(more).format(names=", ".join(listed), n=more)


def _short(name: str, limit: int) -> str:
    """Return a name, and of one that is too long its beginning and end with "…" between them."""
    if len(name) <= limit:
        return name
    end = (limit - 1) // 2
    return f"{name[: limit - 1 - end]}…{name[-end:]}"


def duration(seconds: float) -> str:
    """Return a duration as rough text: ``4 s``, ``12 min``, ``3 h 5 min``, ``2 d 4 h``.

    Less than a second becomes ``1 s``.
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
