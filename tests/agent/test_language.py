# SPDX-License-Identifier: MIT
"""Tests of the agent's and the bar's texts in other languages: complete, and not too long."""

from __future__ import annotations

import configparser
import gettext
import importlib.util
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import product
from string import Formatter
from typing import TYPE_CHECKING, Any, Final

import pytest

from ipsecwatch.agent import language, notifications, texts, translation
from ipsecwatch.agent.notifications import News, Notification
from ipsecwatch.agent.rules import RULES, Button, Kind
from ipsecwatch.agent.translation import Plural
from ipsecwatch.cli.bar import line as bar_line
from ipsecwatch.client import Lost, Pluto
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.states import PlutoState
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.fake_events import Story, view
from tests.support.paths import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PO: Final = TOP / "packaging" / "po"
LANGUAGES: Final = sorted(path.stem for path in PO.glob("*.po"))
SOURCE: Final = [*dict.fromkeys([*texts.messages(), *texts.messages_of(*bar_line.TRANSLATED)])]
MAX_TITLE: Final = 50
"""How many characters fit into GNOME's banner and into waybar."""
MAX_BUTTON: Final = 24
NAME: Final = "n" * notifications.MAX_TITLE_NAME


def _catalog_module() -> Any:  # noqa: ANN401 - a script's module
    spec = importlib.util.spec_from_file_location("po_catalog", PO / "catalog.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


catalog: Final = _catalog_module()


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    translation.use(translation.English())


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def key(text: str | Plural) -> tuple[str, str]:
    return (text.one, text.many) if isinstance(text, Plural) else (text, "")


def singular(text: str | Plural) -> str:
    return key(text)[0]


# --- The translations ------------------------------------------------------------------------


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_translation_has_all_texts_and_no_others(code: str) -> None:
    header, *messages = catalog.read(PO / f"{code}.po")
    assert header.text == ""
    assert [(m.text, m.plural) for m in messages] == [key(text) for text in SOURCE]
    for m in messages:
        assert all(m.forms), m.text
        assert len(m.forms) == (2 if m.plural else 1), m.text


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_translation_has_the_same_places_and_is_not_too_long(code: str) -> None:
    titles = {*texts.TITLES.values(), *(p.many for p in texts.SUMMARY_TITLES)}
    for m in catalog.read(PO / f"{code}.po")[1:]:
        for form in m.forms:
            assert places(form) == places(m.text), form
            assert form == form.strip(), form
            if m.text not in texts.DURATIONS.values():
                assert form.endswith(".") == m.text.endswith("."), form
            if m.text in titles or m.plural in titles:
                assert len(form.format(name=NAME, n=99)) <= MAX_TITLE, form
            assert len(form) <= max(30, 1.35 * len(m.text)), form
    spoken(code)
    for button in texts.BUTTONS.values():
        assert len(translation.translated(button)) <= MAX_BUTTON


@pytest.mark.parametrize("code", LANGUAGES)
def test_it_is_compiled_as_msgfmt_does(code: str, tmp_path: Path) -> None:
    (ours,) = [p for p in catalog.write_all(tmp_path) if p.parts[-3] == code]
    with ours.open("rb") as file:
        found = gettext.GNUTranslations(file)
    for m in catalog.read(PO / f"{code}.po")[1:]:
        if m.plural:
            assert [found.ngettext(m.text, m.plural, n) for n in (1, 2)] == m.forms
        else:
            assert found.gettext(m.text) == m.forms[0]


@pytest.mark.parametrize("text", ['msgid "a', '"a"', 'msgstr[x] "a"', "hello"])
def test_what_is_no_po_file_is_refused_with_its_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.po").write_text(f"# first\n{text}\n")
    with pytest.raises(ValueError, match=":2: "):
        catalog.read(tmp_path / "x.po")


def spoken(code: str) -> None:
    """Make ipsecwatch use the translations of packaging/po for this language."""
    messages = {(m.text, m.plural): m.forms for m in catalog.read(PO / f"{code}.po")}

    class Forms(translation.English):
        def gettext(self, message: str, /) -> str:
            return str(messages[message, ""][0])

        def ngettext(self, msgid1: str, msgid2: str, n: int, /) -> str:
            return str(messages[msgid1, msgid2][n != 1])

    translation.use(Forms())


def test_german_counts() -> None:
    spoken("de")
    one, many = (notifications.single(News(Kind.DEVICES, view("a"), times=n)).body for n in (1, 3))
    assert (one, many) == ("1 Gerät ist verbunden.", "3 Geräte sind verbunden.")
    assert notifications.duration(4000) == "1 Std. 7 min"


# --- A language in which each text can be told from all else ---------------------------------


class Pseudo(translation.English):
    """A made-up language. Each text is a third longer, has accents, and stands in brackets."""

    def gettext(self, message: str, /) -> str:
        assert message in {singular(text) for text in SOURCE}, f"{message!r} is in no table"
        parts = re.split(r"(\{\w+\})", message)
        longer = "".join(p if p[:1] == "{" else p.translate(_ACCENTS) for p in parts)
        return f"⟦{longer}{'·' * (len(message) // 3)}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int, /) -> str:
        return self.gettext(msgid1) if n == 1 else self.gettext(msgid1).replace("⟦", "⟦+")


_ACCENTS: Final = str.maketrans("aceinosuyACDEINOSUVY", "áçéíñóšúýÁÇĎÉÍÑÓŠÚṼÝ")
_NAMES: Final = re.compile(r"n+…?n*|q|[\d/., ]+|\n| {4}")
"""What may stand outside of translated texts: names, numbers, and blanks between sentences."""
NESTS: Final = [*texts.DURATIONS.values(), texts.NAMES_AND_MORE.one]
"""Translated texts that may be put into another one: a duration, and a list that was cut."""


def beside_texts(said: str) -> str:
    """Return the parts of a text that are outside of the brackets, without names and numbers.

    A part that isn't translated is among them. Assert that no text was cut.
    """
    depth, rest = 0, ""
    for c in said:
        depth += (c == "⟦") - (c == "⟧")
        if not depth and c not in "⟦⟧":
            rest += c
    assert depth == 0, f"cut: {said}"
    return _NAMES.sub("", rest)


def nested(said: str) -> list[str]:
    """Return the texts in brackets that are within other brackets."""
    found: list[str] = []
    inner = re.compile(r"⟦([^⟦⟧]*)⟧")
    while m := inner.search(said):
        if said[: m.start()].count("⟦") > said[: m.start()].count("⟧"):
            found.append(m[1])
        said = said[: m.start()] + said[m.end() :]
    return found


def every_notification() -> Iterator[Notification]:
    """Yield notifications of all kinds, with all reasons, in all forms."""
    of_tunnels = [k for k in Kind if k in texts.SUMMARY_LINES]
    for kind, reason in product(of_tunnels, Reason):
        for state, children in product((TunnelState.WAITING, TunnelState.DOWN), (0, 3)):
            seen = view(NAME, state.value, children=children, children_up=1)
            told = News(kind, seen, reason, away=9.0, times=4, within=120.0)
            one = notifications.single(told)
            yield one
            yield notifications.single(replace(told, view=view("n" * 60), away=4000.0, times=1))
            yield notifications.summary([replace(told, view=view("n"))] * 12)
    for kinds in product(of_tunnels, of_tunnels):
        yield notifications.summary([News(k, view("n")) for k in kinds])
    yield notifications.offline()
    yield notifications.stopped([News(Kind.DOWN, view("n"))] * 9)
    yield notifications.bad_settings("q")
    for words in (texts.UNREACHABLE, texts.UNREADABLE, texts.UNWATCHED, texts.UNWATCHED_HANGS):
        yield notifications.unknown(words, "q")
    # An administrator's words aren't translated.
    for asked in (replace(one, details=""), replace(notifications.offline(), details="")):
        yield notifications.details_of(asked, terminal=True)
    for how in (Button.MUTE_HOUR, Button.MUTE_LOGIN, Button.MUTE_EVER):
        yield notifications.muted(one, how)
    yield notifications.not_changed(one, "q")


def test_in_a_made_up_language_all_is_translated_whole_and_has_room() -> None:
    translation.use(Pseudo())
    may_nest = {re.sub(r"\{\w+\}|\s", "", text).translate(_ACCENTS) for text in NESTS}
    made = list(every_notification())
    for notification in made:
        for said in (notification.title, notification.body):
            text = re.sub(r"ipsecwatch (status n*|mute)|ípšéçwátçh múté", "", said)
            assert beside_texts(text) == "", said
            for inside in nested(text):
                bare = re.sub(r"[+·]|n+…?n*|[\d,]+", "", inside)
                assert "".join(bare.split()) in may_nest, said
        assert len(notification.body) < notifications.MAX_BODY, notification.body
        if "n" in notification.title:
            end = notification.title.rindex("n") + 1
            assert end <= MAX_TITLE, notification.title


def test_no_text_of_the_bar_is_left_out() -> None:
    translation.use(Pseudo())
    story = Story()
    events: list[list[Any]] = [
        [story.look()],
        *[[story.look(**dict.fromkeys(names, state.value))]
          for state in TunnelState for names in ("n", ["n" * k for k in range(1, 30)])],
        *[[story.look(n="up"), story.become("n", "stuck", reason.value)] for reason in Reason],
        *[[story.look(n="up"), Pluto(state)] for state in PlutoState],
        [Pluto(PlutoState.STOPPED)],
    ]  # fmt: skip
    for heard in events:
        picture = bar_line.Picture(lambda _: True)
        picture.record(story.look(n="up") if not heard else heard[0])
        for event in heard[1:]:
            picture.record(event)
        if picture.lost is None:
            line = picture.line()
            assert beside_texts(line.text) == "", line
            assert beside_texts(line.tooltip) == "", line
    picture.record(Lost("why", ""))
    assert picture.line().state == "lost"  # what style sheets know stays


def test_no_text_of_ours_stands_outside_the_tables() -> None:
    """Search for string literals with a capital and a blank in modules that make notifications."""
    for name in ("notifications", "delivery", "desktop", "policy", "tunnel_notification"):
        source = (TOP / f"ipsecwatch/agent/{name}.py").read_text(encoding="utf-8")
        code = re.sub(r'""".*?"""|#[^\n]*', "", source, flags=re.DOTALL)
        said = set(re.findall(r'"([A-Z][^"\n]* [^"\n]*)"', code))
        assert not said, name


def test_what_an_administrator_wants_to_read_stays_english() -> None:
    spoken("de")
    told = News(Kind.STUCK, view("a"), Reason.AUTHENTICATION)
    notification = notifications.details_of(notifications.single(told), terminal=False)
    assert REASON_TEXTS[Reason.AUTHENTICATION].sentence in notification.body
    assert notification.title == "VPN a: Einzelheiten"
    assert RULES[Kind.DETAILS].icon == notification.icon


# --- Which language it is --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, []),
        ({"LANG": "de_DE.UTF-8"}, ["de_DE.UTF-8"]),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, []),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "de:fr"}, ["de", "fr"]),
        ({"LANG": "de_DE.UTF-8", "LANGUAGE": "en:de"}, []),
        ({"LC_ALL": "C", "LANGUAGE": "de"}, []),
        ({"LC_ALL": "C.UTF-8", "LANG": "de_DE", "LANGUAGE": "de"}, []),
        ({"LANG": "de_DE", "LANGUAGE": "../../tmp/evil:/etc"}, ["de_DE"]),
    ],
)
def test_the_language_is_the_one_that_gettext_takes(
    environment: dict[str, str], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language.languages()[: len(found) + 1] == found


def test_a_translation_is_taken_from_the_first_folder_that_has_it_and_a_bad_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_AT.UTF-8")
    monkeypatch.delenv("LANGUAGE", raising=False)
    folders = (tmp_path / "none", tmp_path / "bad", tmp_path / "good")
    monkeypatch.setattr(language, "FOLDERS", folders)
    language.choose()
    assert translation.translated("Connected.") == "Connected."
    catalog.write_all(folders[2])
    (bad,) = catalog.write_all(folders[1])
    for data in (b"", b"\xde\x12\x04\x95", b"junk" * 10, bad.read_bytes()[:60]):
        bad.write_bytes(data)
        language.choose()
        assert translation.translated("Connected.") == "Verbunden."
    assert translation.translated("") == ""


def test_the_command_line_and_json_stay_english(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "ipsecwatch", "mute"]
    environment = {"LC_ALL": "de_DE.UTF-8", "XDG_STATE_HOME": str(tmp_path), "PATH": "/usr/bin"}
    done = subprocess.run(run, capture_output=True, text=True, cwd=TOP, env=environment)
    assert done.stdout == "Nothing is muted.\n"


# --- Files of the desktop --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ipsecwatch.desktop", "autostart.desktop"])
def test_the_desktop_file_says_it_in_all_languages(name: str) -> None:
    parser = configparser.ConfigParser(interpolation=None, delimiters=["="])
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(TOP / "packaging" / name, encoding="utf-8")
    entry = parser["Desktop Entry"]
    for field in ("Name", "GenericName", "Comment"):
        for code in LANGUAGES if field in entry else []:
            assert entry[f"{field}[{code}]"], field


def test_the_metainfo_says_it_in_all_languages() -> None:
    tree = ET.parse(TOP / "packaging/org.ipsecwatch.agent.metainfo.xml")
    lang = "{http://www.w3.org/XML/1998/namespace}lang"
    for tag in ("./name", "./summary", "./description/p"):
        found = [element.get(lang) for element in tree.findall(tag)]
        for code in LANGUAGES:
            assert found.count(code) == found.count(None) > 0, tag
