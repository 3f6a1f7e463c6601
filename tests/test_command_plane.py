"""The command interface as MQTT clients see it: every command gets exactly one reply, and the bridge keeps running."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paho.mqtt.client import MQTTMessage

from stbridge.core.commands import COMMANDS
from stbridge.demo.node import SyncthingNode
from tests.proxy import Proxy
from tests.servers import PATIENCE_S, ROOT, BridgeProcess, Mosquitto, Subscriber, ask, eventually, instance, manifest

CODES = frozenset(
    {
        *("invalid_json", "invalid_arguments", "unknown_command", "forbidden", "retained_command", "empty_payload"),
        *("rate_limited", "not_found", "not_applicable", "unsupported", "unauthorized", "unreachable", "timeout"),
        *("syncthing_error", "too_large"),
    }
)
MOST_EXAMPLES = 150


@dataclass(frozen=True, slots=True)
class Plane:
    """A bridge to one node with the default allow-list."""

    node: SyncthingNode
    broker: Mosquitto
    subscriber: Subscriber
    bridge: BridgeProcess


@pytest.fixture(scope="module")
def newest_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SyncthingNode]:
    """A node of the newest available version: the tests of this module do not depend on the version."""
    directory = tmp_path_factory.mktemp("newest")
    one = SyncthingNode("alpha", directory / "home", list(manifest()["syncthing"].values())[-1])
    try:
        one.start()
        one.share("docs", directory / "docs", label="Documents")
        one.wait_for(lambda: one.is_idle("docs"))
        yield one
    finally:
        one.stop()


@pytest.fixture
def new_plane(newest_node: SyncthingNode, tmp_path: Path) -> Iterator[Callable[..., Plane]]:
    """Start a broker and a bridge with additional settings."""
    with ExitStack() as ends:

        def start(
            *, before: Callable[[Subscriber], None] = lambda _: None, module: str = "stbridge", **variables: str
        ) -> Plane:
            broker = Mosquitto(tmp_path)
            ends.callback(broker.stop)
            broker.start()
            subscriber = Subscriber(broker.port)
            ends.callback(subscriber.close)
            before(subscriber)
            own = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", newest_node)}
            bridge = BridgeProcess(tmp_path, {**own, **variables}, module)
            ends.callback(bridge.stop)
            bridge.start()
            subscriber.wait_for_payload("syncthing/bridge/state", b"online")
            return Plane(newest_node, broker, subscriber, bridge)

        yield start


def check_reply(payload: bytes | bytearray) -> dict[str, Any]:
    """Return a reply after checking that it is well formed."""
    reply: dict[str, Any] = json.loads(payload, parse_constant=pytest.fail)
    assert set(reply) == {"command", "status", "data", "error", "transaction", "took_ms"}
    assert reply["status"] in ("ok", "accepted", "error")
    assert (reply["status"] == "error") is (reply["error"] is not None)
    if reply["error"]:
        assert set(reply["error"]) == {"code", "message"}
        assert reply["error"]["code"] in CODES
    return reply


# The characters that MQTT allows in a topic level: Mosquitto refuses control characters and lone surrogates.
LEVELS = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co"), exclude_characters="/+#"), min_size=0, max_size=20
)
NAMES = st.one_of(st.sampled_from([command.name for command in COMMANDS]), st.just("%FF"), LEVELS)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30))
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))
KEYS = st.sampled_from([row.name for command in COMMANDS for row in command.arguments] + ["transaction"])
ARGUMENTS = st.dictionaries(KEYS, st.one_of(st.sampled_from(["docs", "Documents", "all", "5s"]), JSON), max_size=4)
PAYLOADS = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace")),
    ARGUMENTS.map(lambda given: json.dumps(given).encode()),
    st.sampled_from(
        [b"", b" ", b"{}", b"PRESS", b"null", b"[]", b"{" * 5000, b"[" * 100_000, b'{"transaction":1e999}']
    ),
)


def test_any_command_gets_exactly_one_well_formed_reply(new_plane: Callable[..., Plane]) -> None:
    """Arbitrary names and payloads each get one well-formed reply, and the bridge keeps running."""
    plane = new_plane()
    numbers = count()

    @settings(max_examples=MOST_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(name=NAMES, payload=PAYLOADS)
    def one_reply(name: str, payload: bytes) -> None:
        since = plane.subscriber.count
        topic = f"syncthing/alpha/response/{name}"
        plane.subscriber.publish(f"syncthing/alpha/command/{name}", payload)
        reply = check_reply(plane.subscriber.wait_for(lambda one: one.topic == topic, since=since).payload)
        assert reply["command"] == name
        fence = f"fence {next(numbers)}"  # a second reply would arrive before the reply to this command
        plane.subscriber.publish("syncthing/alpha/command/get_ping", json.dumps({"transaction": fence}))
        answered = "syncthing/alpha/response/get_ping"
        last = plane.subscriber.wait_for_json(answered, lambda one: one["transaction"] == fence, since=since)
        assert last["status"] == "ok"
        replies = [one for one in plane.subscriber.messages[since:] if one.topic == topic]
        assert len(replies) == (2 if topic == answered else 1)

    one_reply()
    plane.node.request("PATCH", "/rest/config/folders/docs", body={"paused": False})


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"x" * 5_000_000, "invalid_arguments"),
        (json.dumps({"folder": "docs", "sub": "y" * 5_000_000}).encode(), "invalid_arguments"),
        (b'{"folder": "\xff\xfe"}', "invalid_json"),
        (b'{"folder": "docs"', "invalid_json"),
        (b"", "empty_payload"),
    ],
    ids=["5 MB of text", "5 MB of JSON", "not UTF-8", "half an object", "nothing"],
)
def test_a_too_large_or_unreadable_command_is_refused(
    new_plane: Callable[..., Plane], payload: bytes, code: str
) -> None:
    """The refusal gives the reason, and the next command is answered as usual."""
    plane = new_plane()
    assert ask(plane.subscriber, "scan", payload)["error"]["code"] == code
    assert ask(plane.subscriber, "scan", "docs")["error"] is None


def test_a_hung_syncthing_does_not_block_other_instances(
    new_plane: Callable[..., Plane], spare: SyncthingNode, tmp_path: Path
) -> None:
    """Commands to the other instance and its state updates continue; commands to the hung instance time out."""
    hung = instance("hung", spare)
    plane = new_plane(**hung, STBRIDGE_SYNCTHING__HUNG__TIMEOUT_S="15")
    spare.hang()
    try:
        since = plane.subscriber.count
        for command, payload in (("get_status", "{}"), ("scan", "all"), ("get_config", "{}"), ("new_error", "x")):
            plane.subscriber.publish(f"syncthing/hung/command/{command}", payload)
        for _ in range(20):
            assert ask(plane.subscriber, "get_ping", "{}")["status"] == "ok"
        topics = {one.topic for one in plane.subscriber.messages[since:]}
        replies = {one for one in topics if one.startswith("syncthing/hung/response/")}
        assert replies <= {"syncthing/hung/response/scan"}  # `accepted`, after two seconds
        plane.node.request("POST", "/rest/system/error/clear")
        assert ask(plane.subscriber, "new_error", "seen")["status"] == "ok"
        plane.subscriber.wait_for_json("syncthing/alpha/errors", lambda one: one["count"], since=since)
        for command, said in (("get_status", "timeout"), ("new_error", "timeout"), ("scan", None)):
            topic = f"syncthing/hung/response/{command}"
            reply = plane.subscriber.wait_for_json(topic, since=since)
            assert (reply["error"] and reply["error"]["code"]) == said, reply
    finally:
        spare.wake()


@pytest.fixture
def spare(tmp_path: Path) -> Iterator[SyncthingNode]:
    """A second node that a test can damage."""
    one = SyncthingNode("hung", tmp_path / "hung", list(manifest()["syncthing"].values())[-1])
    try:
        one.start()
        one.share("docs", tmp_path / "hung-docs")
        one.wait_for(lambda: one.is_idle("docs"))
        yield one
    finally:
        one.wake()
        one.stop()


def test_commands_sent_while_the_bridge_is_stopped_are_executed_once(new_plane: Callable[..., Plane]) -> None:
    """The broker queues ten commands, half of which are not safe to repeat, until the bridge reconnects."""
    plane = new_plane()
    plane.node.request("POST", "/rest/system/error/clear")
    plane.bridge.stop()
    since = plane.subscriber.count
    for number in range(5):
        said = json.dumps({"message": f"number {number}", "transaction": number})
        plane.subscriber.publish("syncthing/alpha/command/new_error", said)
        plane.subscriber.publish("syncthing/alpha/command/scan", json.dumps({"folder": "docs", "transaction": number}))
    plane.bridge.start()
    plane.subscriber.wait_for_payload("syncthing/bridge/state", b"online", since=since)

    def replies() -> Counter[tuple[str, int]]:
        answered = [one for one in plane.subscriber.messages[since:] if "/response/" in one.topic]
        return Counter((one.topic, check_reply(one.payload)["transaction"]) for one in answered)

    eventually(lambda: len(replies()) == 10)
    assert ask(plane.subscriber, "get_ping", "{}")["status"] == "ok"
    asked = {f"syncthing/alpha/response/{command}" for command in ("new_error", "scan")}
    assert all(replies()[topic, number] == 1 for topic in asked for number in range(5))
    errors = plane.node.request("GET", "/rest/system/error")["errors"]
    assert len([one for one in errors if "number" in one["message"]]) == 5


def test_a_command_that_a_crash_interrupted_is_executed_by_the_next_run(
    new_plane: Callable[..., Plane], spare: SyncthingNode
) -> None:
    """A command that is safe to repeat is acknowledged after it was executed, so a killed bridge receives it again."""
    plane = new_plane(**instance("hung", spare))
    spare.hang()
    since = plane.subscriber.count
    plane.subscriber.publish("syncthing/hung/command/get_status", json.dumps({"transaction": "again"}))
    assert ask(plane.subscriber, "get_ping", "{}")["status"] == "ok"
    plane.bridge.kill()
    spare.wake()
    plane.bridge.start()
    plane.subscriber.wait_for_json("syncthing/hung/response/get_status", lambda one: one["status"] == "ok", since=since)


def test_a_bridge_that_stops_answers_running_commands(new_plane: Callable[..., Plane], spare: SyncthingNode) -> None:
    """Each client that waits for a reply gets one before the bridge goes offline."""
    plane = new_plane(**instance("hung", spare))
    spare.hang()
    since = plane.subscriber.count
    plane.subscriber.publish("syncthing/hung/command/get_status", json.dumps({"transaction": "late"}))
    assert ask(plane.subscriber, "get_ping", "{}")["status"] == "ok"
    assert plane.bridge.stop() == 0
    reply = plane.subscriber.wait_for_json("syncthing/hung/response/get_status", since=since)
    assert reply["error"]["code"] == "unreachable"
    assert "stopping" in reply["error"]["message"]
    topics = [one.topic for one in plane.subscriber.messages[since:]]
    assert topics.index("syncthing/hung/response/get_status") < topics.index("syncthing/bridge/state")


def paused(node: SyncthingNode, folder: str = "docs") -> bool:
    """Return whether Syncthing itself has paused a folder."""
    folders = node.request("GET", "/rest/config/folders")
    is_paused: bool = next(one["paused"] for one in folders if one["id"] == folder)
    return is_paused


def _holds(text: bytes, message: MQTTMessage) -> bool:
    return text in message.payload


@pytest.mark.parametrize(("allow", "resumes"), [("[]", False), ('["read", "scan"]', False), ('["pause"]', True)])
def test_a_forged_pause_end_resumes_nothing(
    new_plane: Callable[..., Plane], spare: SyncthingNode, allow: str, *, resumes: bool
) -> None:
    """Retained payloads cause a resume only if a command that pauses or resumes is on the allow-list."""

    def forge(subscriber: Subscriber) -> None:
        forged = {"id": "docs", "paused": True, "resume_at": "2024-05-01T12:00:00Z"}
        subscriber.publish("syncthing/hung/folder/docs", json.dumps(forged), retain=True)

    spare.request("PATCH", "/rest/config/folders/docs", body={"paused": True})
    plane = new_plane(before=forge, STBRIDGE_COMMANDS__ALLOW=allow, **instance("hung", spare))
    if resumes:
        eventually(lambda: not paused(spare))
        return
    plane.subscriber.wait_for_json("syncthing/hung/folder/docs", lambda one: "label" in one and not one["resume_at"])
    for label in ("one", "two", "three"):  # gives the instance several chances to run what is due
        since = plane.subscriber.count
        spare.request("PATCH", "/rest/config/folders/docs", body={"label": label})
        plane.subscriber.wait_for(partial(_holds, f'"label":"{label}"'.encode()), since=since)
        assert paused(spare)


def test_a_reset_that_a_crash_interrupted_leaves_no_folder_paused(
    new_plane: Callable[..., Plane], spare: SyncthingNode
) -> None:
    """The pause that `reset` sets has an end time, which the next run of the bridge restores."""
    admin = {"STBRIDGE_COMMANDS__ALLOW": '["admin"]'}
    plane = new_plane(module="tests.brief_resets", **admin, **instance("hung", spare))
    plane.subscriber.publish("syncthing/hung/command/reset", json.dumps({"folder": "docs"}))
    plane.subscriber.wait_for_json("syncthing/hung/folder/docs", lambda one: one["resume_at"])
    eventually(lambda: not spare.running)  # no monitor restarts it, and the bridge waits until it is back
    plane.bridge.kill()
    spare.start()
    assert paused(spare)
    plane.bridge.start()
    eventually(lambda: not paused(spare))
    plane.subscriber.wait_for_json("syncthing/hung/folder/docs", lambda one: not one["paused"] and not one["resume_at"])


def test_a_scan_on_a_dead_connection_blocks_no_later_scan(
    new_plane: Callable[..., Plane], spare: SyncthingNode
) -> None:
    """A restart of Syncthing cancels the scan that gets no response, and the next scan reaches Syncthing."""
    proxy = Proxy(int(spare.url.rpartition(":")[2])).start()
    try:
        variables = {**instance("hung", spare), "STBRIDGE_SYNCTHING__HUNG__TIMEOUT_S": "2"}
        variables["STBRIDGE_SYNCTHING__HUNG__URL"] = f"{spare.url.rpartition(':')[0]}:{proxy.port}"
        plane = new_plane(STBRIDGE_POLL__CONNECTIONS="1", **variables)
        waits = json.dumps({"folder": "docs", "wait": True})
        assert ask(plane.subscriber, "scan", waits, node="hung")["status"] == "ok"
        proxy.hang()
        since = plane.subscriber.count
        plane.subscriber.publish("syncthing/hung/command/scan", waits)
        assert ask(plane.subscriber, "get_ping", "{}", node="hung")["error"]["code"] == "timeout"
        spare.stop()
        proxy.repair(lost=True)
        spare.start()
        plane.subscriber.wait_for(lambda one: one.topic == "syncthing/hung/event/syncthing_started", since=since)
        reply = plane.subscriber.wait_for_json("syncthing/hung/response/scan", since=since)
        assert reply["error"]["code"] == "unreachable"
        proxy.count(b"POST /rest/db/scan")
        assert ask(plane.subscriber, "scan", waits, node="hung")["status"] == "ok"
        assert proxy.counted == 1
    finally:
        proxy.stop()


def _is_done(plane: Plane, command: str) -> bool:
    reply = ask(plane.subscriber, command, '{"folder": "docs"}', node="hung")
    return bool(reply["status"] == "ok")


def test_more_commands_than_threads_are_answered_while_syncthing_hangs(
    new_plane: Callable[..., Plane], spare: SyncthingNode
) -> None:
    """Each command has a deadline, after which its thread is free; a resumed Syncthing executes the next command."""
    plane = new_plane(**instance("hung", spare), STBRIDGE_SYNCTHING__HUNG__TIMEOUT_S="1")
    since = plane.subscriber.count
    spare.hang()
    try:
        for number in range(40):
            name = ("get_status", "pause")[number % 2]
            payload = {"transaction": number, **({"folder": "docs", "for": "1s"} if name == "pause" else {})}
            plane.subscriber.publish(f"syncthing/hung/command/{name}", json.dumps(payload))

        def codes() -> list[str]:
            replies = [one for one in plane.subscriber.messages[since:] if one.topic.startswith("syncthing/hung/resp")]
            return [check_reply(one.payload)["error"]["code"] for one in replies]

        eventually(lambda: len(codes()) == 40, timeout_s=100)
        assert set(codes()) == {"timeout"}
    finally:
        spare.wake()
    for name in ("resume", "pause", "resume"):
        eventually(partial(_is_done, plane, name))
    assert not paused(spare)


# --- the log


def test_the_log_of_the_bridge_names_refused_commands(new_plane: Callable[..., Plane]) -> None:
    """Each refusal is logged once, also at the level `warning`; a flood of refused commands does not fill the log."""
    plane = new_plane(STBRIDGE_LOG__LEVEL="warning")
    ask(plane.subscriber, "override", "{}")
    ask(plane.subscriber, "scna", "{}")
    ask(plane.subscriber, "get_version", "{}")
    ask(plane.subscriber, "scan", '{"folder": "nowhere"}')
    ask(plane.subscriber, "nonsense", "{}", node="bridge")

    def logged() -> list[str]:
        lines = plane.bridge.log.read_text(encoding="utf-8").splitlines()
        return [line.partition(" WARNING ")[2] for line in lines if "command" in line]

    refused = "is not allowed: add it to the setting commands.allow"
    assert logged() == [
        f"command alpha/override refused: forbidden: override {refused}",
        "command alpha/scna refused: unknown_command: there is no command 'scna'; did you mean scan?",
        "command alpha/scan refused: not_found: there is no folder 'nowhere'",
        "command bridge/nonsense refused: unknown_command: there is no command 'nonsense'",
    ]
    for number in range(1000):
        plane.subscriber.publish(f"syncthing/alpha/command/flood{number}", "{}")
    ask(plane.subscriber, "get_version", "{}")
    eventually(lambda: plane.subscriber.latest().get("syncthing/alpha/response/flood999"))
    assert len(logged()) < 50


# --- ACLs

USERS = ("stbridge", "reader", "operator", "admin")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with the ACL of the documentation; each user's password equals the user name."""
    lines = (ROOT / "docs/access.md").read_text(encoding="utf-8").split("```text\n")[1].split("```")[0]
    passwords, access = tmp_path / "passwords", tmp_path / "access"
    access.write_text(lines, encoding="utf-8")
    passwords.write_text("".join(f"{user}:{user}\n" for user in USERS), encoding="utf-8")
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
    for file in (passwords, access):
        file.chmod(0o600)
    broker = Mosquitto(tmp_path, lines=["allow_anonymous false", f"password_file {passwords}", f"acl_file {access}"])
    try:
        yield broker.start()
    finally:
        broker.stop()


def may(broker: Mosquitto, user: str, command: str) -> str:
    """Send a command as a user; return the status or error code of the reply, or `nobody` if the broker blocked it."""
    with ExitStack() as ends:
        subscriber = Subscriber(broker.port, "syncthing/#", username=user, password=user)
        ends.callback(subscriber.close)
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        since = subscriber.count
        topic = f"syncthing/alpha/command/{command}"
        subscriber.publish(topic, "{}")
        subscriber.publish("syncthing/alpha/command/get_ping", "{}")
        subscriber.wait_for(lambda one: one.topic == "syncthing/alpha/command/get_ping", since=since)
        if not any(one.topic == topic for one in subscriber.messages[since:]):
            return "nobody"  # if allowed, it would have been received before the second command
        reply = subscriber.wait_for_json(f"syncthing/alpha/response/{command}", since=since)
    return str((reply["error"] or {"code": reply["status"]})["code"])


def test_the_acl_of_the_documentation_is_enforced(
    guarded: Mosquitto, newest_node: SyncthingNode, tmp_path: Path
) -> None:
    """A reader may read, an operator may run routine commands, an admin all; the bridge needs no further rights."""
    variables = {
        "STBRIDGE_MQTT__PORT": str(guarded.port),
        "STBRIDGE_MQTT__USERNAME": "stbridge",
        "STBRIDGE_MQTT__PASSWORD": "stbridge",
        "STBRIDGE_COMMANDS__ALLOW": '["read", "operate", "admin"]',
    }
    bridge = BridgeProcess(tmp_path, {**variables, **instance("alpha", newest_node)}).start()
    try:
        asked = {
            user: {one: may(guarded, user, one) for one in ("get_version", "scan", "override")} for user in USERS[1:]
        }
        assert asked == {
            "reader": {"get_version": "ok", "scan": "nobody", "override": "nobody"},
            "operator": {"get_version": "ok", "scan": "invalid_arguments", "override": "nobody"},
            "admin": {"get_version": "ok", "scan": "invalid_arguments", "override": "invalid_arguments"},
        }
        assert "broker's ACL" not in bridge.log.read_text(encoding="utf-8")
    finally:
        bridge.stop()


def test_refused_publications_are_in_the_log_and_in_health(
    guarded: Mosquitto, newest_node: SyncthingNode, tmp_path: Path
) -> None:
    """A bridge whose user may not publish logs that once, and counts the refusals."""
    access = tmp_path / "access"
    text = access.read_text(encoding="utf-8")
    access.write_text(
        text.replace("topic readwrite syncthing/#", "topic readwrite syncthing/bridge/#"), encoding="utf-8"
    )
    guarded.stop()
    guarded.start()
    variables = {"STBRIDGE_MQTT__PORT": str(guarded.port), "STBRIDGE_MQTT__USERNAME": "stbridge"}
    bridge = BridgeProcess(
        tmp_path, {**variables, "STBRIDGE_MQTT__PASSWORD": "stbridge", **instance("alpha", newest_node)}
    ).start()
    admin = Subscriber(guarded.port, "syncthing/#", username="admin", password="admin")
    try:
        admin.wait_for_payload("syncthing/bridge/state", b"online")
        # after the first seconds, it is published every 29.5 s
        eventually(lambda: json.loads(admin.latest()["syncthing/bridge/health"])["failed"], 2 * PATIENCE_S)
        health = json.loads(admin.latest()["syncthing/bridge/health"])
        assert health["instances"] == {"alpha": "online"}
        assert "allow it in the broker's ACL" in bridge.log.read_text(encoding="utf-8")
        assert not [topic for topic in admin.latest() if topic.startswith("syncthing/alpha/")]
    finally:
        admin.close()
        bridge.stop()
