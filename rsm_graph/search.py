"""Finds things by name: labels, other names, codes, and the nations' names in every language of CLDR.

The site's search and reconciliation ask the same index. It narrows the names down to those that share letters with
the text, three in a row, and :func:`similarity` judges those word by word.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import pyoxigraph as ox
from babel import localedata
from rapidfuzz.distance import OSA

from rsm_graph.describe import Index
from rsm_graph.errors import InputError
from rsm_graph.namespaces import KINDS, RDFS_LABEL, VOCABULARIES

EXACT = {
    "label": 100.0, "code": 100.0, "identifier": 100.0, "name": 97.0, "translation": 95.0,
    "acronym": 85.0,
}  # fmt: skip
"""Score of a text that *is* a name, by the sort of name it is; acronyms are our guess."""

SIMILAR = 90.0
"""Score that a name merely similar stays below."""

_SPELT = ("label", "name", "translation")
"""Sorts of names that may be misspelt. Codes and acronyms may not: DEU is no mistyped DNK."""

LOWEST = 45.0
"""Score below which a name is not returned at all."""

LONGEST = 256
"""Characters of a text that are looked at; no name is as long."""

_CANDIDATES = 40
_NAMES_OF_A_THING = 3
"""How many names that share letters with a text are judged, and how many of them may be of one thing."""

_SPELLING = 2.0
"""What a text loses for accents or punctuation other than the name's."""

_OTHER_CASE = 10.0
"""What a code loses in another case: ``NO`` is Norway, ``no`` is a word."""

_HONORIFICS = frozenset(("amb", "ambassador", "dr", "hon", "mr", "mrs", "ms", "president", "prof", "professor", "sir"))
"""What stands before people's names beside the ranks, which the dataset lists itself."""

_LANGUAGES_OF_LISTS = frozenset(
    ("cs", "da", "de", "el", "en", "es", "fr", "hu", "it", "nb", "nl", "pl", "pt", "ro", "ru", "sv", "tr", "uk")
)
"""Languages in which the names of countries that are *not* in the dataset are known, so that none is taken for ours."""

_NAMES = {
    RDFS_LABEL: "label",
    VOCABULARIES["skos"] + "prefLabel": "label",
    VOCABULARIES["skos"] + "altLabel": "name",
    VOCABULARIES["skos"] + "hiddenLabel": "name",
    VOCABULARIES["foaf"] + "name": "name",
    VOCABULARIES["dcterms"] + "title": "name",
}
_CODES = (
    "{rsm}iso2", "{rsm}iso3", "{rsm}m49", "{rsm}icaoCode", "{skos}notation", "{dcterms}identifier",
)  # fmt: skip
_LINKS = tuple(VOCABULARIES["skos"] + name for name in ("exactMatch", "closeMatch"))

# Letters that Unicode does not take apart, and marks that writers leave out at will.
_PLAIN = str.maketrans({
    "ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "ħ": "h", "ŋ": "n",
    "&": " and ", "'": None, "’": None, "‘": None, "ʻ": None, "ʼ": None, "`": None, "ـ": None,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Name:
    """One name of one thing; ``sort`` is a key of :data:`EXACT`, ``language`` is empty for codes and people."""

    iri: str
    kind: str
    text: str
    sort: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """A thing found: its IRI, kind (``nation``), English label, score from 0 to 100, and the name that earned it."""

    iri: str
    kind: str
    label: str
    score: float
    name: str
    language: str
    reason: str


class Search:
    """The names of one dataset, searchable; only read after it is made, so any number of threads may share it."""

    def __init__(self, names: Sequence[Name], labels: Mapping[str, str], elsewhere: Collection[str] = ()) -> None:
        self._names = names
        self._labels = labels
        self._elsewhere = frozenset(elsewhere)
        self._words = [fold(name.text).split() for name in names]
        self._equal = defaultdict[str, list[int]](list)
        self._numbers = defaultdict[str, list[int]](list)
        self._mixed = defaultdict[str, list[int]](list)
        self._sharing: dict[str, defaultdict[str, list[int]]] = {kind: defaultdict(list) for kind in KINDS}
        self._size = [0] * len(names)
        bearers = defaultdict[str, set[str]](set)
        for number, (name, words) in enumerate(zip(names, self._words, strict=True)):
            self._equal[" ".join(words)].append(number)
            self._numbers[name.iri].append(number)
            if name.sort in _SPELT:
                for word in words:
                    bearers[word].add(name.iri)
                grams = _grams(words)
                self._size[number] = len(grams)
                self._mixed["".join(sorted("".join(words)))].append(number)
                for gram in grams:
                    self._sharing[name.kind][gram].append(number)
        self._weights = {word: math.log(1 + len(labels) / len(iris)) for word, iris in bearers.items()}
        self._rare = max(self._weights.values(), default=1.0)
        ranks = {word for word, iris in bearers.items() if any("/id/concept/rank/" in iri for iri in iris)}
        self._titles = frozenset(ranks | _HONORIFICS)

    @classmethod
    def of(cls, index: Index) -> Search:
        """Return a search over a dataset."""
        territories = _territories()
        names = _unique(_names(index, territories))
        labels = {name.iri: index.label(name.iri) for name in names}
        own = {fold(name.text) for name in names}
        return cls(names, labels, _elsewhere(territories) - own)

    @classmethod
    def open(cls, path: Path) -> Search:
        """Return a search over a file that :meth:`write` made; raises :class:`InputError` if it is none."""
        try:
            content = json.loads(path.read_bytes())
            return cls([Name(*row) for row in content["names"]], content["labels"], content["elsewhere"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: no search index ({error}).", "Build the release again.") from error

    def write(self, path: Path) -> None:
        """Write the index into a file; two of one dataset are byte-identical."""
        names = [astuple(name) for name in self._names]
        content = {"labels": self._labels, "names": names, "elsewhere": sorted(self._elsewhere)}
        path.write_text(json.dumps(content, ensure_ascii=False, sort_keys=True, indent=0) + "\n", encoding="utf-8")

    @property
    def things(self) -> Collection[str]:
        """The IRIs of everything that can be found."""
        return self._labels.keys()

    def names_of(self, iri: str) -> list[str]:
        """Return every name of a thing."""
        return [self._names[number].text for number in self._numbers.get(iri, ())]

    def __contains__(self, iri: str) -> bool:
        """Whether ``iri`` is a thing that can be found."""
        return iri in self._labels

    def search(
        self, text: str, limit: int = 10, kinds: Collection[str] = (), *, offset: int = 0, prefix: bool = True
    ) -> list[Hit]:
        """Return the things that ``text`` may name, the best first.

        ``kinds`` narrows the search to kinds of things. With ``prefix`` the text may be the beginning of a name,
        as while it is being typed; without, it is taken for a whole name.
        """
        text = text[:LONGEST].strip()
        words = fold(text).split()
        best: dict[str, Hit] = {}
        for number in self._equal.get(" ".join(words), ()) if words else ():
            name = self._names[number]
            if not kinds or name.kind in kinds:
                self._keep(best, name, exactly(text, name.text, name.sort), name.sort)
        elsewhere = " ".join(words) in self._elsewhere
        for number in self._similar(words, kinds or KINDS, prefix):
            name = self._names[number]
            if elsewhere and name.kind == "nation":
                continue  # Malawi is a country, no misspelling of another one
            of_person = name.kind in ("person", "tenure")
            foreign = name.sort == "translation"
            likeness = similarity(
                words,
                self._words[number],
                self._weight,
                self._titles if of_person else (),
                prefix=prefix,
                asked_share=0.5 if foreign else 0.7,
                part=1.0 if of_person else 0.9,  # people are called by a part of their name, other things seldom
            )
            # Names in hundreds of languages resemble more words by chance.
            self._keep(best, name, SIMILAR * min(likeness, 0.99) * (0.95 if foreign else 1.0), "similar")
        found = sorted(best.values(), key=lambda hit: (-hit.score, KINDS.index(hit.kind), hit.label, hit.iri))
        return found[offset : offset + limit]

    def _keep(self, best: dict[str, Hit], name: Name, score: float, reason: str) -> None:
        if score >= LOWEST and (name.iri not in best or score > best[name.iri].score):
            label = self._labels[name.iri]
            best[name.iri] = Hit(name.iri, name.kind, label, round(score, 1), name.text, name.language, reason)

    def _weight(self, word: str) -> float:
        weight = self._weights.get(word, self._rare)
        return weight * 0.3 if len(word) == 1 and word.isascii() else weight

    def _similar(self, words: Sequence[str], kinds: Collection[str], prefix: bool) -> list[int]:
        """Return the names that share most letters with ``words`` (Dice's coefficient), few of any one thing."""
        grams = _grams(words, unfinished=prefix)
        shared = Counter[int]()
        for kind in kinds:
            sharing: Mapping[str, list[int]] = self._sharing.get(kind, {})
            for gram in grams:
                shared.update(sharing.get(gram, ()))
        enough = 0.4 * max(shared.values(), default=0)
        size = len(grams)
        ranked = sorted(((-2 * n / (size + self._size[number]), number) for number, n in shared.items() if n >= enough))
        # Swapped letters leave few runs of three in a short word, but all its letters.
        mixed = self._mixed.get("".join(sorted("".join(words))), ())
        found, of_thing = [number for number in mixed if self._names[number].kind in kinds], Counter[str]()
        for _, number in ranked:
            iri = self._names[number].iri
            if of_thing[iri] < _NAMES_OF_A_THING:
                of_thing[iri] += 1
                found.append(number)
                if len(found) == _CANDIDATES:
                    break
        return found


def _grams(words: Sequence[str], *, unfinished: bool = False) -> set[str]:
    """Return the runs of three letters in ``words``, their beginnings and ends marked by spaces."""
    text = "".join(f"  {word} " for word in words)
    if unfinished:
        text = text[:-1]
    return {text[i : i + 3] for i in range(len(text) - 2)}


def _unique(names: Iterable[Name]) -> list[Name]:
    """Return the names of things, of those that differ in case only the one that scores most."""
    best: dict[tuple[str, str], Name] = {}
    for name in names:
        key = (name.iri, name.text.casefold())
        if fold(name.text) and (key not in best or EXACT[name.sort] > EXACT[best[key].sort]):
            best[key] = name
    return list(best.values())


def fold(text: str) -> str:
    """Return what is left of a text when case, accents, punctuation and invisible characters do not count."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN))
    words = "".join(_folded(character) for character in plain).split()
    if len(words) > 1 and all(len(word) == 1 and word.isascii() for word in words):
        return "".join(words)  # U.S.A.
    return " ".join(words)


def _folded(character: str) -> str:
    if character.isalnum():
        return character
    category = unicodedata.category(character)
    if unicodedata.combining(character) or category == "Cf":
        return ""
    return character if category[0] == "M" else " "  # vowel signs of Indic scripts are letters to their readers


def exactly(text: str, name: str, sort: str) -> float:
    """Return the score of a text that equals a name once both are folded."""
    if sort == "code" and text.islower() and not name.islower():
        return EXACT[sort] - _OTHER_CASE
    return EXACT[sort] - (0 if text.casefold() == name.casefold() else _SPELLING)


def similarity(
    asked: Sequence[str],
    named: Sequence[str],
    weight: Callable[[str], float],
    titles: Collection[str] = (),
    *,
    prefix: bool = False,
    asked_share: float = 0.7,
    part: float = 1.0,
) -> float:
    """Return how much of ``asked`` is in ``named`` (``asked_share``), and the other way round, from 0 to 1.

    The order of words does not count, rare words count more than common ones, ``titles`` hardly at all. With
    ``prefix`` the last word asked may be unfinished. ``part`` is left of the likeness when a longer word of the
    name is not asked for.
    """
    rest, unmet = list(named), list[int]()
    shared = both = only_asked = 0.0
    for place, word in enumerate(asked):
        if word in rest:
            rest.remove(word)
            shared += weight(word)
            both += weight(word)
        else:
            unmet.append(place)
    for place in unmet:
        word = asked[place]
        unfinished = prefix and place == len(asked) - 1
        likeness, best = max(((_likeness(word, other, unfinished), other) for other in rest), default=(0.0, ""))
        if likeness > 0:
            rest.remove(best)
            # An initial tells less than the word that is asked for would, and more than a letter does.
            known = weight(best) if len(best) > 1 else weight(word) / 2
            shared += likeness * known
            both += known
        else:
            only_asked += weight(word) * (0.1 if word in titles else 1.0)
    only_named = sum(map(weight, rest))
    by_word = 0.0
    if shared:
        by_word = asked_share * shared / (both + only_asked) + (1 - asked_share) * shared / (both + only_named)
    if any(len(word) > 3 for word in rest):
        by_word *= part
    if len(asked) == len(named):
        return by_word
    return max(by_word, _misspelt("".join(asked), "".join(named)))  # NorthMacedonia, New Zea land


def _likeness(word: str, other: str, unfinished: bool) -> float:
    """Return how surely ``word`` is the beginning, the abbreviation or a misspelling of ``other``."""
    if unfinished and other.startswith(word):
        return 0.95
    if min(len(word), len(other)) == 1:
        return 0.9 if word[0] == other[0] else 0.0
    abbreviated = 0.8 if len(word) > 2 and other.startswith(word) else 0.0
    return max(abbreviated, _misspelt(word, other))


def _misspelt(word: str, other: str) -> float:
    """Return how near two spellings are: one slip is let pass in words of four letters, two in words of eight."""
    shorter = min(len(word), len(other))
    slips = 0 if shorter < 4 else 1 if shorter < 8 else 2
    distance = OSA.distance(word, other, score_cutoff=slips)
    return 1 - distance / max(len(word), len(other)) if distance <= slips else 0.0


def _names(index: Index, territories: Mapping[str, Mapping[str, str]]) -> Iterator[Name]:
    """Return every name of everything that has an accepted label; passages and points on the map have no names."""
    base = index.dataset.iri("id/")
    codes = {
        code.format(rsm=index.dataset.iri("ontology#"), skos=VOCABULARIES["skos"], dcterms=VOCABULARIES["dcterms"])
        for code in _CODES
    }
    nameless = {index.dataset.iri("ontology#Passage"), VOCABULARIES["geo"] + "Geometry"}
    for iri in index.things:
        key = iri.removeprefix(base)
        kind = key.partition("/")[0]
        if kind not in KINDS or not index.label(iri) or nameless.intersection(index.types(iri)):
            continue
        for statement in index.about(iri):
            value = statement.object
            if not statement.accepted:
                continue
            if isinstance(value, ox.Literal):
                if statement.predicate in _NAMES:
                    sort = _NAMES[statement.predicate]
                    if sort == "label" and value.language not in (None, "en"):
                        sort = "translation"
                    yield Name(iri, kind, value.value, sort, value.language or "")
                elif statement.predicate in codes:
                    yield Name(iri, kind, value.value, "code")
            elif statement.predicate in _LINKS:
                for text in (value.value, value.value.rstrip("/").rpartition("/")[2]):
                    yield Name(iri, kind, text, "identifier")
        for text in (iri, key):
            yield Name(iri, kind, text, "identifier")
        if kind == "nation":
            for code in index.values(iri, index.dataset.iri("ontology#iso2")):
                for text, language in territories[code.value].items():
                    yield Name(iri, kind, text, "translation", language)
        if kind in ("mission", "command", "organization", "legal") and (acronym := _acronym(index.label(iri))):
            yield Name(iri, kind, acronym, "acronym", "en")
        if kind == "post":
            for text in _posts(index, iri):
                yield Name(iri, kind, text, "name", "en")


def _acronym(label: str) -> str:
    """Return the initials of a name of three capitalised words or more, figures kept ("UNSCR 2189"), else ``""``."""
    words = [word for word in re.findall(r"\w+", label) if word not in ("and", "for", "of", "the")]
    initials = [word[0] for word in words if word[0].isalpha()]
    if len(initials) < 3 or not all(initial.isupper() for initial in initials):
        return ""
    return " ".join(["".join(initials), *(word for word in words if word[0].isdigit())])


def _posts(index: Index, post: str) -> Iterator[str]:
    """Return what a post may be called: its role with every name of what it is in ("Commander TAAC-E")."""
    roles = index.values(post, VOCABULARIES["org"] + "role")
    for unit in index.values(post, VOCABULARIES["org"] + "postIn"):
        names = {index.label(unit.value)}
        names |= {v.value for v in index.values(unit.value, VOCABULARIES["skos"] + "altLabel") if v.language == "en"}
        for role in roles:
            yield from (f"{index.label(role.value)} {name}" for name in sorted(names))


def _elsewhere(territories: Mapping[str, Mapping[str, str]]) -> set[str]:
    """Return what countries are called in the languages that lists of them are mostly written in, folded."""
    return {
        fold(text)
        for code, names in territories.items()
        if len(code) == 2
        for text, language in names.items()
        if language in _LANGUAGES_OF_LISTS
    }


def _territories() -> Mapping[str, Mapping[str, str]]:
    """Return the names of territories in the languages of CLDR: code to name to the first language that has it."""
    found = defaultdict[str, dict[str, str]](dict)
    languages = sorted(localedata.locale_identifiers(), key=lambda name: (name not in _LANGUAGES_OF_LISTS, name))
    for language in languages:
        # `localedata.load` would keep every locale whole in memory, 200 MB of it, for good.
        with Path(localedata.resolve_locale_filename(language)).open("rb") as file:
            territories = pickle.load(file).get("territories", {})
        for code, text in territories.items():
            found[code].setdefault(text, language.replace("_", "-"))
    return found
