"""Any command payload becomes a request or a defined error, and every reply is strict JSON."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stbridge.core.command import Command
from stbridge.core.commands import COMMANDS, allowed
from stbridge.core.envelope import (
    LARGEST_PAYLOAD,
    CommandError,
    Reply,
    Request,
    parse,
    retained_command,
    select,
    transaction_of,
)
from stbridge.core.json_text import as_json
from stbridge.core.messages import Received

ROWS = {command.name: command for command in COMMANDS}
CODES = {
    *("invalid_json", "invalid_arguments", "unknown_command", "forbidden", "retained_command", "empty_payload"),
    *("rate_limited", "not_found", "not_applicable", "unsupported", "unauthorized", "unreachable", "timeout"),
    "syncthing_error",
}
SAFE = allowed(["read", "operate", "restart"])


def refusal(do: Callable[..., Any], *arguments: Any) -> CommandError:
    """Return the error that a call raises."""
    with pytest.raises(CommandError) as caught:
        do(*arguments)
    assert str(caught.value) == caught.value.message
    return caught.value


def read(name: str, payload: Any) -> Request:
    """Parse the payload of a command; anything except bytes is written as JSON first."""
    return parse(ROWS[name], payload if isinstance(payload, bytes) else json.dumps(payload).encode())


# --- whether a command may be executed


@pytest.mark.parametrize(
    ("name", "payload", "retained", "code", "words"),
    [
        ("scan", b"docs", True, "retained_command", "without retain"),
        ("nonsense", b"", True, "retained_command", "without retain"),
        ("scan", b"", False, "empty_payload", "send {} or PRESS"),
        ("get_ping", b" \r\n\t", False, "empty_payload", "send {} or PRESS"),
        ("nonsense", b"", False, "empty_payload", "send {} or PRESS"),
        ("nonsense", b"{}", False, "unknown_command", "no command 'nonsense'"),
        ("", b"{}", False, "unknown_command", "no command ''"),
        ("Scan", b"{}", False, "unknown_command", "no command 'Scan'"),
        ("shutdown", b"{}", False, "forbidden", "commands.allow"),
        ("new_config", b"rubbish", False, "forbidden", "commands.allow"),
    ],
)
def test_forbidden_commands_are_refused_before_their_payload_is_parsed(
    name: str, payload: bytes, *, retained: bool, code: str, words: str
) -> None:
    """Retained, empty, unknown and forbidden commands are refused, in this order. The message shows the fix."""
    error = refusal(select, ROWS, name, Received(topic="t", payload=payload, retained=retained), SAFE)
    assert error.code == code
    assert words in error.message


def test_the_row_of_an_allowed_command_is_found() -> None:
    """The payload is not parsed at this point."""
    for name in SAFE & ROWS.keys():
        assert select(ROWS, name, Received(topic="t", payload=b"\xff"), SAFE) is ROWS[name]


# --- the contents of a payload


@pytest.mark.parametrize(
    ("name", "payload", "arguments"),
    [
        ("get_ping", b"{}", {}),
        ("get_ping", b"PRESS", {}),
        ("get_ping", b"\n PRESS ", {}),
        ("scan", b"docs", {"folder": "docs"}),
        ("scan", b" a/b +#%\xc3\xbc\n", {"folder": "a/b +#%ü"}),
        ("scan", b'"docs"', {"folder": "docs"}),
        ("scan", b'" docs\\n"', {"folder": " docs\n"}),
        ("scan", b'"', {"folder": '"'}),
        ("scan", b'"docs" and more', {"folder": '"docs" and more'}),
        ("scan", b"PRESS", {"folder": "PRESS"}),
        ("scan", b"null", {"folder": "null"}),
        ("scan", b"17", {"folder": "17"}),
        ("scan", b"[1]", {"folder": "[1]"}),
        ("new_error", b"NaN", {"message": "NaN"}),
        ("scan", {"folder": "docs", "sub": None, "wait": True}, {"folder": "docs", "wait": True}),
        ("scan", {"folder": "docs", "unheard-of": None}, {"folder": "docs"}),
        ("get_completion", {}, {}),
        ("get_need", {"folder": "docs", "page": 0, "perpage": 5}, {"folder": "docs", "page": 0, "perpage": 5}),
        ("pause", {"device": "beta", "for": "30m"}, {"device": "beta", "for": "30m"}),
        ("pause", {"folder": "docs", "device": None, "for": 90}, {"folder": "docs", "for": 90}),
        ("set_paused", {"folder": "docs", "paused": False}, {"folder": "docs", "paused": False}),
        ("new_ignores", {"folder": "docs", "ignore": []}, {"folder": "docs", "ignore": []}),
        ("new_ignores", {"folder": "docs", "ignore": ["*.tmp", ""]}, {"folder": "docs", "ignore": ["*.tmp", ""]}),
        ("new_config", {"config": {"a": [None]}, "replace": True}, {"config": {"a": [None]}, "replace": True}),
    ],
)
def test_the_forms_of_a_payload(name: str, payload: Any, arguments: dict[str, Any]) -> None:
    """A payload is an object of arguments without nulls, the main argument as text or JSON string, or PRESS."""
    request = read(name, payload)
    assert (request.command.name, request.arguments, request.transaction) == (name, arguments, None)


@pytest.mark.parametrize(
    ("name", "payload", "words"),
    [
        ("get_ping", b"\xff{}", "not UTF-8"),
        ("scan", b"caf\xe9", "not UTF-8"),
        ("scan", b'{"folder": "caf\xe9"}', "not UTF-8"),
        ("scan", b"\xed\xa0\x80", "not UTF-8"),
        ("scan", b"{", "not valid JSON"),
        ("scan", b'{"folder": "docs"} {}', "not valid JSON"),
        ("scan", b"{'folder': 'docs'}", "not valid JSON"),
        ("get_need", b'{"folder": "docs", "page": NaN}', "NaN is not JSON"),
        ("get_need", b'{"folder": "docs", "page": -Infinity}', "-Infinity is not JSON"),
        ("get_need", b'{"folder": "docs", "page": 1e999}', "1e999 is too large"),
        ("scan", b'{"folder": "docs", "transaction": NaN}', "NaN is not JSON"),
        ("new_config", b'{"config": {"gui": {"theme": -1e999}}}', "-1e999 is too large"),
        ("get_need", b'{"folder": "docs", "page": ' + b"9" * 5000 + b"}", "not valid JSON"),
        ("new_config", b'{"config":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        ("get_ping", b"press", "get_ping takes no arguments, send {}"),
        ("get_ping", b"[]", "get_ping takes no arguments, send {}"),
        ("get_ping", b"\x00", "get_ping takes no arguments, send {}"),
        ("priority", b"docs", "priority takes folder (required), file (required)"),
        ("set_paused", b"true", "set_paused takes folder, device, paused (required)"),
    ],
)
def test_a_payload_that_cannot_be_parsed_is_refused(name: str, payload: bytes, words: str) -> None:
    """The error shows why the payload is not strict JSON, or which arguments the command takes."""
    error = refusal(read, name, payload)
    assert error.code == "invalid_json"
    assert words in error.message


SCAN = "scan takes folder, all, sub, wait"


@pytest.mark.parametrize(
    ("name", "payload", "message"),
    [
        ("scan", {}, "give exactly one of folder and all"),
        ("scan", {"folder": None}, "give exactly one of folder and all"),
        ("get_ignores", {}, "folder is missing; get_ignores takes folder (required)"),
        ("scan", {"folder": "docs", "deep": 1}, f"unknown argument 'deep'; {SCAN}"),
        ("scan", {"deep": 1}, f"unknown argument 'deep'; {SCAN}"),
        ("scan", {"Folder": "docs"}, f"unknown argument 'Folder'; did you mean folder?; {SCAN}"),
        ("scan", {"\ud800": 1}, f"unknown argument '\\ud800'; {SCAN}"),
        ("get_ping", {"folder": "docs"}, "unknown argument 'folder'; get_ping takes no arguments, send {}"),
        ("scan", b'""', "folder must be a text"),
        ("scan", {"folder": ""}, "folder must be a text"),
        ("scan", {"folder": 5}, "folder must be a text"),
        ("scan", {"folder": ["docs"]}, "folder must be a text"),
        ("scan", {"folder": "\ud800"}, "folder must be a text"),
        ("scan", b'"\\udfff"', "folder must be a text"),
        ("get_file", {"folder": "docs", "file": ""}, "file must be a text"),
        ("accept_device", {"device": False}, "device must be a text"),
        ("accept_folder", {"folder": {}}, "folder must be a text"),
        ("scan", {"folder": "docs", "wait": "true"}, "wait must be true or false"),
        ("scan", {"folder": "docs", "wait": 1}, "wait must be true or false"),
        ("get_need", {"folder": "docs", "page": -1}, "page must be a whole number, 0 or more"),
        ("get_need", {"folder": "docs", "page": 1.0}, "page must be a whole number, 0 or more"),
        ("get_need", {"folder": "docs", "page": True}, "page must be a whole number, 0 or more"),
        ("get_need", {"folder": "docs", "page": "1"}, "page must be a whole number, 0 or more"),
        ("new_ignores", {"folder": "docs", "ignore": "*.tmp"}, "ignore must be a list of texts"),
        ("new_ignores", {"folder": "docs", "ignore": ["\ud800"]}, "ignore must be a list of texts"),
        ("new_ignores", {"folder": "docs", "ignore": [None]}, "ignore must be a list of texts"),
        ("new_config", {"config": []}, "config must be an object"),
        (
            "accept_folder",
            {"folder": "docs", "type": "recieveonly"},
            "type must be sendreceive, sendonly, receiveonly or receiveencrypted",
        ),
        (
            "pause",
            {"folder": "docs", "for": "a while"},
            "for must be a duration such as 90s, 30m, 2h or 1d, or a number of seconds",
        ),
        ("pause", {}, "give exactly one of folder and device"),
        ("pause", {"folder": "docs", "device": "beta"}, "give exactly one of folder and device"),
        ("resume", b"PRESS", "give exactly one of folder and device"),
        ("set_paused", {"paused": True}, "give exactly one of folder and device"),
    ],
)
def test_invalid_arguments_are_refused(name: str, payload: Any, message: str) -> None:
    """The message names the missing, unknown, invalid or conflicting argument, and shows what is valid."""
    error = refusal(read, name, payload)
    assert (error.code, error.message) == ("invalid_arguments", message)


def test_the_size_of_a_payload_is_limited() -> None:
    """A payload of the maximum size is parsed; one more byte is refused without parsing."""
    whole = b'{"message":"%s","transaction":1}'
    largest = whole % (b"x" * (LARGEST_PAYLOAD - len(whole) + 2))
    assert read("new_error", largest).transaction == transaction_of(largest) == 1
    larger = largest + b" "
    error = refusal(read, "new_error", larger)
    assert (error.code, error.message) == ("invalid_arguments", f"the payload is larger than {LARGEST_PAYLOAD} bytes")
    assert transaction_of(larger) is None


# --- the transaction


@pytest.mark.parametrize("transaction", [None, "", "a\n1", "\ud800", 0, -7, 10**40, 1.5, -0.0, True, False])
def test_every_scalar_is_a_transaction(transaction: Any) -> None:
    """The transaction is not an argument, and the reply echoes it unchanged."""
    payload = json.dumps({"folder": "docs", "transaction": transaction}).encode()
    request = read("scan", payload)
    assert request.arguments == {"folder": "docs"}
    for echoed in (request.transaction, transaction_of(payload)):
        assert (echoed, type(echoed)) == (transaction, type(transaction))


@pytest.mark.parametrize("transaction", [[], [1], {}, {"a": 1}])
def test_a_transaction_must_be_a_scalar(transaction: Any) -> None:
    """Other values are refused, and not echoed."""
    payload = {"folder": "docs", "transaction": transaction}
    error = refusal(read, "scan", payload)
    assert (error.code, error.message) == (
        "invalid_arguments",
        "transaction must be a text, a number, true or false",
    )
    assert transaction_of(json.dumps(payload).encode()) is None


@pytest.mark.parametrize(
    ("payload", "transaction"),
    [
        (b'{"nonsense": [], "transaction": "t"}', "t"),
        (b' {"transaction": 5}\n', 5),
        (b'{"transaction": 5', None),
        (b'{"transaction": NaN}', None),
        (b'{"transaction": "\xff"}', None),
        (b'["transaction"]', None),
        (b'"transaction"', None),
        (b"[" * 100_000, None),
        (b"", None),
    ],
)
def test_a_refusal_has_the_transaction_if_the_payload_is_json(payload: bytes, transaction: Any) -> None:
    """The sender of an invalid command can match the reply to it if the payload is JSON at all."""
    assert transaction_of(payload) == transaction


# --- arbitrary input

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=()))
"""Lone surrogates are included: JSON can express them."""

JSON = st.recursive(
    SCALARS | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)
NAMES = st.sampled_from(sorted({row.name for command in COMMANDS for row in command.arguments} | {"transaction"}))
TYPICAL = st.sampled_from(["docs", "all", "30m", "sendonly", True, 1, ["*.tmp"], {"options": {}}])
OBJECTS = st.dictionaries(NAMES, TYPICAL | JSON, max_size=4)
PAYLOADS = st.one_of(
    st.binary(),
    TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    (JSON | OBJECTS).map(lambda value: json.dumps(value, ensure_ascii=True).encode()),
)


def strictly(payload: bytes) -> Any:
    """Parse strict JSON, without the constants that only Python accepts."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(payload.decode(), parse_constant=refuse)


def understood(command: Command, payload: bytes) -> tuple[Request | None, str | None]:
    """Return the request of a payload, or the code of its refusal."""
    try:
        return parse(command, payload), None
    except CommandError as refused:
        return None, refused.code


@given(st.sampled_from(COMMANDS), PAYLOADS)
def test_any_payload_is_a_valid_request_or_a_refusal(command: Command, payload: bytes) -> None:
    """A request fits its row, a refusal has a defined code, and each can be answered."""
    request, code = understood(command, payload)
    assert code in (None, "invalid_json", "invalid_arguments")
    if request:
        assert {row.name for row in command.arguments if row.required} <= request.arguments.keys()
        assert request.arguments.keys() <= {row.name for row in command.arguments}
        assert None not in request.arguments.values()
        assert request.transaction == transaction_of(payload)
    reply = Reply(command=command.name, status="ok", transaction=transaction_of(payload))
    assert strictly(as_json(reply.payload()))["command"] == command.name


@given(TEXTS, JSON, st.none() | st.tuples(st.sampled_from(sorted(CODES)), TEXTS), SCALARS | TEXTS)
def test_a_reply_is_strict_json(
    name: str, data: Any, error: tuple[str, str] | None, transaction: str | float | bool | None
) -> None:
    """Every reply has the same keys, and any JSON parser can read it."""
    reply = Reply(
        command=name,
        status="error" if error else "ok",
        data=data,
        error=error and CommandError(*error),
        transaction=transaction,
        took_ms=12,
    )
    payload = strictly(as_json(reply.payload()))
    assert payload.keys() == {"command", "status", "data", "error", "transaction", "took_ms"}
    assert (payload["status"], payload["took_ms"]) == (reply.status, 12)
    assert (payload["error"] and payload["error"].keys()) == (error and {"code", "message"})
    if not isinstance(transaction, str):
        assert payload["transaction"] == transaction


def test_a_retained_command_is_recognized_by_its_reply() -> None:
    """Only a command that was refused because it was retained is cleared."""
    for code in CODES:
        reply = Reply(command="scan", status="error", error=CommandError(code, "no"))
        assert retained_command(reply) == (code == "retained_command")
    assert not retained_command(Reply(command="scan", status="ok"))
