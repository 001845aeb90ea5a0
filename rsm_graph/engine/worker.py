"""An evaluator process: takes one query at a time from a socket, answers, and knows nothing of queues.

It is forked from :mod:`rsm_graph.engine.parent`, or, where there is no fork, started as
``python -m rsm_graph.engine.worker``. Everything that bounds it is set before its first query.
"""

from __future__ import annotations

import marshal
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from rsm_graph.engine import screen
from rsm_graph.engine.confine import no_network
from rsm_graph.engine.evaluator import Evaluator, Request
from rsm_graph.engine.protocol import (
    DATA,
    END,
    ERROR,
    LASTING,
    QUERY,
    QUERY_BESIDE,
    READY,
    VOLATILE,
    Closed,
    Frames,
    error_to_json,
    frame,
    json_frame,
    receive,
)
from rsm_graph.engine.restore import Originals
from rsm_graph.errors import RsmGraphError

if sys.platform != "win32":
    import resource

STACK = 256 * 2**20
"""Bytes of stack for the thread that evaluates: 10,000 nested groups need more than the usual 8 MiB."""
_SOCKET = 3


def serve(sock: socket.socket, evaluator: Evaluator, limits: dict[str, Any]) -> None:
    """Answer queries from ``sock`` until its other end closes, on a thread with a large stack."""
    sealed = not limits["connects"] and no_network()
    threading.stack_size(STACK)
    thread = threading.Thread(target=_run, args=(sock, evaluator, limits, sealed))
    thread.start()
    thread.join()


def _run(sock: socket.socket, evaluator: Evaluator, limits: dict[str, Any], sealed: bool) -> None:
    _bound(limits, sealed)
    sock.sendall(json_frame(READY, {"thread": threading.get_native_id()}))
    seconds = limits["seconds"]
    kind = QUERY_BESIDE
    while True:
        try:
            kind, content = receive(sock, awake=kind == QUERY)
        except (Closed, ConnectionError):
            return
        _alarm(seconds + 1.0)
        last = _answer(sock, evaluator, content)
        _alarm(0)
        try:
            sock.sendall(last)
        except ConnectionError:
            return


def _answer(sock: socket.socket, evaluator: Evaluator, content: bytes) -> bytes:
    """Send all blocks of the answer but the last; return the closing frame, which holds that one or an error."""
    held = b""

    def write(block: bytes) -> None:
        nonlocal held
        if held:
            sock.sendall(frame(DATA, held))
        held = block

    try:
        volatile = evaluator.evaluate(Request(*marshal.loads(content)), write)
    except RsmGraphError as error:
        return json_frame(ERROR, error_to_json(error))
    return frame(END, (VOLATILE if volatile else LASTING) + held)


def encode(request: Request) -> bytes:
    """Return a request as the content of a frame; both ends are one installation of Python."""
    return marshal.dumps(tuple(request))


def evaluator_of(store: ox.Store, originals: Originals, limits: dict[str, Any]) -> Evaluator:
    """Return the evaluator for a loaded store under the limits that the supervisor sent."""
    return Evaluator(
        store,
        limits["prefixes"],
        limits["base_iri"],
        originals,
        screen.Limits(limits["tokens"], limits["depth"]),
        limits["answer_bytes"],
    )


def close_inherited(sock: socket.socket) -> socket.socket:
    """Leave a forked process with nothing open but ``sock``; return it."""
    number = sock.detach()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if number != _SOCKET:
        os.dup2(number, _SOCKET)
    os.closerange(_SOCKET + 1, min(os.sysconf("SC_OPEN_MAX"), 65536))
    return socket.socket(fileno=_SOCKET)


def _bound(limits: dict[str, Any], sealed: bool) -> None:
    """Set the limits of this process: address space, files, core dumps; it is the first that the kernel ends."""
    if sys.platform == "win32":
        return
    if sys.platform == "linux":
        Path("/proc/self/oom_score_adj").write_text("900")
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        space = size + limits["memory"]
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if not limits["connects"] and not (limits["disk"] and sealed):
        # Every number below is taken, so nothing more can be opened: no file, no connection. The engine of an
        # on-disk store opens files of its own as it goes; there the system's filter has to do.
        resource.setrlimit(resource.RLIMIT_NOFILE, (_SOCKET + 1, _SOCKET + 1))


def _alarm(seconds: float) -> None:
    """Have the kernel end this process after so many seconds, should nobody else be left to do it."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def main() -> None:
    """Run as a process of its own, which loads the source itself; the first argument says whether it may connect."""
    from rsm_graph.engine import loading, parent

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "win32":
        sock = socket.fromshare(sys.stdin.buffer.read())
    else:
        sock = socket.socket(fileno=os.dup(0))
    frames = Frames()
    received: list[tuple[bytes, bytes]] = []
    while not received:
        data = sock.recv(1 << 20)
        if not data:
            return
        received = frames.feed(data)
    source, limits = parent.decode(received[0][1])
    try:
        if source.store is None:
            store, originals = loading.load(source)
        else:
            loading.prepare(source)
            store, originals = loading.open_read_only(source.store), Originals()
    except RsmGraphError as error:
        sock.sendall(json_frame(ERROR, error_to_json(error)))
        return
    if sys.platform != "win32" and source.store is None:
        sock = close_inherited(sock)
    evaluator = evaluator_of(store, originals, limits)
    serve(sock, evaluator, limits | {"connects": sys.argv[1] == "True", "disk": source.store is not None})


if __name__ == "__main__":
    main()
