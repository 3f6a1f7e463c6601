"""The page of made-up bridges: logins, hostile names, lost connections, proxies, accessibility, size."""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stbridge.demo.node import free_port
from stbridge.web.guard import Rules
from tests.secrecy import SECRECY
from tests.servers import ANONYMOUS, PATIENCE_S, Mosquitto, Subscriber, eventually, listens
from tests.web.serving import PASSWORD, publish_tree, web_page
from tests.web.trees import DEVICE, FOLDER, INFO, LAPTOP, SYSTEM, TREE
from tests.webpage.conftest import AXE, TOOLS, PageBrowser

SINCE = "2026-11-28T11:00:00Z"
HOSTILE = "<img src=x onerror=\"window.faults.push('hostile')\"><b>&amp;"

PROBLEMS: list[dict[str, Any]] = [
    {
        "code": "conflicts",
        "message": "1 conflict file, such as a.txt",
        "since": SINCE,
        "folder": "photos",
        "label": "Photos",
    },
    {"code": "system_errors", "message": "disk is almost full", "since": None},
]
WRONG: dict[str, Any] = {
    "nas/system": {**SYSTEM, "problem": True, "problems": PROBLEMS, "state": "syncing", "need_bytes": 1_200_000},
    "nas/folder/photos": {**FOLDER, "status": "syncing", "completion": 63.9, "sync_rate": 900_000, "conflicts": 1},
    "nas/folder/photos/conflicts": {"count": 1, "items": ["a.sync-conflict.txt"], "complete": True},
    "nas/folder/music": {
        **FOLDER,
        "label": "Music",
        "status": "failed_items",
        "completion": 95,
        "failed": 2,
        "problem": True,
    },
    "nas/folder/music/failed": {"count": 2, "items": [{"path": "b", "error": "no space"}]},
    "nas/folder/old": {**FOLDER, "label": "Old", "status": "paused", "paused": True, "completion": None},
    "nas/errors": {"count": 1, "items": [{"when": SINCE, "message": "disk is almost full"}]},
    "nas/pending": {
        "devices": [{"device": "TABLET1-AAAAAAA", "name": "tablet", "address": "192.168.1.7", "time": SINCE}],
        "folders": [{"folder": "films", "label": "Films", "device": LAPTOP, "time": SINCE}],
    },
    f"nas/completion/{LAPTOP}/music": {"completion": 12, "remote_state": "valid"},
    f"nas/completion/{LAPTOP}/old": {"completion": 0, "remote_state": "notSharing"},
    "box/state": "offline",
    "box/connection": {"status": "unauthorized", "message": "API key rejected", "since": SINCE},
    "bridge/info": {
        **INFO,
        "commands": [
            "accept_device",
            "accept_folder",
            "clear_errors",
            "dismiss_device",
            "dismiss_folder",
            "pause",
            "resume",
            "scan",
        ],
    },
}
"""Everything that the page can show, on top of TREE."""


# --- accessibility


@pytest.fixture
def wrong_page(broker: Mosquitto, subscriber: Subscriber) -> Iterator[str]:
    """The page of a bridge with every kind of problem; returns its address."""
    publish_tree(subscriber, {**TREE, **WRONG})
    subscriber.publish("syncthing/nas/event/conflict", b'{"event_type": "conflict", "folder": "photos", "path": "a"}')
    with web_page(broker.port, allow=("operate", "admin")) as page:
        yield page.url


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: run scripts/web-tools")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(wrong_page: str, browser: PageBrowser, scheme: str, width: int) -> None:
    """Everything open, with problems, on a desktop and on a phone, light and dark, also in a dialog."""
    browser.prefer(prefers_color_scheme=scheme)
    browser.show(wrong_page, width)
    browser.wait_for("3 problems", "Pending requests", "Conflicts and failed items", "Unauthorized: API key rejected")
    browser.click("1 conflict file in Photos on nas")
    assert browser.violations() == []
    assert browser.overflow() <= 0
    browser.click("Pause Photos on nas")
    assert browser.violations() == []


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: run scripts/web-tools")
def test_axe_finds_nothing_in_other_states(
    new_broker: Callable[..., Mosquitto], browser: PageBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The login, a wrong password, an empty page, and a page without a broker."""
    broker = new_broker().start()
    SECRECY.keep(PASSWORD, "the password of the page")
    with web_page(broker.port, username="admin", password=PASSWORD) as page:
        browser.show(page.url, 360)
        browser.wait_for("Log in")
        assert browser.violations() == []
        browser.fill("[name=username]", "admin")
        browser.fill("[name=password]", "wrong")
        browser.click("Log in")
        browser.wait_for("wrong password")
        assert browser.violations() == []
        browser.fill("[name=password]", PASSWORD)
        browser.click("Log in")
        browser.wait_for("No instances", "No bridge has published anything")
        assert browser.violations() == []
        broker.stop()
        browser.wait_for("No connection to the broker since")
        assert browser.violations() == []
        assert browser.overflow() <= 0


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_has_to_be_scrolled_sideways(wrong_page: str, browser: PageBrowser, width: int) -> None:
    """Also with long names, down to the width that WCAG requires."""
    browser.show(wrong_page, width)
    browser.wait_for("3 problems")
    assert browser.overflow() <= 0


def test_the_keyboard_reaches_everything(wrong_page: str, browser: PageBrowser) -> None:
    """Each button can be focused with Tab, and updates do not move the focus."""
    browser.show(wrong_page)
    browser.wait_for("3 problems")
    count = int(browser.evaluate("document.querySelectorAll('button, input, summary').length"))
    reached = set()
    for _ in range(count + 5):
        browser.press("Tab")
        name = "document.activeElement.ariaLabel ?? document.activeElement.textContent.trim()"
        reached.add(browser.evaluate(f"document.activeElement.tagName + ' ' + ({name})"))
    assert len([one for one in reached if one.startswith("BUTTON")]) >= 10
    assert any("Accept device tablet on nas" in one for one in reached)


# --- what is shown


def test_it_shows_what_is_wrong(wrong_page: str, browser: PageBrowser) -> None:
    """With the meaning and the fix of each problem, and only what needs attention if the user wants that."""
    browser.show(wrong_page)
    browser.wait_for(
        "Photos on nas",
        "1 conflict file, such as a.txt",
        "losing version was kept",
        "Fix:",
        "Set the API key",
        "tablet wants to connect to nas",
        "offers folder Films",
        "63.9 % of 3.0 MB",
        "900.0 kB/s",
        "Failed items",
    )
    browser.evaluate("document.querySelector('input[type=checkbox]').click()")
    eventually(lambda: "Old" not in browser.text().partition("Folders on devices")[0])
    assert "Music" in browser.text()
    browser.fill("input[type=search]", "music")
    eventually(lambda: "Photos" not in browser.text().partition("Latest events")[0].partition("Instances")[2])


def test_a_reload_keeps_the_filters(wrong_page: str, browser: PageBrowser) -> None:
    """They are in the address, and an instance in sync is hidden like its rows."""
    browser.show(f"{wrong_page}#attention=yes&search=MUSIC")
    browser.wait_for("Music")
    assert browser.evaluate("document.querySelector('input[type=search]').value") == "MUSIC"
    assert browser.evaluate("document.querySelector('input[type=checkbox]').checked") is True
    browser.fill("input[type=search]", "Photos ")
    eventually(lambda: browser.evaluate("location.hash") == "#search=Photos&attention=yes")
    assert browser.evaluate("document.querySelector('input[type=search]').value") == "Photos "
    browser.evaluate("location.hash = ''")
    eventually(lambda: browser.evaluate("document.querySelector('input[type=search]').value") == "")
    assert browser.evaluate("document.querySelector('input[type=checkbox]').checked") is False


def test_the_last_topic_takes_its_row_along(wrong_page: str, browser: PageBrowser, subscriber: Subscriber) -> None:
    """A removed folder disappears, and the focus stays where it is."""
    browser.show(wrong_page)
    eventually(lambda: browser.has("Scan Photos on nas"))
    browser.evaluate(f"{browser.button('Scan Photos on nas')}.focus()")
    for topic in ("folder/music", "folder/music/failed", f"completion/{LAPTOP}/music"):
        subscriber.publish(f"syncthing/nas/{topic}", b"", retain=True)
    eventually(lambda: "Music" not in browser.text())
    assert browser.evaluate("document.activeElement.ariaLabel") == "Scan Photos on nas"


def test_updates_can_be_paused(wrong_page: str, browser: PageBrowser, subscriber: Subscriber) -> None:
    """A reader of a long list is not disturbed."""
    browser.show(wrong_page)
    browser.click("Pause updates")
    eventually(lambda: browser.has("Continue updates"))
    subscriber.publish("syncthing/nas/folder/photos", json.dumps({**FOLDER, "label": "Pictures"}), retain=True)
    subscriber.publish("syncthing/nas/folder/music", b"", retain=True)
    eventually(lambda: browser.evaluate("performance.getEntriesByType('resource').length"))
    assert "Pictures" not in browser.text()
    browser.click("Continue updates")
    browser.wait_for("Pictures")


def test_hostile_names_are_text(broker: Mosquitto, subscriber: Subscriber, browser: PageBrowser) -> None:
    """Names of files, folders, devices and instances never become elements or scripts."""
    problem = {"code": HOSTILE, "message": HOSTILE, "folder": "__proto__", "label": HOSTILE, "since": None}
    publish_tree(
        subscriber,
        {
            **TREE,
            "nas/system": {**SYSTEM, "name": HOSTILE, "version": HOSTILE, "problems": [problem], "problem": True},
            "nas/folder/__proto__": {
                **FOLDER,
                "label": HOSTILE,
                "status": HOSTILE,
                "error": HOSTILE,
                "last_file": HOSTILE,
            },
            "nas/folder/constructor": {**FOLDER, "status": "constructor"},
            "nas/folder/__proto__/conflicts": {"count": 1, "items": [HOSTILE], "complete": True},
            f"nas/device/{LAPTOP}": {**DEVICE, "name": HOSTILE, "client_version": HOSTILE},
            "nas/errors": {"count": 1, "items": [{"when": None, "message": HOSTILE}]},
            "nas/pending": {
                "devices": [{"device": HOSTILE, "name": HOSTILE, "address": HOSTILE, "time": None}],
                "folders": [],
            },
            f"{HOSTILE.replace('/', '')}/state": "online",
            "bridge/info": {**INFO, "version": HOSTILE},
            "nas/folder/rubbish": "rubbish",
        },
    )
    subscriber.publish(
        f"syncthing/nas/event/{HOSTILE.replace('/', '')}", json.dumps({"event_type": "x", "path": HOSTILE})
    )
    with web_page(broker.port, allow=("operate", "admin")) as page:
        browser.show(page.url)
        browser.wait_for(HOSTILE, "Latest events")
        browser.click(f"Pause {HOSTILE} on nas")
        browser.wait_for(f"Pause {HOSTILE} on nas?")
        assert browser.evaluate("document.querySelectorAll('main img, main b, dialog img').length") == 0
        assert browser.evaluate("({}).label === undefined && Object.prototype.data === undefined")
    browser.evaluate("window.faults = window.faults.filter((one) => !one.includes('fetch'))")


# --- logins and connections


def test_a_login_and_a_log_out(broker: Mosquitto, subscriber: Subscriber, browser: PageBrowser) -> None:
    """Nothing is visible before the login or after the log-out; another tab notices the log-out, too."""
    publish_tree(subscriber)
    SECRECY.keep(PASSWORD, "the password of the page")
    with web_page(broker.port, password=PASSWORD) as page:
        browser.show(page.url)
        browser.wait_for("Log in", "Password")
        assert "Photos" not in browser.text()
        browser.fill("[name=password]", "wrong")
        browser.press("Enter")
        browser.wait_for("wrong password")
        browser.fill("[name=password]", PASSWORD)
        browser.press("Enter")
        browser.wait_for("Photos", "Log out")
        browser.show(page.url)
        browser.wait_for("Photos")
        browser.click("Log out")
        browser.wait_for("Password")
        assert "Photos" not in browser.text()


def test_a_broker_that_is_gone(new_broker: Callable[..., Mosquitto], browser: PageBrowser) -> None:
    """The page reports it, keeps what it knows, marks it as old, and recovers by itself."""
    broker = new_broker().start()
    subscriber = Subscriber(broker.port)
    publish_tree(subscriber)
    with web_page(broker.port) as page:
        browser.show(page.url)
        browser.wait_for("Everything is in sync", "Photos")
        broker.kill()
        subscriber.close()
        browser.wait_for("No connection to the broker since", "Photos", "there is no connection to the broker")
        assert "Everything is in sync" not in browser.text()
        broker.start()
        again = Subscriber(broker.port)
        publish_tree(again)
        browser.wait_for("Everything is in sync")
        assert browser.evaluate("document.getElementById('alarm').textContent") == ""
        again.close()


def test_a_restarted_server_is_found_again(broker: Mosquitto, subscriber: Subscriber, browser: PageBrowser) -> None:
    """The page shows that its server is gone, and continues with the new one."""
    publish_tree(subscriber)
    port = free_port()
    with web_page(broker.port, port=port) as page:
        browser.show(page.url)
        browser.wait_for("Photos")
    browser.wait_for("No connection to the server of this page", "Photos")
    subscriber.publish("syncthing/nas/folder/photos", json.dumps({**FOLDER, "label": "Pictures"}), retain=True)
    with web_page(broker.port, port=port):
        browser.wait_for("Pictures", "Everything is in sync")


# --- reverse proxies

NGINX = """
pid {directory}/pid;
error_log {directory}/error.log;
daemon off;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
    uwsgi_temp_path {directory}; scgi_temp_path {directory};
    gzip on;
    gzip_types text/event-stream application/json;
    server {{
        listen 127.0.0.1:{port};
{location}
    }}
}}
"""


def documented_location() -> str:
    """Return the lines of the documentation for nginx."""
    text = (Path(__file__).parents[2] / "docs/web.md").read_text(encoding="utf-8")
    return text.partition("```nginx\n")[2].partition("```")[0]


@contextmanager
def nginx(directory: Path, location: str) -> Iterator[int]:
    """Run nginx with a location, and return its port."""
    program = shutil.which("nginx", path=f"{TOOLS}/nginx/usr/sbin:/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("nginx is not installed: run scripts/web-tools")
    port = free_port()
    file = directory / "nginx.conf"
    file.write_text(NGINX.format(directory=directory, port=port, location=location), encoding="utf-8")
    process = subprocess.Popen([program, "-c", str(file), "-p", str(directory)], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: listens(port))
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def test_it_works_below_a_path(broker: Mosquitto, subscriber: Subscriber, browser: PageBrowser, tmp_path: Path) -> None:
    """With the documented lines, and although nginx compresses everything: login, updates and commands."""
    publish_tree(subscriber)
    SECRECY.keep(PASSWORD, "the password of the page")
    with web_page(broker.port, password=PASSWORD, allow=("scan",)) as page:
        location = documented_location().replace("127.0.0.1:8385", page.origin.removeprefix("http://"))
        with nginx(tmp_path, location) as port:
            browser.show(f"http://127.0.0.1:{port}/sync/")
            browser.fill("[name=password]", PASSWORD)
            browser.press("Enter")
            browser.wait_for("Photos")
            subscriber.publish("syncthing/nas/folder/photos", json.dumps({**FOLDER, "label": "Pictures"}), retain=True)
            browser.wait_for("Pictures")
            browser.click("Scan Pictures on nas")
            subscriber.wait_for(lambda one: one.topic == "syncthing/nas/command/scan")
            browser.show("about:blank")


PANEL = "/api/hassio_ingress/a-token/"
HOME_ASSISTANT = """
        location = / {{ default_type text/html; return 200 '<!doctype html><iframe src="{panel}"></iframe>'; }}
        location {panel} {{ proxy_pass http://127.0.0.1:{port}/; proxy_http_version 1.1; proxy_buffering off;
                            proxy_set_header Host $http_host; proxy_set_header X-Ingress-Path {panel}; }}
"""
"""Home Assistant's page with the panel, and the Supervisor's proxy."""


def test_the_panel_works_in_a_frame_of_home_assistant(
    broker: Mosquitto, subscriber: Subscriber, browser: PageBrowser, tmp_path: Path
) -> None:
    """Below a path, without a login although there is a password: updates, and commands."""
    publish_tree(subscriber)
    SECRECY.keep(PASSWORD, "the password of the page")
    panel_port = free_port()
    rules = Rules(None, "127.0.0.1", framed=True)
    settings = {"password": PASSWORD, "allow": ("scan",), "ingress_port": panel_port}
    location = HOME_ASSISTANT.format(panel=PANEL, port=panel_port)
    with web_page(broker.port, ingress=rules, **settings), nginx(tmp_path, location) as port:
        browser.show(f"http://127.0.0.1:{port}/")
        frame = "document.querySelector('iframe')"
        body = f"{frame}?.contentDocument?.body?.innerText ?? ''"
        eventually(lambda: "Photos" in browser.evaluate(body))
        subscriber.publish("syncthing/nas/folder/photos", json.dumps({**FOLDER, "label": "Pictures"}), retain=True)
        eventually(lambda: "Pictures" in browser.evaluate(body))
        button = browser.button("Scan Pictures on nas").replace("document", f"{frame}.contentDocument")
        browser.evaluate(f"{button}.click()")
        subscriber.wait_for(lambda one: one.topic == "syncthing/nas/command/scan")
        assert browser.evaluate(f"{frame}.contentWindow.faults") == []
        browser.show("about:blank")


# --- size

FOLDERS, DEVICES = 1000, 100


def test_a_large_fleet_opens_quickly(new_broker: Callable[..., Mosquitto], browser: PageBrowser) -> None:
    """1,000 folders on 100 devices are a picture, with a list of the cells that are not complete."""
    broker = new_broker(lines=(ANONYMOUS, "max_queued_messages 0")).start()  # Mosquitto drops what exceeds its queue
    publisher = Subscriber(broker.port, "nothing")
    publish_tree(publisher, {name: value for name, value in TREE.items() if "completion" not in name})
    publish = publisher._client.publish  # noqa: SLF001 - without waiting for 100,000 acknowledgements
    for folder in range(FOLDERS):
        publish(f"syncthing/nas/folder/f{folder}", json.dumps({**FOLDER, "label": f"Folder {folder}"}), retain=True)
        for device in range(DEVICES):
            payload = json.dumps({"completion": 100 if folder or device else 42})
            publish(f"syncthing/nas/completion/D{device:06}/f{folder}", payload, retain=True)
    for device in range(DEVICES):
        payload = json.dumps({**DEVICE, "name": f"device {device}"})
        publish(f"syncthing/nas/device/D{device:06}", payload, retain=True)
    publisher.publish("syncthing/nas/folder/last", json.dumps({**FOLDER, "label": "Last"}), retain=True)
    pause = threading.Event()  # asking all the time would slow the page down
    with web_page(broker.port) as page:
        eventually(lambda: "last" in page.state()["matrix"]["folders"] or pause.wait(2), 120)
        eventually(lambda: "reading" not in page.state()["tree"]["broker"] or pause.wait(2), 120)
        browser.show(page.url)
        browser.wait_for("1,002 folders on 101 devices", "1 folder not complete, by device")
        browser.evaluate("document.getElementById('canvas').focus()")
        browser.press("ArrowDown")
        browser.wait_for("Folder 1 on device 0: complete")
        if AXE.is_file():
            assert browser.violations() == []
    publisher.close()
