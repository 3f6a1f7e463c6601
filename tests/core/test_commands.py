"""The table of commands: what is promised is there, and each row is one that can be carried out."""

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
        "accept_device": "device [name]",
        "dismiss_device": "device",
        "accept_folder": "folder [device] [path] [existing] [label] [type]",
        "dismiss_folder": "folder [device]",
    },
}
"""The main argument is in capitals, what need not be given in brackets, and of two with a bar exactly one is."""

NOT_TWICE = {"restart", "shutdown", "reset", "upgrade", "new_error"}
ONCE_A_MINUTE = {"restart", "shutdown", "reset", "upgrade"}

every_command = pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])


def shown(command: Command) -> str:
    """Return the arguments of a row as they are written above."""
    rest = [row for row in command.arguments if row.name not in command.either]
    words = [row.name.upper() if row.name == command.main else row.name for row in rest]
    words = [word if row.required else f"[{word}]" for word, row in zip(words, rest, strict=True)]
    return " ".join(["|".join(command.either), *words] if command.either else words)


# --- what is promised


def test_the_table_holds_what_is_promised() -> None:
    """Every command is in its group, with its arguments and its main argument, and there is no other."""
    table: dict[str, dict[str, str]] = {group: {} for group in PROMISED}
    for command in COMMANDS:
        table[command.group][command.name] = shown(command)
    assert table == PROMISED


def test_names_are_given_once() -> None:
    """A topic names one command, and a key in its payload one argument."""
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
            dict.fromkeys(("scan", "priority", "assign_priority", "new_ignores", "override", "revert"), True),
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
def test_what_needs_care_is_marked(marked: Callable[[Command], Any], expected: dict[str, Any]) -> None:
    """What must not be done twice, not often, not to every folder or not unseen is marked, and nothing else is."""
    assert {command.name: mark for command in COMMANDS if (mark := marked(command))} == expected


def test_an_alias_is_the_same_command() -> None:
    """`priority` and `assign_priority` differ in nothing but the name."""
    by_name = {command.name: command for command in COMMANDS}
    one, other = by_name["priority"], by_name["assign_priority"]
    assert (one.operation, one.arguments) == (other.operation, other.arguments)


def test_the_bridge_takes_its_own_command() -> None:
    """`republish` goes to the instance `bridge`, without arguments."""
    assert [(command.name, shown(command)) for command in BRIDGE_COMMANDS] == [("republish", "")]


# --- what is allowed


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
    """An entry of the list admits the commands of its group, or the one of its name; the default is safe."""
    assert allowed(allow) == names


@pytest.mark.parametrize("entry", ["everything", "Read", "", "*", "publish", "read, operate"])
def test_what_is_neither_a_group_nor_a_command_is_told(entry: str) -> None:
    """A typing error in the list does not silently forbid something."""
    with pytest.raises(ValueError, match=r"is neither a group .* nor a command") as told:
        allowed(["read", entry])
    assert repr(entry) in str(told.value)


# --- what a row says can be done


@every_command
def test_a_command_can_be_carried_out_with_its_arguments(command: Command) -> None:
    """The client's method takes exactly the arguments of the row, and needs those that the row requires."""
    if command.operation in {*OPERATIONS, "reset"}:
        return
    _self, *parameters = signature(getattr(SyncthingClient, command.operation)).parameters.values()
    taken = {one.name: one.default is Parameter.empty for one in parameters}
    assert taken == {row.name: row.required for row in command.arguments}


def test_no_operation_is_left_over() -> None:
    """Whatever says more than a method of the client belongs to a command."""
    assert OPERATIONS.keys() <= {command.operation for command in COMMANDS}


@every_command
def test_a_row_refers_to_what_there_is(command: Command) -> None:
    """Its main and its alternative arguments are among its arguments, and what these may be is known."""
    names = {row.name for row in command.arguments}
    assert {*command.either, *filter(None, [command.main])} <= names
    assert {row.type for row in command.arguments} <= TYPES.keys()


@every_command
def test_a_command_fits_into_a_topic(command: Command) -> None:
    """Its topic is its name as it stands, and is parsed back to it."""
    topics = Topics("syncthing")
    topic = topics.build("nas", Address("command", name=command.name))
    assert topic == f"syncthing/nas/command/{command.name}"
    assert topics.parse(topic) == ("nas", Address("command", name=command.name))
