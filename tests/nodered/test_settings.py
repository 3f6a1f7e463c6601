"""The Node-RED settings of the compose file, tested in a real Node-RED."""

import json
from collections.abc import Iterator

import pytest
import requests

from tests.nodered.server import NodeRed, flow
from tests.servers import PATIENCE_S, ROOT, eventually

OK, FORBIDDEN = 200, 403

PASSWORD = "the password of the editor 4e8b"
PAGE = [
    {"id": "a", "type": "tab", "label": "page"},
    {"id": "b", "z": "a", "type": "http in", "url": "/page", "method": "get", "wires": [["c"]]},
    {"id": "c", "z": "a", "type": "http response", "statusCode": "200", "wires": []},
]


@pytest.fixture(scope="module")
def node_red(version: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeRed]:
    """Start a Node-RED with these settings on the loopback address."""
    directory = tmp_path_factory.mktemp("node-red")
    (directory / "editor").write_text(f"{PASSWORD}\n", encoding="utf-8")
    settings = (
        f'process.env.EDITOR_PASSWORD_FILE = "{directory / "editor"}";\n'
        f'module.exports = {{ ...require("{ROOT / "docker/node-red.js"}"), uiHost: "127.0.0.1", '
        "telemetry: { enabled: false, updateNotification: false } };\n"
    )
    one = NodeRed(version, directory, settings, "auth/login").start()
    yield one
    one.stop()


def login(node_red: NodeRed, username: str, password: str) -> requests.Response:
    """Log in to the editor, and return the response."""
    given = {"client_id": "node-red-editor", "grant_type": "password", "scope": "*"}
    login = {"username": username, "password": password}
    return requests.post(f"{node_red.url}/auth/token", json=given | login, timeout=PATIENCE_S)


def test_the_editor_of_the_compose_file_asks_for_its_password(node_red: NodeRed) -> None:
    """The editor requires a login, because a user who can deploy flows can run any code."""
    assert not requests.get(f"{node_red.url}/flows", timeout=PATIENCE_S).ok
    assert not requests.post(f"{node_red.url}/flows", json=PAGE, timeout=PATIENCE_S).ok
    assert not login(node_red, "admin", "guessed").ok
    assert not login(node_red, "somebody", PASSWORD).ok
    token = login(node_red, "admin", PASSWORD).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.post(f"{node_red.url}/flows", json=PAGE, headers=headers, timeout=PATIENCE_S).ok


def test_the_pages_of_flows_are_served_under_names_of_this_machine_only(node_red: NodeRed) -> None:
    """Other host names are refused: a page in the browser could use any name that resolves to this machine."""
    token = login(node_red, "admin", PASSWORD).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    requests.post(f"{node_red.url}/flows", json=PAGE, headers=headers, timeout=PATIENCE_S)

    def status(host: str) -> int:
        return requests.get(f"{node_red.url}/page", headers={"Host": host}, timeout=PATIENCE_S).status_code

    eventually(lambda: status("localhost:1880") == OK)  # a deployment continues after its response
    assert status("127.0.0.1:1880") == OK
    assert status("evil.example:1880") == FORBIDDEN


OPENED, CONNECT, ACCEPTED = "0", "40", "40"
"""The packet of Engine.IO that opens a connection, and those of Socket.IO that request and accept one."""


def accepts_dashboard(node_red: NodeRed, host: str, origin: str | None) -> bool:
    """Return whether the server of Dashboard 2 accepts a connection with these headers."""
    headers = {"Host": host} | ({"Origin": origin} if origin else {})
    url = f"{node_red.url}/dashboard/socket.io/?EIO=4&transport=polling"
    with requests.Session() as session:
        opened = session.get(url, headers=headers, timeout=PATIENCE_S)
        if not opened.text.startswith(OPENED):  # before the server is ready, another handler serves a page
            return False
        url += f"&sid={json.loads(opened.text[1:])['sid']}"
        if not session.post(url, data=CONNECT, headers=headers, timeout=PATIENCE_S).ok:
            return False
        return session.get(url, headers=headers, timeout=PATIENCE_S).text.startswith(ACCEPTED)


def test_a_dashboard_is_served_to_its_own_page_under_names_of_this_machine_only(node_red: NodeRed) -> None:
    """Its connection is refused to other host names and to pages of other origins, which could press its buttons."""
    token = login(node_red, "admin", PASSWORD).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{node_red.url}/flows", json=flow("dashboard.json"), headers=headers, timeout=PATIENCE_S)
    assert answer.ok, answer.text
    eventually(lambda: accepts_dashboard(node_red, "localhost:1880", None))
    assert accepts_dashboard(node_red, "127.0.0.1:1880", "http://127.0.0.1:1880")
    assert not accepts_dashboard(node_red, "evil.example:1880", "http://evil.example:1880")
    assert not accepts_dashboard(node_red, "evil.example:1880", None)
    assert not accepts_dashboard(node_red, "localhost:1880", "http://evil.example")
