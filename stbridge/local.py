"""Settings for a bridge without any: the Syncthing of this machine, as the instance `local`."""

import os
from pathlib import Path

from pydantic import SecretStr

from stbridge.settings import Settings, SyncthingSettings
from stbridge.syncthing.locate import find_local

NAME = "local"


def with_local_syncthing(settings: Settings) -> Settings:
    """Return the settings with the Syncthing of this machine.

    Raises:
        SettingsError: there is none.
    """
    environment = {name: value.strip() for name, value in os.environ.items()}  # as for other settings
    found = find_local(environment, Path.home())
    local = SyncthingSettings(url=found.url, api_key=SecretStr(found.api_key), verify=found.verify)
    return settings.model_copy(update={"syncthing": {NAME: local}})
