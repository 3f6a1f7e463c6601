"""A simulated machine that has only the settings of a test, and functions that list all settings."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from stbridge import settings_sources
from stbridge.errors import SettingsError
from stbridge.settings import PREFIX, Settings, SyncthingSettings
from stbridge.settings_sources import SYSTEMD_SECRETS_VARIABLE, load

Setting = tuple[str, ...]


class Machine:
    """A machine that has no settings at first."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.directory = directory
        self._monkeypatch = monkeypatch
        self._config: Path | None = None
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            monkeypatch.delenv(name)
        for name in ("XDG_CONFIG_HOME", SYSTEMD_SECRETS_VARIABLE):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(directory / "home"))
        monkeypatch.setattr(settings_sources, "SYSTEM_FILE", directory / "etc/stbridge.toml")

    def file(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def config(self, text: str) -> None:
        """Use a TOML file with this text as the settings file."""
        self._config = self.file("named.toml", text)

    def environment(self, variables: Mapping[str, str]) -> None:
        """Set environment variables."""
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def docker_secret(self, name: str, text: str) -> None:
        """Mount a Docker secret."""
        self.file(f"docker/{name}", text)

    def systemd_credential(self, name: str, text: str) -> None:
        """Provide a systemd credential."""
        self.environment({SYSTEMD_SECRETS_VARIABLE: str(self.file(f"systemd/{name}", text).parent)})

    def load(self, *flags: str) -> Settings:
        """Load the settings of this machine."""
        return load(config=self._config, flags=flags, docker_secrets=self.directory / "docker")

    def faults(self, *flags: str) -> Sequence[str]:
        """Return the faults that loading the settings reports."""
        with pytest.raises(SettingsError) as caught:
            self.load(*flags)
        return caught.value.faults


def settings_in(section: type[BaseModel], path: Setting = ()) -> Iterator[tuple[Setting, FieldInfo]]:
    """Yield every setting with its path; the instance is named `nas`."""
    for name, field in section.model_fields.items():
        if name == "syncthing":
            yield from settings_in(SyncthingSettings, (name, "nas"))
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from settings_in(field.annotation, (*path, name))
        else:
            yield (*path, name), field


SETTINGS = dict(settings_in(Settings))
SECRETS = [path for path, field in SETTINGS.items() if field.annotation is SecretStr]


def value_of(settings: Settings, path: Setting) -> Any:
    """Return the value of a setting."""
    value: Any = settings
    for part in path:
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def variable_of(path: Setting) -> str:
    """Return the environment variable of a setting."""
    return (PREFIX + "__".join(path)).upper()
