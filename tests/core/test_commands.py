"""The command table holds the documented commands, and every row can be executed."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import pytest

from stbridge.commands.operations import OPERATIONS
from stbridge.core.arguments import TYPES
from stbridge.core.command import Command
from stbridge.core.commands import BRIDGE_COMMANDS, COMMANDS, allowed
from stbridge.core.topics import Address, Topics
from stbridge.settings import CommandSettings
from stbridge.syncthing import SyncthingClient

PROMISED = {
    "read": {
        "get_version": "",
        "get_status": "",
        "get_ping": "",
        "get_connections": "",
        "get_config": "",
        "get_insync": "",
        "get_errors": "",
        "get_discovery": "",
        "get_device_statistics": "",
        "get_folder_statistics": "",
        "get_folder_status": "FOLDER",
        "get_completion": "[device] [folder]",
        "browse_database": "FOLDER [level] [prefix]",
        "get_file": "folder file",
        "get_ignores": "FOLDER",
        "get_need": "FOLDER [page] [perpage]",
        "get_remote_need": "device folder [page] [perpage]",
        "get_local_changes": "FOLDER [page] [perpage]",
        "get_folder_errors": "FOLDER [page] [perpage]",
        "get_versions": "FOLDER",
        "get_pending": "",
        "check_upgrade": "",
    },
    "operate": {
        "scan": "folder|all [sub] [wait]",
        "priority": "folder file",
        "assign_priority": "folder file",
        "new_error": "MESSAGE",
        "clear_errors": "",
        "pause": "folder|device [for]",
        "resume": "folder|device",
        "set_paused": "folder|device paused",
        "pause_all": "[for]",
        "resume_all": "",
        "set_limits": "[send_kbps] [recv_kbps]",
    },
    "admin": {
        "restart": "",
        "shutdown": "",
        "reset": "folder|all",
        "upgrade": "",
        "new_config": "config [replace]",
        "new_ignores": "folder ignore",
        "override": "FOLDER",
        "revert": "FOLDER",
        "restore_version": "folder file version",
        "accept_device": "device [name]",
        "dismiss_device": "device",
        "accept_folder": "folder [device] [path] [existing] [label] [type]",
        "dismiss_folder": "folder [device]",
    },
}
"""The main argument is in capitals, optional arguments are in brackets, "a|b" means exactly one of both."""

NOT_TWICE = {"restart", "shutdown", "reset", "upgrade", "new_error", "restore_version"}
ONCE_A_MINUTE = {"restart", "shutdown", "reset", "upgrade"}

every_command = pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])


def shown(command: Command) -> str:
    """Return the arguments of a row in the notation of PROMISED."""
    rest = [row for row in command.arguments if row.name not in command.either]
    words = [row.name.upper() if row.name == command.main else row.name for row in rest]
    words = [word if row.required else f"[{word}]" for word, row in zip(words, rest, strict=True)]
    return " ".join(["|".join(command.either), *words] if command.either else words)


# --- the documented commands


def test_the_table_holds_exactly_the_documented_commands() -> None:
    """Every command is in its group with its arguments and its main argument, and there are no other commands."""
    table: dict[str, dict[str, str]] = {group: {} for group in PROMISED}
    for command in COMMANDS:
        table[command.group][command.name] = shown(command)
    assert table == PROMISED


def test_names_of_commands_and_arguments_are_unique() -> None:
    """A topic names one command, and a key of its payload names one argument."""
    tables = [[row.name for row in rows] for rows in (COMMANDS, BRIDGE_COMMANDS)]
    for names in (*tables, *([row.name for row in command.arguments] for command in COMMANDS)):
        assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        (lambda command: not command.repeatable, dict.fromkeys(NOT_TWICE, True)),
        (lambda command: command.every_s, dict.fromkeys(ONCE_A_MINUTE, 60)),
        (
            lambda command: command.folder_types,
            {"override": ("sendonly",), "revert": ("receiveonly", "receiveencrypted")},
        ),
        (
            lambda command: command.running,
            dict.fromkeys(
                (
                    *("scan", "priority", "assign_priority", "new_ignores", "override", "revert"),
                    *("get_versions", "restore_version"),
                ),
                True,
            ),
        ),
        (
            lambda command: command.changes,
            {
                **dict.fromkeys(("new_error", "clear_errors"), ("errors",)),
                **dict.fromkeys(("accept_device", "dismiss_device"), ("pending_devices",)),
                **dict.fromkeys(("accept_folder", "dismiss_folder"), ("pending_folders",)),
            },
        ),
    ],
    ids=["not repeatable", "limited", "by type", "not of what is paused", "read afterwards"],
)
def test_commands_with_restrictions_are_marked(marked: Callable[[Command], Any], expected: dict[str, Any]) -> None:
    """No other command has one of these restrictions, or has its result read back afterwards."""
    assert {command.name: mark for command in COMMANDS if (mark := marked(command))} == expected


def test_priority_and_assign_priority_are_the_same_command() -> None:
    """`priority` and `assign_priority` differ only in their names."""
    by_name = {command.name: command for command in COMMANDS}
    one, other = by_name["priority"], by_name["assign_priority"]
    assert (one.operation, one.arguments) == (other.operation, other.arguments)


def test_the_bridge_takes_its_own_command() -> None:
    """The instance `bridge` accepts `republish`, without arguments."""
    assert [(command.name, shown(command)) for command in BRIDGE_COMMANDS] == [("republish", "")]


# --- allowed commands


@pytest.mark.parametrize(
    ("allow", "names"),
    [
        ([], set()),
        (["read"], {*PROMISED["read"]}),
        (["operate"], {*PROMISED["operate"], "republish"}),
        (["republish"], {"republish"}),
        (["admin"], {*PROMISED["admin"]}),
        (["restart", "scan"], {"restart", "scan"}),
        (["restart", "read", "restart", "get_ping"], {*PROMISED["read"], "restart"}),
        (CommandSettings().allow, {*PROMISED["read"], *PROMISED["operate"], "restart", "republish"}),
    ],
)
def test_groups_and_names_are_allowed(allow: list[str], names: set[str]) -> None:
    """An entry allows all commands of its group, or the command of its name. The default is safe."""
    assert allowed(allow) == names


@pytest.mark.parametrize("entry", ["everything", "Read", "", "*", "publish", "read, operate"])
def test_an_unknown_entry_of_the_allow_list_is_an_error(entry: str) -> None:
    """A typing error in the list must not silently forbid a command."""
    with pytest.raises(ValueError, match=r"is neither a group .* nor a command") as refused:
        allowed(["read", entry])
    assert repr(entry) in str(refused.value)


# --- every row can be executed


@every_command
def test_a_command_can_be_executed_with_its_arguments(command: Command) -> None:
    """The method of the client takes exactly the arguments of the row, and the same ones are required."""
    if command.operation in {*OPERATIONS, "reset"}:
        return
    _self, *parameters = signature(getattr(SyncthingClient, command.operation)).parameters.values()
    taken = {one.name: one.default is Parameter.empty for one in parameters}
    assert taken == {row.name: row.required for row in command.arguments}


def test_every_operation_belongs_to_a_command() -> None:
    """Each operation that is more than one method of the client is used by a command."""
    assert OPERATIONS.keys() <= {command.operation for command in COMMANDS}


@every_command
def test_a_row_refers_to_existing_arguments_and_types(command: Command) -> None:
    """The main argument and the alternatives are arguments of the row, and the type of each argument is known."""
    names = {row.name for row in command.arguments}
    assert {*command.either, *filter(None, [command.main])} <= names
    assert {row.type for row in command.arguments} <= TYPES.keys()


@every_command
def test_the_name_of_a_command_is_a_topic_level(command: Command) -> None:
    """The topic ends with the unchanged name, and parsing the topic returns the name."""
    topics = Topics("syncthing")
    topic = topics.build("nas", Address("command", name=command.name))
    assert topic == f"syncthing/nas/command/{command.name}"
    assert topics.parse(topic) == ("nas", Address("command", name=command.name))
