"""A short random walk; `make soak MINUTES=60` runs a long one."""

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import SystemRandom
from time import monotonic

import pytest

from tests.faults.ground import Ground
from tests.faults.orders import ROWS, Order
from tests.faults.plan import plan
from tests.faults.steps import STEPS
from tests.faults.walk import Walk
from tests.faults.world import newest

SECONDS = 60.0


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Start a separate world for the walk."""
    one = Ground(tmp_path, newest())
    try:
        one.start()
        yield one
    finally:
        one.stop()


def test_the_same_seed_takes_the_same_steps() -> None:
    """The steps depend only on the seed, and different seeds give different steps."""
    first, again, other = ([str(step) for burst in islice(plan(seed, STEPS), 20) for step in burst.steps]
                           for seed in (1, 1, 2))  # fmt: skip
    assert first == again
    assert first != other


def test_every_step_is_taken_sooner_or_later() -> None:
    """Every row of the table is used, including all repairs."""
    taken = {
        planned.step.text
        for seed in range(10)
        for burst in islice(plan(seed, STEPS), 50)
        for planned in (*burst.steps, *burst.mending)
    }
    assert taken == {step.text for step in STEPS}


def test_a_world_is_settled_when_both_instances_have_everything(ground: Ground) -> None:
    """Folders are also idle before the indexes are exchanged; changes would follow while the walk compares topics."""
    for number in range(1, 4):
        ground.remove_device("beta")
        ground.write_on_both("alpha", "file", number)
        ground.write_on("alpha", f"file-{number}", number)
        ground.add_device("beta")
        ground.settle()
        assert [node.is_idle("docs") for node in (ground.alpha, ground.beta)] == [True, True]
        missing = {"folder": "docs", "device": ground.beta.device_id}
        assert ground.alpha.request("GET", "/rest/db/completion", missing)["needItems"] == 0


@pytest.mark.parametrize(
    ("replies", "excuse", "disturbed", "faults"),
    [
        (1, "", False, 0),
        (0, "", False, 1),
        (0, "the broker lost it", False, 0),
        (2, "", False, 1),
        (2, "", True, 0),
    ],
)
def test_a_command_has_exactly_one_reply_unless_there_is_a_reason(
    replies: int, excuse: str, disturbed: bool, faults: int
) -> None:
    """A reply is missing only if the broker lost it, and is repeated only if a connection broke."""
    order = Order("alpha", ROWS["scan"], {}, "order-1", 0, excuse, disturbed, replies=[{}] * replies)
    assert len(order.faults) == faults


@pytest.mark.timeout(SECONDS + 180)
def test_after_every_burst_of_a_walk_all_topics_are_correct(ground: Ground, measure: Callable[[float], None]) -> None:
    """After any sequence of steps, every topic soon becomes correct and every command has its reply."""
    seed = int(os.environ.get("SEED") or SystemRandom().randrange(10**6))
    began = monotonic()
    for reading in Walk(ground, seed).go():
        measure(reading.right_s)
        if monotonic() - began > SECONDS:
            return
