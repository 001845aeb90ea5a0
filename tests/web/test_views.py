"""What a page makes of a term."""

from __future__ import annotations

import pyoxigraph as ox
import pytest

from rsm_graph.namespaces import XSD
from rsm_graph.web import views


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        ("2015-01-01", "date", "1 January 2015"),
        ("2015-01", "gYearMonth", "January 2015"),
        ("2015", "gYear", "2015"),
        ("2015-01-01T10:00:00Z", "dateTime", "1 January 2015"),
        ("2015-13-01", "date", "2015-13-01"),
        ("2015-²", "gYearMonth", "2015-²"),
        ("-2015", "gYear", "-2015"),
        ("8000", "integer", "8,000"),
        ("-8000", "integer", "-8,000"),
        ("²", "integer", "²"),
        ("--5", "integer", "--5"),
        ("9" * 5000, "integer", "9" * 5000),
    ],
)
def test_literals_are_shown_in_words_or_as_they_stand(text: str, kind: str, shown: str) -> None:
    literal = ox.Literal(text, datatype=ox.NamedNode(XSD + kind))
    assert views.term(None, literal).text == shown
