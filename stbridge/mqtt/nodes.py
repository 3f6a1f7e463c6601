"""Chooses the node of the broker to connect to: which one is next, and when.

A broker may be a cluster; without `mqtt.hosts` it has one node. Each bridge tries the nodes in its own random order,
and waits a random time before it goes to the next. So the bridges of a node that died spread over the other nodes, and
over time.
"""

from dataclasses import dataclass, field
from random import Random

from stbridge.backoff import Backoff
from stbridge.mqtt.protocol import ProtocolChoice
from stbridge.settings import MqttSettings

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 3.0  # short, so that the bridge recovers soon after the broker is reachable or accepts the login
NEXT_NODE_S = 0.3  # maximum wait before the bridge goes to another node


@dataclass(slots=True)
class Node:
    """One node of the broker, and what the bridge knows about it.

    Attributes:
        settings: the settings of the broker, with the host and port of this node.
        protocols: the versions of MQTT to try.
        backoff: the waits between the attempts to connect to this node.
        ready_at: time of the next attempt, by time.monotonic().
        failure: why the last attempt or connection failed; empty while the node works.
        refuses: whether the node has refused a subscription since all nodes were tried.
    """

    settings: MqttSettings
    protocols: ProtocolChoice
    backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_WAIT_S, LONGEST_WAIT_S))
    ready_at: float = 0.0
    failure: str = ""
    refuses: bool = False


class Nodes:
    """The nodes of the broker in the order in which this process tries them, and the node whose turn it is.

    Args:
        settings: the settings of the broker.
        chance: chooses the order and the wait before another node.
    """

    def __init__(self, settings: MqttSettings, chance: Random | None = None) -> None:
        self._chance = chance or Random()  # noqa: S311 - spreads load, keeps no secret
        self._nodes = [Node(one, ProtocolChoice(one.protocol)) for one in settings.nodes]
        self._chance.shuffle(self._nodes)

    @property
    def current(self) -> Node:
        """The node whose turn it is."""
        return self._nodes[0]

    @property
    def in_turn(self) -> tuple[Node, ...]:
        """All nodes, the current one first."""
        return tuple(self._nodes)

    @property
    def failures_of_others(self) -> str:
        """The last failure of each node that did not work, except the current one."""
        return "; ".join(node.failure for node in self._nodes[1:] if node.failure)

    def another_may_accept(self) -> bool:
        """Record that the current node refuses a subscription, and return whether another node may accept it.

        A node that does not reach the others refuses what the ACL allows (NATS).
        """
        self.current.refuses = True
        return not all(node.refuses for node in self._nodes)

    def works(self) -> None:
        """Record that the current node has accepted the bridge."""
        self.current.failure = ""
        for node in self._nodes:
            node.refuses = False

    def failed(self, failure: str, now: float, waited_s: float = 0.0) -> float:
        """Record that the current node failed, and go to the next one.

        The next node is the first in turn that is ready; if none is ready, it is the one that is ready first.

        Args:
            failure: what is wrong, and how to fix it.
            now: the current time, by time.monotonic().
            waited_s: seconds that the attempt waited without getting an answer; see `Backoff.next`.

        Returns:
            seconds to wait before the next attempt.
        """
        failed = self._nodes.pop(0)
        failed.failure = failure
        failed.ready_at = now + failed.backoff.next(waited_s)
        self._nodes.append(failed)
        # min takes the first of equal nodes, and nodes that are ready are equal
        chosen = min(self._nodes, key=lambda node: max(node.ready_at, now))
        at = self._nodes.index(chosen)
        self._nodes = self._nodes[at:] + self._nodes[:at]
        wait_s = chosen.ready_at - now
        return wait_s if wait_s > 0 else self._chance.uniform(0, NEXT_NODE_S)
