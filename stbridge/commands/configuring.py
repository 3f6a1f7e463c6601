"""The command `new_config`: a part of a configuration is merged, piece by piece; or the whole is replaced."""

from collections.abc import Callable, Mapping
from typing import Any

from stbridge.core.config_changes import Change, changes
from stbridge.core.secrets import with_secrets
from stbridge.errors import SyncthingError
from stbridge.syncthing import SyncthingClient


def new_config(client: SyncthingClient, arguments: Mapping[str, Any]) -> Any:
    """Change the configuration and return which parts were changed.

    Syncthing has no transaction for it: if a part fails, those before it stay changed, and the error names them.

    Args:
        client: the way to Syncthing.
        arguments: `config`, and `replace` if it is to be all that there is.

    Raises:
        SyncthingError: Syncthing cannot be reached, or refuses a part.
        CommandError: it is no configuration, or would lock everybody out.
    """
    document, current = arguments["config"], client.get_config()
    if arguments.get("replace"):
        client.new_config(with_secrets({"gui": {}, **document}, current))  # a new API key would lock the bridge out
        return {"changed": ["everything"]}
    done: list[str] = []
    for change in changes(document, current):
        try:
            _change(client, change)
        except SyncthingError as error:
            before = f" (changed before it: {', '.join(done)})" if done else ""
            error.args = (f"{change.shown}: {error}{before}",)  # its kind, and with it the code, stays
            raise
        done.append(change.shown)
    return {"changed": done}


_PATCHES: Mapping[str, Callable[[SyncthingClient, Change], None]] = {
    "folders": lambda client, change: client.patch_folder(change.id, change.value),
    "devices": lambda client, change: client.patch_device(change.id, change.value),
    "defaults/ignores": lambda client, change: client.new_default_ignores(change.value),
}
_ADDITIONS: Mapping[str, Callable[[SyncthingClient, Change], None]] = {
    "folders": lambda client, change: client.add_folder(change.value),
    "devices": lambda client, change: client.add_device(change.value),
}


def _change(client: SyncthingClient, change: Change) -> None:
    if not change.known:
        _ADDITIONS[change.part](client, change)
    elif change.part in _PATCHES:
        _PATCHES[change.part](client, change)
    else:
        client.patch_config(change.part, change.value)
