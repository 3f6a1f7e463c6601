"""Logins: checks passwords in constant time, limits attempts, and keeps sessions in memory.

The caller passes the time, and serializes the calls.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import Enum

from stbridge.core.token_bucket import TokenBucket

ATTEMPTS = 20
"""Maximum number of failed attempts per minute, of all clients together: a client can have many addresses."""

FAILURE_DELAY_S = 0.5
"""The answer to a wrong password is delayed by this time."""

SESSION_S = 7 * 24 * 3600.0
IDLE_S = 12 * 3600.0
"""A session expires after this time without a request."""

MOST_SESSIONS = 1000
"""If there are more, the one that was used least recently is removed."""


class Verdict(Enum):
    """The result of an attempt to log in."""

    WELCOME = "welcome"
    WRONG = "wrong"
    TOO_MANY = "too many"


@dataclass(slots=True)
class _Session:
    created_at: float
    used_at: float


def _digest(text: str) -> bytes:
    """Return a digest of a text: `compare_digest` refuses texts with other characters than ASCII."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class Logins:
    """The only user, and the sessions.

    Args:
        username: the user name; may be empty.
        password: the password.
    """

    def __init__(self, username: str, password: str) -> None:
        self._username = _digest(username)
        self._password = _digest(password)
        self._attempts = TokenBucket(ATTEMPTS, 60 / ATTEMPTS)
        self._sessions: dict[bytes, _Session] = {}

    def attempt(self, username: str, password: str, now: float) -> Verdict:
        """Check a user name and a password; a correct one does not count towards the limit.

        Args:
            username: the user name that was entered.
            password: the password that was entered.
            now: the current time, in seconds.
        """
        if self._attempts.available_in(now):
            return Verdict.TOO_MANY
        name_is_right = hmac.compare_digest(_digest(username), self._username)
        if hmac.compare_digest(_digest(password), self._password) and name_is_right:
            return Verdict.WELCOME
        self._attempts.take(now)
        return Verdict.WRONG

    def new_session(self, now: float) -> str:
        """Return the token of a new session."""
        if len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda one: self._sessions[one].used_at)]
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = _Session(now, now)
        return token

    def is_valid(self, token: str, now: float) -> bool:
        """Return whether a token is that of a session, and note that the session is used."""
        key = _digest(token)
        session = self._sessions.get(key)
        if session is None:
            return False
        if now - session.created_at > SESSION_S or now - session.used_at > IDLE_S:
            del self._sessions[key]
            return False
        session.used_at = now
        return True

    def end_session(self, token: str) -> None:
        """End the session of a token, if there is one."""
        self._sessions.pop(_digest(token), None)
