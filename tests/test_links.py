"""The verbs of ``rsm-graph link``, against a stand-in for Wikidata that answers as it does, or with malice."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsm_graph import cli, release, sssom
from rsm_graph.describe import Index
from rsm_graph.errors import RemoteError
from rsm_graph.links import wikidata
from rsm_graph.links.ours import Ours, kilometres
from rsm_graph.links.wikidata import TRIES, Point, Wikidata, retry_after
from rsm_graph.namespaces import DEFAULT_BASE
from rsm_graph.search import Search
from tests.conftest import ROOT, run

Json = dict[str, Any]
Answer = Callable[["Asked"], None]

ROWS = (
    ("nation:DEU", "wd:Q183"),
    ("nation:DEU", "gn:2921044/"),
    ("nation:DNK", "wd:Q35"),
    ("organization:nato", "wd:Q7184"),
    ("place:kabul", "wd:Q5838"),
    ("place:kabul", "gn:1138958/"),
    ("person:stoltenberg-jens", "wd:Q57665"),
    ("rank:general", "wd:Q83460"),
    ("mission:rsm", "enwiki:Resolute_Support_Mission"),
)
"""The rows of the mapping set that the copy of the project keeps: few, so that a check is quick."""

LINKS = 6
"""How many of them lead to Wikidata."""


# A stand-in for Wikidata


def claim(prop: str, value: object, rank: str = "normal") -> Json:
    """A statement as Wikidata serialises it."""
    datavalue = {"value": value, "type": "string" if isinstance(value, str) else "other"}
    return {"mainsnak": {"snaktype": "value", "property": prop, "datavalue": datavalue}, "rank": rank}


def ref(key: str) -> Json:
    return {"entity-type": "item", "numeric-id": int(key[1:]), "id": key}


def day(text: str, precision: int = 11) -> Json:
    return {"time": f"+{text}T00:00:00Z", "timezone": 0, "precision": precision}


def point(latitude: float, longitude: float) -> Json:
    return {"latitude": latitude, "longitude": longitude, "precision": 0.0001}


def item(key: str, label: str, description: str = "", *, title: str = "", aliases: str = "", **claims: object) -> Json:
    """An item as ``Special:EntityData`` gives it."""
    return {
        "pageid": 1, "ns": 0, "title": key, "lastrevid": 2_300_000_000 + int(key[1:]) % 1000,
        "modified": "2026-11-01T10:00:00Z", "type": "item", "id": key,
        "labels": {"en": {"language": "en", "value": label}},
        "descriptions": {"en": {"language": "en", "value": description}} if description else {},
        "aliases": {"en": [{"language": "en", "value": text} for text in aliases.split("|") if text]},
        "claims": {
            prop: [claim(prop, value) for value in (values if isinstance(values, list) else [values])]
            for prop, values in claims.items()
        },
        "sitelinks": {"enwiki": {"site": "enwiki", "title": title}} if title else {},
    }  # fmt: skip


def true_items() -> dict[str, Json]:
    """Items as they are when every link is right."""
    germany: Json = {"P31": ref("Q3624078"), "P297": "DE", "P298": "DEU", "P2082": "276", "P1566": "2921044"}
    kabul: Json = {"P31": ref("Q515"), "P17": ref("Q889"), "P625": point(34.5328, 69.1658), "P1566": "1138958"}
    stoltenberg: Json = {"P31": ref("Q5"), "P569": day("1959-03-16")}
    found = (
        item("Q183", "Germany", "country in Central Europe", **germany),
        item("Q35", "Denmark", "country in Northern Europe", P1889=ref("Q756617")),
        item("Q7184", "NATO", "intergovernmental military alliance", aliases="North Atlantic Treaty Organization"),
        item("Q5838", "Kabul", "capital of Afghanistan", **kabul),
        item("Q57665", "Jens Stoltenberg", "Norwegian politician", **stoltenberg),
        item("Q83460", "general officer", "officer of high rank"),
        item("Q645883", "military operation"),
        item("Q900000003", "military mission", P279=ref("Q645883")),
        item(
            "Q900000001", "Resolute Support Mission", "NATO-led mission in Afghanistan",
            title="Resolute Support Mission", P31=ref("Q900000003"), P580=day("2015-01-01"),
        ),
        item("Q900000002", "Resolute Support", "Wikimedia disambiguation page", P31=ref("Q4167410")),
        item("Q900000004", "John F. Campbell", "general", P31=ref("Q5"), P569=day("1835-00-00", 9)),
    )  # fmt: skip
    return {one["id"]: one for one in found}


class Asked(http.server.BaseHTTPRequestHandler):
    """One question to the stand-in."""

    server: StandIn

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.server.asked.append(self.path)
        self.server.agents.add(self.headers["User-Agent"])
        if self.server.next:
            self.server.next.pop(0)(self)
        elif self.server.always:
            self.server.always(self)
        elif key := re.fullmatch(r"/wiki/Special:EntityData/(\w+)\.json", url.path):
            self.entity(key[1])
        elif url.path == "/w/api.php":
            self.api({name: values[0] for name, values in parse_qs(url.query).items()})
        else:
            self.say(404, "text/html", b"<h1>Not found</h1>")

    def entity(self, key: str) -> None:
        if special := self.server.special.get(key):
            special(self)
        elif key in self.server.items:
            self.json({"entities": {key: self.server.items[key]}})
        else:
            self.say(404, "text/html", b"<h1>No entity with this ID</h1>")

    def api(self, given: dict[str, str]) -> None:
        items = self.server.items
        if given["action"] == "wbgetentities":
            of_title = {one["sitelinks"]["enwiki"]["title"]: key for key, one in items.items() if one["sitelinks"]}
            found = of_title.get(given["titles"])
            self.json({"entities": {found: {"id": found}} if found else {"-1": {"missing": ""}}, "success": 1})
        else:
            words = given["search"].casefold()
            hits = [key for key, one in items.items() if words in one["labels"]["en"]["value"].casefold()]
            self.json({"search": [{"id": key} for key in hits], "success": 1})

    def json(self, content: object) -> None:
        self.say(200, "application/json; charset=utf-8", json.dumps(content).encode())

    def say(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class StandIn(http.server.ThreadingHTTPServer):
    """A Wikibase: ``items`` by number, ``special`` answers for some, ``next`` answers first, ``always`` to all."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.items = true_items()
        self.special: dict[str, Answer] = {}
        self.next: list[Answer] = []
        self.always: Answer | None = None
        self.asked: list[str] = []
        self.agents: set[str] = set()
        self.waits: list[float] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Whoever is asked too much hangs up; that is the client's right."""

    def client(self, seconds: float = 5.0) -> Wikidata:
        """A client that notes the seconds that it would wait, and does not."""
        return Wikidata(self.url, pause=0, seconds=seconds, sleep=self.waits.append)


def redirect(target: str) -> Answer:
    return lambda asked: asked.say(302, "text/html", b"", Location=target)


def moved(asked: Asked) -> None:
    """What Special:EntityData says of an item that was merged into another: the other."""
    other = item("Q900000009", "Federal Republic of Germany")
    asked.json({"entities": {"Q900000009": other}})


def status(code: int, **headers: str) -> Answer:
    return lambda asked: asked.say(code, "text/plain", b"no", **headers)


def html(asked: Asked) -> None:
    asked.say(200, "text/html", b"<!doctype html><title>Welcome to our wireless network</title>")


def body(text: bytes) -> Answer:
    return lambda asked: asked.say(200, "application/json", text)


def cut(asked: Asked) -> None:
    """Promises a thousand bytes and leaves after nine."""
    asked.send_response(200)
    asked.send_header("Content-Type", "application/json")
    asked.send_header("Content-Length", "1000")
    asked.end_headers()
    asked.wfile.write(b'{"entitie')
    asked.close_connection = True


def silent(asked: Asked) -> None:
    asked.close_connection = True


def endless(asked: Asked) -> None:
    asked.send_response(200)
    asked.send_header("Content-Type", "application/json")
    asked.end_headers()
    while True:
        asked.wfile.write(b" " * 65536)


def dripping(asked: Asked) -> None:
    asked.send_response(200)
    asked.send_header("Content-Type", "application/json")
    asked.end_headers()
    for _ in range(100):
        asked.wfile.write(b" ")
        asked.wfile.flush()
        time.sleep(0.05)


def bomb(asked: Asked) -> None:
    asked.say(200, "application/json", gzip.compress(bytes(40 * 2**20)), Content_Encoding="gzip")


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# The client


def test_an_item_is_read_once_and_whole(standin: StandIn) -> None:
    with standin.client() as remote:
        germany = remote.item("Q183")
        assert germany is remote.item("Q183")
    assert germany is not None
    assert (germany.label, germany.description, germany.redirected) == ("Germany", "country in Central Europe", False)
    assert germany.values("P297") == ("DE",)
    assert germany.revision == 2_300_000_183
    assert standin.asked == ["/wiki/Special:EntityData/Q183.json"]
    assert all(re.match(r"rsm-graph/\S+ \(https://w3id\.org/rsm-graph/\)", agent) for agent in standin.agents)


def test_what_was_deprecated_is_not_read(standin: StandIn) -> None:
    standin.items["Q183"]["claims"]["P297"] = [claim("P297", "DD", "deprecated"), claim("P297", "DE")]
    with standin.client() as remote:
        germany = remote.item("Q183")
    assert germany
    assert germany.values("P297") == ("DE",)


@pytest.mark.parametrize("gone", [404, 410])
def test_no_item_is_no_fault(standin: StandIn, gone: int) -> None:
    standin.special["Q183"] = status(gone)
    with standin.client() as remote:
        assert remote.item("Q183") is None
    assert len(standin.asked) == 1


def test_redirects_on_the_same_server_are_followed(standin: StandIn) -> None:
    standin.next = [redirect("/wiki/Special:EntityData/Q183.json?revision=1")] * 3
    with standin.client() as remote:
        assert remote.item("Q183")


@pytest.mark.parametrize(
    ("answer", "words", "times"),
    [
        (redirect("/wiki/Special:EntityData/Q183.json"), "more than 5 redirects", 6),
        (redirect("http://127.0.0.2:1/Q183.json"), "another server, 127.0.0.2", 1),
        (redirect("file:///etc/passwd"), "another server", 1),
        (redirect("http://[::1"), "Invalid URL", TRIES),
        (status(302), "answered 302", 1),
        (status(403), "answered 403", 1),
        (status(429), "answered 429", TRIES),
        (status(503), "answered 503", TRIES),
        (status(429, Retry_After="86400"), "answered 429", 1),
        (html, "answered text/html, not JSON", 1),
        (cut, "peer closed connection", TRIES),
        (silent, "disconnected", TRIES),
        (body(b""), "its JSON is broken", 1),
        (body(b'{"entities": {"Q183"'), "its JSON is broken", 1),
        (body(b"\xff\xfe\x00"), "its JSON is broken", 1),
        (body(b"[" * 200_000), "its JSON is broken", 1),
        (body(b"[1]"), "its JSON is no object", 1),
        (body(b'{"entities": []}'), "holds no item", 1),
        (body(b'{"entities": {"Q183": {"id": 183}}}'), "holds no item", 1),
        (body(b'{"error": {"code": "maxlag"}}'), "lags behind", TRIES),
        (bomb, "more than 33,554,432 bytes", 1),
    ],
)
def test_a_hostile_answer_ends_in_a_sentence(standin: StandIn, answer: Answer, words: str, times: int) -> None:
    standin.always = answer
    with standin.client() as remote, pytest.raises(RemoteError, match=words) as caught:
        remote.item("Q183")
    assert len(standin.asked) == times
    assert caught.value.remedy
    assert standin.waits == [1.0, 2.0, 4.0][: times - 1] if times == TRIES else not standin.waits


def test_megabytes_are_not_read(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wikidata, "BYTES", 2**20)
    standin.always = endless
    with standin.client() as remote, pytest.raises(RemoteError, match="more than 1,048,576 bytes"):
        remote.item("Q183")


def test_an_answer_that_drips_is_left(standin: StandIn) -> None:
    standin.always = dripping
    begin = time.monotonic()
    with standin.client(seconds=0.3) as remote, pytest.raises(RemoteError, match=r"took more than 0\.3 s"):
        remote.item("Q183")
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://[::1", "nonsense", "ftp://127.0.0.1"])
def test_an_address_where_nobody_is(address: str) -> None:
    with Wikidata(address, pause=0, sleep=lambda _: None) as remote, pytest.raises(RemoteError):
        remote.item("Q183")


def test_a_server_that_leaves_questions_without_an_answer_is_left_alone(standin: StandIn) -> None:
    standin.always = body(b"[1]")
    with standin.client() as remote:
        for number in range(1, 6):
            with pytest.raises(RemoteError, match="not asked" if number > 3 else "no object"):
                remote.item(f"Q{number}")
    assert len(standin.asked) == 3


def test_retry_after_is_honoured(standin: StandIn) -> None:
    standin.next = [status(429, Retry_After="7"), status(503, Retry_After="nonsense")]
    with standin.client() as remote:
        assert remote.item("Q183")
    assert standin.waits == [7.0, 2.0]


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert retry_after("30", now) == 30
    assert retry_after("Sun, 22 Nov 2026 12:01:00 GMT", now) == 60
    assert retry_after("Sun, 22 Nov 2026 11:00:00 GMT", now) == 0
    assert [retry_after(text, now) for text in ("", "soon", "-1", "٣", "1" * 400)][:4] == [None] * 4


def test_requests_wait_between_each_other(standin: StandIn) -> None:
    with Wikidata(standin.url, "ops@example.org", pause=0.5, sleep=standin.waits.append) as remote:
        remote.item("Q183")
        remote.item("Q35")
        remote.item("Q7184")
    assert standin.waits == [0.5, 0.5]
    assert all("ops@example.org" in agent for agent in standin.agents)


def test_texts_cannot_steer_a_terminal(standin: StandIn) -> None:
    standin.items["Q183"] = item("Q183", "Ger\x1b[2Jmany\n\u202e\ud800", "x" * 10_000)
    with standin.client() as remote:
        germany = remote.item("Q183")
    assert germany
    assert germany.label == "Ger [2Jmany"
    assert len(germany.description) == wikidata.LONGEST_TEXT


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "labels", "aliases", "claims", "en", "value", "mainsnak", "datavalue", "time", "P31",
                         "precision", "latitude", "longitude", "descriptions", "sitelinks", "lastrevid"]),
        inner, max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@given(VALUES)
def test_an_item_of_any_form_is_read_or_refused(content: object) -> None:
    assert wikidata._item({"entities": {"Q1": {"id": "Q1", "claims": {"P1": [content]}, "labels": content}}}, "Q1")
    with contextlib.suppress(RemoteError):
        wikidata._item({"entities": {"Q1": content}}, "Q1")


def test_points_that_are_on_no_globe_are_not_read() -> None:
    given_points = [point(91, 0), point(0, 1e400), point(float("nan"), 0), point(34.5, 69.2)]
    found = wikidata._item({"entities": {"Q1": item("Q1", "somewhere", P625=given_points)}}, "Q1")
    assert found.values("P625") == (Point(34.5, 69.2),)
    assert kilometres(Point(34.5328, 69.1658), Point(34.3529, 62.2040)) == pytest.approx(638, abs=5)


# The verbs


@pytest.fixture(scope="module")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project whose mapping set has few rows."""
    folder = tmp_path_factory.mktemp("links")
    for name in ("ontology", "data"):
        shutil.copytree(ROOT / name, folder / name)
    mappings = folder / "data" / sssom.MAPPINGS
    lines = mappings.read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if not line.startswith("#")]
    kept = [line for line in table[1:] if tuple(line.split("\t")[i] for i in (0, 3)) in ROWS]
    assert len(kept) == len(ROWS)
    header = [line for line in lines if line.startswith("#")]
    mappings.write_text("\n".join([*header, table[0], *kept]) + "\n", encoding="utf-8")
    (folder / "data" / sssom.CHECKED).unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def known(small_project: Path) -> tuple[Index, Search]:
    """What is known of the things of the small project, made once: no verb changes it, only links."""
    index = Index(release.assemble(DEFAULT_BASE, small_project))
    return index, Search.of(index)


class Link:
    """``rsm-graph link`` on a project of its own, against the stand-in, without the waits."""

    def __init__(
        self,
        folder: Path,
        known: tuple[Index, Search],
        standin: StandIn,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.folder, self.capsys = folder, capsys
        self.mappings = folder / "data" / sssom.MAPPINGS
        self.checked = folder / "data" / sssom.CHECKED
        self.out = self.err = ""
        monkeypatch.setenv("RSM_GRAPH_PROJECT", str(folder))
        monkeypatch.setenv("RSM_GRAPH_WIKIDATA_URL", standin.url)
        monkeypatch.setattr(cli, "_ours", lambda _: (Ours(*known, sssom.read(self.mappings)), self.mappings))
        monkeypatch.setattr(
            cli, "_wikidata", lambda settings: Wikidata(
                settings.wikidata_url, settings.contact, pause=0, seconds=5, sleep=standin.waits.append
            ),
        )  # fmt: skip

    def __call__(self, *arguments: str) -> int:
        """Run a verb; returns its exit code and keeps what it printed."""
        with pytest.raises(SystemExit) as ended:
            cli.main(["link", *arguments])
        self.out, self.err = self.capsys.readouterr()
        assert isinstance(ended.value.code, int | None)
        return ended.value.code or 0

    def states(self) -> dict[str, tuple[str, str]]:
        """State and findings of each link that was checked, by its item."""
        return {one.object_id: (one.state, one.findings) for one in sssom.read_checks(self.checked)}

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / "data").iterdir()}


@pytest.fixture
def link(
    small_project: Path,
    known: tuple[Index, Search],
    tmp_path: Path,
    standin: StandIn,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Link:
    folder = tmp_path / "project"
    shutil.copytree(small_project, folder)
    return Link(folder, known, standin, monkeypatch, capsys)


def test_check_confirms_what_is_right(link: Link, standin: StandIn) -> None:
    assert link("check") == 0, link.out
    assert f"{LINKS} links to Wikidata: {LINKS} confirmed, 0 contradicted, 0 unreachable." in link.out
    states = link.states()
    assert {state for state, _ in states.values()} == {"confirmed"}
    for words in ("its label is Germany", "P297 is DE", "P1566 is 2921044"):
        assert words in states["wd:Q183"][1]
    assert "its point lies" in states["wd:Q5838"][1]
    assert "it is a human" in states["wd:Q57665"][1]
    germany = next(one for one in sssom.read_checks(link.checked) if one.object_id == "wd:Q183")
    assert (germany.revision, germany.modified) == ("2300000183", "2026-11-01T10:00:00Z")
    assert germany.object_description == "country in Central Europe"
    assert germany.checked_on == datetime.now(UTC).date().isoformat()
    assert len(standin.asked) == LINKS


def test_what_a_check_saw_is_in_the_dataset(link: Link) -> None:
    assert link("check") == 0
    dataset = release.assemble(DEFAULT_BASE, link.folder)
    node = f"{DEFAULT_BASE}graph/links#nation-DEU-wd-Q183"
    seen = {q.predicate.value.rpartition("#")[2]: q.object.value for q in dataset.quads if q.subject.value == node}
    assert seen["linkState"] == "confirmed"
    assert "P298 is DEU" in seen["linkFinding"]


def test_check_has_three_states(link: Link, standin: StandIn) -> None:
    standin.special = {"Q183": moved, "Q5838": status(503), "Q57665": status(404)}
    standin.items["Q35"] = item("Q35", "Danmark", P297="DK")
    assert link("check") == 1
    assert "2 contradicted, 1 unreachable" in link.out
    states = link.states()
    assert states["wd:Q183"][0] == "contradicted"
    assert "merged into Q900000009 (Federal Republic of Germany)" in states["wd:Q183"][1]
    assert states["wd:Q57665"] == ("contradicted", "there is no such item (any more)")
    assert states["wd:Q5838"][0] == "unreachable"
    assert "answered 503" in states["wd:Q5838"][1]
    assert states["wd:Q7184"][0] == states["wd:Q35"][0] == "confirmed"
    assert "contradicted  nation:DEU skos:exactMatch wd:Q183" in link.out


@pytest.mark.parametrize(
    ("key", "wrong", "words"),
    [
        ("Q183", item("Q183", "Ivan III of Moscow", P31=ref("Q5")), "it is a human"),
        ("Q183", item("Q183", "Austria", P297="AT"), "P297 is AT, ours DE"),
        ("Q183", item("Q183", "Germany", P1566="783754"), "P1566 is 783754, ours 2921044"),
        ("Q183", item("Q183", "Germany", "Wikimedia disambiguation page"), "it is a disambiguation page"),
        ("Q7184", item("Q7184", "member states of the United Nations"), "no name in common"),
        ("Q5838", item("Q5838", "Kabul", P625=point(31.6, 65.7)), "km away"),
        ("Q5838", item("Q5838", "Kabul", P17=ref("Q37")), "it lies in Q37, not in Q889"),
        ("Q57665", item("Q57665", "Jens Stoltenberg", P31=ref("Q11424")), "it is no human"),
        ("Q57665", item("Q57665", "Jens Stoltenberg", P31=ref("Q5"), P569=day("1835-05-01")), "born in 1835"),
    ],
)  # fmt: skip
def test_check_notices_the_wrong_thing(link: Link, standin: StandIn, key: str, wrong: Json, words: str) -> None:
    standin.items[key] = wrong
    assert link("check") == 1
    state, findings = link.states()[f"wd:{key}"]
    assert state == "contradicted"
    assert words in findings
    assert f"{LINKS - 1} confirmed, 1 contradicted" in link.out


def test_different_from_contradicts_an_exact_match_with_both(link: Link, standin: StandIn) -> None:
    standin.items["Q183"]["claims"]["P1889"] = [claim("P1889", ref("Q900000009"))]
    assert link("check") == 0
    assert "declared different from Q900000009" in link.states()["wd:Q183"][1]
    text = link.mappings.read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if "\twd:Q183\t" in line)
    other = row.replace("wd:Q183", "wd:Q900000009").replace("exactMatch", "closeMatch")
    link.mappings.write_text(f"{text}{other}\n", encoding="utf-8")
    standin.items["Q900000009"] = item("Q900000009", "Federal Republic of Germany")
    assert link("check") == 1
    assert "declared different from Q900000009, which Germany is linked to" in link.states()["wd:Q183"][1]


def test_a_check_that_reached_nothing_writes_nothing(link: Link, standin: StandIn) -> None:
    assert link("check") == 0
    before = link.files()
    standin.always = html
    assert link("check") == 2
    assert "None of 6 links could be checked" in link.err
    assert link.files() == before


def test_what_cannot_be_reached_keeps_its_earlier_verdict(link: Link, standin: StandIn) -> None:
    assert link("check") == 0
    standin.special["Q183"] = cut
    assert link("check") == 1
    assert "1 unreachable" in link.out
    assert link.states()["wd:Q183"][0] == "confirmed"


def test_check_writes_the_file_whole_or_not_at_all(link: Link, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = link.files()
    with monkeypatch.context() as patch:
        patch.setattr("rsm_graph.links.files.os.fsync", full)
        assert link("check") == 2
    assert "No space left on device" in link.err
    assert link.files() == before
    assert link("check", "--out", str(tmp_path / "missing" / "seen.tsv")) == 2
    assert link("check", "--out", str(tmp_path / "seen.tsv")) == 0
    assert len(sssom.read_checks(tmp_path / "seen.tsv")) == LINKS
    assert link.files() == before


def test_suggest_gives_reasons_and_writes_nothing(link: Link) -> None:
    before = link.files()
    assert link("suggest", "mission/rsm") == 0
    header, *rows = [line.split("\t") for line in link.out.splitlines()]
    assert header == ["thing", "item", "score", "label", "description", "reasons"]
    best = dict(zip(header, rows[0], strict=True))
    assert (best["thing"], best["item"], best["label"]) == ("mission/rsm", "Q900000001", "Resolute Support Mission")
    assert int(best["score"]) >= 90
    for words in ("its article is", "its label is", "instance of Q645883", "its date is 2015-01-01 too"):
        assert words in best["reasons"]
    assert "Q900000002" not in [row[1] for row in rows], "a disambiguation page is no candidate"
    assert link.files() == before


def test_suggest_leaves_out_a_namesake(link: Link, standin: StandIn) -> None:
    assert link("suggest", "person/campbell-john-f") == 0
    assert "/wiki/Special:EntityData/Q900000004.json" in standin.asked, "it was looked at"
    assert "Q900000004" not in link.out


def test_suggest_for_everything_without_a_link(link: Link, standin: StandIn) -> None:
    assert link("suggest", "--kind", "mission") == 0
    assert {line.split("\t")[0] for line in link.out.splitlines()[1:]} == {"mission/rsm"}
    assert not [path for path in standin.asked if "Q183" in path], "Germany has a link already"


def test_suggest_goes_on_after_a_failure(link: Link, standin: StandIn) -> None:
    standin.next = [html]
    assert link("suggest", "mission/isaf", "mission/rsm") == 1
    assert "mission/isaf: " in link.err
    assert "Q900000001" in link.out
    standin.always = cut
    assert link("suggest", "mission/rsm") == 2
    assert link("suggest", "mission/nonsense") == 2
    assert "There is no 'mission/nonsense'" in link.err


def test_accept_adds_a_row_with_who_and_why(link: Link) -> None:
    before = link.mappings.read_text(encoding="utf-8")
    mode = link.mappings.stat().st_mode
    why = "Title of the article,\tdate and class agree."
    assert link("accept", "mission/rsm", "Q900000001", "--by", "Jane Doe", "--why", why) == 0, link.err
    after = link.mappings.read_text(encoding="utf-8")
    assert after.startswith(before)
    assert after.count("\n") == before.count("\n") + 1
    row = sssom.read(link.mappings)[-1]
    assert (row.subject, row.object) == (f"{DEFAULT_BASE}id/mission/rsm", "http://www.wikidata.org/entity/Q900000001")
    assert row.cells["author_label"] == "Jane Doe"
    assert row.cells["comment"] == "Title of the article, date and class agree."
    assert row.cells["object_label"] == "Resolute Support Mission"
    assert row.cells["mapping_justification"] == "semapv:ManualMappingCuration"
    assert row.cells["mapping_date"] == datetime.now(UTC).date().isoformat()
    assert link.mappings.stat().st_mode == mode
    assert not [name for name in link.files() if name.startswith(".")]
    links = release.assemble(DEFAULT_BASE, link.folder).graphs[f"{DEFAULT_BASE}graph/links"]
    assert "http://www.wikidata.org/entity/Q900000001" in {quad.object.value for quad in links if quad.object}
    assert link("check") == 0, link.out


BY_WHOM = ("--by", "A", "--why", "B")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("mission/nonsense", "Q900000001", "--label", "x", *BY_WHOM), "There is no 'mission/nonsense'"),
        (("mission/rsm", "P31", "--label", "x", *BY_WHOM), "no Wikidata item"),
        (("mission/rsm", "Q0", *BY_WHOM), "no item 'Q0'"),
        (("mission/rsm", "Q999999999999", *BY_WHOM), "no item 'Q999999999999'"),
        (("mission/rsm", "Q900000001", "--by", " ", "--why", "B"), "The author is empty"),
        (("mission/rsm", "Q900000001", "--by", "A", "--why", " "), "The reason is empty"),
        (("mission/rsm", "Q900000001", *BY_WHOM, "--predicate", "owl:sameAs"), "predicate_id is 'owl:sameAs'"),
        (("mission/rsm", "Q900000001", *BY_WHOM, "--confidence", "2"), "less than or equal to 1"),
        (("mission/rsm", "Q900000001", "--by", "A"), "--why"),
        (("mission/rsm", "Q183", *BY_WHOM), "is the exact match of"),
        (("nation/DEU", "Q900000001", *BY_WHOM), "has the exact match"),
        (("nation/DEU", "Q183", *BY_WHOM), "stands in an earlier row"),
    ],
)
def test_accept_refuses(link: Link, arguments: tuple[str, ...], words: str) -> None:
    before = link.files()
    assert link("accept", *arguments) == 2
    assert words in link.err
    assert link.files() == before


def test_accept_does_not_need_the_network_with_a_label(link: Link, standin: StandIn) -> None:
    arguments = ("mission/isaf", "Q900000005", "--label", "ISAF", "--predicate", "skos:closeMatch")
    assert link("accept", *arguments, *BY_WHOM) == 0
    assert not standin.asked


def test_export_gives_what_is_lacking_with_references(link: Link, standin: StandIn) -> None:
    assert link("accept", "mission/rsm", "Q900000001", *BY_WHOM) == 0
    assert link("export", "mission/rsm") == 0
    assert "P580" not in link.out, "the item has it"
    del standin.items["Q900000001"]["claims"]["P580"]
    assert link("export", "mission/rsm") == 0
    lines = [line.split("\t") for line in link.out.splitlines()]
    start = next(line for line in lines if line[1] == "P580")
    assert start[:4] == ["Q900000001", "P580", "+2015-01-01T00:00:00Z/11", "S854"]
    assert re.fullmatch(r'"https?://[^"]+"', start[4])
    assert {len(line) for line in lines} == {5}
    standin.items["Q900000001"]["claims"]["P580"] = [claim("P580", day("2014-12-28"))]
    assert link("export", "mission/rsm") == 0
    assert "P580" not in link.out
    assert "Q900000001: P580 is 2014-12-28 there, 2015-01-01 here" in link.err
    assert link("export", "mission/nonsense") == 2
    assert "There is no 'mission/nonsense'" in link.err


def test_export_of_everything(link: Link, standin: StandIn) -> None:
    assert link("accept", "mission/rsm", "Q900000001", *BY_WHOM) == 0
    before = link.files()
    del standin.items["Q900000001"]["claims"]["P580"]
    standin.special["Q7184"] = status(404)
    assert link("export") == 0
    lines = [line.split("\t") for line in link.out.splitlines()]
    assert "P580" in {line[1] for line in lines}
    assert {(line[0], line[3]) for line in lines} == {("Q900000001", "S854")}, "Kabul's province has no link here"
    assert link.files() == before


def test_the_real_command_asks_the_address_of_the_setting(link: Link, standin: StandIn) -> None:
    environment = {"RSM_GRAPH_PROJECT": str(link.folder), "RSM_GRAPH_CONTACT": "ops@example.org"}
    ended = run("link", "check", "--wikidata-url", standin.url, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert "6 confirmed" in ended.stdout
    assert "6/6" in ended.stderr
    assert all("ops@example.org" in agent for agent in standin.agents)
    nobody = run("link", "accept", "mission/rsm", "Q1", *BY_WHOM, "--label", "", env={
        "RSM_GRAPH_PROJECT": str(link.folder), "RSM_GRAPH_WIKIDATA_URL": "http://[::1",
    })  # fmt: skip
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert "Traceback" not in nobody.stderr
