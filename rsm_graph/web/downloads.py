"""``/download/``: the distributions of the release, as the build wrote them."""

from __future__ import annotations

import asyncio
from functools import cached_property

from fastapi import APIRouter
from starlette.responses import Response

from rsm_graph.formats import ENCODINGS
from rsm_graph.release import SUMS, Distribution
from rsm_graph.web import resources
from rsm_graph.web.replies import Reply
from rsm_graph.web.security import DATA_HEADERS
from rsm_graph.web.site import Site

_PACKED_TYPES = {encoding.coding: encoding.media_type for encoding in ENCODINGS}


class Files:
    """The files of one release by name."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._replies: dict[str, Reply] = {}

    @cached_property
    def by_name(self) -> dict[str, Distribution]:
        """The distributions by file name."""
        return {d.name: d for d in self._site.release.distributions}

    @property
    def plain(self) -> list[Distribution]:
        """The distributions that are not compressed, in order of name."""
        return [d for d in self.by_name.values() if not d.encoding]

    def variants(self, distribution: Distribution) -> list[Distribution]:
        """Return the compressed forms of a distribution."""
        names = (f"{distribution.name}.{encoding.ending}" for encoding in ENCODINGS)
        return [self.by_name[name] for name in names if name in self.by_name]

    def reply(self, name: str) -> Reply | None:
        """Return the file called ``name`` as an answer, read once."""
        if name not in self._replies:
            made = self._sums() if name == SUMS else self._file(name)
            if made is None:
                return None
            self._replies[name] = made
        return self._replies[name]

    def _sums(self) -> Reply:
        if not self.by_name:  # asking for them writes the files, where that has not happened yet
            return self._answer(b"", "text/plain; charset=utf-8", SUMS, "")
        content = (self._site.release.folder / SUMS).read_bytes()
        return self._answer(content, "text/plain; charset=utf-8", SUMS, "")

    def _file(self, name: str) -> Reply | None:
        found = self.by_name.get(name)
        if found is None:
            return None
        media_type = _PACKED_TYPES.get(found.encoding, found.media_type)
        if media_type.startswith("text/"):
            media_type += "; charset=utf-8"
        reply = self._answer(found.path.read_bytes(), media_type, name, found.sha256)
        for packed in self.variants(found) if not found.encoding else ():
            reply.add_variant(packed.encoding, packed.path.read_bytes())
        return reply

    def _answer(self, content: bytes, content_type: str, name: str, digest: str) -> Reply:
        link = ("link", f'<{self._site.prefix}/dataset>; rel="describedby"')
        disposition = ("content-disposition", f'attachment; filename="{name}"')
        return Reply(
            content,
            content_type,
            extra=[*DATA_HEADERS, disposition, link],
            modified=self._site.release.modified,
            vary="",
            ranges=True,
            etag=digest[:32],
        )


def routes(site: Site) -> APIRouter:
    """Return the addresses of the downloads."""
    router = APIRouter(tags=["downloads"], default_response_class=Response)
    files = Files(site)

    @router.get("/download/", summary="The distributions of this release")
    async def folder() -> Response:
        await asyncio.to_thread(lambda: site.release.distributions)  # they may yet have to be written
        return await resources.page_reply(site, "downloads.html", lambda: {"files": files, "sums": SUMS})

    @router.get("/download", include_in_schema=False)
    async def folder_without_slash() -> Response:
        return Reply(b"", "", status=308, extra=[("location", f"{site.prefix}/download/")])

    @router.get("/download/{name}", summary="One distribution; ranges and compressed transfer on request")
    async def file(name: str) -> Response:
        reply = await asyncio.to_thread(files.reply, name)
        if reply is None:
            raise resources.unknown(f"/download/{name}")
        return reply

    return router
