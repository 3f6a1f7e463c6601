"""Logins to the page."""

import pytest

from stbridge.web.login import ATTEMPTS, IDLE_S, MOST_SESSIONS, SESSION_S, Logins, Verdict


@pytest.mark.parametrize(
    ("username", "password", "verdict"),
    [
        ("admin", "pä\ud800ss", Verdict.WELCOME),
        ("admin", "pass", Verdict.WRONG),
        ("Admin", "pä\ud800ss", Verdict.WRONG),
        ("", "", Verdict.WRONG),
        ("admin", "", Verdict.WRONG),
    ],
)
def test_both_the_name_and_the_password_must_be_right(username: str, password: str, verdict: Verdict) -> None:
    """Any characters are possible, which `compare_digest` does not accept in texts."""
    assert Logins("admin", "pä\ud800ss").attempt(username, password, 0) is verdict


def test_failed_attempts_are_limited() -> None:
    """After too many, even the right password has to wait; each minute permits the same number again."""
    logins = Logins("", "right")
    assert [logins.attempt("", "wrong", 0) for _ in range(ATTEMPTS)] == [Verdict.WRONG] * ATTEMPTS
    assert logins.attempt("", "right", 0) is Verdict.TOO_MANY
    assert logins.attempt("", "right", 3.5) is Verdict.WELCOME
    assert [logins.attempt("", "right", 60) for _ in range(100)] == [Verdict.WELCOME] * 100


def test_sessions_end() -> None:
    """A session expires after a week, and earlier if it is not used; the user can log out."""
    logins = Logins("", "right")
    idle, used, left = (logins.new_session(0) for _ in range(3))
    assert len({idle, used, left}) == 3
    assert logins.is_valid(idle, IDLE_S)
    logins.end_session(left)
    assert not logins.is_valid(left, 0)
    step = IDLE_S / 2
    times = [count * step for count in range(int(SESSION_S / step) + 1)]
    assert all(logins.is_valid(used, at) for at in times)
    assert not logins.is_valid(used, SESSION_S + 1)
    assert not logins.is_valid(idle, 2 * IDLE_S + 1)
    assert not logins.is_valid("", 0)


def test_the_number_of_sessions_is_bounded() -> None:
    """The session that was used least recently ends first."""
    logins = Logins("", "right")
    tokens = [logins.new_session(at) for at in range(MOST_SESSIONS + 1)]
    assert not logins.is_valid(tokens[0], MOST_SESSIONS)
    assert logins.is_valid(tokens[1], MOST_SESSIONS)
