"""The command line, ``rsm-graph``: a thin door to the functions of the package.

Exit codes: 0 done, 1 the data do not conform (or ``link check`` found something), 2 it could not run.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
import typer

from rsm_graph import __version__, formats, project
from rsm_graph.errors import InputError, NotConforming, RsmGraphError
from rsm_graph.settings import Settings

if TYPE_CHECKING:
    from rsm_graph.engine import Source
    from rsm_graph.links.ours import Ours
    from rsm_graph.links.wikidata import Wikidata

# Each command imports what it needs when it runs: `query` does not wait for the web framework.

app = typer.Typer(
    name="rsm-graph",
    help="The knowledge graph of NATO's Resolute Support Mission: serve it, check it, build it, ask it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

DataFiles = Annotated[list[Path] | None, typer.Option("--data", help="Take these RDF files instead.", metavar="FILE")]
GraphFiles = Annotated[list[str] | None, typer.Option("--graph", help="A named graph from a file.", metavar="IRI=FILE")]
EXACT_BYTES = 64 * 2**20
"""Bytes of ``--data`` up to which answers give literals back as written; it takes a second reading of the files."""

Project = Annotated[Path | None, typer.Option("--project", help="Folder with ontology/ and data/.", metavar="FOLDER")]
BaseIri = Annotated[str | None, typer.Option("--base-iri", help="Base IRI of the dataset.", metavar="IRI")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; never returns. Every :class:`RsmGraphError` becomes one line and its exit code."""
    try:
        code = app(arguments, standalone_mode=False)
    except NotConforming as error:
        print(error.report.text(), file=sys.stderr)
        print(f"rsm-graph: {error}", file=sys.stderr)
        code = 1
    except RsmGraphError as error:
        print(f"rsm-graph: {error}", file=sys.stderr)
        code = 2
    except typer.TyperException as error:
        print(f"rsm-graph: {error.format_message()}", file=sys.stderr)
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except BrokenPipeError:  # the reader of a pipe went away; nothing is wrong here
        sys.stderr.close()
        code = 0
    sys.exit(code)


def settings_of(**options: Any) -> Settings:
    """Return the settings of this run: options that were given, then the environment, then the defaults.

    Raises :class:`InputError` naming the setting, what is wrong with it, and how to give it.
    """
    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        remedy = f"Give it as --{name.replace('_', '-')} or RSM_GRAPH_{name.upper()}."
        raise InputError(f"{name}: {first['msg']} (given: {first['input']!r}).", remedy) from error


def graph_files(pairs: Sequence[str]) -> list[tuple[Path, str]]:
    """Return ``IRI=FILE`` arguments as (file, graph IRI); raises :class:`InputError` for any other form."""
    found = []
    for pair in pairs:
        iri, equals, file = pair.rpartition("=")
        if not equals or ":" not in iri or not file:
            raise InputError(f"--graph {pair!r} is not IRI=FILE.", "Example: --graph http://example.org/g=facts.ttl")
        found.append((Path(file), iri))
    return found


@app.callback(invoke_without_command=True)
def about(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Say the version, or leave it to the command."""
    if version:
        print(f"rsm-graph {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def serve(
    data: DataFiles = None,
    graph: GraphFiles = None,
    store: Annotated[
        Path | None, typer.Option(help="On-disk store, filled from --data once.", metavar="FOLDER")
    ] = None,
    shapes: Annotated[
        list[Path] | None, typer.Option(help="Shapes that --data must conform to.", metavar="FILE")
    ] = None,
    built: Annotated[Path | None, typer.Option("--release", help="Serve this built release.", metavar="FOLDER")] = None,
    allow_nonconforming: Annotated[bool, typer.Option(help="Serve even if a shape is broken.")] = False,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", metavar="ADDRESS")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.", metavar="PORT")] = None,
    workers: Annotated[int | None, typer.Option(help="Front processes.", metavar="N")] = None,
    base_iri: BaseIri = None,
    project_folder: Project = None,
    public_url: Annotated[str | None, typer.Option(help="Address that clients use.", metavar="URL")] = None,
    proxy: Annotated[list[str] | None, typer.Option(help="Address of a proxy in front.", metavar="ADDRESS")] = None,
    query_timeout: Annotated[float | None, typer.Option(help="Seconds a query may run.", metavar="SECONDS")] = None,
    query_memory: Annotated[int | None, typer.Option(help="MiB a query may use.", metavar="MIB")] = None,
    query_length: Annotated[int | None, typer.Option(help="Bytes of query text accepted.", metavar="BYTES")] = None,
    query_tokens: Annotated[int | None, typer.Option(help="Words and signs of a query.", metavar="N")] = None,
    query_depth: Annotated[int | None, typer.Option(help="Brackets open at once in a query.", metavar="N")] = None,
    queries_at_once: Annotated[int | None, typer.Option(help="Evaluators.", metavar="N")] = None,
    queue_length: Annotated[int | None, typer.Option(help="Queries that may wait.", metavar="N")] = None,
    short_seconds: Annotated[float | None, typer.Option(help="Time slice of a query.", metavar="SECONDS")] = None,
    long_queries: Annotated[int | None, typer.Option(help="Permits for longer queries.", metavar="N")] = None,
    spool_bytes: Annotated[int | None, typer.Option(help="Bytes of an answer in memory.", metavar="BYTES")] = None,
    answer_bytes: Annotated[int | None, typer.Option(help="Bytes of one answer.", metavar="BYTES")] = None,
    cache_bytes: Annotated[int | None, typer.Option(help="Bytes of answers kept in memory.", metavar="BYTES")] = None,
    request_bytes: Annotated[int | None, typer.Option(help="Bytes of a request body.", metavar="BYTES")] = None,
    request_timeout: Annotated[
        float | None, typer.Option(help="Seconds a request may take to arrive.", metavar="SECONDS")
    ] = None,
    allow_service: Annotated[
        list[str] | None, typer.Option(help="Address that SERVICE may reach.", metavar="IRI")
    ] = None,
    log_queries: Annotated[bool | None, typer.Option(help="Write query texts into the log.")] = None,
    slow_query: Annotated[
        float | None, typer.Option(help="Seconds after which a query is logged as slow.", metavar="SECONDS")
    ] = None,
) -> None:
    """Validate the dataset and serve it: SPARQL, pages, downloads. Every setting is also an environment variable."""
    options = {name: value for name, value in locals().items() if name in Settings.model_fields}
    settings = settings_of(**options, project=project_folder)
    gc.disable()  # until it serves: nothing that is made on the way there is garbage
    from rsm_graph.engine.launch import launched

    with launched() if settings.workers == 1 else nullcontext() as parent:
        from rsm_graph.web import server

        with server.listen(settings) as listening:
            other = files_source(data, graph, store)
            allowed = {"allow_nonconforming": allow_nonconforming}
            if other:
                server.serve_files(other, shapes or (), listening, settings, parent, **allowed)
            else:
                server.serve_project(built, listening, settings, parent, **allowed)


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder of the release.", metavar="FOLDER")] = Path("dist"),
    base_iri: BaseIri = None,
    project_folder: Project = None,
    allow_nonconforming: Annotated[bool, typer.Option(help="Build even if a shape is broken.")] = False,
) -> None:
    """Build the release: every distribution, descriptions, checksums and the validation report."""
    from rsm_graph import release

    settings = settings_of(base_iri=base_iri, project=project_folder)
    dataset = release.assemble(settings.base_iri, settings.project)
    report = release.checked(dataset, settings.project, allow_nonconforming=allow_nonconforming)
    made = release.build(dataset, report, out)
    print(f"{made.folder}: {len(made.distributions)} files, {made.report.summary()}")
    print(f"release {made.version}, sha256 {made.hash}")


@app.command()
def query(
    source: Annotated[str, typer.Argument(metavar="FILE|-|NAME", help="A file, - for standard input, or an example.")],
    form: Annotated[
        str, typer.Option("--format", help="table, json, csv, tsv, xml, turtle, jsonld, nt, rdf.")
    ] = "table",
    data: DataFiles = None,
    graph: GraphFiles = None,
    base_iri: BaseIri = None,
    project_folder: Project = None,
    query_timeout: Annotated[float | None, typer.Option(help="Seconds the query may run.", metavar="SECONDS")] = None,
) -> None:
    """Answer a SPARQL query, or a named example, over the dataset without a server."""
    from rsm_graph import release, table
    from rsm_graph.engine import Query
    from rsm_graph.engine.local import LocalEngine

    settings = settings_of(base_iri=base_iri, project=project_folder, query_timeout=query_timeout)
    text = query_text(source, settings.base_iri)
    other = files_source(data, graph)
    loaded = other or release.source(release.assemble(settings.base_iri, settings.project))
    engine = LocalEngine(loaded, settings)
    answer = engine.evaluate(Query(text, format="" if form == "table" else form))
    content = b"".join(answer.parts())
    if form == "table" and answer.format.carries == "solutions":
        content = table.render(content, settings.base_iri).encode()
    sys.stdout.buffer.write(content)
    sys.stdout.flush()


def files_source(data: Sequence[Path] | None, graph: Sequence[str] | None, store: Path | None = None) -> Source | None:
    """Return what ``--data``, ``--graph`` and ``--store`` name, or nothing when none was given.

    Raises :class:`InputError` for a file that is not there or whose format its name does not tell.
    """
    from rsm_graph.engine import DataFile, Source

    files = [*(DataFile(path) for path in data or ()), *(DataFile(path, iri) for path, iri in graph_files(graph or ()))]
    for file in files:
        formats.of_file(file.path)
        if not file.path.is_file():
            raise InputError(f"{file.path}: cannot be read (no such file).", "Check the name.")
    exact = sum(file.path.stat().st_size for file in files) <= EXACT_BYTES
    return Source(files=tuple(files), store=store, exact=exact) if files or store else None


@app.command()
def reconcile(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="A table with a header line.")],
    column: Annotated[str, typer.Option(help="The column that holds the names.", metavar="NAME")],
    kinds: Annotated[list[str] | None, typer.Option("--type", help="Only things of this type.", metavar="TYPE")] = None,
    base_iri: BaseIri = None,
    project_folder: Project = None,
) -> None:
    """Find the things that a column of a table names: adds IRI, Wikidata item, score and reason."""
    from rsm_graph import release
    from rsm_graph.describe import Index
    from rsm_graph.reconcile.catalogue import Catalogue
    from rsm_graph.reconcile.sheet import reconcile_file
    from rsm_graph.search import Search

    settings = settings_of(base_iri=base_iri, project=project_folder)
    index = Index(release.assemble(settings.base_iri, settings.project))
    catalogue = Catalogue(index, Search.of(index))
    tally = reconcile_file(catalogue, file, column, sys.stdout, [catalogue.type(kind) for kind in kinds or ()])
    print(tally, file=sys.stderr)


link = typer.Typer(name="link", help="Links to Wikidata: check, suggest, accept, give back.", no_args_is_help=True)
app.add_typer(link)

WikidataUrl = Annotated[str | None, typer.Option("--wikidata-url", help="Another Wikibase.", metavar="URL")]
Contact = Annotated[str | None, typer.Option("--contact", help="Who asks: an address or e-mail.", metavar="WHO")]
Things = Annotated[list[str] | None, typer.Argument(metavar="THING", help="Things like mission/rsm; all if none.")]


@link.command("check")
def link_check(
    out: Annotated[Path | None, typer.Option(help="Where to write what was seen.", metavar="FILE")] = None,
    wikidata_url: WikidataUrl = None,
    contact: Contact = None,
    base_iri: BaseIri = None,
    project_folder: Project = None,
) -> None:
    """Look at every linked item: is it there, and still what was meant? Writes what it saw beside the mapping set."""
    from datetime import UTC, datetime

    from rsm_graph import sssom
    from rsm_graph.links import check

    settings = settings_of(base_iri=base_iri, project=project_folder, wikidata_url=wikidata_url, contact=contact)
    ours, mappings = _ours(settings)
    with _wikidata(settings) as remote:
        rows = sssom.read(mappings, settings.base_iri)
        outcome = check.check(ours, rows, remote, datetime.now(UTC).date(), _step)
    check.write(outcome, out or mappings.with_name(sssom.CHECKED))
    for one in outcome.checks:
        if one.state != sssom.CONFIRMED:
            print(f"{one.state}  {one.subject_id} {one.predicate_id} {one.object_id}: {one.findings}")
    print(outcome.summary())
    raise typer.Exit(0 if outcome.counts[sssom.CONFIRMED] == len(outcome.checks) else 1)


@link.command("suggest")
def link_suggest(
    things: Things = None,
    kinds: Annotated[list[str] | None, typer.Option("--kind", help="Only things of a kind.", metavar="KIND")] = None,
    limit: Annotated[int, typer.Option(min=1, max=20, help="Candidates a thing.")] = 3,
    wikidata_url: WikidataUrl = None,
    contact: Contact = None,
    base_iri: BaseIri = None,
    project_folder: Project = None,
) -> None:
    """Propose items for things without a link, with scores and reasons; nothing is linked by itself."""
    from rsm_graph.links import suggest

    settings = settings_of(base_iri=base_iri, project=project_folder, wikidata_url=wikidata_url, contact=contact)
    ours, _ = _ours(settings)
    iris = _named(things, ours) or suggest.without_link(ours, kinds or suggest.KINDS)
    print("thing", "item", "score", "label", "description", "reasons", sep="\t")
    failures = 0
    with _wikidata(settings) as remote:
        for found in suggest.suggest(ours, iris, remote, most=limit, progress=_step):
            key = found.subject.removeprefix(ours.index.dataset.iri("id/"))
            if isinstance(found, suggest.Failure):
                failures += 1
                print(f"{key}: {found.reason}", file=sys.stderr)
            else:
                cells = (key, found.item, found.score, found.item_label, found.description, "; ".join(found.reasons))
                print(*(" ".join(str(cell).split()) for cell in cells), sep="\t", flush=True)
    raise typer.Exit(2 if failures == len(iris) and iris else 1 if failures else 0)


@link.command("accept")
def link_accept(
    thing: Annotated[str, typer.Argument(help="The thing, like mission/rsm.")],
    item: Annotated[str, typer.Argument(help="The Wikidata item, like Q183.")],
    by: Annotated[str, typer.Option(help="Who decided.", metavar="NAME")],
    why: Annotated[str, typer.Option(help="On what grounds.", metavar="TEXT")],
    label: Annotated[str, typer.Option(help="Label seen there; asked for if not given.", metavar="TEXT")] = "",
    predicate: Annotated[str, typer.Option(help="skos:exactMatch, skos:closeMatch, …")] = "skos:exactMatch",
    confidence: Annotated[float, typer.Option(min=0, max=1, help="How sure.")] = 0.95,
    wikidata_url: WikidataUrl = None,
    contact: Contact = None,
    project_folder: Project = None,
) -> None:
    """Add a link to the mapping set, with who decided and why."""
    from datetime import UTC, datetime

    from rsm_graph.links import accept
    from rsm_graph.links.wikidata import ITEM

    settings = settings_of(project=project_folder, wikidata_url=wikidata_url, contact=contact)
    ours, mappings = _ours(settings)
    if not label:
        with _wikidata(settings) as remote:
            found = remote.item(item) if ITEM.fullmatch(item) else None
        if found is None or found.redirected:
            raise InputError(f"Wikidata has no item {item!r} (any more).", "Look again, or give its --label yourself.")
        label = found.label
    decision = accept.Decision(thing, item, label, by, why, predicate, confidence)
    print(accept.accept(mappings, ours, decision, datetime.now(UTC).date()))


@link.command("export")
def link_export(
    things: Things = None,
    wikidata_url: WikidataUrl = None,
    contact: Contact = None,
    base_iri: BaseIri = None,
    project_folder: Project = None,
) -> None:
    """Write what Wikidata lacks about linked things as QuickStatements, with references."""
    from rsm_graph.links import quickstatements

    settings = settings_of(base_iri=base_iri, project=project_folder, wikidata_url=wikidata_url, contact=contact)
    ours, _ = _ours(settings)
    iris = _named(things, ours) or ours.index.things
    with _wikidata(settings) as remote:
        for found in quickstatements.export(ours, iris, remote, _step):
            if isinstance(found, quickstatements.Line):
                print(found.text, flush=True)
            else:
                print(f"{found.item}: {found.reason}", file=sys.stderr)


def _ours(settings: Settings) -> tuple[Ours, Path]:
    """Return what this dataset knows of its things, and the file of its links."""
    from rsm_graph import release, sssom
    from rsm_graph.describe import Index
    from rsm_graph.links.ours import Ours
    from rsm_graph.search import Search

    mappings = (settings.project or project.root()) / "data" / sssom.MAPPINGS
    index = Index(release.assemble(settings.base_iri, settings.project))
    return Ours(index, Search.of(index), sssom.read(mappings, settings.base_iri)), mappings


def _named(things: Sequence[str] | None, ours: Ours) -> list[str]:
    """Return the IRIs of things given as IRIs or like ``mission/rsm``; raises :class:`InputError` for an unknown."""
    start = ours.index.dataset.iri("id/")
    iris = [thing if thing.startswith(start) else start + thing for thing in things or ()]
    for iri in iris:
        if iri not in ours.index:
            raise InputError(f"There is no {iri.removeprefix(start)!r} in the dataset.", "Name it like mission/rsm.")
    return iris


def _wikidata(settings: Settings) -> Wikidata:
    from rsm_graph.links.wikidata import Wikidata

    return Wikidata(settings.wikidata_url, settings.contact)


def _step(done: int, total: int, what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{done}/{total} {what}", end="\n" if done == total else "", file=sys.stderr, flush=True)
    elif done % 20 == 0 or done == total:
        print(f"{done}/{total}", file=sys.stderr, flush=True)


def query_text(source: str, base_iri: str) -> str:
    """Return the text of a query: standard input for ``-``, a file, or the example of that name.

    Raises :class:`InputError` when there is neither, naming the examples that are close.
    """
    if source == "-":
        return sys.stdin.read()
    examples = project.texts(project.QUERIES, base_iri)
    if source in examples:
        return examples[source].text
    try:
        return Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        remedy = f"The examples are: {', '.join(examples)}."
        raise InputError(f"{source}: neither a file that can be read ({reason}) nor an example.", remedy) from error


@app.command()
def validate(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Your additions; none: the project.")
    ] = None,
    shapes: Annotated[
        list[Path] | None, typer.Option(help="Shapes to use instead of the project's.", metavar="FILE")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="text, json, turtle or sarif.")] = "text",
    base_iri: BaseIri = None,
    project_folder: Project = None,
) -> None:
    """Check the project's data, or your files together with it, against the shapes.

    Exit code 0 when nothing of severity violation was found, 1 otherwise.
    """
    from rsm_graph import release, reports, validation
    from rsm_graph.dataset import load_project

    if form not in reports.FORMATS:
        raise InputError(f"Unknown format {form!r}.", f"Known here: {', '.join(reports.FORMATS)}.")
    settings = settings_of(base_iri=base_iri, project=project_folder)
    base, root = settings.base_iri, settings.project
    rules = validation.load(shapes, base) if shapes else validation.project_shapes(base, root)
    cache = validation.cache_folder()
    if files:
        # The reference would take seconds longer for the same findings; it judges once the files are in the project.
        ours = load_project(base, root)
        report = validation.validate_files(files, ours, rules, engine="quick", cache=cache, progress=_Progress())
    else:
        report = validation.validate(release.assemble(base, root), rules, cache=cache, progress=_Progress())
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    print(report.render(form))
    if not report.conforms:
        raise typer.Exit(1)


class _Progress:
    """Says what goes on: at once to somebody who watches, every few seconds to a log or a pipe."""

    EVERY = 5.0

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, sentence: str) -> None:
        if sys.stderr.isatty():
            print(f"\r\033[K{sentence} …", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._said >= self.EVERY:
            self._said = time.monotonic()
            print(f"rsm-graph: {sentence}", file=sys.stderr, flush=True)
