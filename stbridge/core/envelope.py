"""What comes in with a command is read and checked against its row; what goes out is one envelope."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stbridge.core.commands import Argument, Command, Type
from stbridge.core.model import Config, short_id

Scalar = str | int | float | bool | None

PRESS = "PRESS"
"""What buttons send: a payload for commands that need no arguments."""

LARGEST_PAYLOAD = 4 * 1024 * 1024


class CommandError(Exception):
    """A command is refused or failed; `code` is one of the error codes of the reply."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command as it was asked for: valid by its form, not yet by what exists."""

    command: Command
    arguments: Mapping[str, Any]
    transaction: Scalar = None


_CHECKS: Mapping[Type, tuple[str, type]] = {
    "folder": ("a text", str),
    "device": ("a text", str),
    "text": ("a text", str),
    "integer": ("a whole number, 0 or more", int),
    "boolean": ("true or false", bool),
    "texts": ("a list of texts", list),
    "object": ("an object", dict),
}


def transaction_of(payload: bytes) -> Scalar:
    """Return the transaction of a payload as far as one can be made out, also when the rest is wrong."""
    try:
        value = json.loads(payload)
    except ValueError:
        return None
    transaction = value.get("transaction") if isinstance(value, dict) else None
    return transaction if isinstance(transaction, str | int | float) else None


def parse(command: Command, payload: bytes) -> Request:
    """Read the payload of a command and check its form.

    Args:
        command: its row.
        payload: a JSON object, the bare value of the main argument, or PRESS.

    Raises:
        CommandError: empty_payload, invalid_json or invalid_arguments.
    """
    if not payload.strip():
        raise CommandError("empty_payload", "an empty payload does nothing: send {} or PRESS")
    if len(payload) > LARGEST_PAYLOAD:
        raise CommandError("invalid_arguments", f"the payload is larger than {LARGEST_PAYLOAD} bytes")
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise CommandError("invalid_json", "the payload is not UTF-8") from error
    given = _as_object(command, text.strip())
    transaction = given.pop("transaction", None)
    if not isinstance(transaction, str | int | float | None):
        raise CommandError("invalid_arguments", "transaction must be a text, a number, true or false")
    return Request(command=command, arguments=check(command, given), transaction=transaction)


def _as_object(command: Command, text: str) -> dict[str, Any]:
    if text.startswith("{"):
        try:
            given: dict[str, Any] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CommandError("invalid_json", f"the payload is not valid JSON: {error}") from error
        return given
    if command.main is not None:
        return {command.main: _bare(text)}
    if text == PRESS:
        return {}
    raise CommandError("invalid_json", f"{command.name} takes a JSON object: {_known(command)}")


def _bare(text: str) -> str:
    """Read a bare value: as it stands, or a JSON string."""
    if text.startswith('"'):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        if isinstance(value, str):
            return value
    return text


def check(command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments of a command against its row; arguments that are null count as not given.

    Raises:
        CommandError: invalid_arguments.
    """
    arguments = {name: value for name, value in given.items() if value is not None}
    rows = {argument.name: argument for argument in command.arguments}
    if unknown := [name for name in arguments if name not in rows]:
        raise CommandError("invalid_arguments", f"unknown argument {unknown[0]!r}; {_known(command)}")
    for row in command.arguments:
        if row.name in arguments:
            _check_type(row, arguments[row.name])
        elif row.required:
            raise CommandError("invalid_arguments", f"{row.name} is missing; {_known(command)}")
    if command.either and sum(name in arguments for name in command.either) != 1:
        raise CommandError("invalid_arguments", f"give exactly one of {' and '.join(command.either)}")
    return arguments


def _check_type(row: Argument, value: object) -> None:
    description, expected = _CHECKS[row.type]
    fits = isinstance(value, expected) and not (expected is int and isinstance(value, bool))
    if isinstance(value, int) and value < 0:
        fits = False
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        fits = False
    if not fits or value == "":
        raise CommandError("invalid_arguments", f"{row.name} must be {description}")


def _known(command: Command) -> str:
    if not command.arguments:
        return f"{command.name} takes no arguments, send {{}}"
    names = ", ".join(row.name + (" (required)" if row.required else "") for row in command.arguments)
    return f"{command.name} takes {names}"


def with_ids(request: Request, config: Config | None) -> Request:
    """Replace the names of folders and devices by their IDs.

    Args:
        request: folders are given by ID or label, devices by ID, short ID or name.
        config: what there is; before it is known, only IDs will do.

    Raises:
        CommandError: not_found, or invalid_arguments if several have the name.
    """
    if config is None:
        return request
    arguments = dict(request.arguments)
    for row in request.command.arguments:
        given = arguments.get(row.name)
        if given is None or given == row.special:
            continue
        if row.type == "folder":
            folders = [(folder.id, (folder.label,)) for folder in config.folders.values()]
            arguments[row.name] = _resolve(given, folders, "folder")
        elif row.type == "device":
            devices = [(device.id, (short_id(device.id), device.name)) for device in config.devices.values()]
            arguments[row.name] = _resolve(given, devices, "device")
    return replace(request, arguments=arguments)


def _resolve(name: str, named: Sequence[tuple[str, tuple[str, ...]]], what: str) -> str:
    if any(name == identifier for identifier, _ in named):
        return name
    found = [identifier for identifier, names in named if name in names]
    if not found:
        raise CommandError("not_found", f"there is no {what} {name!r}")
    if len(found) > 1:
        raise CommandError("invalid_arguments", f"{len(found)} {what}s are called {name!r}: give the ID")
    return found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to a command; `status` is ok, accepted or error."""

    command: str
    status: str
    data: Any = None
    error: CommandError | None = None
    transaction: Scalar = None
    took_ms: int = 0

    def payload(self) -> Mapping[str, Any]:
        """Return the envelope."""
        error = self.error and {"code": self.error.code, "message": self.error.message}
        return {
            "command": self.command,
            "status": self.status,
            "data": self.data,
            "error": error,
            "transaction": self.transaction,
            "took_ms": self.took_ms,
        }


def retained_command(reply: Reply) -> bool:
    """Tell whether a command was refused because it was retained."""
    return reply.error is not None and reply.error.code == "retained_command"


_SECRETS = frozenset({"apiKey", "password", "encryptionPassword", "bindPassword"})


def without_secrets(value: Any) -> Any:
    """Return Syncthing's JSON without API keys and passwords, wherever in it they are."""
    if isinstance(value, dict):
        return {key: without_secrets(item) for key, item in value.items() if key not in _SECRETS}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value
