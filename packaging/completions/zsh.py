# SPDX-License-Identifier: MIT
"""Completion for zsh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arguments import Argument, Value, arguments, words

from ipsecwatch.cli.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """#compdef ipsecwatch
# SPDX-License-Identifier: MIT
# zsh completion for ipsecwatch; made by packaging/completions

_ipsecwatch_tunnels() {
    local -a names
    names=(${(f)"$(_call_program tunnels ipsecwatch status --names 2>/dev/null)"})
    _wanted tunnels expl tunnel compadd -a names
}

"""


def script() -> str:
    """Return the completion script for zsh."""
    verbs = "\n".join(f"        {_quoted(f'{verb}:{does}')}" for verb, does in VERBS.items())
    cases = "\n".join(line for verb in VERBS for line in _case(verb))
    return f"""{HEAD}_ipsecwatch_words() {{
    local -a known
    known=({" ".join(words())})
    _alternative 'words:word:compadd -a known' 'tunnels:tunnel:_ipsecwatch_tunnels' \\
        'files:file:_files'
}}

_ipsecwatch() {{
    local curcontext=$curcontext state line
    local -a verbs
    verbs=(
{verbs}
    )
    _arguments -C '(- *)'{{-h,--help}}'[show what there is]' \\
        '(- *)--version[show the version]' '1:verb:->verb' '*::argument:->argument'
    case $state in
        verb) _describe -t verbs verb verbs ;;
        argument)
            case $words[1] in
{cases}
            esac
            ;;
    esac
}}

_ipsecwatch "$@"
"""


def _case(verb: str) -> Iterator[str]:
    specs = [_quoted(spec) for a in arguments(verb) for spec in _specs(a)]
    yield f"                {verb})"
    yield "                    _arguments -S \\"
    yield " \\\n".join(f"                        {spec}" for spec in specs)
    yield "                    ;;"


def _specs(a: Argument) -> Iterator[str]:
    """Yield the specs of _arguments for an argument, one for each of its flags."""
    value = f"{_plain(a.label)}:{_action(a)}"
    if not a.flags:
        yield f"{'*' if a.many else ''}:{value}"
    for flag in a.flags:
        others = f"({' '.join(a.flags)})" if len(a.flags) > 1 else ""
        gap = "" if a.value is Value.NONE else "::" if a.optional else ":"
        equals = "=" if gap and flag.startswith("--") else ""
        told = f"{others}{flag}{equals}[{_plain(a.help)}]"
        yield told + (gap + value if gap else "")


def _action(a: Argument) -> str:
    """Return the action of _arguments that offers the values of an argument."""
    match a.value:
        case Value.CHOICE:
            return f"({' '.join(a.words)})"
        case Value.LIST:
            return f"_values -s , {_plain(a.label)} {' '.join(a.words)}"
        case Value.FILE:
            return "_files"
        case Value.TUNNEL:
            return "_ipsecwatch_tunnels"
        case Value.WORD:
            return "_ipsecwatch_words"
    return " "


def _plain(text: str) -> str:
    for special in "\\[]:":
        text = text.replace(special, f"\\{special}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
