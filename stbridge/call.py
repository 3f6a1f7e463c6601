"""`stbridge call`: one command straight over REST, from the same table as over MQTT."""

import json
from collections.abc import Sequence
from typing import Any

from stbridge.core import decode
from stbridge.core.commands import COMMANDS, Command
from stbridge.core.envelope import CommandError, Request, check, with_ids
from stbridge.errors import Failed, SyncthingError, UsageError
from stbridge.operations import carry_out
from stbridge.settings import SyncthingSettings
from stbridge.syncthing import SyncthingClient


def call(settings: SyncthingSettings, name: str, arguments: Sequence[str]) -> Any:
    """Carry out one command and return its data.

    Args:
        settings: which Syncthing.
        name: of the command.
        arguments: `key=value` each, or the bare value of the main argument.

    Raises:
        UsageError: there is no such command, or its arguments are wrong.
        Failed: Syncthing cannot be reached, or refuses it.
    """
    command = next((row for row in COMMANDS if row.name == name), None)
    if command is None:
        raise UsageError(f"there is no command {name!r}, only {', '.join(row.name for row in COMMANDS)}")
    try:
        request = Request(command=command, arguments=check(command, _read(command, arguments)))
    except CommandError as error:
        raise UsageError(str(error)) from error
    with SyncthingClient(
        settings.api_key.get_secret_value(),
        settings.url,
        verify=settings.verify,
        timeout_s=settings.timeout_s,
    ) as client:
        try:
            own_id = client.get_status()["myID"]
            config = decode.config(client.get_config(), own_id).config
            return carry_out(client, with_ids(request, config))
        except (SyncthingError, CommandError) as error:
            raise Failed(str(error)) from error


def _read(command: Command, arguments: Sequence[str]) -> dict[str, Any]:
    types = {row.name: row.type for row in command.arguments}
    given: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals and command.main:
            name, value = command.main, argument
        given[name] = value if types.get(name) in ("folder", "device", "text") else _as_json(value)
    return given


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
