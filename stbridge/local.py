"""Default settings if no instance is configured: the Syncthing instance of this machine, named `local`."""

import os
from pathlib import Path

from pydantic import SecretStr

from stbridge.settings import Settings, SyncthingSettings
from stbridge.syncthing.locate import find_local

NAME = "local"


def with_local_syncthing(settings: Settings) -> Settings:
    """Return the settings with the Syncthing instance of this machine added.

    Raises:
        SettingsError: no Syncthing instance is found on this machine.
    """
    environment = {name: value.strip() for name, value in os.environ.items()}  # stripped like other settings
    found = find_local(environment, Path.home())
    local = SyncthingSettings(url=found.url, api_key=SecretStr(found.api_key), verify=found.verify)
    return settings.model_copy(update={"syncthing": {NAME: local}})
