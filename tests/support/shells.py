# SPDX-License-Identifier: MIT
"""Runs bash, zsh and fish, and returns what they complete; bash and zsh run on a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALL = "\x18a"
SHOW = "\x18p"
"""The keys that this module binds: Ctrl-X a (ALL) inserts all completions, and Ctrl-X p (SHOW)
writes the line to a file."""

_BASH = r"""
PS1='ready> '
source {script}
bind 'set completion-query-items 0'
bind '"\C-xa": insert-completions'
bind -x '"\C-xp": printf "%s\n" "$READLINE_LINE" >>{told}'
"""

_ZSH = r"""
PS1='ready> '
unsetopt zle_bracketed_paste prompt_sp
fpath=({folder} $fpath)
autoload -Uz compinit
compinit -u -d {told}.dump
show() {{ print -r -- "$BUFFER" >>{told} }}
zle -N show
bindkey '^Xp' show
zle -C all-matches complete-word _generic
bindkey '^Xa' all-matches
zstyle ':completion:all-matches:*' insert true
zstyle ':completion:all-matches::::' completer _all_matches _complete
"""


class _Terminal:
    """An interactive shell on a pseudo-terminal, while its context lasts.

    ``told`` is the file to which the key SHOW writes the line that was typed.
    """

    def __init__(self, argv: list[str], told: Path, environment: dict[str, str]) -> None:
        self._told = told
        told.touch()
        ours, theirs = pty.openpty()
        self._terminal = ours
        self._process = subprocess.Popen(
            argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
            start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        self._read(lambda seen: "ready> " in seen)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)

    def offered(self, line: str) -> set[str]:
        """Type a line; return all completions of its last word."""
        first, _, _ = line.rpartition(" ")
        return set(self._press(line + ALL).removeprefix(first).split())

    def _press(self, keys: str) -> str:
        """Press keys, and return the line that the shell then has; empty the line afterwards."""
        lines = len(self._lines())
        os.write(self._terminal, keys.encode() + SHOW.encode())
        self._read(lambda _: len(self._lines()) > lines)
        os.write(self._terminal, b"\x05\x15")  # go to the line's end, and empty it
        return self._lines()[-1].rstrip(" ")

    def _lines(self) -> list[str]:
        return self._told.read_text(encoding="utf-8").splitlines()

    def _read(self, enough: Callable[[str], bool]) -> None:
        """Read what the shell writes until ``enough``, which gets all of it, returns true.

        Raise AssertionError after 30 s.
        """
        seen, give_up = "", time.monotonic() + 30
        while not enough(seen):
            assert time.monotonic() < give_up, seen
            if select.select([self._terminal], [], [], 0.02)[0]:
                seen += os.read(self._terminal, 65536).decode(errors="replace")


def _bash(script: Path, folder: Path, environment: dict[str, str]) -> _Terminal:
    """Start and return a bash that has loaded this completion script."""
    rc, told = folder / "bashrc", folder / "told"
    rc.write_text(_BASH.format(script=script, told=told))
    return _Terminal(["bash", "--noprofile", "--rcfile", str(rc), "-i"], told, environment)


def _zsh(script: Path, folder: Path, environment: dict[str, str]) -> _Terminal:
    """Start and return a zsh whose completion system finds this completion function."""
    told = folder / "told"
    (folder / ".zshrc").write_text(_ZSH.format(folder=script.parent, told=told))
    return _Terminal(["zsh", "-d", "-i"], told, {**environment, "ZDOTDIR": str(folder)})


class _Fish:
    """Runs fish once for each line that is completed."""

    def __init__(self, script: Path, environment: dict[str, str]) -> None:
        self._script = script
        self._environment = environment

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def offered(self, line: str) -> set[str]:
        """Return all completions of the line's last word."""
        code = f"source {self._script}; complete -C $argv[1]"
        done = subprocess.run(
            ["fish", "--no-config", "-c", code, line], env=self._environment,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return {row.split("\t")[0] for row in done.stdout.splitlines()}


Shell = _Terminal | _Fish


def start(name: str, script: Path, folder: Path, environment: dict[str, str]) -> Shell:
    """Start and return a shell with a completion script; ``name`` is "bash", "zsh" or "fish".

    ``folder`` is for the shell's files.
    """
    if name == "fish":
        return _Fish(script, environment)
    return {"bash": _bash, "zsh": _zsh}[name](script, folder, environment)
