"""The page of a real bridge: what happens in Syncthing appears without reloading."""

from tests.servers import Subscriber, eventually
from tests.webpage.conftest import PageBrowser, World

A_PHOTO = b"x" * 300_000


def test_a_sync_appears(world: World, browser: PageBrowser) -> None:
    """A new file on one machine is the latest change on the other one."""
    browser.show(world.url)
    browser.wait_for("laptop", "nas", "Photos", "Folders on devices", "2 instances, 1 folder, 2 devices")
    (world.photos / "sunset.jpg").write_bytes(A_PHOTO)
    browser.wait_for("Latest change: sunset.jpg", "Everything is in sync", "100 % of 300.0 kB")
    eventually(lambda: browser.evaluate("document.title") == "Everything is in sync - stbridge")


def test_a_conflict_appears_and_disappears(world: World, browser: PageBrowser) -> None:
    """The problem comes with its fix, and with the path of the file."""
    browser.show(world.url)
    browser.wait_for("Photos")
    conflict = world.photos / "notes.sync-conflict-20261128-120000-ABCDEFG.txt"
    conflict.write_text("mine", encoding="utf-8")
    browser.wait_for("Photos on laptop", "Fix:", *(f"1 conflict file in Photos on {one}" for one in ("laptop", "nas")))
    browser.click("1 conflict file in Photos on laptop")
    browser.wait_for(conflict.name)
    conflict.unlink()
    eventually(lambda: "conflict file in" not in browser.text())
    browser.wait_for("Everything is in sync")


def test_pause_and_resume_by_button(world: World, browser: PageBrowser) -> None:
    """The dialog asks for how long; the reply is shown, and so is the time of the end."""
    browser.show(world.url)
    browser.click("Pause Photos on nas")
    browser.wait_for("Pause Photos on nas?", "until it is resumed")
    browser.evaluate("document.querySelector('dialog select').value = '2h'")
    browser.click("Pause")
    browser.wait_for("Pause Photos on nas: done", "Paused", "resumes at")
    browser.click("Resume Photos on nas")
    browser.wait_for("Resume Photos on nas: done")
    eventually(lambda: browser.has("Pause Photos on nas"))


def test_a_dialog_can_be_left_by_keyboard(world: World, browser: PageBrowser) -> None:
    """Escape cancels, nothing is sent, and the focus is where it was."""
    browser.show(world.url)
    subscriber = Subscriber(world.broker.port, "syncthing/+/command/#")
    eventually(lambda: browser.has("Pause Photos on nas"))
    browser.evaluate(f"{browser.button('Pause Photos on nas')}.focus()")
    browser.press("Enter")
    browser.wait_for("Pause Photos on nas?")
    browser.press("Escape")
    eventually(lambda: browser.evaluate("document.querySelector('dialog') === null"))
    assert browser.evaluate("document.activeElement.ariaLabel") == "Pause Photos on nas"
    assert subscriber.count == 0
    subscriber.close()


def test_a_refused_command_is_reported(world: World, browser: PageBrowser) -> None:
    """The bridge does not execute commands that its own setting does not list, so there is no button for them."""
    browser.show(world.url)
    eventually(lambda: browser.has("Scan Photos on nas"))
    assert not browser.has("Accept device x on nas")
    browser.click("Scan Photos on nas")
    replies = [f"Scan Photos on nas: {one}" for one in ("done", "accepted")]  # accepted if it takes more than 2 s
    eventually(lambda: any(one in browser.text() for one in replies))
