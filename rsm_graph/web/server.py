"""Runs the application: the listening socket, the front processes, and the line that says where it answers."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from rsm_graph.errors import InputError
from rsm_graph.settings import Settings


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket; raises :class:`InputError` when the port is taken or the address is not ours."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise InputError(f"Cannot listen on {where} ({error.strerror}).", "Choose another --host or --port.") from error


def address(listening: socket.socket) -> str:
    """Return the URL at which a listening socket answers."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def run(make_app: Callable[[], ASGIApp], listening: socket.socket, settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, in ``settings.workers`` processes that share the socket.

    ``make_app`` is called once in each process. The address is printed when the first of them answers. Raises
    :class:`InputError` when the application cannot start.
    """
    children = [_spawn(make_app, listening, settings, number) for number in range(1, settings.workers)]
    try:
        _serve(make_app, listening, settings, announce=True)
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)
        for child in children:
            os.waitpid(child, 0)


def _spawn(make_app: Callable[[], ASGIApp], listening: socket.socket, settings: Settings, number: int) -> int:
    child = os.fork()
    if child == 0:
        status = 2
        try:
            _serve(make_app, listening, settings, announce=False)
            status = 0
        except InputError as error:
            print(f"rsm-graph: worker {number}: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    return child


def _serve(make_app: Callable[[], ASGIApp], listening: socket.socket, settings: Settings, *, announce: bool) -> None:
    config = uvicorn.Config(
        make_app(),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=4,
        limit_concurrency=settings.connections,
        proxy_headers=False,
    )
    server = _Server(config, address(listening) if announce else "")
    server.run(sockets=[listening])
    if not server.started:
        raise InputError("The application did not start.", server.reason or "See the lines above.")


class _Server(uvicorn.Server):
    """uvicorn that says where it answers once it does, and keeps the reason when it does not."""

    def __init__(self, config: uvicorn.Config, announced: str) -> None:
        super().__init__(config)
        self._announced = announced
        self.reason = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._announced:
            print(f"rsm-graph serves at {self._announced}", flush=True)
