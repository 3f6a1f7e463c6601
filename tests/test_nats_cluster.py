"""The bridge on a real cluster of brokers: three NATS servers, one of which fails."""

from collections.abc import Callable, Iterator

import pytest

from tests.nats_cluster import FOLDERS, RECOVERY_S, ClusterNode, ClusterWorld, cluster_world, cut_off, kill
from tests.servers import eventually

pytestmark = pytest.mark.timeout(600)  # an election can take a minute, and some tests wait for several


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterWorld]:
    """A bridge that has published everything to a cluster; every test leaves it working again."""
    with cluster_world(tmp_path_factory.mktemp("cluster")) as world:
        yield world


def test_the_bridge_publishes_everything_and_names_the_node(world: ClusterWorld) -> None:
    """`bridge/info` and the log have the address of the node."""
    node = world.node_of_the_bridge()
    assert f"connected to the broker at {node.address} with MQTT 3.1.1" in world.bridge.log.read_text(encoding="utf-8")


def test_check_has_a_line_for_each_node(world: ClusterWorld) -> None:
    """All of them work."""
    lines = [f"mqtt: {host} accepts the bridge with MQTT 3.1.1" for host in world.cluster.hosts]

    def all_work() -> bool:
        done = world.bridge.run("check")
        return done.returncode == 0 and all(line in done.stdout for line in lines)

    eventually(all_work, RECOVERY_S)  # a node refuses clients while the cluster elects a leader


@pytest.mark.parametrize("fault", [kill, cut_off])
def test_the_loss_of_the_node_of_the_bridge_is_survived(
    world: ClusterWorld, fault: Callable[[ClusterNode], Callable[[], None]]
) -> None:
    """The bridge goes to another node, and publishes what has changed in the meantime, with the node still down."""
    lost = world.node_of_the_bridge()
    repair = fault(lost)
    try:
        world.changes("docs", "music")
        world.works_without(lost)
    finally:
        repair()
    world.changes(*FOLDERS)
    world.recovers()


def test_a_restarted_bridge_clears_the_topics_of_removed_folders(world: ClusterWorld) -> None:
    """It reads what it has published before it goes online, also if a node still builds its index after a restart."""
    node = world.node_of_the_bridge()
    world.bridge.stop()
    kill(node)()
    world.syncthing.has_folders(docs=False)
    world.folders = {"docs"}
    world.bridge.start()
    world.recovers()
