"""Where settings come from: flags, environment, secret files, a TOML file; and what is said when they are wrong."""

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from stbridge.errors import SettingsError
from stbridge.settings import PREFIX, Settings

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
    """Read the settings from everywhere.

    Args:
        config: the TOML file; by default the first that exists of the usual ones.
        flags: settings from the command line, as `section.key=value`.
        docker_secrets: where Docker puts secret files.

    Raises:
        SettingsError: with one line per fault.
    """
    faults = list(_unknown_variables(os.environ))
    try:
        sources = [
            _from_flags(flags),
            _from_secrets(_secret_directories(os.environ, docker_secrets)),
            _from_file(_config_file(config, os.environ)),
        ]
    except SettingsError as error:
        raise SettingsError([*faults, *error.faults]) from error
    try:
        settings = _settings_from(*sources)()
    except ValidationError as error:
        raise SettingsError([*faults, *(_readable(fault) for fault in error.errors())]) from error
    if faults:
        raise SettingsError(faults)
    return settings


def _settings_from(flags: Values, secrets: Values, file: Values) -> type[Settings]:
    """Return the settings with their sources, the strongest first."""

    class Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            def given(values: Values) -> PydanticBaseSettingsSource:
                return InitSettingsSource(settings_cls, init_kwargs=values)

            return given(flags), env_settings, given(secrets), given(file)

    return Sourced


def _from_flags(flags: Iterable[str]) -> Values:
    values: Values = {}
    for flag in flags:
        path, equals, value = flag.partition("=")
        if not equals:
            raise SettingsError([f"--set {flag}: must look like section.key=value"])
        _put(values, path.split("."), _as_value(value))
    return values


def _as_value(text: str) -> Any:
    """Read a list or a table as TOML; anything else is left to the validation."""
    if not text.startswith(("[", "{")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"--set ...={text}: not valid TOML ({error})"]) from error


def _put(values: Values, path: list[str], value: Any) -> None:
    *sections, key = path
    for section in sections:
        values = values.setdefault(section, {})
    values[key] = value


def _secret_directories(environment: Mapping[str, str], docker_secrets: Path) -> list[Path]:
    systemd = environment.get(SYSTEMD_SECRETS_VARIABLE)
    return [docker_secrets, *([Path(systemd)] if systemd else [])]


_SECRET_NAMES = (
    re.compile(r"(?:stbridge_)?(?P<section>mqtt)__?(?P<key>username|password)"),
    re.compile(r"(?:stbridge_)?(?P<section>syncthing)__?(?P<instance>[a-z0-9_-]+?)__?(?P<key>api_key)"),
)
"""The names of secret files, made of the parts of a setting; other files there are other programs'."""


def _from_secrets(directories: Iterable[Path]) -> Values:
    values: Values = {}
    for directory in directories:
        for file in sorted(directory.iterdir()) if directory.is_dir() else ():
            for expression in _SECRET_NAMES:
                if found := expression.fullmatch(file.name.lower()):
                    _put(values, list(found.groupdict().values()), _read(file, "the secret file").strip())
    return values


def _config_file(config: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the file to be read; one that was named must exist, one of the usual places need not."""
    if config is not None:
        return config
    if named := environment.get(CONFIG_VARIABLE):
        return Path(named)
    home = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "/")) / ".config"
    usual = (Path(home) / "stbridge" / "stbridge.toml", SYSTEM_FILE)
    return next((file for file in usual if file.is_file()), None)


def _from_file(file: Path | None) -> Values:
    if file is None:
        return {}
    try:
        return tomllib.loads(_read(file, "the configuration file"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{file}: not valid TOML ({error})"]) from error


def _read(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError([f"{file}: cannot read {what} ({error.strerror})"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{file}: {what} is not UTF-8"]) from error


def _unknown_variables(environment: Mapping[str, str]) -> Iterable[str]:
    """Find variables that would be passed over silently, because their first part names no section."""
    for name in environment:
        if not name.upper().startswith(PREFIX) or name.upper() == CONFIG_VARIABLE:
            continue
        section, nested, _ = name.upper().removeprefix(PREFIX).partition("__")
        if section.lower() not in Settings.model_fields or not nested:
            hint = _closest(name.upper(), _variables())
            yield f"{name}: no such setting{hint}"


def _variables() -> list[str]:
    return [
        f"{PREFIX}{section}__{key}".upper()
        for section, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
    ]


def _readable(fault: Mapping[str, Any]) -> str:
    location = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{location}: no such setting{_closest(location, _known_beside(fault['loc']))}"
    if fault["type"] == "missing":
        return f"{location}: must be given"
    message = str(fault["msg"]).removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{location}: {message}" if location else message


def _known_beside(location: tuple[str | int, ...]) -> list[str]:
    """Return the settings that there are beside one that there is not."""
    model: Any = Settings
    *path, _ = location
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            annotation = model.model_fields[str(part)].annotation
            model = annotation
        else:  # the name of an instance: what follows are the keys of its table
            model = model.__args__[1]
    prefix = ".".join(str(part) for part in path)
    return [f"{prefix}.{key}".lstrip(".") for key in getattr(model, "model_fields", ())]


def _closest(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""
