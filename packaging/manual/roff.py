# SPDX-License-Identifier: MIT
"""Functions that return text in roff's man macros (man(7)), as the manual pages need them."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SECTIONS = {1: "User Commands", 5: "File Formats", 8: "System Administration"}


def escape(text: str) -> str:
    """Return text escaped for roff: a dot at its beginning, backslashes, -, ', and non-ASCII."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    text = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)
    return "\\&" + text if text.startswith(".") else text


CHANGES = Path(__file__).parents[1] / "rpm/ipsecwatch.spec"


def title(name: str, section: int, version: str, what: str) -> str:
    """Return the beginning of a page: its title line, and its name with a short description."""
    head = f".TH {escape(name.upper())} {section} {released()}"
    head += f' "ipsecwatch {version}" "{SECTIONS[section]}"'
    return f'.\\" SPDX-License-Identifier: MIT\n{head}\n.SH NAME\n{escape(f"{name} - {what}")}'


def released() -> str:
    """Return the date of this version: the newest one in the RPM package's changelog."""
    found = re.search(
        r"^%changelog\n\* \w+ (\w+ \d+ \d+) ", CHANGES.read_text("utf-8"), re.MULTILINE
    )
    assert found
    return datetime.strptime(found[1], "%b %d %Y").date().isoformat()  # noqa: DTZ007 - a day


def section(name: str, *parts: str) -> str:
    """Return a section. Its name is put in capitals, unless it has a capital letter already."""
    return _headed(f".SH {escape(name.upper() if name.islower() else name)}", parts)


def subsection(name: str, *parts: str) -> str:
    """Return a subsection."""
    return _headed(f".SS {escape(name)}", parts)


def _headed(heading: str, parts: Iterable[str]) -> str:
    # A heading begins a paragraph, so the first part needs no macro for one.
    return heading + "\n" + "\n".join(parts).removeprefix(".PP\n")


def paragraph(text: str) -> str:
    """Return a paragraph. Words in backquotes become bold, line ends become blanks."""
    return f".PP\n{inline(text)}"


def inline(text: str) -> str:
    """Return running text, one sentence a line. Words in backquotes become bold."""
    flat = " ".join(text.split())
    return "\n".join(_bold(line) for line in re.split(r"(?<=[.:;]) (?=[A-Z(])", flat))


def _bold(text: str) -> str:
    parts = re.split(r"``?([^`]+)``?", text)
    written = [f"\\fB{escape(p)}\\fR" if n % 2 else escape(p) for n, p in enumerate(parts)]
    joined = "".join(written)
    return "\\&" + joined if joined.startswith(".") else joined


def tagged(tag: str, *parts: str) -> str:
    """Return a paragraph with a bold tag, and below it, indented, the parts."""
    return "\n".join([".TP", f"\\fB{escape(tag)}\\fR", *parts])


def listed(rows: Mapping[str, str]) -> str:
    """Return a list of words, each with its meaning."""
    return "\n".join(tagged(word, inline(meaning)) for word, meaning in rows.items())


def verbatim(text: str) -> str:
    """Return lines that roff doesn't fill: they stay as they are."""
    return "\n".join([".PP", ".RS 4", ".nf", *(map(escape, text.split("\n"))), ".fi", ".RE"])


def indented(*parts: str) -> str:
    """Return parts indented, as they belong to the paragraph before."""
    return "\n".join([".RS", *parts, ".RE"]).replace(".RS\n.PP\n", ".RS\n")


def blocks(text: str) -> str:
    """Return a text of several paragraphs; those that are indented become verbatim()."""
    found = []
    for part in re.split(r"\n{2,}", text.strip("\n")):
        if part.startswith("  "):
            lines = part.split("\n")
            margin = min(len(line) - len(line.lstrip()) for line in lines)
            found.append(verbatim("\n".join(line[margin:] for line in lines)))
        else:
            found.append(paragraph(part))
    return "\n".join(found)


def see_also(*pages: str) -> str:
    """Return the section "see also"; ``pages`` are of the form ``name(section)``."""
    refs = [re.fullmatch(r"(.+)\((\d)\)", page) for page in sorted(pages, key=_by_section)]
    lines = [f".BR {escape(r[1])} ({r[2]})" for r in refs if r]
    return section("see also", " ,\n".join(lines))


def _by_section(page: str) -> tuple[str, str]:
    return page[-2], page
