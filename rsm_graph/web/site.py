"""A release as the web sees it: which address belongs to which IRI, and what the pages are rendered with."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

import pyoxigraph as ox
from starlette.types import Scope

from rsm_graph import namespaces, project
from rsm_graph.engine import Engine
from rsm_graph.release import Release
from rsm_graph.settings import Settings
from rsm_graph.web.replies import head

if TYPE_CHECKING:
    import jinja2

STATIC = project.PACKAGE / "web" / "static"
TEMPLATES = project.PACKAGE / "web" / "templates"

_PATH_SAFE = "/%:@!$&'()*+,;=~-._"
"""Characters that stand for themselves in a path (RFC 3986, 3.3), the percent sign of an IRI that has one too."""
_HOST = re.compile(rb"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")


class Site:
    """One release behind one set of addresses. Everything in it is fixed; a new release gets a new site."""

    def __init__(self, release: Release, engine: Engine, settings: Settings) -> None:
        self.release = release
        self.engine = engine
        self.settings = settings
        self.base = release.dataset.base_iri
        self.names = namespaces.prefixes(self.base)
        self.public = settings.public_url.rstrip("/")
        self.prefix = urlsplit(self.public).path

    @property
    def described(self) -> bool:
        """Whether pages can tell of the data: not so for files that went straight into the engine."""
        return bool(self.release.dataset.quads)

    @cached_property
    def queries(self) -> dict[str, project.Text]:
        """The example queries by name; none over somebody else's data."""
        return project.texts(project.QUERIES, self.base) if self.described else {}

    @cached_property
    def prefixes_in_path(self) -> tuple[str, ...]:
        """Path prefixes that a request may carry: the proxy's, and that of the base IRI itself."""
        found = {self.prefix, urlsplit(self.base).path.rstrip("/")} - {""}
        return tuple(sorted(found, key=len, reverse=True))

    def origin(self, scope: Scope) -> str:
        """Return the address under which the client reached this server, without a slash at its end."""
        if self.public:
            return self.public
        host = head(scope).get(b"host", b"")
        if not _HOST.fullmatch(host):
            server = scope.get("server") or ("localhost", None)
            host = f"{server[0]}:{server[1]}".encode()
        return f"{scope.get('scheme', 'http')}://{host.decode('ascii')}"

    def iris_of(self, raw_path: bytes) -> Iterator[str]:
        """Yield the IRIs that a request path (as sent, without the leading slash) may stand for.

        An IRI may hold a percent-encoded character or the character itself; both are tried.
        """
        yield self.base + raw_path.decode("latin-1")
        plain = unquote_to_bytes(raw_path)
        if plain != raw_path:
            try:
                yield self.base + plain.decode("utf-8")
            except UnicodeDecodeError:
                return

    def address(self, iri: str) -> str:
        """Return where ``iri`` is described: a path on this server if it is under the base, else itself."""
        if not iri.startswith(self.base):
            return iri
        rest = iri[len(self.base) :]
        path, hash_sign, fragment = rest.partition("#")
        if path.startswith("id/"):
            path = "doc/" + path[3:]
        return f"{self.prefix}/{quote(path, safe=_PATH_SAFE)}{hash_sign}{quote(fragment, safe=_PATH_SAFE)}"

    def short(self, iri: str) -> str:
        """Return an IRI as a prefixed name where a prefix covers it."""
        return namespaces.shorten(iri, self.names)

    def term(self, name: str) -> str:
        """Return the IRI of a term of the ontology."""
        return f"{self.base}ontology#{name}"

    @cached_property
    def title(self) -> str:
        """The name of the dataset, by its own description; empty where it has none."""
        return self.release.index.label(self.release.dataset.iri("id/dataset/rsm"))

    @cached_property
    def statements_by_predicate(self) -> dict[str, list[ox.Triple]]:
        """The accepted statements by predicate, in order."""
        found: dict[str, list[ox.Triple]] = defaultdict(list)
        for triple in self.release.dataset.default_triples:
            found[triple.predicate.value].append(triple)
        return dict(found)

    @cached_property
    def assets(self) -> dict[str, tuple[str, bytes]]:
        """Static files by name: the address name with a digest of the content in it, and the content."""
        found: dict[str, tuple[str, bytes]] = {}
        files = [path for path in STATIC.rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda p: (p.suffix == ".css", p)):  # the sheet names the fonts, so it comes last
            content = path.read_bytes()
            if path.suffix == ".css":
                for name, (address, _) in found.items():
                    content = content.replace(f'url("{name}")'.encode(), f'url("{address}")'.encode())
            name = path.relative_to(STATIC).as_posix()
            digest = hashlib.sha256(content).hexdigest()[:10]
            found[name] = (f"{name.removesuffix(path.suffix)}.{digest}{path.suffix}", content)
        return found

    def asset(self, name: str) -> str:
        """Return the address of a static file."""
        return f"{self.prefix}/static/{self.assets[name][0]}"

    @cached_property
    def _templates(self) -> jinja2.Environment:
        import jinja2  # queries are answered without it, so it need not be waited for

        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.globals.update(site=self, address=self.address, short=self.short, asset=self.asset)
        environment.globals.update(root=self.prefix)
        environment.filters.update(number=lambda n: f"{n:,}", size=_size, path=lambda s: quote(str(s), safe=_PATH_SAFE))
        return environment

    def render(self, template: str, **context: Any) -> bytes:
        """Return a page as UTF-8."""
        return self._templates.get_template(template).render(**context).encode()


def _size(number: int) -> str:
    """Return a number of bytes for people."""
    amount = float(number)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
