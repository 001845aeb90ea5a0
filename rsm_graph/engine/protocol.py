"""The frames that the processes of an engine exchange, and how errors travel in them.

A frame is one byte of kind, four of length (network order), and so many bytes of content.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from typing import Any

from rsm_graph import errors
from rsm_graph.errors import RsmGraphError

HEAD = struct.Struct("!cI")
AWAKE = 0.0002
"""Seconds for which an evaluator that has done its work looks for more before it sleeps.

To be woken costs a third of a short query, above all on a virtual machine; whoever else can run goes first.
"""

LOAD = b"L"
"""To parent: a JSON object (source and limits), NUL, N-Quads."""
READY = b"R"
"""From parent: the store is loaded. From evaluator: it takes queries. JSON object."""
FORK = b"F"
"""To parent: start an evaluator (JSON object). Back: its process id; its socket and process descriptor ride along."""
GONE = b"G"
"""From parent: an evaluator ended; process id and exit status."""
QUERY = b"Q"
"""To evaluator: one query, as :mod:`rsm_graph.engine.worker` encodes it."""
QUERY_BESIDE = b"q"
"""To evaluator: the same while long queries run. Do not stay awake after it: whoever is woken goes before them, whoever
lets others go first waits for its turn."""
DATA = b"D"
"""From evaluator: a piece of the answer."""
END = b"E"
"""From evaluator: the answer is whole; one byte (:data:`LASTING` or :data:`VOLATILE`), and its last piece."""
LASTING = b"l"
VOLATILE = b"v"
"""The same query may be answered otherwise a moment later."""
ERROR = b"X"
"""From either: an error of :mod:`rsm_graph.errors`, JSON object."""


class Closed(Exception):
    """The other end has closed the connection."""


def frame(kind: bytes, content: bytes = b"") -> bytes:
    """Return one frame."""
    return HEAD.pack(kind, len(content)) + content


def json_frame(kind: bytes, content: dict[str, Any]) -> bytes:
    """Return one frame whose content is a JSON object."""
    return frame(kind, json.dumps(content).encode())


class Frames:
    """Cuts a stream of bytes into frames: :meth:`feed` it what came, and take what is whole."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Return the frames (kind, content) that are complete now."""
        rest = self._rest
        if not rest and len(data) >= HEAD.size and len(data) == HEAD.size + HEAD.unpack_from(data)[1]:
            return [(data[:1], data[HEAD.size :])]
        rest += data
        frames: list[tuple[bytes, bytes]] = []
        start = 0
        while len(rest) - start >= HEAD.size:
            kind, length = HEAD.unpack_from(rest, start)
            end = start + HEAD.size + length
            if len(rest) < end:
                break
            frames.append((kind, bytes(rest[start + HEAD.size : end])))
            start = end
        if start:
            del rest[:start]
        return frames


def receive(sock: socket.socket, *, awake: bool) -> tuple[bytes, bytes]:
    """Return the next frame from a blocking socket, having stayed awake for it; raises :class:`Closed` at its end."""
    data = bytearray((awake and _soon(sock)) or _more(sock))
    while len(data) < HEAD.size:
        data += _more(sock)
    kind, length = HEAD.unpack_from(data)
    while len(data) < HEAD.size + length:
        data += _more(sock)
    return kind, bytes(data[HEAD.size :])


def _soon(sock: socket.socket) -> bytes:
    """Return what comes within :data:`AWAKE`; nothing when nothing does."""
    if sys.platform != "linux":
        return b""
    end = time.monotonic() + AWAKE
    while time.monotonic() < end:
        try:
            return sock.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            os.sched_yield()
    return b""


def _more(sock: socket.socket) -> bytes:
    data = sock.recv(1 << 20)
    if not data:
        raise Closed
    return data


def error_to_json(error: RsmGraphError) -> dict[str, Any]:
    """Return an error as a JSON object: its class and its attributes."""
    return {"class": type(error).__name__, **vars(error)}


def error_from_json(content: bytes) -> RsmGraphError:
    """Return the error that :func:`error_to_json` described."""
    attributes = json.loads(content)
    cls = getattr(errors, attributes.pop("class"))
    error: RsmGraphError = cls.__new__(cls)
    error.args = (attributes["message"],)
    vars(error).update(attributes)
    return error
