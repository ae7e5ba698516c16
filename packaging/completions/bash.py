# SPDX-License-Identifier: MIT
"""Completion for bash. It works without the package bash-completion, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arguments import Argument, Value, arguments, words

from ipsecwatch.cli.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = r"""# SPDX-License-Identifier: MIT
# bash completion for ipsecwatch; made by packaging/completions

# Offer those of the words that begin with what was typed. Not compgen -W: it would expand them.
_ipsecwatch_offer() {
    local word quoted
    for word; do
        printf -v quoted %q "$word"
        if [[ $word == "$typed"* ]] || [[ $quoted == "$typed"* ]]; then
            COMPREPLY+=("${quoted#"$before"}")
        fi
    done
}

# The same of what stands behind the last comma.
_ipsecwatch_list() {
    local word head=${typed%"${typed##*,}"}
    for word; do
        word=$head$word
        if [[ $word == "$typed"* ]]; then COMPREPLY+=("${word#"$before"}"); fi
    done
}

_ipsecwatch_tunnels() {
    local names
    mapfile -t names < <(ipsecwatch status --names 2>/dev/null)
    _ipsecwatch_offer "${names[@]}"
}

_ipsecwatch_files() { compopt -o default; }

_ipsecwatch() {
    local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}
    local verb=${COMP_WORDS[1]} line=${COMP_LINE:0:COMP_POINT} typed before
    COMPREPLY=()
    # bash breaks words at : and =, and puts what is offered in the place of the last part.
    typed=${line##*[[:space:]]}
    [[ $word == [:=] ]] && word=
    before=${typed%"$word"}
    [[ $option == = ]] && option=${COMP_WORDS[COMP_CWORD - 2]}
    if [[ $typed == --*=* ]]; then
        option=${typed%%=*} before=${before#*=} typed=${typed#*=}
    fi
"""

TAIL = """    esac
}

complete -F _ipsecwatch ipsecwatch
"""


def script() -> str:
    """Return the completion script for bash."""
    lines = [
        "    if ((COMP_CWORD == 1)); then",
        f"        _ipsecwatch_offer {' '.join([*VERBS, '--help', '--version'])}",
        "        return",
        "    fi",
        '    case "$verb $option" in',
        *(line for verb in VERBS for line in _values(verb)),
        "    esac",
        "    if [[ $typed == -* ]]; then",
        '        case "$verb" in',
        *(f"            {verb}) _ipsecwatch_offer {' '.join(_flags(verb))} ;;" for verb in VERBS),
        "        esac",
        "        return",
        "    fi",
        '    case "$verb" in',
        *(line for verb in VERBS for line in _positionals(verb)),
    ]
    return HEAD + "\n".join(lines) + "\n" + TAIL


def _values(verb: str) -> Iterator[str]:
    """Yield the lines that offer the values of a verb's options."""
    for a in arguments(verb):
        if a.flags and a.value is not Value.NONE:
            pattern = " | ".join(f'"{verb} {flag}"' for flag in a.flags)
            yield f"        {pattern})"
            yield f"            {_offer(a)}"
            yield "            return"
            yield "            ;;"


def _flags(verb: str) -> list[str]:
    return [flag for a in arguments(verb) for flag in a.flags]


def _positionals(verb: str) -> Iterator[str]:
    offers = [_offer(a) for a in arguments(verb) if not a.flags]
    if offers:
        # The values of all positional arguments are offered at each position: a wrong one does no
        # harm.
        yield f"        {verb}) {'; '.join(dict.fromkeys(offers))} ;;"


def _offer(a: Argument) -> str:
    """Return the command that offers the values of an argument."""
    match a.value:
        case Value.CHOICE:
            return f"_ipsecwatch_offer {' '.join(a.words)}"
        case Value.LIST:
            return f"_ipsecwatch_list {' '.join(a.words)}"
        case Value.FILE:
            return "_ipsecwatch_files"
        case Value.TUNNEL:
            return "_ipsecwatch_tunnels"
        case Value.WORD:
            told = f"_ipsecwatch_offer {' '.join(words())}"
            return f"{told}; _ipsecwatch_tunnels; _ipsecwatch_files"
    return ":"
