"""Test setup for Syncthing's own page: two real instances, a bridge that has both, and a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.conftest import Pair
from tests.page.gui import Page
from tests.scene import Scene, scene_of
from tests.servers import Mosquitto, Subscriber


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A running browser."""
    one = Browser(tmp_path_factory.mktemp("browser"))
    try:
        yield one.start()
    finally:
        one.stop()


@pytest.fixture
def scene(pair: Pair, broker: Mosquitto, subscriber: Subscriber, tmp_path: Path) -> Iterator[Scene]:
    """A bridge that is online and has both nodes as instances."""
    with scene_of(pair, broker, subscriber, tmp_path) as one:
        yield one


@pytest.fixture
def page(browser: Browser, scene: Scene) -> Page:
    """The page of the instance alpha."""
    return Page(browser, scene).open(scene.pair.a)
