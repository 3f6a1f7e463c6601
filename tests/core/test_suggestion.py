"""Suggestions for unknown names."""

import pytest

from stbridge.core.commands import COMMANDS
from stbridge.core.envelope import CommandError, check, select
from stbridge.core.messages import Received
from stbridge.core.suggestion import did_you_mean

ROWS = {row.name: row for row in COMMANDS}


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("scna", "; did you mean scan?"),
        ("SCAN", "; did you mean scan?"),
        ("get-errors", "; did you mean get_errors?"),
        ("nonsense", ""),
        ("", ""),
        ("scan" * 20_000, ""),
    ],
)
def test_a_similar_name_is_suggested(name: str, suggestion: str) -> None:
    """Case does not matter. A name of the maximum length of a topic costs nothing."""
    assert did_you_mean(name, ROWS) == suggestion


def test_a_command_that_does_not_exist_has_a_suggestion() -> None:
    """The reply over MQTT contains it."""
    received = Received(topic="syncthing/nas/command/scna", payload=b"{}", retained=False)
    with pytest.raises(CommandError, match=r"there is no command 'scna'; did you mean scan\?") as caught:
        select(ROWS, "scna", received, set(ROWS))
    assert caught.value.code == "unknown_command"


def test_an_argument_that_does_not_exist_has_a_suggestion() -> None:
    """The valid arguments follow the suggestion."""
    with pytest.raises(CommandError, match="unknown argument 'fodler'; did you mean folder\\?; scan takes folder"):
        check(ROWS["scan"], {"fodler": "docs"})
