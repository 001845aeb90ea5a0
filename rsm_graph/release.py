"""Builds a release: the dataset assembled, validated, described and written out once, in every format."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar, cast, overload

import pyoxigraph as ox
import zstandard

from rsm_graph import __version__, catalog, derive, formats, project, validation
from rsm_graph.dataset import Dataset, load_project
from rsm_graph.describe import Index
from rsm_graph.engine import Source
from rsm_graph.errors import InputError, NotConforming
from rsm_graph.namespaces import DEFAULT_BASE, VOCABULARIES, prefixes
from rsm_graph.search import Search

SUMS = "SHA256SUMS"
"""The file of checksums; a folder that holds one is taken for a release."""

SEARCH = "search.json"
"""The search index."""

MANIFEST = "release.json"
"""The file that says which version this is, under which base IRI, with which hash."""

KEPT_RELEASES = 4
"""Releases in the cache folder; the oldest beyond them are deleted."""

TABLES = project.PACKAGE / "tables"
"""Queries whose answers are published as CSV, each with its CSVW metadata beside it."""


_MEDIA_TYPES = {f".{fmt.name}": fmt.media_type for fmt in (*formats.TRIPLES, *formats.QUADS, *formats.SOLUTIONS)}
_MEDIA_TYPES |= {".json": "application/json"}


_Value = TypeVar("_Value")


class _once(cached_property[_Value]):
    """A cached property that two threads do not compute both; Python's own has no lock since 3.12."""

    def __init__(self, compute: Callable[[Any], _Value]) -> None:
        super().__init__(compute)
        self._alone = threading.RLock()

    @overload
    def __get__(self, instance: None, owner: type[Any] | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type[Any] | None = None) -> _Value: ...

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Any:
        with self._alone:
            return super().__get__(instance, owner)


@dataclass(frozen=True)
class Distribution:
    """One downloadable file: ``encoding`` is ``""``, ``"gzip"`` or ``"zstd"``, ``sha256`` hexadecimal."""

    name: str
    path: Path
    media_type: str
    encoding: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Release:
    """One version of the dataset, with the folder that holds its files, or will when somebody asks for them."""

    dataset: Dataset
    report: validation.Report
    folder: Path

    version: str = __version__

    @property
    def hash(self) -> str:
        """SHA-256 (hexadecimal) of the canonical N-Quads of the whole dataset."""
        return self.dataset.hash

    @_once
    def index(self) -> Index:
        """The dataset indexed by what its statements are about."""
        return Index(self.dataset)

    @_once
    def search(self) -> Search:
        """The names of everything, to be searched by people and by reconciliation."""
        return Search.open(self.folder / SEARCH) if (self.folder / SEARCH).exists() else Search.of(self.index)

    @_once
    def modified(self) -> datetime:
        """When the dataset was last changed, by its own description; the epoch where it does not say."""
        dates = self.index.values(self.dataset.iri("id/dataset/rsm"), VOCABULARIES["dcterms"] + "modified")
        return datetime.fromisoformat(max((d.value for d in dates), default="1970-01-01")).replace(tzinfo=UTC)

    @_once
    def distributions(self) -> tuple[Distribution, ...]:
        """The downloadable files, as :data:`SUMS` lists them; the release is written now if it was not yet."""
        if not (self.folder / SUMS).exists():
            build(self.dataset, self.report, self.folder)
        lines = (line.split("  ", 1) for line in (self.folder / SUMS).read_text().splitlines())
        return tuple(_distribution(self.folder / name, digest) for digest, name in lines)

    @_once
    def description(self) -> tuple[ox.Triple, ...]:
        """DCAT, VoID and PROV of this release with size and checksum of every file (which no dump can hold itself)."""
        graph = (quad.triple for quad in self.dataset.graphs.get(self.dataset.iri("graph/dataset"), ()))
        dumps = ((d.name, d.size, d.sha256) for d in self.distributions if d.name.startswith("rsm-graph."))
        return (*graph, *catalog.checksums(self.dataset, dumps))


def assemble(base_iri: str = DEFAULT_BASE, root: Path | None = None) -> Dataset:
    """Return the project's whole dataset: what the files say, what rules derive, and its description.

    Raises as :func:`~rsm_graph.dataset.load_project`.
    """
    return catalog.describe(derive.derive(load_project(base_iri, root)))


def build(dataset: Dataset, report: validation.Report, out: Path) -> Release:
    """Write a release into the folder ``out`` and return it; two builds of one dataset are byte-identical.

    The folder is made anew beside the old one and takes its place only when it is complete. Raises
    :class:`InputError` when it cannot be written, or when ``out`` holds something that is no release.
    """
    if out.exists() and not (out.is_dir() and ((out / SUMS).exists() or not any(out.iterdir()))):
        raise InputError(f"{out} is not empty and not a release.", "Name another folder, or empty this one.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            made = Path(scratch) / "new"
            made.mkdir()
            _write(dataset, report, made)
            if out.exists():
                out.rename(Path(scratch) / "old")
            made.rename(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror}).", "Name a folder that can be.") from error
    return Release(dataset, report, out)


@dataclass(frozen=True)
class Built:
    """The dumps of a built release as they are on disk, each what its checksum says."""

    base_iri: str
    triples: bytes
    """The default graph as N-Triples."""
    quads: bytes
    """The named graphs as N-Quads."""

    def dataset(self) -> Dataset:
        """Return the dataset of the release."""
        quads = formats.parse(self.quads, formats.by_name("nq"), "rsm-graph.nq", rename=False)
        return Dataset(self.base_iri, tuple(quads))

    def source(self) -> Source:
        """Return what an engine loads; known before the dataset is read."""
        return Source(quads=self.triples + self.quads)


def open_built(folder: Path) -> Built:
    """Return the dumps of a built release after comparing every file with its checksum.

    Raises :class:`InputError` naming the file that is missing or is not what the release says.
    """
    contents: dict[str, bytes] = {}
    try:
        for line in (folder / SUMS).read_text(encoding="utf-8").splitlines():
            digest, name = line.split("  ", 1)
            contents[name] = (folder / name).read_bytes()
            if hashlib.sha256(contents[name]).hexdigest() != digest:
                raise InputError(f"{folder / name} is not the file that {SUMS} describes.", "Build the release again.")
        base_iri = json.loads(contents[MANIFEST])["base_iri"]
        return Built(base_iri, contents["rsm-graph.nt"], contents["rsm-graph.nq"])
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}).", "Name a built release.") from error
    except ValueError as error:
        raise InputError(f"{folder / SUMS} is no list of checksums.", "Build the release again.") from error
    except KeyError as error:
        raise InputError(f"{folder / SUMS} does not list {error}.", "Build the release again.") from error


def in_cache(key: str) -> Path:
    """Return the folder of the user's cache for the release called ``key``, and hold it until this process ends.

    The oldest releases that no process holds are deleted. Where the cache cannot be written, a temporary folder
    takes its place.
    """
    cache = validation.cache_folder().parent / "releases"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        fcntl.flock(os.open(cache / f"{key}.lock", os.O_CREAT), fcntl.LOCK_SH)
        folders = [path for path in cache.iterdir() if path.is_dir() and not path.name.startswith(".")]
        older = sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_RELEASES:]
        for path in older:
            _delete_unless_held(path)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="rsm-graph-")) / key
    return cache / key


def _delete_unless_held(folder: Path) -> None:
    lock = os.open(folder.with_name(f"{folder.name}.lock"), os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass  # a server is giving out its files
    finally:
        os.close(lock)


def key_of_inputs(base_iri: str, root: Path | None) -> str:
    """Return what names the release that :func:`assemble` would make: a digest of every file that it rests on."""
    digest = hashlib.sha256(base_iri.encode())
    folders = ((root or project.root()) / "ontology", (root or project.root()) / "data", project.PACKAGE)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in (".ttl", ".trig", ".tsv", ".rq", ".json", ".py"):
                digest.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def checked(
    dataset: Dataset, root: Path | None = None, *, quick: bool = False, allow_nonconforming: bool = False
) -> validation.Report:
    """Return the report on ``dataset``; raises :class:`NotConforming` for a violation, unless that is allowed."""
    report = validation.validate(
        dataset,
        validation.project_shapes(dataset.base_iri, root),
        engine="quick" if quick else "reference",
        cache=validation.cache_folder(),
    )
    if not report.conforms and not allow_nonconforming:
        raise NotConforming(report)
    return report


def source(dataset: Dataset) -> Source:
    """Return what an engine loads to answer queries over ``dataset``: its default graph and its named graphs."""
    triples = formats.serialize(dataset.default_triples, formats.by_name("nt"), {})
    return Source(quads=triples + dataset.nquads)


def _distribution(path: Path, digest: str) -> Distribution:
    encoding = next((e.coding for e in formats.ENCODINGS if path.suffix == f".{e.ending}"), "")
    plain = path.with_suffix("") if encoding else path
    return Distribution(path.name, path, _MEDIA_TYPES[plain.suffix], encoding, path.stat().st_size, digest)


def _write(dataset: Dataset, report: validation.Report, folder: Path) -> None:
    manifest = {"version": __version__, "base_iri": dataset.base_iri, "sha256": dataset.hash}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    Search.of(Index(dataset)).write(folder / SEARCH)
    for name, content in _contents(dataset, report):
        (folder / name).write_bytes(content)
        if name.startswith("rsm-graph."):
            (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
            (folder / f"{name}.zst").write_bytes(zstandard.ZstdCompressor(level=3).compress(content))
    files = sorted(path for path in folder.iterdir())
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    (folder / SUMS).write_text(sums)


def _contents(dataset: Dataset, report: validation.Report) -> Iterator[tuple[str, bytes]]:
    names = prefixes(dataset.base_iri)
    for fmt in formats.TRIPLES:
        yield f"rsm-graph.{fmt.name}", formats.serialize(dataset.default_triples, fmt, names)
    for fmt in formats.QUADS:
        yield f"rsm-graph.{fmt.name}", formats.serialize(dataset.quads, fmt, names)
    store = ox.Store()
    store.extend(ox.Quad(*triple) for triple in dataset.default_triples)
    store.extend(dataset.quads)
    for name, table in project.texts(TABLES, dataset.base_iri).items():
        answer = cast(ox.QuerySolutions, store.query(table.text))
        yield f"{name}.csv", cast(bytes, answer.serialize(format=ox.QueryResultsFormat.CSV))
        metadata = (TABLES / f"{name}.csv-metadata.json").read_text(encoding="utf-8")
        yield f"{name}.csv-metadata.json", metadata.replace(DEFAULT_BASE, dataset.base_iri).encode()
    yield "validation.ttl", report.turtle().encode()
    yield "validation.json", report.json().encode()
