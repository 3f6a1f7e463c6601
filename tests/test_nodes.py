"""Which node of the broker is tried next, and when."""

from random import Random

import pytest

from stbridge.mqtt.nodes import LONGEST_WAIT_S, NEXT_NODE_S, Nodes
from stbridge.settings import MqttSettings

CLUSTER = MqttSettings(hosts=("n1", "n2", "n3"))


def hosts(nodes: Nodes) -> list[str]:
    """Return the hosts of the nodes in turn."""
    return [node.settings.host for node in nodes.in_turn]


def test_each_bridge_has_its_own_order() -> None:
    """If every bridge began with the first node, that node would serve all of them."""
    orders = {tuple(hosts(Nodes(CLUSTER, Random(seed)))) for seed in range(100)}
    assert len(orders) == 6


def test_the_bridges_of_a_dead_node_spread_over_the_others_and_over_time() -> None:
    """One node would otherwise get all of them at the same moment."""
    bridges = [Nodes(CLUSTER, Random(seed)) for seed in range(300)]
    on_n1 = [bridge for bridge in bridges if bridge.current.settings.host == "n1"]
    waits = [bridge.failed("dead", 100.0) for bridge in on_n1]
    refuges = [bridge.current.settings.host for bridge in on_n1]
    assert min(refuges.count("n2"), refuges.count("n3")) > len(on_n1) / 4
    assert 0 <= min(waits) < NEXT_NODE_S / 4
    assert NEXT_NODE_S * 3 / 4 < max(waits) <= NEXT_NODE_S


def test_the_nodes_are_tried_in_turn() -> None:
    """A node that failed comes last."""
    nodes = Nodes(CLUSTER, Random(1))
    first, second, third = hosts(nodes)
    nodes.failed("dead", 100.0)
    assert hosts(nodes) == [second, third, first]
    nodes.failed("dead", 100.0)
    assert hosts(nodes) == [third, first, second]


def test_if_no_node_is_ready_the_bridge_waits_for_the_first_one() -> None:
    """All nodes are down: each of them gets one attempt in every backoff, and no more."""
    nodes, now, attempts = Nodes(CLUSTER, Random(1)), 100.0, 0
    while now < 160:
        now += nodes.failed("dead", now)
        attempts += 1
    assert attempts <= 3 * (60 / (LONGEST_WAIT_S / 2) + 4)
    assert len({node.ready_at for node in nodes.in_turn}) == 3
    assert nodes.current.ready_at == min(node.ready_at for node in nodes.in_turn) == pytest.approx(now)


def test_a_node_with_a_long_backoff_is_passed_over() -> None:
    """A node that keeps failing must not delay the bridge when another one is lost."""
    nodes = Nodes(CLUSTER, Random(1))
    third = hosts(nodes)[2]
    nodes.failed("dead", 100.0)
    nodes.failed("dead", 100.0)
    assert hosts(nodes)[0] == third
    nodes.works()
    nodes.current.backoff.reset()
    nodes.failed("dead", 100.1)  # no node is ready yet
    assert nodes.current.ready_at == min(node.ready_at for node in nodes.in_turn)


def test_one_node_is_tried_again_and_again() -> None:
    """Without `mqtt.hosts`, there is only one node, with one backoff."""
    nodes = Nodes(MqttSettings(host="nas"))
    waits = [nodes.failed("dead", 100.0) for _ in range(5)]
    assert hosts(nodes) == ["nas"]
    for wait_s, longest_s in zip(waits, (0.5, 1, 2, 3, 3), strict=True):
        assert longest_s / 2 - 1e-9 <= wait_s <= longest_s + 1e-9


def test_the_failures_of_the_other_nodes_are_known() -> None:
    """While no node works, `bridge/health` and the status name the fault of each."""
    nodes = Nodes(CLUSTER, Random(1))
    first, second, _ = hosts(nodes)
    nodes.failed(f"{first} is dead", 100.0)
    nodes.failed(f"{second} is dead", 100.0)
    assert nodes.failures_of_others == f"{first} is dead; {second} is dead"


def test_each_node_has_its_own_versions_of_mqtt() -> None:
    """During an upgrade of a cluster, its nodes may support different versions."""
    nodes = Nodes(CLUSTER)
    assert len({id(node.protocols) for node in nodes.in_turn}) == 3


def test_another_node_may_accept_a_subscription_until_all_have_refused_it() -> None:
    """A node of NATS that does not reach the others refuses everything; all nodes refuse what the ACL forbids."""
    nodes = Nodes(CLUSTER, Random(1))
    for _ in range(2):
        assert nodes.another_may_accept()
        nodes.failed("refused", 100.0)
    assert not nodes.another_may_accept()
    nodes.works()
    assert nodes.another_may_accept()


def test_a_single_node_is_not_left_because_of_a_refused_subscription() -> None:
    """The bridge publishes nevertheless, and logs what the ACL must allow."""
    assert not Nodes(MqttSettings(), Random(1)).another_may_accept()
