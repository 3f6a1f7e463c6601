"""The page over real HTTP, with a real broker."""

import base64
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from stbridge.errors import Failed, SettingsError
from stbridge.settings import MqttSettings
from stbridge.web import feed, pages, streams
from stbridge.web.fleet import Fleet
from stbridge.web.guard import Rules
from stbridge.web.hub import Hub
from stbridge.web.login import ATTEMPTS, FAILURE_DELAY_S
from stbridge.web.server import WebServer
from tests.secrecy import SECRECY
from tests.servers import PATIENCE_S, ROOT, Mosquitto, Subscriber, eventually
from tests.web.serving import PASSWORD, Page, Stream, publish_tree, settings_with, web_page
from tests.web.trees import FOLDER, INFO, LAPTOP, TREE


@pytest.fixture
def page(broker: Mosquitto, subscriber: Subscriber) -> Iterator[Page]:
    """The page of one bridge, without a password, with some commands."""
    publish_tree(subscriber)
    with web_page(broker.port, allow=("scan", "pause", "read", "restart")) as one:
        one.wait_for("broker", "connected", value=True)
        one.wait_for("instances", "syncthing/nas", "folders", "photos", "label", value="Photos")
        yield one


# --- files


def test_the_page_and_its_files_are_served(page: Page) -> None:
    """The types are right, and nothing is sent again that the browser still has."""
    index = page.get("")
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    assert 'src="static/app.js"' in index.text
    script = page.get("static/app.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert page.get("static/app.js", **{"If-None-Match": script.headers["etag"]}).status_code == 304
    assert page.get("healthz").text == "ok"


@pytest.mark.parametrize(
    "path", ["static/nothing.js", "static/../server.py", "static/%2e%2e/server.py", "x", "static/"]
)
def test_only_files_of_the_page_exist(page: Page, path: str) -> None:
    """No path leads to another file."""
    assert page.get(path).status_code == 404


def test_files_use_relative_addresses_of_this_server_only() -> None:
    """The page works below any path of a reverse proxy, and loads nothing from another server."""
    for file in (ROOT / "stbridge/web/static").iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert re.findall(r"""["'`(](?:/[\w/]|https?:)|url\(""", text) == [], file.name


def test_no_file_creates_elements_from_text() -> None:
    """Names are only ever set as text; Trusted Types enforce the same in the browser."""
    for file in (ROOT / "stbridge/web/static").glob("*.js"):
        text = file.read_text(encoding="utf-8")
        wrong = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc")
        assert not [found for found in wrong if found in text], file.name


# --- state and updates


def test_the_state_arrives_and_updates_follow(page: Page, subscriber: Subscriber) -> None:
    """A browser reads everything once, and then gets only what has changed."""
    state = page.state()
    assert state["matrix"]["folders"] == ["photos"]
    assert state["allow"] == ["scan", "pause"]
    assert state["problems"]["conflicts"]["fix"]
    stream = Stream(page, f"{state['boot']}.{state['number']}")
    assert stream.answer.headers["content-type"].startswith("text/event-stream")
    assert stream.answer.headers["x-accel-buffering"] == "no"
    subscriber.publish("syncthing/nas/folder/photos", json.dumps({**FOLDER, "completion": 7}), retain=True)
    wanted = {"syncthing/nas": {"folders": {"photos": {"completion": 7}}}}
    eventually(lambda: [one for one in stream.updates() if one.get("patch", {}).get("instances") == wanted])
    numbers = [one["number"] for one in stream.updates()]
    assert numbers == list(range(state["number"] + 1, state["number"] + 1 + len(numbers)))
    stream.close()


def test_ten_browsers_get_the_same_updates(page: Page, subscriber: Subscriber) -> None:
    """Each update is made once for all of them."""
    state = page.state()
    since = f"{state['boot']}.{state['number']}"
    many = [Stream(page, since) for _ in range(10)]
    subscriber.publish("syncthing/nas/event/conflict", b'{"event_type": "conflict", "path": "a"}')

    def events(stream: Stream) -> str:
        return json.dumps([update["events"] for update in stream.updates() if "events" in update])

    eventually(lambda: all("conflict" in events(stream) for stream in many))
    assert len(set(map(events, many))) == 1
    for one in many:
        one.close()


def test_a_browser_of_an_earlier_process_starts_again(page: Page) -> None:
    """After a restart of the page, updates have other numbers."""
    for since in ("0000.3", "", "x.y", "0000.-1", f"x.{'9' * 5000}"):
        stream = Stream(page, since)
        eventually(stream.ended.is_set)
        assert [event.get("event") for event in stream.events if "event" in event] == ["clock", "reload"]
        stream.close()


def test_the_number_of_streams_is_limited(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser gets a message instead of a connection that hangs, and closed streams do not count."""
    monkeypatch.setattr(streams, "MOST_STREAMS", 2)
    monkeypatch.setattr(streams, "CLOCK_S", 0.1)
    since = "{boot}.{number}".format(**page.state())
    open_ones = [Stream(page, since) for _ in range(2)]
    eventually(lambda: [event for event in open_ones[1].events if event.get("event") == "clock"])
    refused = Stream(page, since)
    assert (refused.answer.status, json.loads(refused.answer.read())["error"]) == (
        503,
        "too many pages are open: close some",
    )
    for one in (refused, *open_ones):
        one.close()

    def opens() -> bool:
        again = Stream(page, since)
        again.close()
        return again.answer.status == 200

    eventually(opens)


def test_a_fleet_is_one_page(broker: Mosquitto, subscriber: Subscriber) -> None:
    """Bridges below all base topics of a pattern are shown, others are not."""
    for base in ("fleet/berlin", "fleet/paris", "elsewhere/oslo"):
        publish_tree(subscriber, base=base)
    with web_page(broker.port, base_topics=("fleet/+",)) as page:
        eventually(lambda: len(page.state()["tree"].get("instances", ())) == 2)
        assert sorted(page.state()["tree"]["bridges"]) == ["fleet/berlin", "fleet/paris"]


# --- the broker


def test_a_broker_that_is_gone_comes_back(new_broker: Callable[..., Mosquitto]) -> None:
    """The page keeps what it knows, and shows the reason; afterwards, cleared topics disappear."""
    broker = new_broker().start()
    first = Subscriber(broker.port)
    publish_tree(first, {**TREE, "nas/folder/music": FOLDER})
    with web_page(broker.port) as page:
        page.wait_for("instances", "syncthing/nas", "folders", "music", "label", value="Photos")
        broker.kill()
        first.close()
        page.wait_for("broker", "connected", value=False)
        state = page.state()["tree"]
        assert state["broker"]["message"]
        assert "music" in state["instances"]["syncthing/nas"]["folders"]
        broker.start()
        again = Subscriber(broker.port)
        publish_tree(again)
        page.wait_for("broker", "connected", value=True)
        eventually(lambda: list(page.state()["tree"]["instances"]["syncthing/nas"]["folders"]) == ["photos"])
        again.close()


def test_topics_that_the_broker_has_dropped_are_read_again(
    new_broker: Callable[..., Mosquitto], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reconnect removes no row that exists, although its message did not arrive again."""
    broker = new_broker().start()
    first = Subscriber(broker.port)
    tree = {"nas/folder/a.b": FOLDER, f"nas/completion/{LAPTOP}/photos": {"completion": 7}}
    publish_tree(first, {**TREE, **tree, "nas/folder/music": FOLDER})
    with web_page(broker.port) as page:
        page.wait_for("instances", "syncthing/nas", "folders", "music", "label", value="Photos")
        broker.kill()
        first.close()
        page.wait_for("broker", "connected", value=False)
        take = Hub.take
        dropped = {f"syncthing/{topic}" for topic in tree}
        monkeypatch.setattr(Hub, "take", lambda hub, one: None if one.topic in dropped else take(hub, one))
        broker.start()
        again = Subscriber(broker.port)
        publish_tree(again, {**TREE, **tree})
        page.wait_for("broker", value={"connected": True})
        state = page.state()
        assert sorted(state["tree"]["instances"]["syncthing/nas"]["folders"]) == ["a.b", "photos"]
        assert 7 in base64.b64decode(state["matrix"]["cells"])
        again.close()


def test_the_page_stops_while_it_connects() -> None:
    """A cluster whose nodes do not answer must not delay the stop of the process."""
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        hosts = tuple(f"127.0.0.1:{one.getsockname()[1]}" for one in silent)
        settings = settings_with(1)
        mqtt = MqttSettings(hosts=hosts)
        server = WebServer(settings.model_copy(update={"mqtt": mqtt}))
        server.start()
        select.select(silent, [], [], PATIENCE_S)
        server.stop()
        reached, _, _ = select.select(silent, [], [], 0)
        for one in reached:
            one.accept()[0].close()
        assert len(reached) == 1


def test_without_a_broker_the_page_says_so(broker: Mosquitto) -> None:
    """The page starts before the broker does."""
    port = broker.port
    broker.stop()
    with web_page(port) as page:
        eventually(lambda: page.state()["tree"]["broker"].get("message"))
        assert page.state()["tree"]["broker"]["connected"] is False
        assert page.command("scan").status_code == 403


# --- commands


def answering(subscriber: Subscriber, **reply: Any) -> threading.Thread:
    """Answer the next command like a bridge, in a thread."""

    def answer() -> None:
        command = subscriber.wait_for(lambda one: "/command/" in one.topic)
        given = json.loads(command.payload)
        foreign = {"command": "scan", "status": "ok", "transaction": "web-0000"}
        subscriber.publish("syncthing/nas/response/scan", json.dumps(foreign))
        subscriber.publish("syncthing/other/response/scan", json.dumps({**reply, "transaction": given["transaction"]}))
        subscriber.publish("syncthing/nas/response/scan", b"rubbish")
        subscriber.publish("syncthing/nas/response/scan", json.dumps({**reply, "transaction": given["transaction"]}))

    thread = threading.Thread(target=answer)
    thread.start()
    return thread


def test_a_command_gets_its_own_reply(page: Page, subscriber: Subscriber) -> None:
    """Replies to other clients, and rubbish, are not taken for it."""
    error = {"code": "not_found", "message": "there is no such folder"}
    thread = answering(subscriber, command="scan", status="error", error=error, took_ms=3)
    answer = page.command("scan", folder="photos")
    thread.join()
    assert (answer.status_code, answer.json()) == (200, {"status": "error", "error": error, "took_ms": 3})
    command = subscriber.wait_for(lambda one: one.topic == "syncthing/nas/command/scan")
    assert not command.retain
    assert {**json.loads(command.payload), "transaction": ""} == {"folder": "photos", "transaction": ""}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"command": "resume"}, 403),
        ({"command": "restart"}, 403),
        ({"command": "get_config"}, 403),
        ({"command": "../x"}, 403),
        ({"command": ["scan"]}, 400),
        ({"instance": "box"}, 404),
        ({"instance": "bridge"}, 404),
        ({"instance": "nas/command/x"}, 404),
        ({"base": "homeassistant"}, 404),
        ({"base": "syncthing/nas", "instance": "folders"}, 404),
        ({"base": 7}, 400),
        ({"arguments": {"transaction": "mine"}}, 400),
        ({"arguments": {"folder": ["photos"]}}, 400),
        ({"arguments": {"folder": "x" * 5000}}, 400),
        ({"arguments": ["photos"]}, 400),
        ({"arguments": None}, 400),
    ],
)
def test_other_commands_are_never_sent(page: Page, subscriber: Subscriber, changed: Any, status: int) -> None:
    """Only commands of `web.allow` that the page has buttons for, to instances that exist."""
    wanted = {"base": "syncthing", "instance": "nas", "command": "scan", "arguments": {}}
    answer = page.post("api/command", {**wanted, **changed})
    assert answer.status_code == status
    assert answer.json()["error"]
    assert not [one.topic for one in subscriber.messages if "/command/" in one.topic]


def test_by_default_there_are_no_commands(broker: Mosquitto, subscriber: Subscriber) -> None:
    """A page that only shows cannot be misused."""
    publish_tree(subscriber)
    with web_page(broker.port) as page:
        assert page.state()["allow"] == []
        assert page.command("scan").status_code == 403


def test_a_bridge_that_does_not_answer_is_reported(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page does not wait forever."""
    monkeypatch.setattr(pages, "REPLY_S", 0.1)
    answer = page.command("scan", folder="photos")
    assert (answer.status_code, "is the bridge online?" in answer.json()["error"]) == (504, True)


def test_a_reply_may_contain_any_characters(page: Page, subscriber: Subscriber) -> None:
    """JSON can have half a character (a lone surrogate), which UTF-8 cannot."""
    error = {"code": "failed", "message": "half \ud800"}
    thread = answering(subscriber, command="scan", status="error", error=error, took_ms=3)
    answer = page.command("scan", folder="photos")
    thread.join()
    assert (answer.status_code, answer.json()["error"]["message"]) == (200, "half ?")


def test_too_many_waiting_commands_are_reported(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is not that of a lost connection."""
    monkeypatch.setattr(feed, "MOST_COMMANDS", 0)
    answer = page.command("scan", folder="photos")
    assert (answer.status_code, answer.json()["error"]) == (
        503,
        "0 commands are waiting for their replies: try again later",
    )


def test_other_pages_cannot_send_commands(page: Page, subscriber: Subscriber) -> None:
    """A form of another page, or another port of this host, is refused before the command is looked at."""
    wanted = {"base": "syncthing", "instance": "nas", "command": "scan", "arguments": {}}
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null", ""):
        assert page.post("api/command", wanted, Origin=origin).status_code == 403
    assert page.post("api/command", wanted, **{"Content-Type": "text/plain"}).status_code == 415
    assert page.get("api/state", Host="evil.example").status_code == 421
    assert not [one.topic for one in subscriber.messages if "/command/" in one.topic]


# --- logins


@pytest.fixture
def locked(broker: Mosquitto, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """The page of one bridge, with a user name and a password."""
    monkeypatch.setattr(streams, "CLOCK_S", 0.1)
    publish_tree(subscriber)
    SECRECY.keep(PASSWORD, "the password of the page")
    with web_page(broker.port, username="admin", password=PASSWORD, allow=("scan",)) as one:
        yield one


def test_without_a_login_nothing_is_shown(locked: Page) -> None:
    """Only the files of the page, which anybody can read in the repository."""
    assert locked.get("").status_code == 200
    for path in ("api/state", "api/events?since=x.1"):
        answer = locked.get(path)
        assert (answer.status_code, answer.json()) == (401, {"error": "log in first", "asks_username": True})
    assert locked.command("scan").status_code == 401
    locked.session.cookies.set("stbridge_web_8385", "made up")
    assert locked.get("api/state").status_code == 401


def test_a_login_lasts_until_the_log_out(locked: Page) -> None:
    """The cookie is out of reach of scripts and other sites, and the log-out ends open streams, too."""
    answer = locked.post("api/login", {"username": "admin", "password": PASSWORD})
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"].lower()
    assert [word for word in ("httponly", "samesite=strict", "path=/") if word not in cookie] == []
    assert "secure" not in cookie
    state = locked.state()
    stream = Stream(locked, f"{state['boot']}.{state['number']}")
    assert locked.post("api/logout", {}).status_code == 204
    eventually(stream.ended.is_set)
    assert locked.get("api/state").status_code == 401


def test_behind_https_the_cookie_is_secure(locked: Page) -> None:
    """A reverse proxy that terminates TLS passes the scheme on."""
    for scheme, secure in (("https", True), ("https, http", True), ("http, https", False)):
        proxied = {"X-Forwarded-Proto": scheme}
        answer = locked.post("api/login", {"username": "admin", "password": PASSWORD}, **proxied)
        assert ("secure" in answer.headers["set-cookie"].lower()) is secure


@pytest.mark.parametrize(
    "given",
    [
        {"username": "admin", "password": "wrong"},
        {"username": "root", "password": PASSWORD},
        {"password": PASSWORD},
        {"username": "admin"},
        {},
        [],
    ],
)
def test_a_wrong_login_is_refused(locked: Page, given: Any) -> None:
    """The message does not reveal which of the two is wrong, and the answer is late."""
    answer = locked.post("api/login", given)
    assert (answer.status_code, answer.json()["error"]) == (401, "wrong password or user name")
    assert answer.elapsed.total_seconds() >= FAILURE_DELAY_S
    assert "set-cookie" not in answer.headers


def test_many_wrong_logins_are_slowed_down(locked: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guessing is limited for everybody together, because an attacker may have many addresses."""
    monkeypatch.setattr(pages, "FAILURE_DELAY_S", 0)
    monkeypatch.setattr(pages, "monotonic", lambda: 0.0)  # no attempt is allowed again meanwhile
    answers = [locked.post("api/login", {"password": str(number)}).status_code for number in range(ATTEMPTS + 1)]
    assert answers == [401] * ATTEMPTS + [429]
    assert locked.post("api/login", {"username": "admin", "password": PASSWORD}).status_code == 429


# --- ingress


def test_the_panel_of_home_assistant_needs_no_login(broker: Mosquitto, subscriber: Subscriber) -> None:
    """Its port has another rule than that of browsers: only the Supervisor, but without a password."""
    publish_tree(subscriber)
    for peer, status in (("127.0.0.1", 200), ("172.30.32.2", 403)):
        settings = settings_with(broker.port, password=PASSWORD)
        ingress_port = settings_with(broker.port).web.port
        rules = Rules(None, peer, framed=True)
        with web_page(broker.port, ingress=rules, password=PASSWORD, ingress_port=ingress_port) as page:
            panel = Page(ingress_port)
            answer = panel.get("api/state", Host="homeassistant.local:8123")
            assert answer.status_code == status
            if status == 200:
                assert answer.json()["login"] is False
                stream = Stream(panel, "{boot}.{number}".format(**answer.json()))
                assert stream.answer.status == 200
                stream.close()
                assert panel.post("api/logout", {}).status_code == 404
            assert page.get("api/state").status_code == 401
            panel.close()
        assert settings.web.ingress_port == 0


# --- the process


def test_a_port_in_use_is_one_line_with_the_setting(broker: Mosquitto) -> None:
    """Also for the port of the ingress, and for an address that this machine does not have."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failed, match=rf"^web\.port: cannot listen on 127\.0\.0\.1 port {port} \(Address already"):
            WebServer(settings_with(broker.port, port=port)).start()
    with pytest.raises(Failed, match=r"^web\.host: 192\.0\.2\.7 is not an address of this machine"):
        WebServer(settings_with(broker.port, host="192.0.2.7", password=PASSWORD)).start()


def test_a_page_without_updates_does_not_stay_up(
    broker: Mosquitto, subscriber: Subscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an unexpected error, the process exits, and the service manager starts it again."""

    def fail(*_: object) -> None:
        raise KeyError("unexpected")

    publish_tree(subscriber)
    monkeypatch.setattr(Fleet, "take", fail)
    with pytest.raises(Failed, match="the page died: KeyError"):
        WebServer(settings_with(broker.port)).run()


def test_a_page_without_a_server_does_not_stay_up(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds if the HTTP server fails or stops."""

    async def fail(*_: object) -> None:
        raise KeyError("unexpected")

    async def stop(*_: object) -> None:
        return

    monkeypatch.setattr(uvicorn.Server, "main_loop", fail)
    with pytest.raises(Failed, match="the page died: KeyError"):
        WebServer(settings_with(broker.port)).run()
    monkeypatch.setattr(uvicorn.Server, "main_loop", stop)
    with pytest.raises(Failed, match="the page died: RuntimeError: the HTTP server has stopped"):
        WebServer(settings_with(broker.port)).run()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.20", "nas.lan"])  # noqa: S104 - they are refused
def test_other_machines_need_a_password(broker: Mosquitto, host: str) -> None:
    """Without one, the page does not start, unless the user has decided so."""
    with pytest.raises(SettingsError, match=r"^web\.password: must be set"):
        WebServer(settings_with(broker.port, host=host))
    WebServer(settings_with(broker.port, host=host, password=PASSWORD))
    WebServer(settings_with(broker.port, host=host, insecure=True))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_this_machine_needs_none(broker: Mosquitto, host: str) -> None:
    """A loopback address is only reached from this machine."""
    WebServer(settings_with(broker.port, host=host))


def run_web(*flags: str) -> "subprocess.Popen[str]":
    """Start `stbridge web`."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("STBRIDGE_")}
    command = [sys.executable, "-m", "stbridge", "web", *(part for flag in flags for part in ("--set", flag))]
    return subprocess.Popen(command, env=ours, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_it_runs_as_a_process(broker: Mosquitto, subscriber: Subscriber) -> None:
    """It stops at once, although a browser is connected, and reports nothing but its address."""
    publish_tree(subscriber)
    web = settings_with(broker.port).web
    with run_web(f"mqtt.port={broker.port}", f"web.port={web.port}", "mqtt.host=127.0.0.1") as process:
        try:
            assert process.stderr
            assert process.stderr.readline().endswith(f"the page is at http://127.0.0.1:{web.port}/\n")
            page = Page(web.port)
            page.wait_for("instances", "syncthing/nas", "state", value="online")
            stream = Stream(page, "{boot}.{number}".format(**page.state()))
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
            eventually(stream.ended.is_set)
            page.close()
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("flags", "status", "line"),
    [
        (("web.host=0.0.0.0",), 78, "web.password: must be set"),
        (("web.username=admin",), 78, "web.username: has no effect without web.password"),
        (('web.allow=["scam"]',), 78, "web.allow: 'scam' is neither a group"),
        (('web.base_topics=["fleet/#"]',), 78, "web.base_topics: must be a topic"),
        (('web.names=["https://nas.lan"]',), 78, "web.names: 'https://nas.lan' must be only a host name"),
        (("web.port=70000",), 78, "web.port: "),
        (("mqtt.tls.ca_file=/nowhere",), 78, "mqtt.tls.ca_file"),
    ],
)
def test_wrong_settings_are_one_line(flags: tuple[str, ...], status: int, line: str) -> None:
    """The exit status is that of all subcommands."""
    process = (
        run_web(*flags, f"web.port={settings_with(1).web.port}") if "web.port" not in flags[0] else run_web(*flags)
    )
    _, error = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status
    assert f"stbridge: {line}" in error
    assert "Traceback" not in error


def test_without_the_extra_there_is_one_line(tmp_path: Path) -> None:
    """The message names what to install."""
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('no uvicorn', name='uvicorn')", encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-m", "stbridge", "web"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (result.returncode, result.stderr) == (
        2,
        "stbridge: the web page needs uvicorn: install syncthing-mqtt with its extra `web`\n",
    )


def test_the_service_does_not_load_the_web_server() -> None:
    """`stbridge run` must stay below 45 MB."""
    code = "import sys, stbridge.bridge, stbridge.cli; print({'starlette', 'uvicorn'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout == "set()\n"


def test_commands_of_the_bridge_are_known_to_the_page(page: Page) -> None:
    """The page has buttons only for commands that the bridge allows, too."""
    assert page.state()["tree"]["bridges"]["syncthing"]["info"]["commands"] == INFO["commands"]
