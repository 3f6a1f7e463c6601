"""The HTTP interface of the page: its files, login, state, updates and commands."""

import asyncio
import gzip
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from time import monotonic
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from stbridge import __version__
from stbridge.core.commands import COMMANDS
from stbridge.core.json_text import read_json
from stbridge.core.problems import ROWS as PROBLEMS
from stbridge.errors import Failed
from stbridge.web.assets import Asset
from stbridge.web.feed import Feed, Reply
from stbridge.web.hub import Hub, encoded
from stbridge.web.login import FAILURE_DELAY_S, Logins, Verdict
from stbridge.web.streams import HEADERS, Streams

log = logging.getLogger(__name__)

REPLY_S = 30.0
"""How long the page waits for the reply to a command."""

LONGEST_ARGUMENT = 4096
LONGEST_NUMBER = 15

Endpoint = Callable[[Request], Awaitable[Response]]

_ARGUMENTS: Mapping[str, frozenset[str]] = {
    command.name: frozenset(row.name for row in command.arguments) for command in COMMANDS
}

_PROBLEMS: Mapping[str, Mapping[str, str]] = {row.code: {"meaning": row.meaning, "fix": row.fix} for row in PROBLEMS}


class Pages:
    """Answers requests that the guard has accepted.

    Args:
        hub: the state and its updates.
        feed: sends commands.
        files: the files of the page.
        allow: the commands that the page offers.
        logins: checks logins; None if the page needs none.
        asks_username: whether a user name is needed, too.
        cookie: the name of the session's cookie.
    """

    def __init__(
        self,
        hub: Hub,
        feed: Feed,
        files: Mapping[str, Asset],
        *,
        allow: Collection[str],
        logins: Logins | None,
        asks_username: bool,
        cookie: str,
    ) -> None:
        self._hub = hub
        self._feed = feed
        self._files = files
        self._allow = allow
        self._logins = logins
        self._asks_username = asks_username
        self._cookie = cookie
        self._streams = Streams(hub)
        self.wake = self._streams.wake
        self.stop = self._streams.stop

    def app(self, *, open_to_all: bool = False) -> Starlette:
        """Return the application.

        Args:
            open_to_all: whether it needs no login, because the listener has already checked the user.
        """
        protect = (lambda endpoint: endpoint) if open_to_all else self._protected
        always: Callable[[Request], bool] = lambda _request: True  # noqa: E731 - as an argument
        is_allowed = always if open_to_all else self._is_allowed
        logins = [
            Route("/api/login", self._login, methods=["POST"]),
            Route("/api/logout", self._logout, methods=["POST"]),
        ]
        has_login = self._logins is not None and not open_to_all
        return Starlette(
            routes=[
                Route("/", self._file),
                Route("/static/{name}", self._file),
                Route("/healthz", _health),
                *([] if open_to_all else logins),
                Route("/api/state", protect(partial(self._state, has_login=has_login))),
                Route("/api/events", protect(partial(self._events, is_allowed=is_allowed))),
                Route("/api/command", protect(self._command), methods=["POST"]),
            ]
        )

    def _protected(self, endpoint: Endpoint) -> Endpoint:
        async def protected(request: Request) -> Response:
            if self._is_allowed(request):
                return await endpoint(request)
            return JSONResponse({"error": "log in first", "asks_username": self._asks_username}, 401)

        return protected

    def _is_allowed(self, request: Request) -> bool:
        token = request.cookies.get(self._cookie, "")
        return self._logins is None or self._logins.is_valid(token, monotonic())

    # --- files

    async def _file(self, request: Request) -> Response:
        asset = self._files.get(request.path_params.get("name", "index.html"))
        if asset is None:
            return PlainTextResponse("not found", 404)
        headers = {"ETag": asset.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == asset.etag:
            return Response(status_code=304, headers=headers)
        if _accepts_gzip(request):
            return Response(
                asset.compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.content_type
            )
        return Response(asset.content, headers=headers, media_type=asset.content_type)

    # --- login

    async def _login(self, request: Request) -> Response:
        given = await _body(request)
        username, password = given.get("username", ""), given.get("password", "")
        if self._logins is None:
            return Response(status_code=204)
        if not isinstance(username, str) or not isinstance(password, str):
            return JSONResponse({"error": "the user name and the password must be texts"}, 400)
        peer = request.client.host if request.client else "unknown"
        verdict = self._logins.attempt(username, password, monotonic())
        if verdict is Verdict.WELCOME:
            log.info("login from %s", peer)
            response = Response(status_code=204)
            # with several proxies there are several schemes; the first one is that of the browser
            secure = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower() == "https"
            token = self._logins.new_session(monotonic())
            response.set_cookie(self._cookie, token, httponly=True, samesite="strict", path="/", secure=secure)
            return response
        log.warning("login from %s failed: %s", peer, verdict.value)
        await self._streams.pause(FAILURE_DELAY_S)
        if verdict is Verdict.TOO_MANY:
            return JSONResponse({"error": "too many failed logins: wait a minute"}, 429)
        return JSONResponse({"error": "wrong password" + self._asks_username * " or user name"}, 401)

    async def _logout(self, request: Request) -> Response:
        if self._logins:
            self._logins.end_session(request.cookies.get(self._cookie, ""))
        response = Response(status_code=204)
        response.delete_cookie(self._cookie, httponly=True, samesite="strict", path="/")
        self._streams.wake()
        return response

    # --- state

    async def _state(self, request: Request, *, has_login: bool) -> Response:
        further = {
            "version": __version__,
            "allow": list(self._allow),
            "problems": _PROBLEMS,
            "login": has_login,
        }
        data = await asyncio.to_thread(self._hub.whole, further)
        if not _accepts_gzip(request):
            return Response(data, media_type="application/json")
        compressed = await asyncio.to_thread(gzip.compress, data, 5)
        return Response(compressed, media_type="application/json", headers={"Content-Encoding": "gzip"})

    async def _events(self, request: Request, is_allowed: Callable[[Request], bool]) -> Response:
        if self._streams.full:
            return JSONResponse({"error": "too many pages are open: close some"}, 503)
        last = request.headers.get("last-event-id") or request.query_params.get("since", "")
        boot, _, number = last.partition(".")
        if request.method == "HEAD":
            return Response(media_type="text/event-stream", headers=HEADERS)
        known = number.isdecimal() and len(number) <= LONGEST_NUMBER
        stream = self._streams.stream(boot, int(number) if known else -1, lambda: is_allowed(request))
        return StreamingResponse(stream, media_type="text/event-stream", headers=HEADERS)

    # --- commands

    async def _command(self, request: Request) -> Response:
        given = await _body(request)
        base, instance, name, arguments = (given.get(key) for key in ("base", "instance", "command", "arguments"))
        if not (isinstance(base, str) and isinstance(instance, str) and isinstance(name, str)):
            return JSONResponse({"error": "base, instance and command must be texts"}, 400)
        if name not in self._allow:
            return JSONResponse({"error": "web.allow does not list this command"}, 403)
        if not isinstance(arguments, dict) or not _are_arguments(name, arguments):
            return JSONResponse({"error": "the arguments are wrong"}, 400)
        if not await asyncio.to_thread(self._hub.knows, base, instance):
            return JSONResponse({"error": "there is no such instance"}, 404)
        log.info("command %s for %s/%s from %s", name, base, instance, request.client and request.client.host)
        return await self._send(base, instance, name, arguments)

    async def _send(self, base: str, instance: str, name: str, arguments: Mapping[str, Any]) -> Response:
        loop = asyncio.get_running_loop()
        replied: asyncio.Future[Reply] = loop.create_future()

        def settle(reply: Reply) -> None:
            if not replied.done():
                replied.set_result(reply)

        def answer(reply: Reply) -> None:
            loop.call_soon_threadsafe(settle, reply)

        try:
            key = await asyncio.to_thread(self._feed.command, base, instance, name, arguments, answer)
        except Failed as error:
            return JSONResponse({"error": str(error)}, 503)
        try:
            reply = await asyncio.wait_for(replied, REPLY_S)
        except TimeoutError:
            return JSONResponse({"error": f"no reply within {REPLY_S:.0f} s; is the bridge online?"}, 504)
        finally:
            self._feed.forget(key)
        result = {key: reply.get(key) for key in ("status", "error", "took_ms")}
        return Response(encoded(result), media_type="application/json")  # a client may reply with lone surrogates


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok")


def _accepts_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")


async def _body(request: Request) -> Mapping[str, Any]:
    """Return the JSON object in a request; empty if there is none."""
    try:
        value = read_json(await request.body())
    except (ValueError, ClientDisconnect):
        return {}
    return value if isinstance(value, dict) else {}


def _are_arguments(name: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether a command has these arguments, each with a plain value; the bridge checks their types."""
    plain = all(isinstance(value, str | int) for value in arguments.values())
    return plain and arguments.keys() <= _ARGUMENTS[name] and len(json.dumps(arguments)) <= LONGEST_ARGUMENT
