"""Runs the application: the listening socket, the front processes, and the line that says where it answers."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from rsm_graph import release, validation
from rsm_graph.dataset import Dataset, load_files
from rsm_graph.engine import Source
from rsm_graph.engine.supervisor import Supervisor
from rsm_graph.errors import InputError, NotConforming
from rsm_graph.settings import Settings
from rsm_graph.web.app import create_app
from rsm_graph.web.protocol import bounded


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket; raises :class:`InputError` when the port is taken or the address is not ours."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise InputError(f"Cannot listen on {where} ({reason}).", "Choose another --host or --port.") from error


def address(listening: socket.socket) -> str:
    """Return the URL at which a listening socket answers."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def run(make_app: Callable[[], ASGIApp], listening: socket.socket, settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM, in ``settings.workers`` processes that share the socket.

    ``make_app`` is called once in each process. The address is printed when the first of them answers. Raises
    :class:`InputError` when the application cannot start.
    """
    _raise_descriptor_limit()
    children = [_spawn(make_app, listening, settings, number) for number in range(1, settings.workers)]
    try:
        _serve(make_app, listening, settings, announce=True)
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)
        for child in children:
            os.waitpid(child, 0)


def _raise_descriptor_limit() -> None:
    """Let this process hold as many connections as the system allows; 1,024 descriptors are gone in a minute."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
        http=bounded(settings),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=4,
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


def serve_project(
    built: Path | None, listening: socket.socket, settings: Settings, *, allow_nonconforming: bool = False
) -> None:
    """Serve the project's own dataset, or a built release of it; returns when the server was stopped.

    Raises :class:`~rsm_graph.errors.NotConforming` before anything is served, and as :func:`run`.
    """
    dataset = release.open_built(built) if built else release.assemble(settings.base_iri, settings.project)
    settings = settings.model_copy(update={"base_iri": dataset.base_iri})
    report = release.checked(dataset, settings.project, quick=True, allow_nonconforming=allow_nonconforming)
    made = release.Release(dataset, report, built) if built else release.build_in_cache(dataset, report)
    source = release.source(dataset)
    run(lambda: create_app(made, Supervisor(source, settings), settings), listening, settings)


def serve_files(
    source: Source,
    shapes: Sequence[Path],
    listening: socket.socket,
    settings: Settings,
    *,
    allow_nonconforming: bool = False,
) -> None:
    """Serve other people's RDF: the endpoint over ``source``, without pages about its things.

    The files go straight into the engine, so a million statements load as fast as it can. They are validated only
    when ``shapes`` are given. Raises as :func:`serve_project`.
    """
    nothing = Dataset(settings.base_iri, ())
    report = validation.Report(settings.base_iri, (), {}, {}, (), 0)
    if shapes:
        named = [(file.path, file.graph or settings.base_iri + "graph/default") for file in source.files]
        loaded = load_files(named, settings.base_iri)
        report = validation.validate(loaded, validation.load(shapes, settings.base_iri), engine="quick")
        if not report.conforms and not allow_nonconforming:
            raise NotConforming(report)
    with tempfile.TemporaryDirectory(prefix="rsm-graph-") as folder:
        (Path(folder) / release.SUMS).touch()
        made = release.Release(nothing, report, Path(folder))
        run(lambda: create_app(made, Supervisor(source, settings), settings), listening, settings)
