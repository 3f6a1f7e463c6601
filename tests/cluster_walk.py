"""Random faults of a cluster of brokers: `make soak-cluster MINUTES=10 SEED=7`.

After each fault, the retained messages of every node must be the truth, and each command with a reply must have been
executed once. It exits with status 1 on the first difference.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from random import Random, SystemRandom
from time import monotonic

from tests.nats_cluster import FAULTS, FOLDERS, GET_DOCS, ClusterWorld, cluster_world

LONGEST_FAULT_S = 15.0


def main() -> int:
    """Cause faults for the given time, and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(10**6))
    options = parser.parse_args()
    random, until = Random(options.seed), monotonic() + 60 * options.minutes
    print(f"SEED={options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory, cluster_world(Path(directory)) as world:
        notes: dict[str, bool] = {}
        while monotonic() < until:
            try:
                print(one_fault(world, random, notes), flush=True)
            except AssertionError as error:
                print(f"{error}\n{world.bridge.log.read_text(encoding='utf-8')}")
                return 1
        print(f"{sum(notes.values())} of {len(notes)} commands were answered, each was executed once")
    return 0


def some_folders(random: Random) -> set[str]:
    """Draw folders, among them the one that the commands ask about."""
    return {GET_DOCS["folder"], *random.sample(FOLDERS, random.randint(0, len(FOLDERS)))}


def one_fault(world: ClusterWorld, random: Random, notes: dict[str, bool]) -> str:
    """Cause a fault of a random node, change something meanwhile, and wait until everything is right again."""
    node, fault = random.choice(world.cluster.nodes), random.choice(FAULTS)
    began = monotonic()
    repair = fault(node)
    try:
        world.changes(*some_folders(random))
        until = began + random.uniform(0, LONGEST_FAULT_S)
        while monotonic() < until:
            note = f"note {len(notes)} of a walk"
            notes[note] = world.ask("new_error", {"message": note}) == "ok"
    finally:
        repair()
    repaired = monotonic()
    world.changes(*some_folders(random))
    world.recovers()
    executed = [request.body.decode() for request in world.syncthing.server.requests if "system/error" in request.line]
    for note, answered in notes.items():
        times = executed.count(note)
        assert times <= 1, f"{json.dumps(note)} was executed {times} times"
        assert times == 1 or not answered, f"{json.dumps(note)} was answered, but not executed"
    return f"{fault.__name__} of {node.name} for {repaired - began:.1f} s: right after {monotonic() - repaired:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
