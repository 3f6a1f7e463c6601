"""What must never leave the bridge, wherever in Syncthing's JSON it is."""

from typing import Any

_SECRETS = frozenset({"apiKey", "password", "encryptionPassword", "bindPassword"})


def without_secrets(value: Any) -> Any:
    """Return Syncthing's JSON without API keys and passwords, wherever in it they are."""
    if isinstance(value, dict):
        return {key: without_secrets(item) for key, item in value.items() if key not in _SECRETS}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


def with_secrets(value: Any, current: Any) -> Any:
    """Return a document with the secrets that `without_secrets` had left out of it.

    Args:
        value: the document; a secret that is in it stays as it is given.
        current: the document with all its secrets; entries of lists are found by their ID.
    """
    if isinstance(value, dict) and isinstance(current, dict):
        kept = {key: current[key] for key in _SECRETS & current.keys() - value.keys()}
        return {**{key: with_secrets(item, current.get(key)) for key, item in value.items()}, **kept}
    if isinstance(value, list) and isinstance(current, list):
        by_id = {identifier: item for item in current if (identifier := _id(item))}
        return [with_secrets(item, by_id.get(_id(item))) for item in value]
    return value


def _id(item: Any) -> str:
    identifier = (item.get("id") or item.get("deviceID")) if isinstance(item, dict) else None
    return identifier if isinstance(identifier, str) else ""
