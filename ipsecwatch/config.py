# SPDX-License-Identifier: MIT
"""Settings of the service and of the agent: their keys, defaults and bounds, and how TOML is read.

An unknown key, a value of a wrong type or a value out of bounds is an error that names the file and
the line. If a mistyped key were ignored, people would have other settings than they believe.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, TypeVar

SERVICE_FILE: Final = Path("/etc/ipsecwatch/ipsecwatch.toml")
"""The first settings file of the service. The files ``ipsecwatch.toml.d/*.toml`` beside it are read
after it, sorted by name."""


MAX_SIZE: Final = 1 << 20
"""The number of bytes that a settings file may have at most."""
INSTANCES: Final = Path("/etc/ipsecwatch/instances")
"""The folder with the settings of instances. ``ipsecwatch@NAME.service`` reads ``NAME.toml`` in it,
then ``NAME.toml.d/*.toml``."""


class ConfigError(Exception):
    """A settings file can't be used, or one that is needed is missing.

    The text of the error says why, and ``hint`` says what to do. Both are one line, ready to be
    shown.
    """

    def __init__(
        self, message: str, hint: str = "Correct it, or remove it to use the defaults"
    ) -> None:
        super().__init__(message)
        self.hint = hint


class UnreadableError(ConfigError):
    """A settings file, or the folder with several of them, can't be opened or read.

    Unlike with a mistake in the file, its content isn't known.
    """


def _number(default: float, low: float, high: float) -> Any:  # noqa: ANN401 - as field() itself
    return field(default=default, metadata={"low": low, "high": high})


def _one_of(default: str, *others: str) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"choices": (default, *others)})


def _path(default: str) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"path": True})


_VOUCHED: Final = ("_SYSTEMD_UNIT", "_EXE", "_SYSTEMD_CGROUP")
"""Fields of a journal entry that journald itself adds, about the process that logged."""
_CONTAINER: Final = ("CONTAINER_NAME", "CONTAINER_ID", "CONTAINER_ID_FULL", "CONTAINER_TAG")
"""Fields that the journald log drivers of docker and podman add. Any process can send such fields,
so ``journal_match`` may use them only beside one of _VOUCHED, which shows that the driver
logged."""


def _journal_match(matches: tuple[str, ...]) -> str:
    """Return what is wrong with a value of the setting ``journal_match``; "" if it is allowed.

    The returned text completes an error message that begins with the setting's name.
    """
    names = [match.partition("=")[0] for match in matches]
    for match, name in zip(matches, names, strict=True):
        if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}=[^\0\n]{1,1000}", match, re.ASCII):
            return f"must be a list of FIELD=value, and {match!r:.60} isn't"
        if not name.startswith("_") and name not in _CONTAINER:
            return f"may have trusted fields (_…) and {', '.join(_CONTAINER)}, not {name}"
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        return f"has {twice[0]} twice, but an entry has it once"
    if matches and not any(name in _VOUCHED for name in names):
        return f"needs one of {', '.join(_VOUCHED)}: any process can send the others"
    return ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The service's settings. Times are in seconds, and sizes are in bytes."""

    interval: float = _number(5.0, 1.0, 3600.0)
    """Seconds between two polls while no tunnel is being tried. The log, the kernel or systemd may
    make the next poll come earlier."""
    fast_interval: float = _number(1.0, 0.2, 60.0)
    """Seconds between two polls while a tunnel is being tried, that is, CONNECTING or STUCK, or
    PARTIAL while pluto tries the rest."""
    stuck_after: float = _number(30.0, 5.0, 3600.0)
    """When a tunnel has been CONNECTING for so many seconds, it becomes STUCK."""
    stopped_after: float = _number(15.0, 0.0, 600.0)
    """When pluto has been stopped for so many seconds, its tunnels become DOWN. Until then they are
    UNKNOWN. If the systemd unit of pluto has ended, they become DOWN at once."""
    timeout: float = _number(10.0, 1.0, 120.0)
    """Seconds that pluto may take for one answer, from the question to the last byte of the
    answer."""
    max_answer: int = _number(64 << 20, 1 << 16, 1 << 30)
    """The number of bytes that one answer of pluto may have. The rest of a longer one is read and
    dropped, and the whole answer counts as failed."""
    control_socket: str = _path("/run/pluto/pluto.ctl")
    """The path of pluto's control socket."""
    whack: str = _path("")
    """The path of the program ``whack``. If empty, the folders are searched in which distributions
    install it."""
    unit: str = "ipsec.service"
    """The systemd unit that runs pluto."""
    log_file: str = _path("")
    """The file to which pluto logs (its setting ``logfile=``). If empty, the file is used that
    pluto's status names (from libreswan 5.1 on). A file is read only if root owns it and nobody
    else may write to it."""
    journal_match: tuple[str, ...] = field(default=(), metadata={"check": _journal_match})
    """For a pluto in a container: the fields, each as ``NAME=value``, by which journal entries are
    known to be from that pluto. One of ``_SYSTEMD_UNIT``, ``_EXE`` and ``_SYSTEMD_CGROUP`` must be
    among them. If empty, the entries of ``unit`` are read, and those of the pluto process that
    answers at the control socket."""


@dataclass(frozen=True, slots=True)
class TunnelSettings:
    """For which changes of a tunnel the agent shows notifications, and how soon."""

    up: bool = True
    """Whether there are notifications when a tunnel comes up, or comes back after a loss."""
    down: bool = True
    """Whether there are notifications when a tunnel is lost or ends, works only in part, or is lost
    again and again."""
    stuck: bool = True
    """Whether there are notifications when a tunnel can't connect."""
    settle: float = _number(3.0, 0.0, 60.0)
    """Seconds that a loss must last before it is shown. If the tunnel comes back earlier, the agent
    shows only one short notification that it is back (if ``up`` is set, too)."""


@dataclass(frozen=True, slots=True)
class AgentSettings(TunnelSettings):
    """All settings of the agent in the user's session.

    Those of TunnelSettings are its general values.
    """

    burst: int = _number(3, 1, 3)
    """If there are notifications about more tunnels than this, one summary replaces them. A program
    never gets more than three, because GNOME keeps no more notifications of one program."""
    ignore: tuple[str, ...] = ()
    """Names of tunnels that get no notifications. ``*`` and ``?`` work as in a shell. A connection
    of NetworkManager can be named by its UUID, and by its name in NetworkManager."""
    managed: str = _one_of("losses", "all", "none")
    """What is shown about NetworkManager's connections. ``"all"``: everything. ``"none"``: nothing.
    ``"losses"``: only what NetworkManager itself doesn't show, that is, that a tunnel is lost,
    can't connect, is back, or isn't known; and nothing about connections of NetworkManager-l2tp."""
    tunnels: tuple[tuple[str, TunnelSettings], ...] = ()
    """The tables such as ``[tunnels."lab-*"]``, in the file's order: each glob of tunnel names with
    the settings for those tunnels. If several globs match a tunnel, only the first one counts. A
    setting that a table doesn't have has the general value."""

    def of(self, *names: str) -> TunnelSettings:
        """Return the settings of one tunnel, which may have several names.

        They are those of the first table in ``tunnels`` whose glob matches one of the names. If no
        table does, this object itself is returned, with the general settings.
        """
        found = (s for glob, s in self.tunnels if any(fnmatchcase(n, glob) for n in names))
        return next(found, self)


S = TypeVar("S", Settings, AgentSettings, TunnelSettings)


def load_service(path: Path = SERVICE_FILE) -> Settings:
    """Return the service's settings from ``path`` and from the files ``*.toml`` in ``path.d``.

    ``path.d`` is ``/etc/ipsecwatch/ipsecwatch.toml.d`` by default. For each key the last file that
    has it counts, and the files are read in the order of service_files(). Files that don't exist
    are no error. Raise ConfigError for the first error in any file.
    """
    return _load(service_files(path), Settings)


def settings_file(instance: str = "") -> Path:
    """Return the path of an instance's first settings file; for "", that of the service itself."""
    return INSTANCES / f"{instance}.toml" if instance else SERVICE_FILE


def load_instance(instance: str, path: Path | None = None) -> Settings:
    """Return the settings of an instance of the service; for "", those of the service itself.

    ``path`` is a file to read instead of the usual one. Raise ConfigError for an error in a file.
    Without ``path``, raise it also for an instance that has neither a settings file nor a folder of
    them: with the defaults it would watch the same pluto as the service itself.
    """
    usual = settings_file(instance)
    if path is None and instance and not (os.path.exists(usual) or os.path.exists(f"{usual}.d")):
        hint = 'Create it, and say which pluto to watch: control_socket = "/run/NAME/pluto.ctl"'
        raise ConfigError(f"there is no {usual}, the settings of {instance}", hint)
    return load_service(path or usual)


def load_agent(path: Path) -> AgentSettings:
    """Return the agent's settings from the file ``path``; the defaults if that doesn't exist.

    Raise ConfigError for the first error in the file.
    """
    settings = _load([path], AgentSettings)
    # Each glob has only the keys of its own table until here; the general values fill the others.
    general = {f.name: getattr(settings, f.name) for f in fields(TunnelSettings)}
    tunnels = [(glob, TunnelSettings(**(general | said))) for glob, said in settings.tunnels]  # type: ignore[operator]
    return replace(settings, tunnels=tuple(tunnels))


def service_files(path: Path = SERVICE_FILE) -> list[Path]:
    """Return the service's settings files in order of reading: ``path``, then ``path.d/*.toml``.

    ``path`` is in the list even if it doesn't exist. Raise ConfigError if the folder ``path.d``
    exists and can't be read.
    """
    folder = Path(f"{path}.d")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".toml"))
    except FileNotFoundError:
        names = []
    except OSError as e:
        raise UnreadableError(f"{folder}: cannot be read: {e.strerror}") from e
    return [path, *(folder / name for name in names)]


def agent_file() -> Path:
    """Return the path of the agent's settings file of this user, whether it exists or not.

    It is below XDG_CONFIG_HOME, or below ``~/.config`` if that variable is unset or not an absolute
    path.
    """
    base = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if not base.is_absolute():
        base = Path(os.environ.get("HOME") or "/", ".config")
    return base / "ipsecwatch" / "agent.toml"


def problems(path: Path, kind: type[Settings | AgentSettings]) -> list[ConfigError]:
    """Return the errors in one settings file; an empty list if it has none or doesn't exist.

    In ``[tunnels]``, and in a file that isn't TOML, only the first error is found.
    """
    return _read(path, kind)[1]


def _load(paths: list[Path], kind: type[S]) -> S:
    """Return the settings in some files. For each key, the last file that has it counts.

    Raise ConfigError for the first error.
    """
    values: dict[str, Any] = {}
    for path in paths:
        found, wrong = _read(path, kind)
        if wrong:
            raise wrong[0]
        values |= found
    return kind(**values)


def _read(
    path: Path, kind: type[Settings | TunnelSettings]
) -> tuple[dict[str, Any], list[ConfigError]]:
    """Return one settings file's valid values by key, and its errors.

    Both are empty if it is missing.
    """
    try:
        text = _text(path)
    except FileNotFoundError:
        return {}, []
    except UnicodeDecodeError as e:
        return {}, [ConfigError(f"{path}: cannot be read: {e}")]
    except OSError as e:
        return {}, [UnreadableError(f"{path}: cannot be read: {e.strerror or e}")]
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as e:  # a number or a list that is far too long, too
        return {}, [ConfigError(_at_line(path, text, str(e)))]
    values: dict[str, Any] = {}
    wrong: list[ConfigError] = []
    for key, value in data.items():
        try:
            if key == "tunnels" and kind is AgentSettings:
                values[key] = _tunnels(value, text, path)
            else:
                values[key] = _checked(kind, key, value, f"{path}:{_line(text, key)}")
        except ConfigError as e:
            wrong.append(e)
    return values, wrong


def _text(path: Path) -> str:
    """Return the text of a settings file.

    Raise OSError for a file that can't be read, that has more than MAX_SIZE bytes, or that is
    neither a regular file nor /dev/null: reading a pipe or a device might never end. Raise
    UnicodeDecodeError if the text isn't UTF-8.
    """
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        kind = os.fstat(file.fileno())
        if not stat.S_ISREG(kind.st_mode) and kind.st_rdev != os.stat(os.devnull).st_rdev:
            raise OSError("it isn't a regular file")
        data = file.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise OSError(f"it is larger than {MAX_SIZE >> 20} MiB")
    return data.decode()


def _at_line(path: Path, text: str, message: str) -> str:
    """Return an error message of tomllib in the form ``PATH:LINE: MESSAGE``, as editors know it.

    ``text`` is that of the file. tomllib names the line at the end of its message. If it names none
    there, the result is ``PATH: MESSAGE``; if it names the end of the document, LINE is the last
    line.
    """
    found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", message)
    if found is None:
        return f"{path}: {message}"
    line = found[1] or max(1, len(text.splitlines()))
    return f"{path}:{line}: {message[: found.start()]}"


def _tunnels(value: object, text: str, path: Path) -> tuple[tuple[str, dict[str, object]], ...]:
    """Return the tables of ``[tunnels]``: each glob with the values that its table sets, by key.

    ``value`` is what TOML has under ``tunnels``. ``text`` is that of the whole file, in which the
    line numbers for errors are looked up. Raise ConfigError for the first value that isn't allowed.
    """
    found = []
    for glob, said in value.items() if isinstance(value, dict) else [("", value)]:
        header = re.search(rf"^[ \t]*\[[^\n]*{re.escape(glob)}", text, re.MULTILINE)
        start = header.start() if header else 0
        above = text.count("\n", 0, start)
        if not isinstance(said, dict):
            where = f"{path}:{_line(text, 'tunnels')}"
            raise ConfigError(f'{where}: tunnels must be tables, such as [tunnels."lab-*"]')
        found.append(
            (glob, {
                key: _checked(TunnelSettings, key, v, f"{path}:{above + _line(text[start:], key)}")
                for key, v in said.items()
            })
        )  # fmt: skip
    return tuple(found)


def _checked(kind: type[Settings | TunnelSettings], key: str, value: object, where: str) -> object:
    """Return the value of one setting, converted to the type of its dataclass field.

    A whole number becomes a float where a float is expected, and a list becomes a tuple. Raise
    ConfigError if there is no such setting, or if the value isn't allowed; the message begins with
    ``where``, which is the file and the line.
    """
    known = {f.name: f for f in fields(kind)}
    if key not in known:
        raise ConfigError(f"{where}: unknown setting {key!r}; known: {', '.join(sorted(known))}")
    default = known[key].default
    meta = known[key].metadata
    if "choices" in meta and value not in meta["choices"]:
        *few, last = (f'"{choice}"' for choice in meta["choices"])
        raise ConfigError(f"{where}: {key} must be {', '.join(few)} or {last}")
    if isinstance(default, tuple):
        if not (isinstance(value, list) and all(isinstance(v, str) for v in value)):
            raise ConfigError(f"{where}: {key} must be a list of strings")
        if "check" in meta and (wrong := meta["check"](tuple(value))):
            raise ConfigError(f"{where}: {key} {wrong}")
        return tuple(value)
    if isinstance(default, bool) or isinstance(value, bool):
        if not (isinstance(default, bool) and isinstance(value, bool)):
            raise ConfigError(f"{where}: {key} must be {_describe(default)}")
        return value
    if isinstance(default, float) and isinstance(value, int):
        value = float(value)
    if type(value) is not type(default):
        raise ConfigError(f"{where}: {key} must be {_describe(default)}")
    if "low" in meta and not meta["low"] <= value <= meta["high"]:
        raise ConfigError(f"{where}: {key} must be from {meta['low']} to {meta['high']}")
    if meta.get("path") and value != default and not str(value).startswith("/"):
        raise ConfigError(f"{where}: {key} must be an absolute path")
    return value


def _describe(default: object) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
    return names[type(default)]


def _line(text: str, key: str) -> int:
    """Return the number of the line on which a key is set, or begins a table, for an error message.

    tomllib doesn't report it, so the first line that begins with the key is taken. Lines count from
    1. Return 1 if there is no such line.
    """
    found = re.search(rf'^[ \t]*\[*["\']?{re.escape(key)}\b', text, re.MULTILINE)
    found = found or next((m for m in _QUOTED_KEY.finditer(text) if _unquoted(m[1]) == key), None)
    return text.count("\n", 0, found.start()) + 1 if found else 1


_QUOTED_KEY: Final = re.compile(r'^[ \t]*("(?:\\.|[^"\\\n])*")[ \t]*=', re.MULTILINE)


def _unquoted(key: str) -> str:
    """Return a quoted TOML key unquoted, with its escape sequences resolved; "": it is invalid."""
    try:
        return next(iter(tomllib.loads(f"{key} = 0")))
    except ValueError:
        return ""
