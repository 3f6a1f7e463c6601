"""The dashboard in a real browser: what it shows, and what its buttons do; some instances are payloads of a test."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import requests

from stbridge.core.problems import ROWS
from tests.browser import Browser
from tests.nodered.conftest import LABEL, House
from tests.nodered.server import NodeRed, flow
from tests.servers import PATIENCE_S, Mosquitto, Subscriber, eventually

MARKUP = '<img src=x onerror="document.title=1">{{ 6 * 7 }} & more'
"""A name that would run or change if a page interpreted it."""

WIDTH, HEIGHT = 1400, 900
MANY = 50
SCREENS = 2
"""An instance with many folders and devices needs at most this many screens."""

LEGIBLE = 40
"""The minimum width of a name, in pixels."""

SYNCED: dict[str, Any] = {"paused": False, "problem": False, "status": "up_to_date", "completion": 100}


@pytest.fixture
def page(house: House, browser: Browser) -> Browser:
    """Open the dashboard."""
    browser.open(f"{house.node_red.url}/dashboard/syncthing", WIDTH, HEIGHT)
    browser.wait_for("Folders", LABEL)
    return browser


class Pretended:
    """An instance that exists only as retained topics."""

    def __init__(self, house: House, name: str) -> None:
        self._house = house
        self._name = name
        self._topics: set[str] = set()

    def publish(self, topic: str, payload: Any) -> None:
        """Publish a topic of the instance."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self._topics.add(f"syncthing/{self._name}/{topic}")
        self._house.subscriber.publish(f"syncthing/{self._name}/{topic}", text, retain=True)

    def clear(self) -> None:
        """Clear all of its topics."""
        for topic in self._topics:
            self._house.subscriber.publish(topic, "", retain=True)


@pytest.fixture
def pretended(house: House) -> Iterator[Pretended]:
    """Publish an instance that is online."""
    one = Pretended(house, "pretended")
    one.publish("state", "online")
    yield one
    one.clear()


def config(house: House) -> Any:
    """Return Syncthing's configuration of the folder."""
    return house.syncthing.request("GET", "/rest/config/folders/photos")


def wait_for_scan(page: Browser, what: str) -> None:
    """Wait for the reply to a scan, which the bridge sends before the end of a scan that takes longer."""
    eventually(lambda: re.search(rf"{re.escape(what)}: scan: (done|started)", page.text()), found=what)


# --- what it shows


def test_the_dashboard_shows_every_instance_and_follows_a_sync(house: House, page: Browser) -> None:
    """A new file shows on the device that has it, and then on the other one, without a reload."""
    page.wait_for("nas", "laptop", "1 of 1 device connected", "No problems.")
    page.evaluate("window.loadedOnce = true")
    (house.photos / "first.jpg").write_bytes(bytes(1234))
    page.click(f"Scan {LABEL} on nas")
    wait_for_scan(page, f"nas: {LABEL}")
    eventually(lambda: page.text().count("1 file · 1.2 kB") == len(("nas", "laptop")))
    page.wait_for("Up to date")
    assert page.evaluate("window.loadedOnce")


def test_a_browser_that_comes_later_gets_everything_at_once(house: House, page: Browser) -> None:
    """A page that is opened while nothing changes shows the same."""
    page.open(f"{house.node_red.url}/dashboard/syncthing?again", WIDTH, HEIGHT)
    page.wait_for("nas", "laptop", LABEL, "Up to date")


def test_the_progress_of_a_sync_is_shown(pretended: Pretended, page: Browser) -> None:
    """Progress, amount, rate and remaining time are in the row of the folder; completion is not rounded up."""
    numbers = {"completion": 99.97, "need_total_items": 1, "need_bytes": 5_000_000, "sync_rate": 1_200_000.0}
    ends = {"sync_ends_at": "2999-01-01T00:00:00Z"}
    pretended.publish("folder/films", {**SYNCED, "id": "films", "status": "syncing", **numbers, **ends})
    page.wait_for("Syncing", "99.9 %", "1 item, 5.0 MB · 1.2 MB/s · ", "h left")


def test_problems_are_shown_with_their_fix(pretended: Pretended, page: Browser) -> None:
    """Each problem names the instance and the folder, and its fix is that of the documentation, with full topics."""
    subject = {"folder": "films", "label": "Films", "since": None}
    problems = [{"code": row.code, "message": f"fault {row.code}", **subject} for row in ROWS]
    pretended.publish("system", {"state": "idle", "problem": True, "problems": problems})
    page.wait_for("pretended: Films", *(f"fault {row.code}" for row in ROWS))
    full = {
        "`folder/F/": "`syncthing/pretended/folder/films/",
        "`completion/D/F`": "`syncthing/pretended/completion/D/films`",
        "`errors`": "`syncthing/pretended/errors`",
        "`": "",
    }
    page.wait_for(*(reduce(lambda text, one: text.replace(*one), full.items(), row.fix_and_details) for row in ROWS))
    assert "No problems." not in page.text()


def test_an_unreachable_instance_is_a_problem(pretended: Pretended, page: Browser) -> None:
    """The message of its connection is shown, and its buttons are disabled."""
    pretended.publish("folder/films", {**SYNCED, "id": "films", "label": "Films"})
    pretended.publish("connection", {"status": "unreachable", "message": "nothing answers there", "since": None})
    pretended.publish("state", "offline")
    page.wait_for("Offline", "nothing answers there")
    assert page.evaluate("document.querySelector('[aria-label=\"Scan Films on pretended\"]').disabled")


def test_a_cleared_topic_disappears(pretended: Pretended, page: Browser) -> None:
    """A folder that is removed in Syncthing is removed from the page."""
    pretended.publish("folder/old", {**SYNCED, "id": "old", "label": "Old folder"})
    page.wait_for("Old folder")
    pretended.publish("folder/old", "")
    eventually(lambda: "Old folder" not in page.text())


def test_names_and_messages_are_shown_as_text(pretended: Pretended, page: Browser) -> None:
    """Labels, names and messages that contain markup or expressions are neither interpreted nor changed."""
    pretended.publish("folder/a%2Fb", {**SYNCED, "id": "a/b", "label": f"F {MARKUP}", "status": MARKUP})
    pretended.publish("device/ABCDEFG", {**SYNCED, "id": "ABCDEFG-X", "name": f"D {MARKUP}", "last_seen_at": MARKUP})
    problem = {"code": MARKUP, "folder": "a/b", "label": f"L {MARKUP}", "message": f"M {MARKUP}", "since": MARKUP}
    pretended.publish("system", {"state": MARKUP, "version": f"V {MARKUP}", "problem": True, "problems": [problem]})
    page.wait_for(*(f"{kind} {MARKUP}" for kind in "FDLMV"))
    page.click(f"Pause F {MARKUP} on pretended")
    assert page.evaluate("document.querySelectorAll('.stbridge img, .stbridge-problems img').length") == 0
    assert page.evaluate("document.title") != "1"


def test_malformed_payloads_do_no_harm(house: House, pretended: Pretended, page: Browser) -> None:
    """Payloads of other clients with wrong types are shown as far as possible, and the others are still updated."""
    for name, payload in (("system", [1]), ("metrics", 7), ("folder/x", "{"), ("device/y", None)):
        pretended.publish(name, payload)
    pretended.publish("folder/z", {"id": "z", "label": 3, "completion": "all", "problem": [], "need_bytes": {}})
    odd = Pretended(house, "__proto__")
    odd.publish("state", "online")
    odd.publish("system", {"problems": {"length": 9}, "devices": [3], "state": {}})
    pretended.publish("folder/films", {**SYNCED, "id": "films", "label": "Films"})
    page.wait_for("Films", "__proto__", LABEL)
    odd.clear()
    eventually(lambda: "__proto__" not in page.text())
    assert "[error]" not in house.node_red.log.read_text(encoding="utf-8")


def test_fifty_folders_stay_usable(pretended: Pretended, page: Browser) -> None:
    """The page stays short, its lists can be filtered, and a button of the last folder works."""
    for number in range(MANY):
        status = {} if number else {"status": "out_of_sync", "completion": 50, "need_total_items": 2}
        label = f"Folder {number:02d} with quite a long name that nobody has shortened"
        pretended.publish(f"folder/f{number}", {**SYNCED, "id": f"f{number}", "label": label, **status})
    for number in range(MANY // 5):
        pretended.publish(f"device/D{number}", {**SYNCED, "id": f"D{number}", "name": f"Device {number}"})
    page.wait_for(f"Folders ({MANY})", f"Devices ({MANY // 5})", "Folder 49")
    assert page.evaluate("document.querySelector('.stbridge').clientHeight") < SCREENS * HEIGHT
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    page.click("Pause Folder 49 with quite a long name that nobody has shortened on pretended")
    page.write("Filter by name", "folder 0")
    eventually(lambda: "Folder 09" in page.text() and "Folder 10" not in page.text())
    page.write("Filter by name", "")
    page.wait_for("Folder 10")
    page.evaluate("document.querySelector('.stbridge-tools input[type=checkbox]').click()")
    eventually(lambda: "Folder 00" in page.text() and "Folder 01" not in page.text())


@pytest.mark.parametrize("width", [1400, 800, 400])
def test_the_page_fits_every_screen(house: House, page: Browser, width: int) -> None:
    """Nothing is wider than the screen or than its list, and names stay readable."""
    page.open(f"{house.node_red.url}/dashboard/syncthing?{width}", width, HEIGHT)
    page.wait_for("nas", LABEL, "Up to date")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.querySelector('.stbridge-name').getBoundingClientRect().width") > LEGIBLE
    wide = "Array.from(document.querySelectorAll('.stbridge-list')).filter((one) => one.scrollWidth > one.clientWidth)"
    assert page.evaluate(f"{wide}.length") == 0


def test_the_chart_gets_the_rates_of_every_instance(house: House, page: Browser) -> None:
    """Download and upload of each instance are lines of the chart, also while nothing is transferred."""
    page.wait_for("Download and upload")

    def lines() -> set[str]:
        url = f"{house.node_red.url}/dashboard/_debug/datastore/dashboard-chart"
        return {point["topic"] for point in requests.get(url, timeout=PATIENCE_S).json() or []}

    eventually(lambda: {"nas download", "nas upload", "laptop download", "laptop upload"} <= lines())


def test_a_lost_connection_to_the_broker_is_shown(version: str, browser: Browser, tmp_path: Path) -> None:
    """The page then shows no old values; after the connection it shows those that the broker has."""
    for name in ("broker", "node-red"):
        (tmp_path / name).mkdir()
    with ExitStack() as stack:
        broker = Mosquitto(tmp_path / "broker").start()
        stack.callback(broker.stop)
        node_red = NodeRed(version, tmp_path / "node-red").start()
        stack.callback(node_red.stop)
        node_red.deploy(flow("dashboard.json"), broker_port=broker.port)
        browser.open(f"{node_red.url}/dashboard/syncthing", WIDTH, HEIGHT)
        browser.wait_for("Nothing is published on this broker: is the bridge running?")
        publish_folder(broker, "before")
        browser.wait_for("before", "No problems.")
        broker.stop()
        browser.wait_for("Node-RED is not connected to the broker.")
        assert "before" not in browser.text()
        broker.start()
        publish_folder(broker, "after")
        browser.wait_for("after", "No problems.")
        assert "before" not in browser.text()


def publish_folder(broker: Mosquitto, folder: str) -> None:
    """Publish the topics of an instance with one folder."""
    client = Subscriber(broker.port)
    for topic in ("bridge/state", "nas/state"):
        client.publish(f"syncthing/{topic}", "online", retain=True)
    client.publish(f"syncthing/nas/folder/{folder}", json.dumps({**SYNCED, "id": folder}), retain=True)
    client.wait_for(lambda one: one.topic.endswith(folder))
    client.close()


# --- its buttons


def test_a_button_sends_a_command_and_shows_the_reply(house: House, page: Browser) -> None:
    """A folder can be paused and resumed, and only the page with the button shows the reply."""
    page.click(f"Pause {LABEL} on nas")
    page.wait_for(f"nas: {LABEL}: pause: done", "Paused")
    assert config(house)["paused"] is True
    page.click(f"Resume {LABEL} on nas")
    page.wait_for(f"nas: {LABEL}: resume: done")
    assert config(house)["paused"] is False
    page.open(f"{house.node_red.url}/dashboard/syncthing?other", WIDTH, HEIGHT)
    page.wait_for("Pause")
    assert "resume: done" not in page.text()


@pytest.mark.parametrize(
    ("name", "command"), [("Pause all devices", "pause_all"), ("Resume all devices", "resume_all")]
)
def test_all_devices_can_be_paused_and_resumed(house: House, page: Browser, name: str, command: str) -> None:
    """The buttons of an instance concern all of its devices."""
    page.click(f"{name} on nas")
    page.wait_for(f"nas: {command}: done")
    paused = {device["paused"] for device in house.syncthing.request("GET", "/rest/config/devices")}
    assert (True in paused) == (command == "pause_all")


def test_all_folders_can_be_scanned(house: House, page: Browser) -> None:
    """The button sends one command for all folders."""
    since = house.subscriber.count
    page.click("Scan all on nas")
    wait_for_scan(page, "nas")
    command = house.subscriber.wait_for(lambda one: one.topic == "syncthing/nas/command/scan", since=since)
    assert json.loads(command.payload)["folder"] == "all"


def test_a_refused_command_shows_the_reason(house: House, page: Browser) -> None:
    """The message of the reply is shown."""
    topic = "syncthing/nas/folder/gone"
    house.subscriber.publish(topic, json.dumps({**SYNCED, "id": "gone", "label": "Gone"}), retain=True)
    page.click("Scan Gone on nas")
    page.wait_for("nas: Gone: scan: ", "gone")
    house.subscriber.publish(topic, "", retain=True)
    eventually(lambda: "Pause Gone" not in page.text())


def test_a_browser_can_send_no_other_command(house: House, page: Browser) -> None:
    """Commands without a button are ignored, such as `shutdown`, and so are other topics."""
    since = house.subscriber.count
    page.wait_for(LABEL)
    sent = [
        {"command": "shutdown", "instance": "nas"},
        {"command": "scan", "instance": "nas/command/shutdown#"},
        {"command": "../shutdown", "instance": "nas"},
        {"command": "republish", "instance": "bridge"},
    ]
    for number, one in enumerate(sent):
        payload = json.dumps({"payload": {"id": f"abcdefgh{number}", "arguments": {"folder": "photos"}, **one}})
        socket = "document.querySelector('#app').__vue_app__._context.provides.$socket"
        page.evaluate(f"{socket}.emit('widget-action', 'dashboard-instances', {payload}); true")
    page.click("Scan all on nas")
    wait_for_scan(page, "nas")
    commands = [one for one in house.subscriber.messages[since:] if "/command/" in one.topic]
    assert [one.topic for one in commands] == ["syncthing/nas/command/scan"]
    assert json.loads(commands[0].payload)["folder"] == "all"
