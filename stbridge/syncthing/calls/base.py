"""The common part of all calls of the client: sending them, and checking the form of the replies."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypedDict, TypeVar

from stbridge.errors import BadReply
from stbridge.syncthing.transport import Transport

Json = dict[str, Any]

SLOW_S = 30.0
"""Timeout in seconds of slow calls, which query a server on the Internet or concern a whole folder."""

OLD_ARGUMENTS: Mapping[str, str] = {
    "device_id": "device",
    "error_body": "message",
    "filename": "file",
    "ignores": "ignore",
    "subfolder": "sub",
}
"""The argument names of pysyncthing, with their current names."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Completed(TypedDict):
    """The reply of a call that Syncthing answers with an empty body, as documented by the old bindings."""

    code: int
    message: str


def completed() -> Completed:
    """Return the reply of a call that Syncthing answers with an empty body."""
    return Completed(code=200, message="Completed successfully")


def takes_old_names(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Also accept the argument names of pysyncthing."""

    @wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        renamed = {OLD_ARGUMENTS.get(name, name): value for name, value in named.items()}
        if len(renamed) < len(named):
            raise TypeError(f"{method.__name__}() got an argument under both its current and its old name")
        return method(*arguments, **renamed)

    return call


class Calls:
    """The base class of the calls: the connection to a Syncthing instance, and the checks of its answers."""

    url: str
    _transport: Transport

    def _get(self, path: str, timeout_s: float | None = None, lists: tuple[str, ...] = (), **parameters: Any) -> Json:
        """Read an object; `lists` names the keys of lists, because Syncthing sends an empty list as null."""
        found = self._object("GET", path, timeout_s=timeout_s, **parameters)
        return found | {key: [] for key in lists if key in found and found[key] is None}

    def _get_list(self, path: str, timeout_s: float | None = None, **parameters: Any) -> list[Any]:
        return self._array(path, self._call("GET", path, timeout_s=timeout_s, **parameters))

    def _array(self, path: str, found: Any) -> list[Any]:
        if not isinstance(found, list | None):
            raise self._wrong_shape("GET", path, found, "an array")
        return found or []

    def _object(self, method: str, path: str, **arguments: Any) -> Json:
        found = self._call(method, path, **arguments)
        if not isinstance(found, dict):
            raise self._wrong_shape(method, path, found, "an object")
        return found

    def _done(self, method: str, path: str, **arguments: Any) -> Completed:
        self._call(method, path, **arguments)
        return completed()

    def _call(self, method: str, path: str, body: Any = None, timeout_s: float | None = None, **parameters: Any) -> Any:
        return self._transport.call(method, f"/rest/{path}", parameters=parameters, body=body, timeout_s=timeout_s)

    def _wrong_shape(self, method: str, path: str, found: object, expected: str) -> BadReply:
        kind = {dict: "an object", list: "an array", type(None): "empty"}.get(type(found), "a plain value")
        return BadReply(f"url: the answer of {self.url} to {method} /rest/{path} is {kind} instead of {expected}")
