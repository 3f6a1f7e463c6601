"""Parses the payloads of commands, checks them against the table of commands, and builds the payloads of replies."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from stbridge.core.arguments import TYPES
from stbridge.core.command import Argument, Command
from stbridge.core.json_text import cut, read_json
from stbridge.core.messages import Received
from stbridge.core.suggestion import did_you_mean

Scalar = str | int | float | bool | None

PRESS = "PRESS"
"""The payload of a button, for commands without arguments."""

LARGEST_PAYLOAD = 4 * 1024 * 1024

LONGEST_TRANSACTION = 1024
"""Maximum length of a transaction in characters; the reply contains it and is kept in memory."""

LONGEST_MESSAGE = 1024
"""Maximum length of an error message in characters; it may quote the command."""


class CommandError(Exception):
    """A command was refused or failed; `code` is one of the error codes of replies."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A parsed command with a valid form; the names in it are checked later, in `known`."""

    command: Command
    arguments: Mapping[str, Any]
    transaction: Scalar = None


def select(rows: Mapping[str, Command], name: str, received: Received, allowed: Container[str]) -> Command:
    """Return the row of an allowed command.

    Args:
        rows: all commands, by name.
        name: the last level of the topic.
        received: the message.
        allowed: the names on the allow-list.

    Raises:
        CommandError: retained_command, empty_payload, unknown_command or forbidden.
    """
    if received.retained:
        raise CommandError("retained_command", "a retained command is never executed: publish it without retain")
    if not received.payload.strip():
        raise CommandError("empty_payload", "an empty payload is ignored: send {} or PRESS")
    command = rows.get(name)
    if command is None:
        raise CommandError("unknown_command", f"there is no command {name!r}{did_you_mean(name, rows)}")
    if name not in allowed:
        raise CommandError("forbidden", f"{name} is not allowed: add it to the setting commands.allow")
    return command


def transaction_of(payload: bytes) -> Scalar:
    """Return the transaction of a payload, also if the rest of it is invalid; None if there is none."""
    if len(payload) > LARGEST_PAYLOAD:
        return None
    try:
        value = read_json(payload.decode())
    except ValueError:
        return None
    transaction = value.get("transaction") if isinstance(value, dict) else None
    return transaction if isinstance(transaction, str | int | float) and _is_short(transaction) else None


def _is_short(transaction: Scalar) -> bool:
    return len(str(transaction)) <= LONGEST_TRANSACTION


def parse(command: Command, payload: bytes) -> Request:
    """Parse the payload of a command and check its form.

    Args:
        command: its row.
        payload: a JSON object, the bare value of the main argument, or PRESS.

    Raises:
        CommandError: invalid_json or invalid_arguments.
    """
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
    if not _is_short(transaction):
        raise CommandError("invalid_arguments", f"transaction must have at most {LONGEST_TRANSACTION} characters")
    return Request(command=command, arguments=check(command, given), transaction=transaction)


def _as_object(command: Command, text: str) -> dict[str, Any]:
    if text.startswith("{"):
        try:
            given: dict[str, Any] = read_json(text)
        except ValueError as error:
            raise CommandError("invalid_json", f"the payload is not valid JSON: {error}") from error
        return given
    if command.main is not None:
        return {command.main: _bare(text)}
    if text == PRESS:
        return {}
    raise CommandError("invalid_json", f"the payload must be a JSON object: {_known(command)}")


def _bare(text: str) -> str:
    """Return a bare value: the text itself, or a JSON string."""
    if text.startswith('"'):
        try:
            value = read_json(text)
        except ValueError:
            return text
        if isinstance(value, str):
            return value
    return text


def check(command: Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments of a command against its row; an argument that is null is ignored.

    Raises:
        CommandError: invalid_arguments.
    """
    arguments = {name: value for name, value in given.items() if value is not None}
    rows = {argument.name: argument for argument in command.arguments}
    if unknown := [name for name in arguments if name not in rows]:
        suggestion = did_you_mean(unknown[0], rows)
        raise CommandError("invalid_arguments", f"unknown argument {unknown[0]!r}{suggestion}; {_known(command)}")
    for row in command.arguments:
        if row.name in arguments:
            _check_type(row, arguments[row.name])
        elif row.required:
            raise CommandError("invalid_arguments", f"{row.name} is missing; {_known(command)}")
    if command.either and sum(name in arguments for name in command.either) != 1:
        raise CommandError("invalid_arguments", f"give exactly one of {' and '.join(command.either)}")
    if command.any_of and not any(name in arguments for name in command.any_of):
        raise CommandError("invalid_arguments", f"give at least one of {' and '.join(command.any_of)}")
    return arguments


def _check_type(row: Argument, value: object) -> None:
    description, fits = TYPES[row.type]
    if not fits(value):
        raise CommandError("invalid_arguments", f"{row.name} must be {description}")
    if row.largest is not None and isinstance(value, int) and value > row.largest:
        raise CommandError("invalid_arguments", f"{row.name} must be at most {row.largest}")


def _known(command: Command) -> str:
    if not command.arguments:
        return f"{command.name} takes no arguments, send {{}}"
    names = ", ".join(row.name + (" (required)" if row.required else "") for row in command.arguments)
    return f"{command.name} takes {names}"


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
        """Return the payload of the reply."""
        error = self.error and {"code": self.error.code, "message": cut(self.error.message, LONGEST_MESSAGE)}
        return {
            "command": self.command,
            "status": self.status,
            "data": self.data,
            "error": error,
            "transaction": self.transaction,
            "took_ms": self.took_ms,
        }


def retained_command(reply: Reply) -> bool:
    """Return whether a command was refused because it was retained."""
    return reply.error is not None and reply.error.code == "retained_command"


def too_large(reply: Reply, size: int, limit: int) -> Reply:
    """Return the error that replaces a reply which is too large for the broker."""
    message = f"the reply has {size} bytes, and {limit} are the maximum: request less with page, prefix or level"
    return replace(reply, status="error", data=None, error=CommandError("too_large", message))
