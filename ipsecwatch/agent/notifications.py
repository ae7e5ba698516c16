# SPDX-License-Identifier: MIT
"""Notices, made of what there is to tell. Pure: facts in, texts out.

Texts are plain: whoever shows them escapes them for what the screen takes as special. Names come
from the service, which has cleaned them; they are bounded here, and cleaned again all the same.
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
    from ipsecwatch.client.events import View

SERVICE: Final = "service"
"""Key of the notice of pluto, or of the service, as a whole. Keys of tunnels are object paths."""
SUMMARY: Final = "summary"
"""Key of the notice that sums many up."""
OFFLINE: Final = "offline"
"""Key of the notice that this machine has no network."""
SETTINGS: Final = "settings"
"""Key of the notice that the settings have a mistake."""
ANSWER: Final = "answer"
"""Key of the notice that a button brought."""

MAX_TITLE_NAME: Final = 24
"""Characters of a name in a title; a longer one is told in full below."""
CUT_NAME: Final = 20
"""Characters that are left of such a name in the title: what is told comes after it, and GNOME's
banner has some 50 characters."""
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
PASSING: Final = 10.0
"""Seconds for which good news stays."""

_ISOLATE, _END_OF_ISOLATE = "\u2068", "\u2069"
_ISOLATES: Final = dict.fromkeys(map(ord, _ISOLATE + _END_OF_ISOLATE))


@dataclass(frozen=True, slots=True)
class Notification:
    """Something to show. It takes the place of an earlier one with the same key."""

    key: str
    title: str
    body: str
    icon: str
    """Its name in the desktop's icon theme."""
    category: str
    urgency: Urgency = Urgency.NORMAL
    lasting: bool = False
    """It stays until it is taken away, or closed; else it goes after PASSING seconds."""
    rank: int = 0
    """How bad it is (rules.py)."""
    wrong: int = 1
    """What is wrong with how many tunnels it tells."""
    details: str = ""
    """What an administrator wants to read of it."""
    name: str = ""
    """Of the tunnel, or the template, that it tells of, where that is one."""
    path: str = ""
    buttons: tuple[Button, ...] = ()


@dataclass(frozen=True, slots=True)
class News:
    """What there is to tell of one tunnel, or of one template."""

    kind: Kind
    view: View
    reason: Reason = Reason.NONE
    away: float | None = None
    """Seconds for which it was down, where that is over and known."""
    times: int = 1
    """How many times it was lost within ``within`` seconds; of a template: devices connected."""
    within: float = 0.0
    quiet: bool = False


def single(news: News, unit: str = IPSEC) -> Notification:
    """Tell of one tunnel; ``unit`` is systemd's that runs pluto."""
    name = shown(news.view.name, MAX_SHOWN)
    title = _title(news.kind, news.view.name)
    lines = [_body(news)]
    if len(name) > MAX_TITLE_NAME:
        whole = isolated(shown(news.view.name, MAX_WHOLE_NAME))
        lines.append(translated(texts.NAME_IN_FULL).format(name=whole))
    notice = _notice(news.view.path, news.kind, title, lines, quiet=news.quiet)
    details = _details([news], unit)
    return replace(
        notice, details=details, name=news.view.name, path=news.view.path,
        buttons=(*_if(Button.DETAILS, details), Button.MUTE_HOUR),
    )  # fmt: skip


def summary(many: Sequence[News], unit: str = IPSEC) -> Notification:
    """Tell of several tunnels at once, the worst first."""
    many = sorted(many, key=lambda n: -RULES[n.kind].rank)
    wrong = [n for n in many if RULES[n.kind].lasting]
    groups: dict[str, list[News]] = {}
    for n in many:
        groups.setdefault(translated(texts.SUMMARY_LINES[n.kind]), []).append(n)
    lines = [text.format(names=names(group)) for text, group in groups.items()]
    if len(reasons := {n.reason for n in wrong}) == 1:
        lines.append(_why(texts.REASONS[reasons.pop()]))
    quiet = all(n.quiet or RULES[n.kind].urgency is Urgency.LOW for n in many)
    notice = _notice(SUMMARY, many[0].kind, _summary_title(wrong or many), lines, quiet=quiet)
    details = _details(wrong, unit)
    buttons = _if(Button.DETAILS, details)
    return replace(notice, wrong=len(wrong), details=details, buttons=buttons)


def _summary_title(many: Sequence[News]) -> str:
    """Say of what sort all these are, as far as they are of one."""
    if len(many) == 1:
        return _title(many[0].kind, many[0].view.name)
    kinds = {n.kind for n in many}
    sort = next((text for text, of in texts.SUMMARY_TITLES.items() if kinds <= of), texts.CHANGED)
    return sort.of(len(many)).format(n=len(many))


def offline() -> Notification:
    """Tell that this machine has no network."""
    return _notice(OFFLINE, Kind.OFFLINE, _title(Kind.OFFLINE), [_why(texts.OFFLINE)])


def stopped(lost: Sequence[News], unit: str = IPSEC) -> Notification:
    """Tell that pluto stopped, and which tunnels with it."""
    lines = [translated(texts.STOPPED.sentence)]
    if lost:
        lines.append(translated(texts.STOPPED_TUNNELS).format(names=names(lost)))
    lines.append(translated(texts.STOPPED.advice))
    notice = _notice(SERVICE, Kind.STOPPED, _title(Kind.STOPPED), lines)
    details = _admin_words(Reason.PLUTO_STOPPED, unit)
    return replace(notice, details=details, buttons=(Button.DETAILS,))


def unknown(why: Words, details: str = "") -> Notification:
    """Tell that nobody knows, so that silence isn't taken for good news."""
    notice = _notice(SERVICE, Kind.UNKNOWN, _title(Kind.UNKNOWN), [_why(why)])
    said = shown(details, MAX_BODY)
    return replace(notice, details=said, buttons=_if(Button.DETAILS, said))


def details_of(notice: Notification, *, terminal: bool) -> Notification:
    """Tell what an administrator wants to read of a notice's subject."""
    title = translated(texts.DETAILS_OF_ALL)
    if notice.name:
        title = _title(Kind.DETAILS, notice.name)
    # A name is part of a command that may be copied into a shell where it means nothing there.
    plain_name = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", notice.name)
    command = f"ipsecwatch status {notice.name}" if plain_name else "ipsecwatch status"
    lines = [notice.details, translated(texts.DETAILS_COMMAND).format(command=command)]
    buttons = (*_if(Button.TERMINAL, terminal), *_if(Button.MUTE_HOUR, notice.name))
    return _answer(notice, Kind.DETAILS, title, lines, buttons)


def muted(notice: Notification, how: Button) -> Notification:
    """Tell that a tunnel is muted, and offer to make that longer, or to take it back."""
    title = _title(Kind.MUTED, notice.name)
    longer = [b for b in (Button.MUTE_LOGIN, Button.MUTE_EVER) if b is not how]
    buttons = (*(longer if how is Button.MUTE_HOUR else ()), Button.UNMUTE)
    return _answer(notice, Kind.MUTED, title, [translated(texts.MUTED[how])], buttons)


def not_muted(notice: Notification, mistake: str) -> Notification:
    """Tell that a tunnel can't be muted."""
    title = _title(Kind.SETTINGS)
    said = translated(texts.NOT_MUTED).format(mistake=shown(mistake, MAX_MESSAGE))
    return _answer(notice, Kind.SETTINGS, title, [said], ())


def _answer(
    notice: Notification, kind: Kind, title: str, lines: Sequence[str], buttons: tuple[Button, ...]
) -> Notification:
    made = _notice(ANSWER, kind, title, lines)
    return replace(
        made, lasting=True, rank=0, name=notice.name, path=notice.path, buttons=buttons,
        details=notice.details,
    )  # fmt: skip


def _if(button: Button, wanted: object) -> tuple[Button, ...]:
    return (button,) if wanted else ()


def _details(many: Sequence[News], unit: str) -> str:
    """Return what an administrator wants to read of these tunnels, by reason."""
    groups: dict[Reason, list[News]] = {}
    for n in many:
        if n.reason is not Reason.NONE:
            groups.setdefault(n.reason, []).append(n)
    if len(groups) == 1:
        return _admin_words(next(iter(groups)), unit)
    found = [f"{names(group)}: {_admin_words(reason, unit)}" for reason, group in groups.items()]
    return "\n".join(found)


def _admin_words(reason: Reason, unit: str) -> str:
    told = words_for(reason, unit)
    return _sentences(told.sentence, told.advice)


def bad_settings(mistake: str) -> Notification:
    """Tell of a mistake in the agent's own settings: one line, with file and line."""
    lines = [shown(mistake, MAX_MESSAGE), translated(texts.SETTINGS)]
    return _notice(SETTINGS, Kind.SETTINGS, _title(Kind.SETTINGS), lines)


def _notice(
    key: str, kind: Kind, title: str, lines: Sequence[str], *, quiet: bool = False
) -> Notification:
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


def line(notice: Notification, at: float) -> str:
    """Write a notice as one line for a terminal; ``at`` in seconds since the epoch."""
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S}  {plain(notice)}"


def plain(notice: Notification) -> str:
    """Write a notice as one line without a time."""
    parts = [notice.title, *notice.body.split("\n")]
    title, *body = (shown(part.translate(_ISOLATES), MAX_BODY) for part in parts)
    return f"{title}: {' '.join(body)}" if any(body) else title


def _title(kind: Kind, name: str = "") -> str:
    return translated(texts.TITLES[kind]).format(name=_in_title(name))


def _in_title(whole: str) -> str:
    """Return the name of a tunnel for a title: short, and isolated where it runs to the left."""
    name = shown(whole, MAX_SHOWN)
    return isolated(_short(name, CUT_NAME) if len(name) > MAX_TITLE_NAME else name)


def isolated(name: str) -> str:
    """Keep a name with letters that run from right to left from turning the sentence around it.

    Others are left alone: not every font has a glyph of no width for the marks.
    """
    if any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in name):
        return f"{_ISOLATE}{name}{_END_OF_ISOLATE}"
    return name


def shown(text: str, limit: int) -> str:
    r"""Bound a text that was cleaned before, and clean what wasn't.

    As text.clean(), but a backslash stays one: in a cleaned text it belongs to an ``\x1b``.
    """
    cleaned = "\\".join(clean(part, limit) for part in text[: limit + 1].split("\\"))
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def _body(news: News) -> str:
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
    if view.children < 2:
        return ""
    told = texts.NETWORKS.of(view.children)
    return told.format(up=view.children_up, n=view.children)


def names(many: Sequence[News]) -> str:
    """List names: ``a``, ``a, b``, ``a, b and 7 more``."""
    few = many if len(many) <= MAX_LISTED else many[: MAX_LISTED - 1]
    listed = [isolated(_short(shown(n.view.name, MAX_SHOWN), MAX_LISTED_NAME)) for n in few]
    if len(few) == len(many):
        return ", ".join(listed)
    more = len(many) - len(few)
    return texts.NAMES_AND_MORE.of(more).format(names=", ".join(listed), n=more)


def _short(name: str, limit: int) -> str:
    """Cut a long name in its middle: people put what differs at either end."""
    if len(name) <= limit:
        return name
    end = (limit - 1) // 2
    return f"{name[: limit - 1 - end]}…{name[-end:]}"


def duration(seconds: float) -> str:
    """Write a duration roughly: ``4 s``, ``12 min``, ``3 h 5 min``, ``2 d 4 h``."""
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
