"""Reads the settings from flags, the environment, secret files and a TOML file, and reports invalid ones."""

import logging
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, PydanticBaseSettingsSource

from stbridge.core.suggestion import did_you_mean
from stbridge.errors import SettingsError
from stbridge.settings import CONTRADICTIONS, PREFIX, Settings, SyncthingSettings

log = logging.getLogger(__name__)

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
SYSTEM_FILE = Path("/etc/stbridge/stbridge.toml")
DOCKER_SECRETS = Path("/run/secrets")
SYSTEMD_SECRETS_VARIABLE = "CREDENTIALS_DIRECTORY"

Values = dict[str, Any]


def load(
    *,
    config: Path | None = None,
    flags: Iterable[str] = (),
    docker_secrets: Path = DOCKER_SECRETS,
) -> Settings:
    """Read the settings from all sources.

    Args:
        config: the TOML file; by default the first existing file of the usual places.
        flags: settings from the command line, as `section.key=value`.
        docker_secrets: the directory where Docker puts secret files.

    Raises:
        SettingsError: with one line per fault.
    """
    faults = list(_unknown_variables(os.environ))
    try:
        sources = [
            _from_flags(flags),
            _without_empty(_stripped(_Environment(Settings)())),
            _from_secrets(_secret_directories(os.environ, docker_secrets)),
            _stripped(_from_file(_config_file(config, os.environ))),
        ]
    except SettingsError as error:
        raise SettingsError([*faults, *error.faults]) from error
    sources = [_with_secret_files(values, faults) for values in sources]
    try:
        settings = _settings_from(sources)()
    except ValidationError as error:
        raise SettingsError([*faults, *chain.from_iterable(map(_readable, error.errors()))]) from error
    if faults:
        raise SettingsError(faults)
    return settings


def _stripped(value: Any) -> Any:
    """Strip white space around texts; secrets of Kubernetes and copied values often have some."""
    if isinstance(value, dict):
        return {key: _stripped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_stripped(item) for item in value]
    return value.strip() if isinstance(value, str) else value


_NEVER_EMPTY = frozenset({"mqtt.host", "commands.allow"})
"""Settings in which an empty value must not select the default: another broker, or more commands than intended."""


def _without_empty(values: Values, section: str = "") -> Values:
    """Remove empty variables: Docker Compose passes variables that are not set as empty ones."""
    return {
        key: _without_empty(value, f"{section}{key}.") if isinstance(value, dict) else value
        for key, value in values.items()
        if value != "" or f"{section}{key}" in _NEVER_EMPTY
    }


def _settings_from(sources: Iterable[Values]) -> type[Settings]:
    """Return the settings class with its sources; the first has the highest precedence."""

    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
            env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(InitSettingsSource(settings_cls, init_kwargs=values) for values in sources)

    return Sourced


class _Environment(EnvSettingsSource):
    """The environment variables; a value that is not valid JSON is passed on unchanged for the validation to report."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            return super().decode_complex_value(field_name, field, value)
        except ValueError:
            return value


def _from_flags(flags: Iterable[str]) -> Values:
    values: Values = {}
    for flag in flags:
        path, equals, value = flag.partition("=")
        if not path or not equals:
            raise SettingsError([f"--set {flag}: must look like section.key=value"])
        _put(values, path.split("."), _as_value(path, value))
    return values


def _as_value(path: str, text: str) -> Any:
    """Read a list or a table as TOML; any other text is passed on to the validation."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:  # the message must not contain the text: it may be a password
        raise SettingsError([f"--set {path}: not valid TOML ({error})"]) from error


def _put(values: Values, path: list[str], value: Any) -> None:
    *sections, key = path
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise SettingsError([f"{'.'.join(path)}: {section} already has a value, so it cannot contain {key}"])
    values[key] = value


def _secret_directories(environment: Mapping[str, str], docker_secrets: Path) -> list[Path]:
    systemd = environment.get(SYSTEMD_SECRETS_VARIABLE)
    return [docker_secrets, *([Path(systemd)] if systemd else [])]


_SECRET_NAMES = (
    re.compile(r"(?:stbridge_)?(?P<section>mqtt|web)__?(?P<key>username|password)"),
    re.compile(r"(?:stbridge_)?(?P<section>syncthing)__?(?P<instance>[a-z0-9_-]+?)__?(?P<key>api_key)"),
)
"""The names of secret files; their groups are the parts of the setting. Other files belong to other programs."""


def _from_secrets(directories: Iterable[Path]) -> Values:
    values: Values = {}
    for directory in directories:
        for file in _files(directory):
            for expression in _SECRET_NAMES:
                if found := expression.fullmatch(file.name.lower()):
                    secret = _read(file, f"{file}: cannot read the secret file").strip()
                    if secret:  # an empty file must not hide other sources
                        _put(values, list(found.groupdict().values()), secret)
    return values


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SettingsError([f"{directory}: cannot look for secret files ({error.strerror})"]) from error


_SECRETS = ("password", "api_key")


def _with_secret_files(values: Values, faults: list[str], section: str = "") -> Values:
    """Set each secret to the content of the file that the setting `..._file` beside it names.

    This is done within each source: a file named in a stronger source takes precedence over a secret in a weaker one.
    """
    filled = dict(values)
    for key, value in values.items():
        secret = key.removesuffix("_file")
        if isinstance(value, dict):
            filled[key] = _with_secret_files(value, faults, f"{section}{key}.")
        elif secret != key and secret in _SECRETS and isinstance(value, str) and value and not values.get(secret):
            try:
                filled[secret] = _read(Path(value), f"{section}{key}: cannot read {value}").strip()
            except SettingsError as error:
                faults.extend(error.faults)
            else:
                if not filled[secret]:
                    faults.append(f"{section}{key}: {value} is empty: write the secret into it")
    return filled


def _config_file(config: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the file to read; a file that the user names must exist, a file of the usual places need not exist."""
    if config is not None:
        return config
    if named := environment.get(CONFIG_VARIABLE, "").strip():
        return Path(named)
    home = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "/")) / ".config"
    usual = (Path(home) / "stbridge" / "stbridge.toml", SYSTEM_FILE)
    return next((file for file in usual if file.is_file()), None)


def _from_file(file: Path | None) -> Values:
    if file is None:
        return {}
    try:
        return tomllib.loads(_read(file, f"{file}: cannot read the configuration file"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{file}: not valid TOML ({error})"]) from error


def _read(file: Path, fault: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # editors on Windows begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise SettingsError([f"{fault} (it is not UTF-8)"]) from error
    except (OSError, ValueError) as error:  # ValueError: a path with NUL in it
        raise SettingsError([f"{fault} ({getattr(error, 'strerror', None) or error})"]) from error


_ADDRESS, _NUMBER, _URL = r"[0-9a-f.:]*[.:][0-9a-f.:]*", r"\d+", r"(?:tcp|udp|sctp)://\S+:\d+"

_KUBERNETES = tuple(
    re.compile(rf"{PREFIX}(?:[A-Z0-9]+_)*{name}={value}")
    for name, value in (
        ("SERVICE_HOST", _ADDRESS),
        ("SERVICE_PORT(?:_[A-Z0-9]+)*", _NUMBER),
        ("PORT", _URL),
        (r"PORT_\d+_(?:TCP|UDP|SCTP)", _URL),
        (r"PORT_\d+_(?:TCP|UDP|SCTP)_PROTO", "(?:tcp|udp|sctp)"),
        (r"PORT_\d+_(?:TCP|UDP|SCTP)_PORT", _NUMBER),
        (r"PORT_\d+_(?:TCP|UDP|SCTP)_ADDR", _ADDRESS),
    )
)
"""Variables that Kubernetes sets for services, as NAME=VALUE.

The value distinguishes them from misspelled settings, such as `STBRIDGE_MQTT_PORT=1883`.
"""


def variables_of_kubernetes(environment: Mapping[str, str]) -> list[str]:
    """Return the variables that Kubernetes sets for services whose names begin with `stbridge`.

    See https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
    """
    return [
        name
        for name, value in environment.items()
        if any(expression.fullmatch(f"{name}={value}") for expression in _KUBERNETES)
    ]


def log_ignored_variables(environment: Mapping[str, str]) -> None:
    """Log the variables that look like settings but come from Kubernetes."""
    if ignored := variables_of_kubernetes(environment):
        log.info("ignoring environment variables that Kubernetes sets for services: %s", ", ".join(ignored))


def _unknown_variables(environment: Mapping[str, str]) -> Iterable[str]:
    """Yield a fault for each variable that pydantic would silently ignore: its first part is not a section."""
    kubernetes = set(variables_of_kubernetes(environment))
    for name in environment:
        if not name.upper().startswith(PREFIX) or name.upper() == CONFIG_VARIABLE or name in kubernetes:
            continue
        section, nested, _ = name.upper().removeprefix(PREFIX).partition("__")
        if section.lower() not in Settings.model_fields or not nested:
            known = [variable.removeprefix(PREFIX) for variable in (*_variables(), *_variables_like(name.upper()))]
            suggestion = did_you_mean(name.upper().removeprefix(PREFIX), known, prefix=PREFIX)
            yield f"{name}: no such setting{suggestion}"


def _variables() -> list[str]:
    return [CONFIG_VARIABLE, *_variables_in(Settings, PREFIX)]


def _variables_in(section: type[BaseModel], prefix: str) -> Iterable[str]:
    for key, field in section.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _variables_in(annotation, f"{prefix}{key.upper()}__")
        if prefix != PREFIX:
            yield f"{prefix}{key.upper()}"


def _variables_like(name: str) -> Iterable[str]:
    """Yield settings of a Syncthing instance that a misspelled variable may mean.

    It may have single underscores instead of double ones, or a typo in the name of its section.
    """
    for key in map(str.upper, SyncthingSettings.model_fields):
        for form in (rf"SYNCTHING_+([A-Z0-9_-]+?)_+{key}", rf"[A-Z]+__([A-Z0-9_-]+?)__{key}"):
            if found := re.fullmatch(PREFIX + form, name):
                yield f"{PREFIX}SYNCTHING__{found[1]}__{key}"


_FAULTS: Mapping[str, str] = {
    "missing": "must be given",
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "path_type": "must be a path",
    "string_type": "must be text: put it in quotes",
    "string_sub_type": "must be text: put it in quotes",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "tuple_type": 'must be a list, such as ["one", "two"]',
}
"""Messages that use the words of TOML, by pydantic's type of error; pydantic's own messages use those of Python."""


def _readable(fault: Mapping[str, Any]) -> Iterable[str]:
    """Return the message lines for an error that pydantic has found."""
    *section, key = (str(part) for part in fault["loc"] or ("",))
    location = ".".join((*section, key))
    if fault["type"] == CONTRADICTIONS:
        return [f"{location}.{key}: {message}" for key, message in fault["ctx"]["faults"]]
    if fault["type"] == "extra_forbidden":
        prefix = "".join(f"{part}." for part in section)
        return [f"{location}: no such setting{did_you_mean(key, _known_in(section), prefix=prefix)}"]
    message = _FAULTS.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return [f"{location}: {message}" if location else message]


def _known_in(section: Iterable[str]) -> Iterable[str]:
    """Return the settings that exist in a section."""
    model: Any = Settings
    for part in section:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[part].annotation
        else:  # the name of an instance, folder or device: the next parts are keys of its table
            model = model.__args__[1]
    return getattr(model, "model_fields", ())
