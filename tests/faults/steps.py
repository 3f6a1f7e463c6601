"""Tables of the steps of a random walk: changes, commands, faults, repairs and checks."""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from tests.faults.ground import STRANGERS, Ground
from tests.faults.orders import ROWS, arguments_for
from tests.faults.plan import (
    BETA,
    BRIDGE,
    BROKER,
    SYNCTHING,
    WAY_TO_BROKER,
    WAY_TO_SYNCTHING,
    WELL,
    Arguments,
    Model,
    Step,
    nothing,
)

MOST = {"files": 12, "folders": 5, "strangers": 3, "offers": 3}
"""Maximum number of objects of each kind, low enough that a walk uses the same object several times."""

THREADS = ("alpha-events", "alpha-polls", "mqtt")
BURSTS_BETWEEN_DEATHS = 75
"""Minimum distance between two deaths of a thread: by design, five deaths within ten minutes stop the process, and 300
bursts take longer than that."""

BURSTS_BETWEEN_RESTARTS = 4
BURSTS_OF_A_RUN, BURSTS_OF_DEATH = 3000, 20
"""Out of 3000 bursts only the first 20 may stop the bridge: a slow leak is visible only after hours of one process."""

FOLDER_TYPES = ("sendreceive", "sendonly", "receiveonly")
SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0)
BYTES = (1, 10, 100, 1000, 5000)
BYTES_PER_S = (500, 2000, 10_000)

DOWN, HUNG, REFUSING, SLOW, CUTTING, STRANGE = "down", "hung", "refusing", "slow", "cutting", "strange"

Draw = Callable[[Model, Random], Arguments | None]


# --- functions that draw arguments


def one(kind: str, *always: Any) -> Draw:
    """Draw an existing object of a kind, or one of those that always exist."""

    def draw(model: Model, random: Random) -> Arguments | None:
        choices = [*always, *model.of(kind)]
        return (random.choice(choices),) if choices else None

    return draw


def new(kind: str) -> Draw:
    """Draw a name for a new object of a kind, unless the maximum is reached."""

    def draw(model: Model, _random: Random) -> Arguments | None:
        names = model.of(kind)
        if len(names) >= MOST[kind]:
            return None
        names.append(f"{kind.removesuffix('s')}-{model.number()}")
        return (names[-1],)

    return draw


def gone(kind: str) -> Draw:
    """Draw an object of a kind, and remove it from the model."""

    def draw(model: Model, random: Random) -> Arguments | None:
        names = model.of(kind)
        return (names.pop(random.randrange(len(names))),) if names else None

    return draw


def any_of(*choices: Any) -> Draw:
    """Draw one of the given values."""
    return lambda _, random: (random.choice(choices),)


def number(model: Model, _random: Random) -> Arguments:
    """Draw a unique number."""
    return (model.number(),)


def every(bursts: int, what: str) -> Draw:
    """Draw no arguments, at most once in the given number of bursts."""
    return lambda model, _: () if model.is_due(what, bursts) else None


def together(*draws: Draw) -> Draw:
    """Combine several draws."""

    def draw(model: Model, random: Random) -> Arguments | None:
        drawn: Arguments = ()
        for each in draws:
            some = each(model, random)
            if some is None:
                return None
            drawn += some
        return drawn

    return draw


def file(model: Model, random: Random) -> Arguments:
    """Draw an existing or a new file."""
    names = model.of("files")
    if not names or (len(names) < MOST["files"] and random.random() < 0.5):
        names.append(f"file-{model.number()}")
    return (random.choice(names),)


def command(model: Model, random: Random) -> Arguments:
    """Draw a command that has no rate limit, with arguments."""
    name, count = random.choice([name for name, row in ROWS.items() if not row.every_s]), model.number()
    return (name, arguments_for(ROWS[name], count, model, random), count)


def thread(model: Model, random: Random) -> Arguments | None:
    """Draw a thread that has not died recently."""
    name = random.choice(THREADS)
    return (name,) if model.is_due(name, BURSTS_BETWEEN_DEATHS) else None


def death(model: Model, _random: Random) -> Arguments | None:
    """Draw no arguments, and only in bursts in which the bridge may be stopped."""
    return () if (model.burst - 1) % BURSTS_OF_A_RUN < BURSTS_OF_DEATH else None


# --- rows


def change(text: str, weight: float, do: Callable[..., None], draw: Draw = nothing, *, beta: bool = False) -> Step:
    """Return a row for a change; it requires both instances to run if the second one takes part."""
    needs = {SYNCTHING: (WELL,), BETA: (WELL,)} if beta else {SYNCTHING: (WELL,)}
    return Step(text=text, weight=weight, do=do, draw=draw, needs=needs)


def fault(text: str, weight: float, do: Callable[..., None], turn: tuple[str, str, str], draw: Draw = nothing) -> Step:
    """Return a row for a fault or a repair: the part, its state before and its state after."""
    part, before, after = turn
    return Step(text=text, weight=weight, do=do, draw=draw, needs={part: (before,)}, becomes={part: after})


folder, someone, side = one("folders", "docs"), one("strangers", "beta"), any_of("alpha", "beta")
paused = any_of(True, False, False)

CHANGES = (
    change("{} writes {} ({})", 6, Ground.write_on, together(side, file, number), beta=True),
    change("{} and the other instance write {} ({})", 3, Ground.write_on_both, together(side, file, number), beta=True),
    change("{} deletes {} ({})", 2, Ground.delete_on, together(side, file, number), beta=True),
    change("{} renames {} ({})", 2, Ground.rename_on, together(side, file, number), beta=True),
    change("{} is added, {}", 3, Ground.join_folder, together(new("folders"), any_of(*FOLDER_TYPES))),
    change("{} is removed", 2, Ground.leave_folder, gone("folders")),
    change("{} gets label {}", 3, Ground.label_folder, together(folder, number)),
    change("{} is paused: {}", 3, Ground.pause_folder, together(folder, paused)),
    change("{} ignores {}", 2, Ground.ignore, together(folder, number)),
    change("beta offers {}", 2, Ground.offer, new("offers"), beta=True),
    change("beta gives up {}", 1, Ground.offer_no_more, gone("offers"), beta=True),
    change("{} is added", 2, Ground.add_device, new("strangers")),
    change("{} is removed", 1, Ground.remove_device, gone("strangers")),
    change("beta is added", 3, partial(Ground.add_device, device="beta")),
    change("beta is removed", 1, partial(Ground.remove_device, device="beta")),
    change("{} gets name {}", 1, Ground.name_device, together(one("strangers"), number)),
    change("device {} is paused: {}", 3, Ground.pause_device, together(someone, paused)),
    change("options are {}", 1, Ground.set_options, any_of(1, 2)),
    change("error {} is added", 1, Ground.add_error, number),
    change("errors are cleared", 1, Ground.clear_errors),
)  # fmt: skip

HEARS = {BROKER: (WELL,)}
WAY = {**HEARS, WAY_TO_BROKER: (WELL,)}

COMMANDS = (
    Step(text="order {2}: {0} {1}", weight=30, do=Ground.order, draw=command, needs=HEARS),
    Step(text="order {2}, cut off: {0} {1}", weight=4, do=Ground.order_and_cut, draw=command, needs=WAY),
    Step(text="note {}", weight=2, do=Ground.note_once, draw=number, needs=HEARS),
    Step(text="note {}, cut off", weight=2, do=Ground.note_once_and_cut, draw=number, needs=WAY),
    Step(text="order {2}, retained: {0} {1}", weight=1, do=Ground.order_retained, draw=command, needs=HEARS),
    Step(text="order {2}: {0}", weight=2, do=Ground.order, needs=HEARS,
         draw=together(any_of("restart"), any_of({}), number, every(BURSTS_BETWEEN_RESTARTS, "restart"))),
)  # fmt: skip


def faults_of_the_way(way: str, proxy: str) -> tuple[Step, ...]:
    """Return the faults of a network path, given the names of the part and of its proxy."""

    def of(method: str, **options: Any) -> Callable[..., None]:
        return lambda ground, *arguments: getattr(getattr(ground, proxy), method)(*arguments, **options)

    def go_on(ground: Ground) -> None:
        of("repair")(ground)
        of("reset")(ground)  # otherwise the truncated connections would break later

    return (
        fault(f"{way} is cut", 3, of("cut"), (way, WELL, WELL)),
        fault(f"{way} is reset", 3, of("reset"), (way, WELL, WELL)),
        fault(f"{way} hangs", 2, of("hang"), (way, WELL, HUNG)),
        fault(f"{way} delivers again", 2, of("repair"), (way, HUNG, WELL)),
        fault(f"{way} refuses", 2, of("refuse"), (way, WELL, REFUSING)),
        fault(f"{way} accepts again", 3, of("repair"), (way, REFUSING, WELL)),
        fault(f"{way} carries {{}} bytes a second", 2, of("slow"), (way, WELL, SLOW), any_of(*BYTES_PER_S)),
        fault(f"{way} is fast again", 3, of("repair"), (way, SLOW, WELL)),
        fault(f"{way} breaks after {{}} bytes", 2, of("truncate"), (way, WELL, CUTTING), any_of(*BYTES)),
        fault(f"{way} is complete again", 3, go_on, (way, CUTTING, WELL)),
    )


FAULTS = (
    *faults_of_the_way(WAY_TO_BROKER, "broker_proxy"),
    *faults_of_the_way(WAY_TO_SYNCTHING, "alpha_proxy"),
    fault("the path to the broker has lost all connections", 1, lambda ground: ground.broker_proxy.repair(lost=True),
          (WAY_TO_BROKER, HUNG, WELL)),
    fault("the path to syncthing has lost all connections", 1, Ground.forget_connections,
          (WAY_TO_SYNCTHING, HUNG, WELL)),
    fault("another server answers {}", 2, Ground.lead_astray, (WAY_TO_SYNCTHING, WELL, STRANGE), any_of(*STRANGERS)),
    fault("syncthing answers again", 3, Ground.lead_home, (WAY_TO_SYNCTHING, STRANGE, WELL)),
    fault("the broker is killed", 1, Ground.kill_broker, (BROKER, WELL, DOWN)),
    fault("the broker is stopped", 1, Ground.stop_broker, (BROKER, WELL, DOWN)),
    fault("the broker is started", 3, Ground.start_broker, (BROKER, DOWN, WELL)),
    fault("the broker is restarted", 1, Ground.restart_broker, (BROKER, WELL, WELL)),
    fault("the broker hangs", 1, Ground.hang_broker, (BROKER, WELL, HUNG)),
    fault("the broker is resumed", 3, Ground.wake_broker, (BROKER, HUNG, WELL)),
    fault("the bridge is killed", 2, Ground.kill_bridge, (BRIDGE, WELL, DOWN), death),
    fault("the bridge is stopped", 2, Ground.end_bridge, (BRIDGE, WELL, DOWN), death),
    fault("the bridge is started", 5, Ground.begin_bridge, (BRIDGE, DOWN, WELL)),
    fault("the bridge hangs", 1, Ground.hang_bridge, (BRIDGE, WELL, HUNG)),
    fault("the bridge is resumed", 3, Ground.wake_bridge, (BRIDGE, HUNG, WELL)),
    fault("{} dies", 2, Ground.let_die, (BRIDGE, WELL, WELL), thread),
    fault("syncthing is killed", 1, Ground.kill_syncthing, (SYNCTHING, WELL, DOWN)),
    fault("syncthing is stopped", 1, lambda ground: ground.alpha.stop(), (SYNCTHING, WELL, DOWN)),
    fault("syncthing is started", 3, Ground.start_syncthing, (SYNCTHING, DOWN, WELL)),
    fault("syncthing hangs", 2, lambda ground: ground.alpha.hang(), (SYNCTHING, WELL, HUNG)),
    fault("syncthing is resumed", 3, lambda ground: ground.alpha.wake(), (SYNCTHING, HUNG, WELL)),
    fault("beta is killed", 1, Ground.kill_beta, (BETA, WELL, DOWN)),
    fault("beta is started", 3, lambda ground: ground.beta.start(), (BETA, DOWN, WELL)),
)  # fmt: skip

# A slow path delivers what a suspended bridge has sent before for longer than the broker's keepalive.
_REPORTS = {**WAY, BRIDGE: (WELL,)}

OTHERS = (
    Step(text="{} s pass", weight=25, do=Ground.wait, draw=any_of(*SECONDS)),
    Step(text="syncthing is reported offline", weight=4, do=Ground.see_syncthing_missed,
         needs={**_REPORTS, SYNCTHING: (DOWN, HUNG)}),
    Step(text="the answering server is not taken for syncthing", weight=4, do=Ground.see_syncthing_missed,
         needs={**_REPORTS, WAY_TO_SYNCTHING: (HUNG, REFUSING, STRANGE)}),
    Step(text="the bridge is reported offline", weight=4, do=Ground.see_bridge_missed,
         needs={BROKER: (WELL,), BRIDGE: (DOWN, HUNG), WAY_TO_BROKER: (WELL, HUNG, REFUSING, CUTTING)}),
    Step(text="the bridge is reported offline when its path to the broker fails", weight=4, do=Ground.see_bridge_missed,
         needs={BROKER: (WELL,), WAY_TO_BROKER: (HUNG, REFUSING)}),
)  # fmt: skip

STEPS = (*CHANGES, *COMMANDS, *FAULTS, *OTHERS)
