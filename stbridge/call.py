"""`stbridge call`: runs one command over REST; it uses the same table of commands as MQTT."""

import json
from collections.abc import Sequence
from typing import Any

from stbridge.commands.operations import execute
from stbridge.core import decode
from stbridge.core.command import Command
from stbridge.core.commands import COMMANDS
from stbridge.core.envelope import CommandError, Request, check
from stbridge.core.json_text import printable_json
from stbridge.core.known import Known, check_applicable, with_ids
from stbridge.core.suggestion import suggestion_or_list
from stbridge.errors import MALFORMED, Failed, SyncthingError, UsageError
from stbridge.settings import SyncthingSettings
from stbridge.syncthing import SyncthingClient


def call(settings: SyncthingSettings, name: str, arguments: Sequence[str]) -> str:
    """Run one command and return its data as JSON.

    Args:
        settings: the settings of the instance.
        name: the name of the command.
        arguments: `key=value` each, or the bare value of the main argument.

    Raises:
        UsageError: there is no such command, or its arguments are wrong.
        Failed: Syncthing cannot be reached or refuses the command, or the server is not Syncthing.
    """
    request = _request(name, arguments)
    with SyncthingClient(
        settings.api_key.get_secret_value(),
        settings.url,
        verify=settings.verify,
        timeout_s=settings.timeout_s,
    ) as client:
        try:
            known = _known(client)
            request = with_ids(request, known)
            check_applicable(request, known.config)
            return printable_json(json.dumps(execute(client, request), indent=2, ensure_ascii=False))
        except (SyncthingError, CommandError) as error:
            raise Failed(str(error)) from error
        except MALFORMED as error:
            raise Failed(f"url: the response of {settings.url} does not look like Syncthing's ({error!r})") from error


def _known(client: SyncthingClient) -> Known:
    own_id = decode.status(client.get_status()).device_id
    return Known(
        config=decode.config(client.get_config(), own_id).config,
        pending_devices=decode.pending_devices(client.get_pending_devices()).devices,
        pending_folders=decode.pending_folders(client.get_pending_folders()).folders,
    )


def _request(name: str, arguments: Sequence[str]) -> Request:
    command = next((row for row in COMMANDS if row.name == name), None)
    if command is None:
        raise UsageError(f"there is no command {name!r}{suggestion_or_list(name, [row.name for row in COMMANDS])}")
    try:
        request = Request(command=command, arguments=check(command, _read(command, arguments)))
    except CommandError as error:
        raise UsageError(str(error)) from error
    if found := [row.name for row in command.arguments if row.needs_bridge and row.name in request.arguments]:
        raise UsageError(f"{found[0]} needs the running bridge: publish the command over MQTT")
    return request


def _read(command: Command, arguments: Sequence[str]) -> dict[str, Any]:
    types = {row.name: row.type for row in command.arguments}
    given: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals and command.main:
            name, value = command.main, argument
        given[name] = value if types.get(name) in _BARE else _as_json(value)
    return given


_BARE = frozenset({"folder", "device", "pending_folder", "pending_device", "text", "duration"})
"""Types whose values are plain text, not JSON."""


def _as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
