"""The process that loads the store and forks evaluators from it.

It is single-threaded, so that a fork is sound; evaluators share its memory and start in milliseconds. It is
started by the supervisor as ``python -m rsm_graph.engine.parent``, takes its orders from the socket that is its
standard input, and ends, with every evaluator, when that socket closes.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from rsm_graph.engine import DataFile, Source, worker
from rsm_graph.engine.loading import load, open_read_only, prepare
from rsm_graph.engine.protocol import ERROR, FORK, GONE, LOAD, READY, Frames, error_to_json, json_frame
from rsm_graph.engine.restore import Originals
from rsm_graph.errors import RsmGraphError


class Parent:
    """The loaded store, the socket to the supervisor, and the evaluators that live."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._children: dict[int, int] = {}
        self._source = Source()
        self._store: ox.Store | None = None
        self._originals = Originals()
        self._limits: dict[str, Any] = {}

    def run(self) -> None:
        """Obey until the supervisor is gone."""
        frames = Frames()
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is not self._control:
                    self._bury(key.data)
                    continue
                data = self._control.recv(1 << 20)
                if not data:
                    return
                for kind, content in frames.feed(data):
                    if kind == LOAD:
                        self._load(content)
                    elif kind == FORK:
                        self._fork(json.loads(content)["connects"])

    def end(self) -> None:
        """Kill every evaluator."""
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)

    def _load(self, content: bytes) -> None:
        self._source, self._limits = decode(content)
        try:
            if self._source.store is None:
                self._store, self._originals = load(self._source)
            else:
                prepare(self._source)
        except RsmGraphError as error:
            self._control.sendall(json_frame(ERROR, error_to_json(error)))
            return
        self._source = Source(store=self._source.store)
        # What is here now stays: a collection in an evaluator need not look at it, and so copies no page of it.
        gc.collect()
        gc.freeze()
        self._control.sendall(json_frame(READY, {}))

    def _fork(self, connects: bool) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                self._become_evaluator(theirs, connects)
            finally:
                # Nothing of the parent's must run in the child.
                os._exit(0)
        theirs.close()
        descriptor = os.pidfd_open(pid)
        self._children[pid] = descriptor
        self._selector.register(descriptor, selectors.EVENT_READ, pid)
        socket.send_fds(
            self._control, [json_frame(FORK, {"pid": pid, "connects": connects})], [ours.fileno(), descriptor]
        )
        ours.close()

    def _become_evaluator(self, sock: socket.socket, connects: bool) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sock = worker.close_inherited(sock)
        # The engine of an on-disk store has threads, which a fork would lose: each evaluator opens its own.
        store = self._store if self._store is not None else open_read_only(self._source.store or Path())
        evaluator = worker.evaluator_of(store, self._originals, self._limits)
        worker.serve(sock, evaluator, self._limits | {"connects": connects, "disk": self._store is None})

    def _bury(self, pid: int) -> None:
        descriptor = self._children.pop(pid)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        self._control.sendall(json_frame(GONE, {"pid": pid, "status": os.waitstatus_to_exitcode(status)}))


def encode(source: Source, limits: dict[str, Any]) -> bytes:
    """Return the content of the frame that says what to load under which limits."""
    wire = {
        "files": [(str(file.path.absolute()), file.graph) for file in source.files],
        "store": str(source.store.absolute()) if source.store else "",
        "exact": source.exact,
        "limits": limits,
    }
    return json.dumps(wire).encode() + b"\0" + source.quads


def decode(content: bytes) -> tuple[Source, dict[str, Any]]:
    """Return what :func:`encode` was given."""
    head, _, quads = content.partition(b"\0")
    wire = json.loads(head)
    files = tuple(DataFile(Path(path), graph) for path, graph in wire["files"])
    return Source(quads, files, Path(wire["store"]) if wire["store"] else None, wire["exact"]), wire["limits"]


def main() -> None:
    """Run as a process of its own."""
    # A key pressed at a terminal reaches the whole group; the supervisor decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=os.dup(0))
    parent = Parent(control)
    try:
        parent.run()
    except ConnectionError:
        pass
    finally:
        parent.end()
    sys.exit(0)


if __name__ == "__main__":
    main()
