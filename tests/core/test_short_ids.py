"""Devices whose IDs have the same beginning are published with short IDs that are long enough to be unique."""

from stbridge.core import observations as seen
from stbridge.core.model import short_ids
from stbridge.core.topics import Address
from tests.core.world import BETA, BETA_DEVICE, World, config, device, folder, last_seen, needing

TWIN = "-".join(["BETABET", "7654327", *["2345672"] * 6])
BOTH = config(folder("docs", BETA, TWIN), devices=(BETA_DEVICE, device(TWIN, "twin")))
LONG_BETA, LONG_TWIN = "BETABET-2345672", "BETABET-7654327"


def _on(short: str) -> Address:
    return Address("device", device=short)


def test_a_short_id_is_no_longer_than_necessary() -> None:
    """It has one group of the ID, or more if that is not unique; the order of the devices does not matter."""
    third = "-".join(["BETABET", "7654327", "AAAAAAA", *["2345672"] * 5])
    assert short_ids([BETA]) == {BETA: "BETABET"}
    for devices in ([BETA, TWIN, third], [third, BETA, TWIN]):
        assert short_ids(devices) == {BETA: LONG_BETA, TWIN: f"{LONG_TWIN}-2345672", third: f"{LONG_TWIN}-AAAAAAA"}
    assert short_ids(["short", "short-er"]) == {"short": "short", "short-er": "short-e"}


def test_devices_with_the_same_first_group_are_both_published() -> None:
    """Each has its own name, completion, problems and events."""
    world = World().start(configured=BOTH)
    world.see(last_seen(TWIN), needing(3, TWIN))
    assert [world.payload(_on(short))["name"] for short in (LONG_BETA, LONG_TWIN)] == ["beta", "twin"]
    assert [world.payload(_on(short))["need_items"] for short in (LONG_BETA, LONG_TWIN)] == [None, 3]
    assert world.payload(Address("completion", folder="docs", device=LONG_TWIN))["need_items"] == 3
    assert world.payload(_on("BETABET")) is None
    assert world.folder["devices"] == [LONG_BETA, LONG_TWIN]
    world.emitted()
    world.see(world.connect(TWIN))
    assert [one["device"] for one in world.emitted("device_connected")] == [LONG_TWIN]


def test_the_topics_of_a_device_move_when_another_one_comes_or_goes() -> None:
    """The old topics are cleared, and all payloads are published at the new ones."""
    world = World().start()
    short, share = _on("BETABET"), Address("completion", folder="docs", device="BETABET")
    long, long_share = _on(LONG_BETA), Address("completion", folder="docs", device=LONG_BETA)
    world.see(BOTH)
    assert {short, share, long, long_share} <= set(world.changed)
    assert [world.payload(one) for one in (short, share)] == [None, None]
    assert world.payload(long)["name"] == "beta"
    world.see(config())
    assert {short, share, long, long_share, _on(LONG_TWIN)} <= set(world.changed)
    assert [world.payload(one) for one in (long, long_share, _on(LONG_TWIN))] == [None] * 3
    assert world.payload(short)["name"] == "beta"
    assert world.payload(short)["connected"] is True


def test_topics_are_the_same_after_a_restart_of_the_bridge() -> None:
    """Short IDs depend only on the configuration, so the restored payloads match."""
    before = World().start(configured=BOTH)
    before.see(before.disconnect(TWIN), needing(3, TWIN))
    after = World(retained=before.published()).start(configured=BOTH)
    after.see(seen.DeviceStatisticsRead(last_seen_at={TWIN: None}), needing(3, TWIN))
    both = [world.payload(_on(LONG_TWIN)) for world in (before, after)]
    assert both[0]["out_of_sync_since"] == both[1]["out_of_sync_since"]
    assert both[0]["unseen_since"] == both[1]["unseen_since"]
