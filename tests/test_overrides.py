"""The warnings of `run` about thresholds without effect: each is logged once, and again only after a change."""

from collections.abc import Sequence

import pytest

from stbridge.core.alerts import Alerts
from stbridge.core.model import Config
from stbridge.overrides import OverrideWarnings
from tests.core.world import configured, folder

ALERTS = Alerts(folders={"Papers": {"stale": 0}})
PAPERS, LETTERS, NOTHING = (
    configured([folder(one.lower(), label=one)], []).config for one in ("Papers", "Letters", "Nothing")
)
WARNING = (
    "alerts.folder.Papers: no instance has a folder with this ID or label, so it has no effect: correct or remove it"
)


@pytest.mark.parametrize(
    ("configs", "expected"),
    [
        ([("nas", LETTERS)], 0),
        ([("nas", LETTERS), ("pi", PAPERS)], 0),
        ([("nas", LETTERS), ("pi", NOTHING)], 1),
        ([("nas", LETTERS), ("pi", NOTHING), ("nas", NOTHING), ("pi", LETTERS), ("nas", LETTERS)], 1),
        ([("nas", LETTERS), ("pi", NOTHING), ("pi", None), ("pi", NOTHING)], 1),
        ([("nas", LETTERS), ("pi", NOTHING), ("pi", PAPERS), ("pi", NOTHING)], 2),
    ],
)
def test_a_warning_is_logged_when_it_starts_to_apply(
    caplog: pytest.LogCaptureFixture, configs: Sequence[tuple[str, Config | None]], expected: int
) -> None:
    """The warning waits until every instance has been read, and is not logged again each time that one is read."""
    warnings = OverrideWarnings(ALERTS, ("nas", "pi"))
    for instance, config in configs:
        warnings.update(instance, lambda config=config: config)  # type: ignore[misc]  # the value of this iteration
    assert caplog.messages == [WARNING] * expected
