"""A hundred bridges on one broker: start and steady cost, restarts of the broker, and the death of half of them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import stage
from benchmarks.bridges import Bridges
from benchmarks.broker_counters import Counters
from benchmarks.company import Company, base_topic
from benchmarks.expected import Examiner
from benchmarks.fake.fleet import Fleet
from benchmarks.fleet_report import section
from benchmarks.section import Section
from tests.servers import ANONYMOUS

BRIDGES, QUICK_BRIDGES = 100, 10
FOLDERS, DEVICES = 10, 3
STEADY_S, QUICK_STEADY_S = 120.0, 15.0
SETTLE_S, QUICK_SETTLE_S = 30.0, 5.0
BUSY_S, QUICK_BUSY_S, EVENTS_EACH = 30.0, 5.0, 2
OUTAGE_S = 20.0

UNLIMITED_QUEUES = "max_queued_messages 0"
"""By default, Mosquitto drops messages to a client that has too many in its queue. A subscriber of all topics that has
just reconnected would miss some of them, and count them as wrong."""


@contextmanager
def _company(bridges: int) -> Iterator[Company]:
    with stage.directory() as where:
        data = where / "broker"
        lines = (ANONYMOUS, UNLIMITED_QUEUES, "sys_interval 1", "persistence true", f"persistence_location {data}/")
        with (
            stage.broker(where, lines) as broker,
            Fleet(instances=bridges, folders=FOLDERS, devices=DEVICES) as fleet,
            Examiner(broker.port) as examiner,
            Bridges() as processes,
        ):
            yield Company(where, broker, processes, fleet, examiner, devices=DEVICES)


def run(quick: bool) -> Section:  # noqa: FBT001 - the interface of every benchmark
    """Start the fleet, and measure it in every phase of its life."""
    number = QUICK_BRIDGES if quick else BRIDGES
    pause = threading.Event().wait
    with _company(number) as company:
        bases = [base_topic(one) for one in range(number)]
        half = bases[::2]
        arrivals = [company.start("start of all bridges", bases)]
        pause(QUICK_SETTLE_S if quick else SETTLE_S)
        counters = Counters(company.broker.port)
        steady_s, busy_s = (QUICK_STEADY_S, QUICK_BUSY_S) if quick else (STEADY_S, BUSY_S)
        periods = [company.period("nothing", counters, lambda: pause(steady_s))]
        rate = EVENTS_EACH * number
        storm = {"rate": rate, "seconds": busy_s, "stirred": FOLDERS - 1, "spread": True}
        periods.append(
            company.period(f"{rate} events a second", counters, lambda: company.fleet.call("storm", **storm))
        )
        company.fleet.call("calm")
        memory = company.memory(counters.read())
        counters.close()
        arrivals += [
            company.restart_broker("restart of the broker", keep_data=True, outage_s=0),
            company.restart_broker("outage, data kept", keep_data=True, outage_s=OUTAGE_S),
            company.restart_broker("outage, data lost", keep_data=False, outage_s=OUTAGE_S),
        ]
        deaths = company.kill(half)
        arrivals.append(company.start("start of the killed half", half))
    return section(number, arrivals, periods, memory, deaths, folders=FOLDERS, devices=DEVICES)
