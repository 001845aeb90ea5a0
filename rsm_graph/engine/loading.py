"""Loads a :class:`~rsm_graph.engine.Source` into an Oxigraph store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox

from rsm_graph.engine import EXACT_BYTES, DataFile, Source
from rsm_graph.engine.restore import Originals, Recorder
from rsm_graph.errors import InputError, RdfSyntaxError
from rsm_graph.formats import COMPRESSED, UNREADABLE, of_file, opened, unreadable


def load(source: Source) -> tuple[ox.Store, Originals]:
    """Return the store in memory that holds ``source``, and the literals that the store changed.

    Raises :class:`RdfSyntaxError` with file, line and column, and :class:`InputError` for what cannot be read.
    """
    store = ox.Store()
    return store, _fill(store, source)


def prepare(source: Source) -> None:
    """Fill the on-disk store of ``source`` from its files when it is empty, and check that it can be read.

    Raises as :func:`load` does.
    """
    assert source.store is not None
    if source.files or source.quads:
        try:
            store = ox.Store(str(source.store))
        except OSError as error:
            raise InputError(f"{source.store}: cannot be opened as a store ({error}).") from error
        if not len(store):
            _fill(store, Source(source.quads, source.files, exact=False))
            store.optimize()
        store.flush()
        del store
    open_read_only(source.store)


def open_read_only(path: Path) -> ox.Store:
    """Return the on-disk store in ``path``; raises :class:`InputError` when there is none."""
    try:
        return ox.Store.read_only(str(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be opened as a store ({error}).") from error


def _fill(store: ox.Store, source: Source) -> Originals:
    if not _exact(source):
        if source.quads:
            store.bulk_load(source.quads, ox.RdfFormat.N_QUADS)
        for file in source.files:
            _bulk_load(store, file)
        return Originals()
    recorder = Recorder()
    if source.quads:
        store.bulk_extend(recorder.watch(ox.parse(source.quads, ox.RdfFormat.N_QUADS)))
    for file in source.files:
        try:
            store.bulk_extend(recorder.watch(_parse(file)))
        except SyntaxError as error:
            raise _syntax_error(file, error) from error
        except UNREADABLE as error:
            raise unreadable(file.path, error) from error
    return recorder.originals()


def _exact(source: Source) -> bool:
    if source.exact is not None:
        return source.exact
    size = len(source.quads) + sum(file.path.stat().st_size for file in source.files if file.path.exists())
    return size <= EXACT_BYTES


def _bulk_load(store: ox.Store, file: DataFile) -> None:
    kind, graph = _kind_and_graph(file)
    try:
        if file.path.suffix in COMPRESSED:
            with opened(file.path) as stream:
                store.bulk_load(stream, kind, base_iri=_base(file), to_graph=graph)
        else:  # the engine reads it by itself, and quicker
            store.bulk_load(path=str(file.path), format=kind, base_iri=_base(file), to_graph=graph)
    except SyntaxError as error:
        raise _syntax_error(file, error) from error
    except UNREADABLE as error:
        raise unreadable(file.path, error) from error


def _parse(file: DataFile) -> Iterator[ox.Quad]:
    kind, graph = _kind_and_graph(file)
    with opened(file.path) as stream:
        for quad in ox.parse(stream, kind, base_iri=_base(file), rename_blank_nodes=True):
            yield ox.Quad(quad.subject, quad.predicate, quad.object, graph) if graph is not None else quad


def _kind_and_graph(file: DataFile) -> tuple[ox.RdfFormat, ox.NamedNode | None]:
    """Return how to read a file, and the graph for its triples; a file of quads names its graphs itself."""
    fmt = of_file(file.path)
    kind = ox.RdfFormat.from_media_type(fmt.media_type)
    assert kind is not None
    if not file.graph or fmt.carries == "quads":
        return kind, None
    try:
        return kind, ox.NamedNode(file.graph)
    except ValueError as error:
        raise InputError(f"{file.graph!r} is not an absolute IRI, so it cannot name a graph.") from error


def _base(file: DataFile) -> str:
    return file.path.absolute().as_uri()


def _syntax_error(file: DataFile, error: SyntaxError) -> RdfSyntaxError:
    place = f":{error.lineno}:{error.offset}" if error.lineno else ""
    return RdfSyntaxError(f"{file.path}{place}", error.msg)
