"""What people send to hurt a server: each with the statuses that are a proper answer to it.

200 stands beside 503 where it depends on machine and limits whether the query ends in time.
"""

# ruff: noqa: E501 - one row an abuse

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from .target import Answer, Target, answer, get, post, query_request

DEEP = 10_000
LONG = "a" * 40
FORM = "application/x-www-form-urlencoded"
CSV = "text/csv"
TURTLE = "text/turtle"


@dataclass(frozen=True)
class Abuse:
    """One abuse: the bytes to send, or what to do."""

    name: str
    send: bytes | Callable[[Target], Answer]
    statuses: tuple[int, ...]
    single: bool = False
    """Whether a second answer on the same connection would be a smuggled one."""
    text: str = ""
    """The query, if it is one."""

    def inflict(self, target: Target) -> Answer:
        """Do it; return what came back."""
        if isinstance(self.send, bytes):
            return target.send(self.send, alone=not self.single)
        return self.send(target)


def query(name: str, text: str, *statuses: int, accept: str = CSV) -> Abuse:
    """Return the abuse that is a query."""
    return Abuse(name, query_request(text, accept), statuses, text=text)


def nested(opening: str, middle: str, closing: str, depth: int = DEEP) -> str:
    """Return something wrapped many times."""
    return opening * depth + middle + closing * depth


def grown(call: str, depth: int, first: str = f"'{LONG}'") -> str:
    """Return calls in each other; ``{}`` in ``call`` is the call within."""
    text = first
    for _ in range(depth):
        text = call.replace("{}", text)
    return text


def doubled(expression: str, steps: int, first: str = f"'{LONG}'") -> str:
    """Return BINDs each of which makes more of the one before, ``{}`` in ``expression``."""
    binds = [f"BIND ({first} AS ?v0)"]
    binds += [f"BIND ({expression.replace('{}', f'?v{i}')} AS ?v{i + 1})" for i in range(steps)]
    return f"SELECT (STRLEN(STR(?v{steps})) AS ?n) {{ {' '.join(binds)} }}"


ANY = "?a ?b ?c . ?d ?e ?f . ?g ?h ?i"
NEXT = "<http://example.org/next>"

QUERIES: list[Abuse] = [
    # Never-ending
    query("cross product", f"SELECT * {{ {ANY} }}", 503),
    query("cross product, counted", f"SELECT (COUNT(*) AS ?n) {{ {ANY} . ?j ?k ?l }}", 503),
    query("cross product, sorted", f"SELECT * {{ {ANY} }} ORDER BY ?c ?f ?i", 503),
    query("cross product, distinct", f"SELECT DISTINCT ?a ?d ?g {{ {ANY} }}", 503),
    query("cross product, constructed", f"CONSTRUCT {{ ?a ?e ?i }} {{ {ANY} }}", 503, accept=TURTLE),
    query("cross product behind an offset", f"SELECT * {{ {ANY} . ?j ?k ?l }} OFFSET 1000000000000 LIMIT 1", 503),
    query("cross product, grouped", f"SELECT ?a ?d ?g (COUNT(*) AS ?n) (SAMPLE(?c) AS ?s) {{ {ANY} }} GROUP BY ?a ?d ?g", 503),
    query("cross product, described", "DESCRIBE * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", 200, 503, accept=TURTLE),
    query("any path", "SELECT (COUNT(*) AS ?n) { ?s (!<urn:a>|^!<urn:a>)* ?o . ?o !<urn:b>* ?t . ?t !<urn:c>* ?u }", 503),
    query("stars in stars", f"SELECT (COUNT(*) AS ?n) {{ ?s {nested('(', '!<urn:a>', ')*', 8)} ?o . ?o {nested('(', '!<urn:b>', ')*', 8)} ?t . ?t !<urn:c>* ?u }}", 503),
    query("500 stars in stars", f"ASK {{ ?s {nested('(', NEXT, ')*', 500)} ?o }}", 200, 503),
    query("path of 1,000 steps", f"ASK {{ ?s {'/'.join([NEXT] * 1000)} ?o }}", 200, 503),
    query("path of 1,000 steps to nowhere", f"ASK {{ ?s {'/'.join(['!<urn:a>'] * 1000)}/<urn:b> ?o }}", 200, 503),
    query("path of 1,000 choices", f"ASK {{ ?s {'|'.join(f'<urn:{i}>' for i in range(1000))} ?o }}", 200, 503),
    # Nested
    query("10,000 nested groups", f"ASK {nested('{', '', '}')}", 413),
    query("10,000 nested parentheses", f"ASK {{ FILTER {nested('(', '1', ')')} }}", 413),
    query("10,000 nested calls", f"ASK {{ FILTER ({nested('STR(', '1', ')')}) }}", 413),
    query("10,000 nested brackets", f"ASK {{ ?s ?p {nested('[ ?p ', '1', ']')} }}", 413),
    query("10,000 brackets in what looks like an IRI", f"ASK {{ ?s ?p ?o FILTER (?a<{nested('(', '1', ')')}>?b) }}", 400, 413),
    query("990 nested groups", f"ASK {nested('{', '', '}', 990)}", 200, 503),
    query("990 nested calls", f"SELECT ({nested('STR(', '1', ')', 990)} AS ?x) {{}}", 200, 503),
    query("900 nested EXISTS", f"ASK {{ {nested('FILTER EXISTS { ?s ?p ?o ', '', '}', 900)} }}", 200, 503),
    query("nested NOT EXISTS over everything", f"ASK {{ ?a ?b ?c {nested('FILTER NOT EXISTS { ?d ?e ?f ', 'FILTER (?a = ?f)', '}', 20)} }}", 200, 503),
    query("900 nested OPTIONALs", f"ASK {{ {nested('OPTIONAL { ?s ?p ?o ', '', '}', 900)} }}", 200, 503),
    query("900 nested MINUS", f"ASK {{ ?s ?p ?o {nested('MINUS { ?s ?p ?o ', '', '}', 900)} }}", 200, 503),
    query("400 nested subqueries", f"ASK {{ {nested('{ SELECT * { ?s ?p ?o ', '', '} }', 400)} }}", 200, 503),
    query("990 nested lists", f"ASK {{ ?s ?p {nested('(', '1', ')', 990)} }}", 200, 503),
    query("990 nested blank nodes", f"ASK {{ ?s ?p {nested('[ ?p ', '1', ']', 990)} }}", 200, 503),
    query("10,000 braces never closed", "ASK " + "{" * DEEP, 413),
    query("10,000 braces never opened", "ASK " + "}" * DEEP, 400),
    query("100,000 negations", f"ASK {{ FILTER ({'!' * 100_000}1) }}", 200, 413, 503),
    query("50,000 minus signs", f"SELECT ({'- ' * 50_000}1 AS ?x) {{}}", 400, 503),
    query("a string of 900 kB that never ends", f"ASK {{ ?s ?p '{'x' * 900_000} }}", 400, 503),
    query("a quarter million backslashes", f"ASK {{ ?s ?p '{chr(92) * 500_000}n' }}", 200, 400, 503),
    # Long
    query("10 MB of comment", "ASK { } # " + "x" * 10_000_000, 413),
    query("10 MB of patterns", "ASK { " + "?s ?p ?o . " * 950_000 + "}", 413),
    query("900 kB of comments", "ASK { " + "# x\n" * 220_000 + "}", 200, 503),
    query("1.9 MB of query", "ASK { # " + "x" * 1_900_000 + "\n}", 413),
    query("320,000 words", "ASK { " + "?s ?p ?o . " * 80_000 + "}", 413, 503),
    query("sum of 50,000", f"SELECT ({'+'.join(['1'] * 50_000)} AS ?x) {{}}", 200, 503),
    query("20,000 alternatives in a FILTER", f"ASK {{ FILTER ({'||'.join(['?x=1'] * 20_000)}) }}", 200, 503),
    query("100,000 alternatives of IN", f"ASK {{ ?s ?p ?o FILTER (?o IN ({','.join(map(str, range(100_000, 200_000)))})) }}", 200, 503),
    query("20,000 UNIONs", f"ASK {{ {' UNION '.join(['{ ?s ?p ?o }'] * 20_000)} }}", 200, 503),
    query("5,000 OPTIONALs", f"ASK {{ {' '.join(f'OPTIONAL {{ ?s ?p ?o{i} }}' for i in range(5_000))} }}", 200, 503),
    query("5,000 unconnected patterns", f"ASK {{ {' '.join(f'?s{i} ?p{i} ?o{i} .' for i in range(5_000))} }}", 200, 503),
    query("5,000 BINDs", f"SELECT * {{ BIND (1 AS ?v0) {' '.join(f'BIND (?v{i} + 1 AS ?v{i + 1})' for i in range(5_000))} }}", 200, 503),
    query("20,000 variables in SELECT", f"SELECT {' '.join(f'?v{i}' for i in range(20_000))} {{ ?v0 ?v1 ?v2 }}", 200, 503),
    query("2,000 variables and every triple", f"SELECT {' '.join(f'?v{i}' for i in range(2_000))} {{ ?v0 ?v1 ?v2 }}", 200, 503),
    query("CONSTRUCT of 1,000 templates", f"CONSTRUCT {{ {' '.join(f'?s <urn:p{i}> [ <urn:q> ?o ] .' for i in range(1_000))} }} {{ ?s ?p ?o }}", 200, 503, accept=TURTLE),
    query("CONSTRUCT of 20,000 templates as JSON-LD", f"CONSTRUCT {{ {' '.join(f'?s <urn:p{i}> ?o .' for i in range(20_000))} }} {{ ?s ?p ?o }}", 200, 503, accept="application/ld+json"),
    query("CONSTRUCT as RDF/XML, sorted", "CONSTRUCT { ?a ?e ?f } { ?a ?b ?c . ?d ?e ?f }", 200, 503, accept="application/rdf+xml"),
    query("10,000 prefixes", "".join(f"PREFIX p{i}: <urn:{i}:> " for i in range(10_000)) + "ASK { p1:a p2:b p3:c }", 200, 503),
    query("an IRI of 900 kB", f"ASK {{ ?s ?p <urn:{'x' * 900_000}> }}", 200, 503),
    query("a base of 400 kB and 100,000 relative IRIs", f"BASE <http://a/{'x/' * 200_000}> ASK {{ VALUES ?x {{ {'<a> ' * 100_000} }} }}", 200, 503),
    query("a language tag of 900 kB", f"ASK {{ ?s ?p 'x'@en{'-abcdefgh' * 100_000} }}", 200, 400, 503),
    query("a variable of 900 kB", f"SELECT ?{'x' * 900_000} {{ ?{'x' * 900_000} ?p ?o }}", 413),
    query("a variable of 400 kB", f"SELECT * {{ ?{'x' * 400_000} ?p ?o }}", 200, 503),
    # Much data
    query("VALUES of 100,000", f"SELECT * {{ VALUES ?x {{ {' '.join(map(str, range(100_000)))} }} }}", 200, 503),
    query("VALUES of 60,000 joined with itself", f"SELECT (COUNT(*) AS ?n) {{ VALUES ?x {{ {' '.join(map(str, range(60_000)))} }} VALUES ?y {{ {' '.join(map(str, range(60_000)))} }} FILTER (?x + ?y = 1) }}", 200, 503),
    query("12 VALUES crossed", f"SELECT * {{ {' '.join(f'VALUES ?x{i} {{ 1 2 3 4 5 6 7 8 }}' for i in range(12))} }}", 503),
    query("GROUP_CONCAT of a cross product", f"SELECT (GROUP_CONCAT(?c) AS ?x) {{ {ANY} }}", 503),
    query("GROUP_CONCAT with a separator of 100 kB", f"SELECT (GROUP_CONCAT(?c; SEPARATOR = '{'x' * 100_000}') AS ?x) {{ ?a ?b ?c . ?d ?e ?f }}", 503),
    query("many aggregates of one large group", f"SELECT {' '.join(f'(COUNT(DISTINCT CONCAT(STR(?a), STR(?f), {chr(39)}{i}{chr(39)})) AS ?n{i})' for i in range(100))} {{ ?a ?b ?c . ?d ?e ?f }}", 503),
    query("ORDER BY 200 keys", f"SELECT ?a {{ ?a ?b ?c . ?d ?e ?f }} ORDER BY {' '.join(f'MD5(CONCAT(STR(?c), STR(?f), {chr(39)}{i}{chr(39)}))' for i in range(200))}", 503),
    query("an answer of gigabytes", f"SELECT * {{ BIND ('{'x' * 500_000}' AS ?x) ?a ?b ?c . ?d ?e ?f }}", 503, accept="application/sparql-results+json"),
    query("an answer of gigabytes as XML", f"SELECT * {{ BIND ('{'&' * 500_000}' AS ?x) ?a ?b ?c . ?d ?e ?f }}", 503, accept="application/sparql-results+xml"),
    # Growing strings
    query("REPLACE bomb", f"SELECT (STRLEN({grown(f'REPLACE({{}}, {chr(39)}a{chr(39)}, {chr(39)}{LONG}{chr(39)})', 6)}) AS ?n) {{}}", 503),
    query("REPLACE of nothing between letters", doubled(f"REPLACE({{}}, '', '{LONG}')", 8), 200, 503),
    query("CONCAT bomb", doubled("CONCAT({}, {}, {}, {}, {}, {}, {}, {})", 12), 503),
    query("CONCAT bomb, nested", f"SELECT (STRLEN({grown('CONCAT({},{})', 14)}) AS ?n) {{ ?a ?b ?c . ?d ?e ?f }}", 200, 503),
    query("ENCODE_FOR_URI bomb", doubled("ENCODE_FOR_URI({})", 30, "'%%%%%%%%%%%%%%%%%%%%'"), 200, 503),
    query("UCASE of letters that grow", doubled("UCASE(CONCAT({}, {}, {}, {}))", 14, "'ŉŉŉŉŉŉΐΐΐΐΐΐ'"), 503),
    query("STRLANG with a growing tag", doubled("STRLANG(STR({}), CONCAT('en-', SUBSTR(STR({}), 1, 8)))", 50), 200, 503),
    query("STRDT and IRI of growing text", doubled("STR(STRDT(CONCAT(STR({}), STR({}), STR({}), STR({})), IRI(CONCAT('urn:', STR({})))))", 14), 503),
    query("SUBSTR far away", "SELECT (SUBSTR('abc', 9223372036854775807, 9223372036854775807) AS ?x) (SUBSTR('abc', -9223372036854775808) AS ?y) {}", 200),
    query("hashes of growing text", doubled("CONCAT({}, SHA512({}), {}, {}, {})", 14), 503),
    query("numbers of 100,000 digits", f"SELECT ({'9' * 100_000} * {'9' * 100_000} AS ?x) (1e999999999 AS ?y) {{}}", 200),
    query("the least integer divided", "SELECT ((-9223372036854775808) / (-1) AS ?x) (ABS(-9223372036854775808) AS ?y) (-(-9223372036854775808) AS ?z) {}", 200),
    query("dates beyond all time", "SELECT ('99999999999999999999-12-31T23:59:60Z'^^xsd:dateTime + 'P99999999999999Y'^^xsd:duration AS ?x) (YEAR('-99999-01-01T00:00:00Z'^^xsd:dateTime) AS ?y) {}", 200),
    query("the largest LIMIT and OFFSET", "SELECT * { ?s ?p ?o } OFFSET 18446744073709551615 LIMIT 18446744073709551615", 200, 400),
    query("LIMIT beyond all numbers", f"SELECT * {{ ?s ?p ?o }} LIMIT {'9' * 10_000}", 200, 400),
    # Regular expressions
    query("regular expression with repetitions in repetitions", "ASK { FILTER (REGEX('" + LONG * 20 + "b', '((a{1,60}){1,60}){1,60}c')) }", 200, 503),
    query("regular expression that backtracks elsewhere", f"ASK {{ FILTER (REGEX('{LONG * 100}', '^(a+)+$')) }}", 200, 503),
    query("regular expression of 100 kB", f"ASK {{ ?s ?p ?o FILTER (REGEX(STR(?o), '{'(x|y)?' * 20_000}')) }}", 200, 503),
    query("a new regular expression for every solution", "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f FILTER (REGEX(STR(?c), CONCAT('(', STR(?f), '){1,50}.*\\\\w{1,50}'))) }", 200, 503),
    query("regular expression of Unicode classes", "ASK { ?s ?p ?o FILTER (REGEX(STR(?o), '(\\\\p{L}{0,100}\\\\w{0,100}){50}x')) }", 200, 503),
    # Reaching out
    query("SERVICE to loopback", "SELECT * { SERVICE <http://127.0.0.1:80/> { ?s ?p ?o } }", 403),
    query("SERVICE to loopback as a number", "SELECT * { SERVICE <http://2130706433/> { ?s ?p ?o } }", 403),
    query("SERVICE to loopback, IPv6", "SELECT * { SERVICE <http://[::1]/> { ?s ?p ?o } }", 403),
    query("SERVICE to the metadata address", "SELECT * { SERVICE SILENT <http://169.254.169.254/latest/> { ?s ?p ?o } }", 403),
    query("SERVICE to a file", "SELECT * { SERVICE <file:///etc/passwd> { ?s ?p ?o } }", 403),
    query("SERVICE to a variable", "SELECT * { BIND (<http://127.0.0.1/> AS ?x) SERVICE ?x { ?s ?p ?o } }", 403),
    query("SERVICE run into other words", "PREFIX e: <http://127.0.0.1:80/> SELECT * { ?s ?p true.SERVICEe:x{?s ?p ?o} }", 403),
    query("SERVICE in what may be a string", "SELECT * { ?s ?p ?o FILTER (?o<'a>b') SERVICE <http://127.0.0.1/> { } FILTER (?o='c') } # ')}", 400),
    query("SERVICE behind a comment", "SELECT * { SERVICE#\n<http://127.0.0.1/>{ ?s ?p ?o } }", 403),
    query("FROM a file", "SELECT * FROM <file:///etc/passwd> { ?s ?p ?o }", 403),
    query("FROM NAMED loopback", "SELECT * FROM NAMED <http://127.0.0.1/> { GRAPH ?g { ?s ?p ?o } }", 403),
    query("FROM the metadata address", "SELECT * FROM <http://169.254.169.254/latest/meta-data/> { ?s ?p ?o }", 403),
    Abuse("default-graph-uri of a file", post("/sparql?default-graph-uri=file:///etc/passwd", "application/sparql-query", b"ASK {}"), (403,)),
    Abuse("10,000 graphs by parameter", post("/sparql", FORM, b"query=ASK%7B%7D" + b"&named-graph-uri=urn:x" * 10_000), (400, 403, 413)),
    query("LOAD a file", "LOAD <file:///etc/passwd>", 403),
    query("DROP ALL", "DROP ALL", 403),
    # Not text
    query("NUL in a string", "SELECT * { ?s ?p '\0' }", 200, 400),
    query("NUL outside strings", "SELECT * { ?s \0 ?o }", 400),
    query("escaped lone surrogate", "SELECT * { ?s ?p '\\uD800' }", 200, 400),
    query("lone surrogate as bytes", "SELECT * { ?s ?p '\ud800' }", 400),
    query("right-to-left overrides and private characters", "SELECT ('\u202e\ue000\U0010ffff' AS ?x) {}", 200),
    query("10,000 combining marks", f"SELECT (UCASE('e{chr(0x301) * 10_000}') AS ?x) {{ }}", 200),
    Abuse("a query that is not UTF-8", post("/sparql", "application/sparql-query", b"ASK { ?s ?p '\xff\xfe' }"), (400,)),
    Abuse("an overlong form of a slash", post("/sparql", "application/sparql-query", b"ASK { ?s ?p '\xc0\xaf' }"), (400,)),
    Abuse("a form that is not UTF-8", post("/sparql", FORM, b"query=ASK%7B%7D%FF"), (400,)),
    Abuse("a form with half a percent sign", post("/sparql", FORM, b"query=ASK%7B%7D%2"), (400,)),
    Abuse("an address with half a percent sign", get("/sparql?query=ASK%7B%7D%zz"), (400,)),
    Abuse("NUL by percent-encoding", get("/sparql?query=ASK%7B%00%7D"), (400,)),
]  # fmt: skip

ENTRY = "application/rdf+xml;q=0.{}"
BATCH = json.dumps({f"q{i}": {"query": "Germany"} for i in range(20_000)})
LONG_NAMES = json.dumps({f"q{i}": {"query": "Germany " * 2_000} for i in range(100)})
MANY_PROPERTIES = json.dumps({"q0": {"query": "Germany", "properties": [{"pid": "label", "v": "x" * 1000}] * 1_000}})

REQUESTS: list[Abuse] = [
    # Framing: where does a request end? Two readers who disagree make a smuggler's way.
    Abuse("Content-Length and Transfer-Encoding", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", (400,), True),
    Abuse("Transfer-Encoding and Content-Length", b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", (400,), True),
    Abuse("two lengths", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 42\r\n\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", (400,), True),
    Abuse("two lengths in one field", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 42\r\n\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", (400,), True),
    Abuse("length with a sign", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nASK{}", (400,), True),
    Abuse("negative length", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nASK{}", (400,), True),
    Abuse("hexadecimal length", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nASK{}", (400,), True),
    Abuse("length beyond 64 bits", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\nASK{}", (400,), True),
    Abuse("length of exabytes", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\nContent-Length: 9000000000000000000\r\n\r\nASK{}", (400, 413), True),
    Abuse("unknown transfer coding", b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 501), True),
    Abuse("chunked, then something else", b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", (400, 501), True),
    Abuse("transfer coding behind a tab", b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", (400,), True),
    Abuse("space before the colon", b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", (400,), True),
    Abuse("space before the first field", b"GET /health/live HTTP/1.1\r\n Host: a\r\n\r\n", (400,), True),
    Abuse("folded field", b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", (400,), True),
    Abuse("folded Transfer-Encoding", b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", (400,), True),
    Abuse("lines that end in a bare LF", b"GET /health/live HTTP/1.1\nHost: a\n\n", (400,), True),
    Abuse("a bare LF hides a field", b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 5\r\n\r\n", (400,), True),
    Abuse("a bare CR in a field", b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: y\rZ: w\r\n\r\n", (400,), True),
    Abuse("NUL in a field", b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", (400,), True),
    Abuse("a chunk that is no number", b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", (400,), True),
    Abuse("a negative chunk", b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nASK{}\r\n0\r\n\r\n", (400,), True),
    Abuse("a chunk with 0x", b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nASK{}\r\n0\r\n\r\n", (400,), True),
    Abuse("a chunk longer than it says", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nASK{}\r\n0\r\n\r\n", (400,), True),
    Abuse("a chunk beyond 64 bits", b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nASK{}\r\n0\r\n\r\n", (400,), True),
    Abuse("chunks that end in a bare LF", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\nTransfer-Encoding: chunked\r\n\r\n5\nASK{}\n0\n\n", (400,), True),
    Abuse("chunk extensions of 100 kB", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5;" + b"x" * 100_000 + b"\r\nASK{}\r\n0\r\n\r\n", (200, 400), True),
    Abuse("10,000 trailers", b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nASK{}\r\n0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", (200, 400, 431), True),
    Abuse("no host", b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", (400,), True),
    Abuse("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400,), True),
    Abuse("no method", b"NONSENSE\r\n\r\n", (400,), True),
    Abuse("unknown method", b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", (400, 405, 501), True),
    Abuse("CONNECT elsewhere", b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n\r\n", (400, 404, 405, 501), True),
    Abuse("an address of another host", b"GET http://169.254.169.254/latest/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", (400, 404, 421), True),
    Abuse("HTTP/9.9", b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", (400, 505), True),
    Abuse("HTTP/2 by prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505), True),
    Abuse("upgrade to h2c", b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", (200, 400), True),
    Abuse("upgrade to WebSocket", b"GET /sparql HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", (200, 400, 426), True),
    Abuse("TLS to a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500, (400,), True),
    Abuse("100 kB of zero bytes", b"\0" * 100_000, (400, 431), True),
    # Long heads
    Abuse("a field of 100 kB", get("/health/live", "X: " + "x" * 100_000), (431,)),
    Abuse("a field name of 100 kB", get("/health/live", "x" * 100_000 + ": y"), (431,)),
    Abuse("500 fields", get("/health/live", *["X: y"] * 500), (431,)),
    Abuse("10 MB of fields", get("/health/live", *["X: " + "y" * 1000] * 10_000), (431,)),
    Abuse("an address of 100 kB", get("/sparql?query=" + "x" * 100_000), (431,)),
    Abuse("a cookie of 60 kB", get("/health/live", "Cookie: " + "a=b; " * 12_000), (200, 431)),
    # Fields that are read
    Abuse("Accept of 2,500 entries", get("/doc/nation/DEU", "Accept: " + ",".join(f"a/b{i};q=0.{i % 1000}" for i in range(2_500))), (404, 406)),
    Abuse("Accept of 2,500 entries for a query", get("/sparql?query=ASK%7B%7D", "Accept: " + ",".join(f"a/b{i};q=0.{i % 1000}" for i in range(2_500))), (406,)),
    Abuse("Accept with 10,000 entries", get("/sparql?query=ASK%7B%7D", "Accept: " + ",".join(["text/csv;q=0.1"] * 10_000)), (431,)),
    Abuse("Accept of 60,000 commas", get("/sparql?query=ASK%7B%7D", "Accept: " + "," * 60_000), (200, 406)),
    Abuse("Accept of parameters", get("/sparql?query=ASK%7B%7D", "Accept: text/csv" + ";a=b" * 14_000), (200, 406)),
    Abuse("Accept of open quotation marks", get("/sparql?query=ASK%7B%7D", "Accept: text/csv;a=\"" + "\\\"" * 25_000), (200, 400, 406)),
    Abuse("Accept of blanks", get("/sparql?query=ASK%7B%7D", "Accept: text/csv" + " " * 30_000 + ";" + "\t " * 15_000 + "x"), (200, 400, 406)),
    Abuse("Accept that is not ASCII", get("/sparql?query=ASK%7B%7D", "Accept: \xff\xfe/\xff;q=\xff"), (200, 400, 406)),
    Abuse("Accept-Encoding of 20,000 entries", get("/static/rsm.css", "Accept-Encoding: " + ",".join(["x"] * 20_000)), (200, 404)),
    Abuse("q=nan and q=inf", get("/health/live", "Accept-Encoding: gzip;q=nan, zstd;q=inf, identity;q=1e400"), (200,)),
    Abuse("If-None-Match of 10,000 tags", get("/sparql?query=ASK%7B%7D", "If-None-Match: " + ",".join(f'"{i}"' for i in range(8_000))), (200,)),
    Abuse("If-Modified-Since of nonsense", get("/download/SHA256SUMS", "If-Modified-Since: Mon, 99 Foo 99999 99:99:99 +9999"), (200,)),
    Abuse("If-Modified-Since at the end of time", get("/download/SHA256SUMS", "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 -2359"), (200, 304)),
    Abuse("10,000 ranges", get("/download/SHA256SUMS", "Range: bytes=" + ",".join("0-0" for _ in range(10_000))), (200, 206, 416)),
    Abuse("a range of exabytes", get("/download/SHA256SUMS", f"Range: bytes={'9' * 4_000}-{'9' * 5_000}"), (200, 206, 400, 416)),
    Abuse("a last part of exabytes", get("/download/SHA256SUMS", f"Range: bytes=-{'9' * 5_000}"), (200, 206, 400, 416)),
    Abuse("Content-Type of 60,000 parameters", b"POST /sparql HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/sparql-query" + b";a=b" * 14_000 + b"\r\nContent-Length: 5\r\n\r\nASK{}", (200, 415)),
    Abuse("Content-Encoding: gzip bomb", b"POST /sparql HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/sparql-query\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n\x1f\x8b\x08\x00\x00", (415,)),
    Abuse("Expect of something else", b"POST /sparql HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/sparql-query\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\nASK{}", (200, 417)),
    Abuse("a Host that is markup", get("/", "X: y").replace(b"Host: a", b'Host: "><script>alert(1)</script>'), (200, 400)),
    # Paths
    Abuse("path out of the folder", get("/static/../../../etc/passwd"), (400, 404)),
    Abuse("path out of the folder, encoded", get("/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd"), (400, 404)),
    Abuse("path out of the folder, twice encoded", get("/download/%252e%252e%252fetc%252fpasswd"), (400, 404)),
    Abuse("backslashes", get("/static/..%5c..%5cetc%5cpasswd"), (400, 404)),
    Abuse("NUL in a path", get("/id/nation/DEU%00.ttl"), (400, 404)),
    Abuse("NUL in a file's name", get("/static/rsm.css%00"), (400, 404)),
    Abuse("newline in a path", get("/id/nation/DEU%0d%0aSet-Cookie:%20a=b"), (400, 404)),
    Abuse("path that is not UTF-8", get("/id/nation/%ff%fe"), (400, 404)),
    Abuse("path with half a percent sign", get("/id/nation/%zz"), (400, 404)),
    Abuse("path of surrogates", get("/doc/nation/%ed%a0%80"), (400, 404)),
    Abuse("bytes beyond ASCII in a path", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", (400,)),
    Abuse("path of 30,000 slashes", get("/" * 30_000), (400, 404)),
    Abuse("path of 30,000 dots", get("/doc/nation/" + "." * 30_000), (400, 404)),
    Abuse("a file's name of 10,000 letters", get("/static/" + "a" * 10_000), (400, 404)),
    Abuse("an empty path and many questions", get("/?" + "?" * 30_000), (200, 400)),
    # Services beside the endpoint
    Abuse("search for 50 kB", get("/search?q=" + "x" * 50_000), (400, 422)),
    Abuse("search for 200 odd letters", get("/search?q=" + quote("ﷺ" * 200)), (200,)),
    Abuse("search for NUL and worse", get("/search?q=%00%ff%0d%0a"), (200, 400)),
    Abuse("search 5,000 times at once", get("/search?" + "q=a&" * 5_000), (200, 400)),
    Abuse("reconciliation of 20,000 names", post("/reconcile", FORM, b"queries=" + quote(BATCH).encode()), (400, 413)),
    Abuse("reconciliation of names of 16 kB", post("/reconcile", FORM, b"queries=" + quote(LONG_NAMES, safe=" ").replace(" ", "+").encode()), (200, 400, 413)),
    Abuse("reconciliation with 1,000 properties", post("/reconcile", FORM, b"queries=" + quote(MANY_PROPERTIES).encode()), (200, 400, 413)),
    Abuse("JSON of 100,000 brackets", post("/reconcile", FORM, b"queries=" + b"[" * 100_000), (400,)),
    Abuse("JSON objects 100,000 deep", post("/reconcile", FORM, b"queries=" + b"%7B%22a%22:" * 100_000), (400,)),
    Abuse("JSON with a number of a million digits", post("/reconcile", FORM, b"queries=" + b'{"q0":{"query":"x","limit":' + b"9" * 1_000_000 + b"}}"), (400, 413)),
    Abuse("JSON with NaN", post("/reconcile", FORM, b'queries={"q0":{"query":"x","limit":NaN}}'), (400,)),
    Abuse("extension of 20,000 things", post("/reconcile", FORM, b"extend=" + quote(json.dumps({"ids": ["nation/DEU"] * 20_000, "properties": [{"id": "label"}] * 50})).encode()), (200, 400, 413)),
    Abuse("a callback that is a script", get("/reconcile?callback=alert(1)//"), (400,)),
    Abuse("a list of 100,000 names", post("/reconcile/ui", FORM, b"names=" + b"a%0A" * 100_000), (413,)),
    Abuse("a form of 200,000 parameters", post("/sparql", FORM, b"a=b&" * 200_000), (400, 413)),
    Abuse("a form of 2 million ampersands", post("/sparql", FORM, b"&" * 2_000_000), (400, 413)),
    Abuse("a multipart form", post("/sparql", "multipart/form-data; boundary=x", b"--x\r\n\r\n--x--"), (415,)),
]  # fmt: skip


def endless(target: Target) -> Answer:
    """Send a chunked body without an end."""
    began = time.monotonic()
    with target.connect() as sock:
        sock.sendall(
            b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        try:
            for _ in range(100_000):
                sock.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except ConnectionError:
            pass
        return _rest(sock, began)


def trickle(begun: bytes, drop: bytes) -> Callable[[Target], Answer]:
    """Return the abuse of sending the beginning of a request, and then one piece after another."""

    def send(target: Target) -> Answer:
        began = time.monotonic()
        with target.connect() as sock:
            sock.sendall(begun)
            sock.settimeout(0.2)
            while time.monotonic() - began < 60:
                try:
                    sock.sendall(drop)
                    received = sock.recv(65536)
                except TimeoutError:
                    continue
                except ConnectionError:
                    received = b""
                return answer(received, time.monotonic() - began)
        return answer(b"", time.monotonic() - began)

    return send


def idle(target: Target) -> Answer:
    """Open a thousand connections that say nothing; ask over another one."""
    began = time.monotonic()
    silent: list[socket.socket] = []
    try:
        silent += [target.connect() for _ in range(1000)]
        reply = target.ask(f"ASK {{}} # {began}")
    finally:
        for sock in silent:
            sock.close()
    return reply


def pipelined(target: Target) -> Answer:
    """Send a thousand requests at once and read slowly."""
    request = get("/sparql?query=ASK%7B%7D").replace(b"Connection: close\r\n", b"")
    last = get("/health/live")
    return target.send(request * 1000 + last, alone=False)


def never_read(target: Target) -> Answer:
    """Ask for long answers again and again without reading one; then ask properly."""
    began = time.monotonic()
    deaf = []
    try:
        for _ in range(20):
            sock = target.connect()
            sock.sendall(query_request("SELECT * { ?s ?p ?o . ?a ?b ?c } LIMIT 100000"))
            deaf.append(sock)
        time.sleep(0.5)
        reply = target.ask(f"ASK {{}} # {began}")
    finally:
        for sock in deaf:
            sock.close()
    return reply


def half_closed(target: Target) -> Answer:
    """Close one's own side behind the request, and wait."""
    began = time.monotonic()
    with target.connect() as sock:
        sock.sendall(get("/health/live"))
        sock.shutdown(socket.SHUT_WR)
        return _rest(sock, began)


def _rest(sock: socket.socket, began: float) -> Answer:
    parts = []
    try:
        while part := sock.recv(65536):
            parts.append(part)
    except ConnectionError:
        pass
    return answer(b"".join(parts), time.monotonic() - began)


CONDUCT: list[Abuse] = [
    Abuse("a body without an end", endless, (413,)),
    Abuse("a head, letter by letter", trickle(b"GET / HTTP/1.1\r\nHost: a\r\n", b"X"), (408,)),
    Abuse("a field a time", trickle(b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n"), (408, 431)),
    Abuse("a body, letter by letter", trickle(b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\nContent-Length: 1000000\r\n\r\n", b" "), (408,)),
    Abuse("chunks, one by one", trickle(b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"), (408,)),
    Abuse("nothing at all", trickle(b"", b""), (408,)),
    Abuse("a thousand idle connections", idle, (200,)),
    Abuse("a thousand requests in one go", pipelined, (200,)),
    Abuse("twenty who do not read their answers", never_read, (200,)),
    Abuse("a side closed behind the request", half_closed, (200,)),
]  # fmt: skip

ALL = [*QUERIES, *REQUESTS, *CONDUCT]
