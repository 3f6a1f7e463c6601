"""Removes secrets from Syncthing's JSON before it leaves the bridge, and restores them in edited documents."""

import re
from collections import defaultdict
from typing import Any
from urllib.parse import unquote_plus

_SECRETS = frozenset({"apiKey", "password", "encryptionPassword", "bindPassword"})

_COMMAND = "command"
"""The parameter of external versioning that contains a command line, which may contain credentials."""

_QUERY = "RawQuery"
"""The key of a URL's query in ListenAddressesChanged, which contains URLs split into parts."""

# Hostile texts may be long, so none of these expressions searches a part of a text twice.
_LOGIN = re.compile(r"""(?<=://)[^\s"'<>/?#]*@""")
_URL = re.compile(r"""://[^\s"'<>]*""")
_PARAMETER = re.compile(r"(?P<before>[?&;])(?P<name>[^?&;=#]*)=[^&;#]*")
_SECRET_PARAMETERS = frozenset({"token", "access_token", "password", "secret", "apikey", "api_key", "auth"})
"""Relays use `token`; the others may occur in URLs of discovery servers and relay pools, which anyone can operate."""


def without_secrets(value: Any) -> Any:
    """Return Syncthing's JSON without API keys, passwords, tokens and versioning commands at any level."""
    if isinstance(value, dict):
        return {_in_text(key): _public(key, item) for key, item in value.items() if key not in _SECRETS}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return _in_text(value)


def _public(key: str, item: Any) -> Any:
    if key == _QUERY and isinstance(item, str):
        return _in_query(f"?{item}").removeprefix("?")
    public = without_secrets(item)
    if key == "versioning" and isinstance(public, dict) and isinstance(parameters := public.get("params"), dict):
        return {**public, "params": {name: one for name, one in parameters.items() if name != _COMMAND}}
    return public


def without_tokens(text: str) -> str:
    """Return a text without the logins and tokens of the URLs in it, for example the address of a relay."""
    if "://" not in text:
        return text
    return _URL.sub(lambda found: _in_query(found[0]), _LOGIN.sub("", text))


def _in_text(value: Any) -> Any:
    return without_tokens(value) if isinstance(value, str) else value


def _in_query(text: str) -> str:
    """Return the end of a URL without secret parameters; the first remaining one follows the question mark."""
    if "=" not in text:
        return text
    return re.sub(r"\?[&;]+", "?", _PARAMETER.sub(_kept, text)).removesuffix("?")


def _kept(found: re.Match[str]) -> str:
    if unquote_plus(found["name"]).casefold() not in _SECRET_PARAMETERS:
        return found[0]
    return "?" if found["before"] == "?" else ""


def with_secrets(value: Any, current: Any) -> Any:
    """Return a document with the secrets that `without_secrets` had removed from it.

    Args:
        value: the document; a secret that it contains stays unchanged.
        current: the document with all its secrets. List entries are matched by ID, addresses by their public part.
    """
    if isinstance(value, dict) and isinstance(current, dict):
        kept = {key: current[key] for key in _SECRETS & current.keys() - value.keys()}
        return {**{key: _complete(key, item, current.get(key)) for key, item in value.items()}, **kept}
    if isinstance(value, list) and isinstance(current, list):
        by_id = {identifier: item for item in current if (identifier := _id(item))}
        by_public: dict[str, list[str]] = defaultdict(list)
        for item in current:
            if isinstance(item, str):
                by_public[without_tokens(item)].append(item)
        return [
            _original(item, by_public[item]) if isinstance(item, str) else with_secrets(item, by_id.get(_id(item)))
            for item in value
        ]
    if isinstance(value, str) and isinstance(current, str):
        return _original(value, [current] if without_tokens(current) == value else [])
    return value


def _complete(key: str, item: Any, current: Any) -> Any:
    complete = with_secrets(item, current)
    if key != "versioning" or not isinstance(complete, dict) or not isinstance(current, dict):
        return complete
    given, before = complete.get("params"), current.get("params")
    same = complete.get("type") == current.get("type")
    if same and isinstance(given, dict) and isinstance(before, dict) and _COMMAND in before:
        return {**complete, "params": {_COMMAND: before[_COMMAND], **given}}
    return complete


def _original(text: str, candidates: list[str]) -> str:
    """Return the original of a text without secrets; several originals with the same public part keep their order."""
    if not candidates:
        return text
    return candidates.pop(0) if len(candidates) > 1 else candidates[0]


def _id(item: Any) -> str:
    identifier = (item.get("id") or item.get("deviceID")) if isinstance(item, dict) else None
    return identifier if isinstance(identifier, str) else ""
