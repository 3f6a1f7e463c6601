"""The bridge as users run it: real Syncthing of every version, a real broker, and `stbridge run` as a process."""

import json
import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from paho.mqtt.client import MQTTMessage

from stbridge.core.model import short_id
from stbridge.core.topics import encode
from stbridge.demo.node import SyncthingNode
from stbridge.health import HealthFile
from tests.conftest import ODD_FOLDER, Pair
from tests.servers import BridgeProcess, Mosquitto, Subscriber, ask, eventually, every_mosquitto, instance, running

ODD_TOPIC = encode(ODD_FOLDER)


@pytest.fixture
def bridge(pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> Iterator[BridgeProcess]:
    """A bridge that is online and has both nodes as instances."""
    process = BridgeProcess(
        tmp_path,
        {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", pair.a), **instance("beta", pair.b)},
    )
    with running(process, subscriber):
        yield process


def _offers(folder: str, pending: Any) -> bool:
    return any(offer["folder"] == folder for offer in pending["folders"])


def _is_on(topic: str, message: MQTTMessage) -> bool:
    return message.topic == topic


def topics_of(subscriber: Subscriber) -> list[str]:
    """Return the topics in the order of their first messages."""
    return list(dict.fromkeys(message.topic for message in subscriber.messages))


@every_mosquitto
@pytest.mark.usefixtures("bridge")
def test_every_topic_is_published_before_online(pair: Pair, subscriber: Subscriber) -> None:
    """The bridge publishes all other topics before it reports an instance, and then itself, as online."""
    topics = topics_of(subscriber)
    beta = short_id(pair.b.device_id)
    for topic in (
        "system",
        "metrics",
        "errors",
        "pending",
        "folder/docs",
        f"folder/{ODD_TOPIC}",
        f"device/{beta}",
        f"completion/{beta}/docs",
        f"completion/{beta}/{ODD_TOPIC}",
        "folder/docs/failed",
    ):
        assert topics.index(f"syncthing/alpha/{topic}") < topics.index("syncthing/bridge/state"), topic
    messages = [message for message in subscriber.messages if message.topic == "syncthing/alpha/state"]
    assert [message.payload for message in messages] == [b"online"]
    assert topics.index("syncthing/alpha/state") > topics.index("syncthing/alpha/system")
    assert topics[-1] == "syncthing/bridge/state"


@pytest.mark.usefixtures("bridge")
def test_the_payloads_are_correct(pair: Pair, subscriber: Subscriber) -> None:
    """The payloads match the responses of the real Syncthing instance."""
    system = subscriber.wait_for_json("syncthing/alpha/system")
    assert system["name"] == "alpha"
    assert system["device_id"] == pair.a.device_id
    assert system["version"].startswith(f"v{pair.version}")
    total = len(pair.a.request("GET", "/rest/config/folders"))  # other tests may have added some
    assert system["folders"] == {"total": total, "paused": 0, "syncing": 0, "out_of_sync": 0, "error": 0}
    assert system["devices"]["total"] == 1
    device = subscriber.wait_for_json(f"syncthing/alpha/device/{short_id(pair.b.device_id)}")
    assert device["name"] == "beta"
    assert device["connected"] is True
    assert device["address"].startswith("127.0.0.1:")
    assert device["client_version"].startswith(f"v{pair.version}")
    folder = subscriber.wait_for_json(f"syncthing/alpha/folder/{ODD_TOPIC}")
    assert folder["id"] == ODD_FOLDER
    assert folder["label"] == "Odd"
    assert folder["devices"] == [short_id(pair.b.device_id)]
    info = subscriber.wait_for_json("syncthing/bridge/info")
    assert info["instances"] == ["alpha", "beta"] or set(info["instances"]) == {"alpha", "beta"}
    assert info["mqtt_protocol"] == "5"
    assert "restart" in info["commands"]


@pytest.mark.usefixtures("bridge")
@pytest.mark.parametrize("folder", ["docs", ODD_FOLDER])
def test_a_new_file_on_one_node_is_published(pair: Pair, subscriber: Subscriber, folder: str) -> None:
    """A new file changes folder, completion and system of both nodes, without polling."""
    since = subscriber.count
    before = json.loads(subscriber.latest()[f"syncthing/beta/folder/{encode(folder)}"])
    content = os.urandom(200_000)
    pair.write(f"seen-{len(content)}-{since}.bin", content, folder)
    grown = before["global_bytes"] + len(content)

    def has_grown(payload: Any) -> bool:
        return payload["global_bytes"] is not None and payload["global_bytes"] >= grown and payload["need_bytes"] == 0

    received = subscriber.wait_for_json(
        f"syncthing/beta/folder/{encode(folder)}", lambda one: has_grown(one) and one["in_sync"], since=since
    )
    assert received["completion"] == 100.0
    share = f"syncthing/alpha/completion/{short_id(pair.b.device_id)}/{encode(folder)}"
    completion = subscriber.wait_for_json(share, has_grown, since=since)
    assert completion["completion"] == 100.0
    eventually(lambda: json.loads(subscriber.latest()["syncthing/beta/system"])["state"] == "idle")
    latest = subscriber.wait_for_json(
        f"syncthing/beta/folder/{encode(folder)}",
        lambda payload: (payload["last_file"] or "").startswith("seen-200000"),
        since=since,
    )
    assert latest["last_file_deleted"] is False


@pytest.mark.usefixtures("bridge")
def test_a_failed_item_is_listed_until_it_is_fixed(pair: Pair, subscriber: Subscriber) -> None:
    """An item that cannot be synced is listed in `failed` with its error, until it can be synced."""
    pair.write("blocked/shared.txt")
    eventually((pair.b_files / "docs/blocked/shared.txt").is_file)
    pair.b.request("POST", "/rest/db/ignores", {"folder": "docs"}, {"ignore": ["kept"]})
    kept = pair.b_files / "docs/blocked/kept"
    kept.write_bytes(b"ignored, so Syncthing must not delete it")
    since = subscriber.count
    shutil.rmtree(pair.a_files / "docs/blocked")
    failed = subscriber.wait_for_json("syncthing/beta/folder/docs/failed", lambda one: one["count"] == 1, since=since)
    assert failed["items"][0]["path"] == "blocked"
    assert "ignored" in failed["items"][0]["error"]
    folder = subscriber.wait_for_json("syncthing/beta/folder/docs", lambda one: one["failed"] == 1, since=since)
    assert folder["in_sync"] is False
    since = subscriber.count
    kept.unlink()
    pair.b.request("POST", "/rest/db/ignores", {"folder": "docs"}, {"ignore": []})
    for command in ("pause", "resume"):  # otherwise Syncthing would wait a minute before it retries
        assert ask(subscriber, command, '{"folder": "docs"}', node="beta")["status"] == "ok"
    subscriber.wait_for_json("syncthing/beta/folder/docs", lambda one: one["in_sync"], since=since)
    subscriber.wait_for_json("syncthing/beta/folder/docs/failed", lambda one: one["count"] == 0, since=since)


@pytest.mark.usefixtures("bridge")
def test_a_scan_is_executed_and_answered(pair: Pair, subscriber: Subscriber) -> None:
    """`scan` takes an ID, a label, or `all`, as plain text or as JSON."""
    for payload in (
        "docs",
        "Documents",
        '{"folder": "docs", "sub": "x", "transaction": 7}',
        "all",
        ODD_FOLDER,
    ):
        reply = ask(subscriber, "scan", payload)
        assert reply["status"] in ("ok", "accepted"), reply  # `accepted` if it takes more than two seconds
        assert reply["command"] == "scan"
        assert reply["error"] is None
        assert reply["transaction"] == (7 if "transaction" in payload else None)
    eventually(lambda: pair.a.is_idle("docs"))


@pytest.mark.usefixtures("bridge")
def test_new_error_shows_in_errors(pair: Pair, subscriber: Subscriber) -> None:
    """`new_error` adds an entry, and the list is published at once although Syncthing sends no event for it."""
    since = subscriber.count
    assert ask(subscriber, "new_error", f"disk is full {pair.version}")["status"] == "ok"
    errors = subscriber.wait_for_json(
        "syncthing/alpha/errors", lambda one: "disk is full" in str(one["items"]), since=since
    )
    assert errors["count"] == len(errors["items"])
    assert ask(subscriber, "clear_errors", "PRESS")["status"] == "ok"
    subscriber.wait_for_json("syncthing/alpha/errors", lambda one: one["count"] == 0, since=since)


@pytest.mark.usefixtures("bridge")
def test_priority_is_executed(pair: Pair, subscriber: Subscriber) -> None:
    """`priority` returns the needed items, as Syncthing does."""
    pair.write("first.txt")
    reply = ask(subscriber, "priority", '{"folder": "Documents", "file": "first.txt"}')
    assert reply["status"] == "ok", reply
    assert "queued" in reply["data"]
    assert ask(subscriber, "assign_priority", '{"folder": "docs"}')["error"]["code"] == "invalid_arguments"


@pytest.mark.usefixtures("bridge")
def test_every_read_command_is_answered(pair: Pair, subscriber: Subscriber) -> None:
    """Commands that read return Syncthing's own JSON, without secrets."""
    pair.write("read.txt")
    beta = short_id(pair.b.device_id)
    asked = {
        "get_version": "{}",
        "get_status": "PRESS",
        "get_ping": "{}",
        "get_connections": "{}",
        "get_config": "{}",
        "get_insync": "{}",
        "get_errors": "{}",
        "get_discovery": "{}",
        "get_device_statistics": "{}",
        "get_folder_statistics": "{}",
        "get_folder_status": ODD_FOLDER,
        "get_completion": json.dumps({"device": beta, "folder": ODD_FOLDER}),
        "browse_database": '{"folder": "docs", "level": 0}',
        "get_ignores": "docs",
        "get_need": "docs",
        "get_remote_need": json.dumps({"device": "beta", "folder": "docs"}),
        "get_folder_errors": "docs",
        "get_pending": "{}",
    }
    for command, payload in asked.items():
        reply = ask(subscriber, command, payload)
        assert reply["status"] == "ok", reply
        assert reply["data"] is not None, command
        assert pair.a.api_key not in json.dumps(reply)
    assert ask(subscriber, "get_ping", "{}")["data"] == {"ping": "pong"}
    assert ask(subscriber, "get_file", '{"folder": "docs", "file": "none"}')["error"]["code"] == "not_found"
    assert ask(subscriber, "check_upgrade", "{}")["error"]["code"] in ("unsupported", "syncthing_error")


WRONG_COMMANDS = (
    ("scan", "", "empty_payload"),
    ("scan", "{not json", "invalid_json"),
    ("get_status", "what", "invalid_json"),
    ("get_status", '{"folder": "docs"}', "invalid_arguments"),
    ("scan", "nowhere", "not_found"),
    ("scan", '{"folder": 5}', "invalid_arguments"),
    ("dance", "{}", "unknown_command"),
    ("a%2Fb ü", "{}", "unknown_command"),
)


@pytest.mark.usefixtures("bridge")
def test_an_invalid_command_is_answered(subscriber: Subscriber) -> None:
    """A command that cannot be executed gets exactly one reply, which gives the reason."""
    for command, payload, code in WRONG_COMMANDS:
        since = subscriber.count
        reply = ask(subscriber, command, payload)
        assert reply["status"] == "error"
        assert reply["error"]["code"] == code, reply
        assert ask(subscriber, "get_ping", "{}")["status"] == "ok"
        replies = [one for one in subscriber.messages[since:] if one.topic == f"syncthing/alpha/response/{command}"]
        assert len(replies) == 1


def test_a_command_that_is_not_allowed_is_forbidden(
    pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """A bridge that may only read refuses all other commands, and names the setting that would allow them."""
    variables = {"STBRIDGE_MQTT__PORT": str(broker.port), "STBRIDGE_COMMANDS__ALLOW": '["read"]'}
    process = BridgeProcess(tmp_path, {**variables, **instance("alpha", pair.a)})
    try:
        process.start()
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        reply = ask(subscriber, "scan", "docs")
        assert reply["error"]["code"] == "forbidden"
        assert "commands.allow" in reply["error"]["message"]
        assert ask(subscriber, "get_ping", "{}")["status"] == "ok"
    finally:
        process.stop()


@pytest.mark.usefixtures("bridge")
def test_a_retained_command_is_refused_answered_and_cleared(broker: Mosquitto, subscriber: Subscriber) -> None:
    """A retained command is never executed, neither now nor on a later connection."""
    reply = ask(subscriber, "scan", "docs", retain=True)
    assert reply["error"]["code"] == "retained_command"
    subscriber.wait_for_payload("syncthing/alpha/command/scan", b"")
    late = Subscriber(broker.port, "syncthing/alpha/command/#")
    assert ask(subscriber, "get_ping", "{}")["status"] == "ok"
    assert not [message for message in late.messages if message.retain]
    late.close()


@pytest.mark.usefixtures("bridge")
def test_a_reply_goes_to_the_response_topic_of_mqtt_5(subscriber: Subscriber) -> None:
    """The reply is published on the usual topic, and on the response topic with the correlation data."""
    subscriber.publish("syncthing/alpha/command/get_ping", "{}", response_topic="my/answers", correlation=b"42")
    message = subscriber.wait_for(lambda one: one.topic == "my/answers")
    assert getattr(message.properties, "CorrelationData", None) == b"42"
    assert json.loads(message.payload)["status"] == "ok"
    subscriber.wait_for_json("syncthing/alpha/response/get_ping")


@pytest.mark.usefixtures("bridge")
def test_pause_and_resume_update_the_completion(pair: Pair, subscriber: Subscriber) -> None:
    """A paused folder has no completion; after it is resumed, the bridge publishes everything again."""
    since = subscriber.count
    assert ask(subscriber, "pause", json.dumps({"folder": ODD_FOLDER}), node="beta")["status"] == "ok"
    subscriber.wait_for_json(f"syncthing/beta/folder/{ODD_TOPIC}", lambda one: one["paused"], since=since)
    assert ask(subscriber, "resume", '{"folder": "Odd"}', node="beta")["status"] == "ok"
    assert ask(subscriber, "pause", '{"folder": "docs"}', node="beta")["status"] == "ok"
    paused = subscriber.wait_for_json("syncthing/beta/folder/docs", lambda one: one["paused"], since=since)
    assert paused["state"] == "paused"
    assert paused["completion"] is None
    subscriber.wait_for_json("syncthing/beta/system", lambda one: one["folders"]["paused"] == 1, since=since)
    since = subscriber.count
    assert ask(subscriber, "resume", '{"folder": "Documents"}', node="beta")["status"] == "ok"
    subscriber.wait_for_json("syncthing/beta/folder/docs", lambda one: one["completion"] == 100.0, since=since)
    since = subscriber.count
    alpha = short_id(pair.a.device_id)
    assert ask(subscriber, "set_paused", '{"device": "alpha", "paused": true}', node="beta")["status"] == "ok"
    subscriber.wait_for_json(
        f"syncthing/beta/device/{alpha}", lambda one: one["paused"] and not one["connected"], since=since
    )
    assert ask(subscriber, "resume", json.dumps({"device": alpha}), node="beta")["status"] == "ok"
    subscriber.wait_for_json(
        f"syncthing/beta/device/{alpha}",
        lambda one: one["connected"] and not one["paused"] and one["in_sync"],
        since=since,
    )


@pytest.mark.usefixtures("bridge")
def test_adding_and_removing_a_folder_adds_and_clears_its_topics(
    pair: Pair, broker: Mosquitto, subscriber: Subscriber
) -> None:
    """A folder that is added in Syncthing appears; the retained topics of a removed folder are cleared."""
    for folder in ("short-lived", "x y+"):
        pair.a.share(folder, pair.a_files / encode(folder), devices=[pair.b])
        topic = f"syncthing/alpha/folder/{encode(folder)}"
        share = f"syncthing/alpha/completion/{short_id(pair.b.device_id)}/{encode(folder)}"
        subscriber.wait_for_json(topic, lambda one: one["in_sync"] is not None)
        subscriber.wait_for_json(share)
        subscriber.wait_for_json("syncthing/beta/pending", partial(_offers, folder))
        pair.a.request("DELETE", f"/rest/config/folders/{quote(folder)}")
        for gone in (topic, f"{topic}/failed", share):
            subscriber.wait_for_payload(gone, b"")
    late = Subscriber(broker.port, "syncthing/alpha/#")
    late.wait_for(lambda one: one.topic == "syncthing/alpha/state")
    assert not [message.topic for message in late.messages if "short-lived" in message.topic]
    late.close()


def test_leftover_topics_of_the_previous_run_are_cleared(
    pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """The bridge clears topics of folders removed while it was stopped, and keeps topics of other programs."""
    leftovers = [
        "syncthing/alpha/folder/gone",
        "syncthing/alpha/completion/AAAAAAA/gone",
        "syncthing/alpha/device/AAAAAAA",
    ]
    strange = ["syncthing/alpha/mine", "syncthing/elsewhere/folder/gone", "zigbee2mqtt/lamp"]
    for topic in (*leftovers, *strange):
        subscriber.publish(topic, '{"completion": 1}', retain=True)
    process = BridgeProcess(tmp_path, {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", pair.a)})
    try:
        process.start()
        for topic in leftovers:
            subscriber.wait_for_payload(topic, b"")
    finally:
        process.stop()
    assert set(strange) <= set(subscriber.latest())


def test_the_lifetime_totals_survive_a_restart_of_the_bridge(
    pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path
) -> None:
    """The totals continue from the retained values on the broker, and nothing is counted twice."""
    variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", pair.a)}
    remembered = {"in_bytes_lifetime": 10**12, "in_bytes": 5 * 10**6, "started_at": "2001-01-01T00:00:00Z"}
    subscriber.publish("syncthing/alpha/metrics", json.dumps(remembered), retain=True)
    for _ in range(2):
        since = subscriber.count
        process = BridgeProcess(tmp_path, variables)
        try:
            process.start()
            subscriber.wait_for_payload("syncthing/bridge/state", b"online", since=since)
            metrics = subscriber.wait_for_json(
                "syncthing/alpha/metrics", lambda one: one.get("in_bytes_lifetime"), since=since
            )
        finally:
            process.stop()
        assert metrics["in_bytes_lifetime"] == 10**12 + metrics["in_bytes"]


def last_file(subscriber: Subscriber) -> Any:
    """Return the latest change of the folder on the second node, according to its topic."""
    return json.loads(subscriber.latest()["syncthing/beta/folder/docs"])["last_file"]


def newest_file(node: SyncthingNode) -> Any:
    """Return the latest change of the folder, according to Syncthing."""
    return node.request("GET", "/rest/stats/folder")["docs"]["lastFile"]["filename"]


def test_a_restart_of_syncthing_is_recovered_from(pair: Pair, bridge: BridgeProcess, subscriber: Subscriber) -> None:
    """`restart` restarts Syncthing; the instance goes offline and comes back, and all topics are correct again."""
    before = subscriber.wait_for_json("syncthing/alpha/metrics")["started_at"]
    since = subscriber.count
    assert ask(subscriber, "restart", "PRESS")["status"] == "ok"
    subscriber.wait_for_payload("syncthing/alpha/state", b"offline", since=since)
    subscriber.wait_for_payload("syncthing/alpha/state", b"online", since=since)
    after = subscriber.wait_for_json("syncthing/alpha/metrics", lambda one: one["started_at"] != before, since=since)
    assert after["started_at"] > before
    assert ask(subscriber, "restart", "PRESS")["error"]["code"] == "rate_limited"
    subscriber.wait_for_json(
        f"syncthing/beta/device/{short_id(pair.a.device_id)}", lambda one: one["connected"], since=since
    )
    name = pair.write(f"after-restart-{since}.txt", os.urandom(1000)).name
    eventually((pair.b_files / "docs" / name).is_file)
    eventually(lambda: last_file(subscriber) == newest_file(pair.b))  # a file of an earlier test may arrive later
    assert pair.a.api_key not in bridge.log.read_text(encoding="utf-8")


def test_a_broker_that_comes_back_empty_gets_everything_again(
    pair: Pair, bridge: BridgeProcess, broker: Mosquitto, subscriber: Subscriber
) -> None:
    """After the broker was restarted without persistence, all topics are published again."""
    volatile = {"syncthing/bridge/health"}
    eventually(lambda: len(subscriber.latest()) > 10)
    before = subscriber.retained().keys() - volatile
    broker.kill()
    broker.start()
    late = Subscriber(broker.port)
    late.wait_for_payload("syncthing/bridge/state", b"online")
    assert before <= set(late.latest()) | volatile
    late.close()
    lines = bridge.log.read_text(encoding="utf-8").splitlines()
    reasons = [line.partition("no connection")[2] for line in lines if "no connection to the broker" in line]
    assert len(set(reasons)) == len(reasons) > 0  # each reason once: it was closed; nothing listens there
    assert pair.a.running


def test_the_health_that_comes_with_online_is_current(pair: Pair, tmp_path: Path) -> None:
    """`bridge/health` must not keep the reason for a lost connection until the threads are checked again."""
    broker = Mosquitto(tmp_path)
    variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", pair.a)}
    process = BridgeProcess(tmp_path, variables, "tests.unhurried").start()
    sign = HealthFile(process.health_file)
    try:
        eventually(process.health_file.exists)
        eventually(lambda: "nothing listens" in sign.check())
        broker.start()
        subscriber = Subscriber(broker.port)
        subscriber.wait_for_payload("syncthing/bridge/state", b"online")
        health = [json.loads(one.payload) for one in subscriber.messages if one.topic == "syncthing/bridge/health"]
        subscriber.close()
    finally:
        process.stop()
        broker.stop()
    assert {one["message"] for one in health} == {None}
    assert all(one["connected_s"] is not None for one in health)


def test_a_stop_and_a_crash_publish_offline(bridge: BridgeProcess, subscriber: Subscriber) -> None:
    """SIGTERM publishes `offline` and exits with status 0; after a crash the last will publishes `offline`."""
    since = subscriber.count
    assert bridge.stop() == 0
    subscriber.wait_for_payload("syncthing/bridge/state", b"offline", since=since)
    bridge.start()
    subscriber.wait_for_payload("syncthing/bridge/state", b"online", since=since)
    since = subscriber.count
    bridge.kill()
    subscriber.wait_for_payload("syncthing/bridge/state", b"offline", since=since)


def test_the_health_check_soon_returns_the_current_status(pair: Pair, broker: Mosquitto, tmp_path: Path) -> None:
    """The health file must not keep the status of the start, when nothing was connected yet."""
    variables = {"STBRIDGE_MQTT__PORT": str(broker.port), **instance("alpha", pair.a)}
    process = BridgeProcess(tmp_path, variables, "tests.unhurried").start()
    sign = HealthFile(process.health_file)
    try:
        eventually(process.health_file.exists)
        eventually(lambda: sign.check() == "broker connected; alpha online")
    finally:
        process.stop()


@pytest.mark.usefixtures("bridge")
def test_republish_sends_every_topic_again(subscriber: Subscriber) -> None:
    """`bridge/command/republish` publishes every retained topic again."""
    eventually(lambda: len(subscriber.latest()) > 10)
    since = subscriber.count
    subscriber.publish("syncthing/bridge/command/republish", "PRESS")
    subscriber.wait_for_json("syncthing/bridge/response/republish", lambda one: one["status"] == "ok", since=since)
    for topic in ("syncthing/alpha/system", "syncthing/beta/folder/docs", "syncthing/alpha/state"):
        subscriber.wait_for(partial(_is_on, topic), since=since)
    assert "republish" in json.loads(subscriber.latest()["syncthing/bridge/info"])["commands"]
    subscriber.publish("syncthing/bridge/command/republish", "PRESS")
    again = subscriber.wait_for_json("syncthing/bridge/response/republish", lambda one: one["error"], since=since)
    assert again["error"]["code"] == "rate_limited"


@pytest.mark.usefixtures("bridge")
def test_a_stopped_syncthing_is_reported_as_offline(pair: Pair, subscriber: Subscriber) -> None:
    """If a Syncthing instance stops, only its own instance goes offline, with the reason."""
    since = subscriber.count
    pair.b.stop()
    try:
        subscriber.wait_for_payload("syncthing/beta/state", b"offline", since=since)
        connection = subscriber.wait_for_json("syncthing/beta/connection", lambda one: one["message"], since=since)
        assert connection["status"] == "unreachable"
        assert "url" in connection["message"]
        assert ask(subscriber, "get_ping", "{}", node="beta")["error"]["code"] == "unreachable"
        assert ask(subscriber, "get_ping", "{}")["status"] == "ok"
        subscriber.wait_for_json(
            f"syncthing/alpha/device/{short_id(pair.b.device_id)}",
            lambda one: not one["connected"],
            since=since,
        )
    finally:
        pair.b.start()
    subscriber.wait_for_payload("syncthing/beta/state", b"online", since=since)


@pytest.mark.usefixtures("bridge")
def test_a_change_while_a_device_is_disconnected_lowers_its_completion(pair: Pair, subscriber: Subscriber) -> None:
    """Syncthing before 1.21 sends no event for this change, and the bridge publishes it anyway."""
    beta = short_id(pair.b.device_id)
    completion, device = f"syncthing/alpha/completion/{beta}/docs", f"syncthing/alpha/device/{beta}"
    # Up to 1.29, a device that has never sent an index entry of the folder counts as complete, whatever it needs.
    (pair.b_files / "docs/from-beta.txt").write_bytes(b"indexed")
    pair.b.request("POST", "/rest/db/scan", {"folder": "docs"})
    eventually((pair.a_files / "docs/from-beta.txt").is_file)
    since = subscriber.count
    pair.b.request("POST", "/rest/system/pause", {"device": pair.a.device_id})
    try:
        subscriber.wait_for_json(device, lambda one: one["connected"] is False, since=since)
        since = subscriber.count
        pair.write("while-disconnected.txt")
        subscriber.wait_for_json(completion, lambda one: one["need_items"] >= 1, since=since)
        subscriber.wait_for_json("syncthing/alpha/system", lambda one: one["all_in_sync"] is False, since=since)
    finally:
        since = subscriber.count
        pair.b.request("POST", "/rest/system/resume", {"device": pair.a.device_id})
    subscriber.wait_for_json(completion, lambda one: one["need_items"] == 0, since=since)
