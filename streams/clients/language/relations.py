"""Who does what to whom, read off the grammar of English sentences.

Only plain statements count: nothing asked, denied, supposed or said by a pronoun, whose meaning is another sentence's.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from streams.clients.language.operations import Relation

if TYPE_CHECKING:
    from spacy.tokens import Doc, Span, Token

ACTIVE, PASSIVE = "nsubj", "nsubjpass"
OBJECTS = ("dobj", "attr", "oprd", "dative")
MODAL = "MD"
UNREAL = frozenset({"if", "whether", "unless"})
NONE = frozenset({"no", "neither", "nor"})
THINGS = frozenset({"NOUN", "PROPN", "NUM"})


def relations_of(document: "Doc") -> Iterator[Relation]:
    """Yield the relations of a text, in its order."""
    for sentence in document.sents:
        if sentence.text.strip().endswith("?"):
            continue
        for verb in sentence:
            if verb.pos_ in {"VERB", "AUX"} and _is_plain(verb):
                yield from _of(verb, sentence)


def _of(verb: "Token", sentence: "Span") -> Iterator[Relation]:
    text = " ".join(sentence.text.split())
    name = " ".join([verb.lemma_, *(child.text for child in verb.children if child.dep_ == "prt")])
    subjects = _things(verb, (ACTIVE,)) or _inherited(verb)
    for subject in subjects:
        for thing in _things(verb, OBJECTS):
            yield Relation(_phrase(subject), name, _phrase(thing), text)
        yield from (Relation(_phrase(subject), f"{name} {prep}", _phrase(thing), text) for prep, thing in _after(verb))
    for subject in _things(verb, (PASSIVE,)):
        for agent in (child for child in verb.children if child.dep_ == "agent"):
            yield from (Relation(_phrase(thing), name, _phrase(subject), text) for thing in _things(agent, ("pobj",)))
        yield from (
            Relation(_phrase(subject), f"be {verb.text} {prep}", _phrase(thing), text) for prep, thing in _after(verb)
        )


def _is_plain(verb: "Token") -> bool:
    return not any(
        child.dep_ == "neg" or child.tag_ == MODAL or (child.dep_ == "mark" and child.lower_ in UNREAL)
        for child in verb.children
    )


def _things(head: "Token", roles: Sequence[str]) -> Sequence["Token"]:
    """Return the nouns in these roles, those joined to them by `and` too."""
    found = [child for child in head.children if child.dep_ in roles and child.pos_ in THINGS and not _is_none(child)]
    return [thing for first in found for thing in (first, *(one for one in first.conjuncts if one.pos_ in THINGS))]


def _is_none(thing: "Token") -> bool:
    return any(child.lower_ in NONE for child in thing.children)


def _inherited(verb: "Token") -> Sequence["Token"]:
    """Return the subjects of the verb that this one is joined to: `she wrote and sold it`."""
    own = any(child.dep_ in {ACTIVE, PASSIVE} for child in verb.children)
    return _things(verb.head, (ACTIVE,)) if verb.dep_ == "conj" and not own and _is_plain(verb.head) else ()


def _after(verb: "Token") -> Iterator[tuple[str, "Token"]]:
    for child in verb.children:
        if child.dep_ == "prep":
            yield from ((child.lower_, thing) for thing in _things(child, ("pobj",)))


def _phrase(head: "Token") -> str:
    """Return the noun with what belongs to it before it; what follows it, such as a clause, says something else."""
    chunk = [token for token in head.subtree if token.i <= head.i and not _is_other(token, head)]
    words = head.doc[chunk[0].i : head.i + 1].text if chunk else head.text
    return " ".join(words.split())


def _is_other(token: "Token", head: "Token") -> bool:
    return token.dep_ in {"det", "punct", "cc", "predet"} and token.head == head
