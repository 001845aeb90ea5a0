"""Runs the application: what it serves, the listening socket, the front processes, and when to load anew."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from rsm_graph import release, validation
from rsm_graph.dataset import Dataset, load_files
from rsm_graph.engine import Source
from rsm_graph.engine.launch import Launched
from rsm_graph.engine.supervisor import Supervisor
from rsm_graph.errors import InputError, NotConforming, RsmGraphError
from rsm_graph.release import Release
from rsm_graph.settings import Settings
from rsm_graph.web.app import App
from rsm_graph.web.protocol import bounded

Loaded = tuple[Release, Source]
"""What the pages show and what the engine loads."""

WATCH_SECONDS = 2.0
"""How often a built release on disk is looked at for a newer one."""


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket; raises :class:`InputError` when the port is taken or the address is not ours."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise InputError(f"Cannot listen on {where} ({reason}).", "Choose another --host or --port.") from error


def serve_project(
    built: Path | None,
    listening: socket.socket,
    settings: Settings,
    launched: Launched | None = None,
    *,
    allow_nonconforming: bool = False,
) -> None:
    """Serve the project's own dataset, or a built release of it; returns when the server was stopped.

    ``launched`` is a process that waits to load it, for a single front process. SIGHUP loads it anew; so does a newer
    release in the folder ``built``. Raises :class:`~rsm_graph.errors.NotConforming` before anything is served, and
    :class:`InputError` when it cannot start.
    """

    engine: Supervisor | None = None

    def of_release(base_iri: str) -> Settings:
        return settings.model_copy(update={"base_iri": base_iri})

    def load(*, first: bool = False) -> Loaded:
        nonlocal engine
        folder = built or release.in_cache(release.key_of_inputs(settings.base_iri, settings.project))
        opened = _opened(folder) if built is None else release.open_built(built)
        if opened and first and launched:
            # The engine loads while this process still reads and checks.
            engine = Supervisor(opened.source(), of_release(opened.base_iri), launched=launched)
            engine.begin()
        dataset = opened.dataset() if opened else release.assemble(settings.base_iri, settings.project)
        report = release.checked(dataset, settings.project, quick=True, allow_nonconforming=allow_nonconforming)
        return Release(dataset, report, folder), opened.source() if opened else release.source(dataset)

    loaded = load(first=True)
    of_this = of_release(loaded[0].dataset.base_iri)
    engine = engine or (Supervisor(loaded[1], of_this, launched=launched) if launched else None)
    _run(loaded, load, built / release.SUMS if built else None, listening, of_this, engine)


def _opened(folder: Path) -> release.Built | None:
    """Return the release in the cache; nothing when it is not there, or not whole."""
    try:
        return release.open_built(folder)
    except InputError:
        return None


def serve_files(
    source: Source,
    shapes: Sequence[Path],
    listening: socket.socket,
    settings: Settings,
    launched: Launched | None = None,
    *,
    allow_nonconforming: bool = False,
) -> None:
    """Serve other people's RDF: the endpoint over ``source``, without pages about its things.

    The files go straight into the engine, so a million statements load as fast as it can. They are validated only
    when ``shapes`` are given. SIGHUP loads them anew. Raises as :func:`serve_project`.
    """
    with tempfile.TemporaryDirectory(prefix="rsm-graph-") as folder:
        (Path(folder) / release.SUMS).touch()

        def load() -> Loaded:
            report = validation.Report(settings.base_iri, (), {}, {}, (), 0)
            if shapes:
                named = [(file.path, file.graph or f"{settings.base_iri}graph/default") for file in source.files]
                data = load_files(named, settings.base_iri)
                report = validation.validate(data, validation.load(shapes, settings.base_iri), engine="quick")
                if not report.conforms and not allow_nonconforming:
                    raise NotConforming(report)
            return Release(Dataset(settings.base_iri, ()), report, Path(folder)), source

        loaded = load()
        engine = Supervisor(loaded[1], settings, launched=launched) if launched else None
        _run(loaded, load, None, listening, settings, engine)


def _run(
    first: Loaded,
    load: Callable[[], Loaded],
    watched: Path | None,
    listening: socket.socket,
    settings: Settings,
    engine: Supervisor | None = None,
) -> None:
    """Serve in ``settings.workers`` processes that share the socket, until SIGINT or SIGTERM.

    ``engine`` is one over what was loaded first, for a single process; several make their own.
    """
    settings = share(settings)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the usual 1,024 are gone after 1,000 idle clients

    def serve(number: int) -> None:
        app = App(first[0], engine or Supervisor(first[1], settings), settings)
        _Server(app, first[0], load, watched, listening, settings, announced=number == 0).serve_until_stopped()

    if settings.workers == 1:
        serve(0)
    else:
        _Workers(serve, settings.workers).watch()


def share(settings: Settings) -> Settings:
    """Return the settings of one worker: what all of them together may do and keep is divided among them."""
    divided = {
        name: -(-getattr(settings, name) // settings.workers)
        for name in ("queries_at_once", "long_queries", "queue_length", "cache_bytes")
    }
    return settings.model_copy(update=divided)


class _Server(uvicorn.Server):
    """uvicorn that says where it answers once it does, and that loads anew when it is told to."""

    def __init__(
        self,
        app: App,
        first: Release,
        load: Callable[[], Loaded],
        watched: Path | None,
        listening: socket.socket,
        settings: Settings,
        *,
        announced: bool,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=bounded(settings),
            ws="none",  # else uvicorn hands WebSockets to the application, which knows none
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=4,
            proxy_headers=False,
        )
        super().__init__(config)
        self._app = app
        self._first = first
        self._load = load
        self._watched = watched
        self._listening = listening
        self._announced = announced
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def serve_until_stopped(self) -> None:
        """Serve; raises :class:`InputError` when the application cannot start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn raises the signal again once it has stopped; being told to stop is no failure.
            signal.signal(number, lambda *_: None)
        with contextlib.suppress(SystemExit):  # of uvicorn, with a code of its own, when the application cannot start
            self.run(sockets=[self._listening])
        if not self.started:
            raise InputError("The server could not start.", "The engine could not load the data, see above.")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        sys.setswitchinterval(0.001)  # a page being made elsewhere gives the sockets their turn sooner
        gc.freeze()  # the release stays for good; a full collection over it would hold up requests for 0.1 s
        gc.enable()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, lambda: self._go(self._reload()))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        if self._watched:
            self._go(self._watch(self._watched))
        self._go(self._write(self._first))
        if self._announced:
            host, port = self._listening.getsockname()[:2]
            print(f"rsm-graph serves at http://{f'[{host}]' if ':' in host else host}:{port}/", flush=True)

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself keeps only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        """Load beside what is served and swap; what cannot be loaded leaves everything as it was."""
        async with self._reloading:
            try:
                made, source = await asyncio.to_thread(self._load)
                await self._app.replace(made, source)
                self._go(self._write(made))
                print(f"rsm-graph: now serving {made.hash}", file=sys.stderr, flush=True)
            except RsmGraphError as error:
                print(f"rsm-graph: not loaded, the old data are served on: {error}", file=sys.stderr, flush=True)

    async def _write(self, made: Release) -> None:
        """Write the files of a release while nobody waits for them: answers come first."""
        try:
            await asyncio.to_thread(lambda: made.distributions)
        except RsmGraphError as error:
            print(f"rsm-graph: no downloads: {error}", file=sys.stderr, flush=True)

    async def _watch(self, file: Path) -> None:
        seen = _stamp(file)
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now = _stamp(file)
            if now not in (seen, None):
                seen = now
                await self._reload()


def _stamp(file: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced; nothing while it is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


class _Workers:
    """Front processes, forked from this one, replaced when one dies, and told what this one is told."""

    SHORTEST_LIFE = 2.0
    """Seconds; a worker that ends sooner would only end again, so all stop."""

    def __init__(self, serve: Callable[[int], None], number: int) -> None:
        self._serve = serve
        self._number = number
        self._born: dict[int, tuple[int, float]] = {}
        self._stopping = False

    def watch(self) -> None:
        """Run the workers until SIGINT or SIGTERM; raises :class:`InputError` when one cannot start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        signal.signal(signal.SIGHUP, lambda *_: self._tell(signal.SIGHUP))
        for place in range(self._number):
            self._spawn(place)
        failed = False
        while self._born:
            pid, _ = os.wait()
            place, born = self._born.pop(pid)
            if self._stopping:
                continue
            if time.monotonic() - born < self.SHORTEST_LIFE:
                failed = True
                self._stop()
            else:
                self._spawn(place)
        if failed:
            raise InputError("A front process ended as soon as it began.", "See the lines above.")

    def _spawn(self, place: int) -> None:
        # A worker that has no handler for SIGHUP yet would die of it; so it waits, see _Server.startup.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        pid = os.fork()
        if pid:
            self._born[pid] = (place, time.monotonic())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
            return
        status = 2
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            self._serve(place)
            status = 0
        except RsmGraphError as error:
            print(f"rsm-graph: {error}", file=sys.stderr)
        finally:
            sys.stdout.flush()
            os._exit(status)

    def _stop(self) -> None:
        self._stopping = True
        self._tell(signal.SIGTERM)

    def _tell(self, number: signal.Signals) -> None:
        for pid in list(self._born):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
