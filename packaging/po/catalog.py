# SPDX-License-Identifier: MIT
"""Read the translations in this folder, and write them in GNU gettext's binary form.

msgfmt does the same, but isn't installed everywhere where this is built. Only the syntax of our own
.po files is known: msgid, msgid_plural, msgstr and msgstr[N] with one or more quoted lines, and
comments.
"""

from __future__ import annotations

import ast
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
DOMAIN = "ipsecwatch"
MAGIC = 0x950412DE
_LINE = re.compile(r'(?:(msgid|msgid_plural|msgstr|msgstr\[(\d)\]) )?(".*")')


@dataclass
class Message:
    """A text and its translation, which has several forms where the text has a plural."""

    text: str
    plural: str = ""
    forms: list[str] = field(default_factory=list)


def read(path: Path) -> list[Message]:
    """Return the messages of a .po file. Raise ValueError, with the line, for other syntax."""
    messages: list[Message] = []
    keyword = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        if found is None or not (found[1] or keyword):
            raise ValueError(f"{path}:{number}: {line!r} can't be read")
        text = ast.literal_eval(found[3])
        new, keyword = found[1] is not None, found[1] or keyword
        if keyword == "msgid":
            if new:
                messages.append(Message(""))
            messages[-1].text += text
        elif keyword == "msgid_plural":
            messages[-1].plural += text
        else:
            if new:
                messages[-1].forms.append("")
            messages[-1].forms[-1] += text
    return messages


def binary(messages: list[Message]) -> bytes:
    """Return the content of a .mo file: two tables of lengths and offsets, then the texts.

    A message is left out if the translation of one of its forms is missing.
    """
    pairs = sorted(
        ("\0".join(filter(None, (m.text, m.plural))).encode(), "\0".join(m.forms).encode())
        for m in messages
        if all(m.forms)
    )
    count = len(pairs)
    offset = 28 + 16 * count
    tables: list[list[int]] = []
    data = b""
    for texts in ([p[0] for p in pairs], [p[1] for p in pairs]):
        table: list[int] = []
        for text in texts:
            table += [len(text), offset + len(data)]
            data += text + b"\0"
        tables.append(table)
    head = (MAGIC, 0, count, 28, 28 + 8 * count, 0, offset)
    return struct.pack(f"<7I{4 * count}I", *head, *tables[0], *tables[1]) + data


def write_all(folder: Path) -> list[Path]:
    """Write each language's .mo file below a folder. Return the files' paths."""
    written = []
    for source in sorted(HERE.glob("*.po")):
        path = folder / source.stem / "LC_MESSAGES" / f"{DOMAIN}.mo"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(binary(read(source)))
        written.append(path)
    return written
