#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Make terminal.svg, the README's picture of a terminal.

As root, from the top of the sources, in a minute:

    .venv/bin/python packaging/screenshots/terminal.py > packaging/screenshots/terminal.svg

`ipsecwatch demo` plays its recordings at their real speed. The picture shows the output of `status`
at one moment, in its colours.
"""

from __future__ import annotations

import html
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

SHOWN: Final = (["status"], ["status", "wrongpsk"])
SECOND: Final = 52.0
"""Second of the recordings: one tunnel is stuck, another one has just been lost."""
COLUMNS: Final = 80

CELL: Final = (8.4, 18)
"""Width and height of a character, in pixels, of a font of 14 pixels."""
FONT: Final = "DejaVu Sans Mono, Menlo, Consolas, monospace"
COLOURS: Final = {
    "1": 'font-weight="bold"', "2": 'fill="#8a8f98"', "31": 'fill="#f2727f"',
    "32": 'fill="#7ec699"', "33": 'fill="#e5c07b"', "35": 'fill="#c39ac9"',
}  # fmt: skip
_SGR: Final = re.compile(r"\x1b\[(\d+)m(.*?)\x1b\[0m")


def run(arguments: list[str], environment: dict[str, str]) -> str:
    """Return the output of an ipsecwatch command on a terminal, with its colours."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    command = [sys.executable, "-m", "ipsecwatch", *arguments]
    wide = {**environment, "COLUMNS": str(COLUMNS), "PAGER": "cat", "TERM": "xterm"}
    subprocess.run(command, stdout=theirs, stdin=theirs, env=wide, check=False)
    os.close(theirs)
    said = b""
    while True:
        try:
            said += os.read(ours, 1 << 16)
        except OSError:  # all was read, and the other end is closed
            return said.decode().replace("\r", "")


def output() -> str:
    """Run the demo up to SECOND, and return the SHOWN commands with their output."""
    with tempfile.TemporaryDirectory() as folder:
        demo = subprocess.Popen(
            [sys.executable, "-m", "ipsecwatch", "demo", "--speed", "1"],
            stdout=subprocess.DEVNULL, env={**os.environ, "TMPDIR": folder},
        )  # fmt: skip
        time.sleep(SECOND)
        [bus] = Path(folder).glob("ipsecwatch-demo-*/bus")
        environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={bus}"}
        texts = [f"$ ipsecwatch {' '.join(each)}\n{run(each, environment)}" for each in SHOWN]
        demo.terminate()
        demo.wait()
    return "\n".join(texts)


def picture(text: str) -> str:
    """Return an SVG picture of the lines of a text, with the colours of its escape sequences."""
    lines = text.rstrip("\n").split("\n")
    wide, high = (COLUMNS + 4) * CELL[0], (len(lines) + 2) * CELL[1]
    rows = [_row(line, 2 * CELL[0], (n + 1.8) * CELL[1]) for n, line in enumerate(lines)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}">',
        '<rect width="100%" height="100%" rx="8" fill="#1e2127"/>',
        f'<g font-family="{FONT}" font-size="14" fill="#d7dae0" xml:space="preserve">',
        *filter(None, rows), "</g>", "</svg>", "",
    ])  # fmt: skip


def _row(line: str, x: float, y: float) -> str:
    """Return one line as SVG text, with each piece at its column whatever the font's width is.

    Return "" for a line that shows nothing. ``x`` and ``y`` are in pixels.
    """
    pieces, at, column = [], 0, 0
    for m in [*_SGR.finditer(line), None]:
        plain = line[at : m.start() if m else len(line)]
        for style, piece in (("", plain), (COLOURS.get(m[1], ""), m[2]) if m else ("", "")):
            if piece.strip():
                begin = len(piece) - len(piece.lstrip())
                left = x + (column + begin) * CELL[0]
                shown = html.escape(piece.strip(), quote=False)
                room = len(piece.strip()) * CELL[0]
                where = f'x="{left:.1f}" textLength="{room:.1f}"'
                pieces.append(f"<tspan {where} {style}>{shown}</tspan>".replace(" >", ">"))
            column += len(piece)
        at = m.end() if m else at
    return f'<text y="{y:.0f}">{"".join(pieces)}</text>' if pieces else ""


if __name__ == "__main__":
    sys.stdout.write(picture(output()))
