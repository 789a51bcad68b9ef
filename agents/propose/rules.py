"""Which facts a text states, as nodes and edges; nothing is added to what was said, and no confidence made up."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from schemas.ids import embedding_id
from schemas.records import Analysis, Proposal, SophiaProposal
from streams import ids
from streams.errors import RecordInvalid
from streams.ports import Vector
from streams.settings import ProposeSettings

OPERATIONS = ("language", "sentences", "tokens", "entities", "relations")
CONCEPT = "CONCEPT"  # what a relation is about and no name of
GIVEN = "producer"
# Names of quantities are part of what is said of something, and nothing by themselves.
NO_THINGS = frozenset({"CARDINAL", "ORDINAL", "PERCENT", "QUANTITY", "MONEY", "TIME"})
LONGEST_ID = 256
LONGEST_NAME = 200
_ID_LETTERS = 16
_ARTICLES = ("the ", "a ", "an ")
Json = Mapping[str, object]


@dataclass(slots=True)
class _Thing:
    name: str
    kind: str
    mentions: int = 0

    @property
    def node_id(self) -> str:
        return hashlib.sha256(f"{self.kind}\0{_plain(self.name)}".encode()).hexdigest()[:_ID_LETTERS]


def check(proposal: Proposal, settings: ProposeSettings) -> None:
    """Refuse what cannot be proposed.

    Raises:
        RecordInvalid: with all problems.
    """
    problems = list(ids.origin_problems(proposal.origin))
    if not 1 <= len(proposal.proposal_id) <= LONGEST_ID:
        problems.append(f"proposal_id must have 1 to {LONGEST_ID} characters, not {len(proposal.proposal_id):,}")
    if not proposal.raw_text.strip():
        problems.append("raw_text is empty")
    if len(proposal.raw_text) > settings.max_chars:
        problems.append(f"raw_text has {len(proposal.raw_text):,} characters, more than {settings.max_chars:,}")
    if not (math.isfinite(proposal.confidence) and 0.0 <= proposal.confidence <= 1.0):
        problems.append(f"confidence must be 0 to 1, not {proposal.confidence:g}")
    for name, given in (("nodes", proposal.nodes), ("edges", proposal.edges)):
        if len(given) > settings.most_facts:
            problems.append(f"there are {len(given):,} {name}, more than {settings.most_facts:,}")
        wrong = [str(at) for at, text in enumerate(given[: settings.most_facts]) if not _is_object(text)]
        if wrong:
            problems.append(f"{name} must be JSON objects; not so: {', '.join(wrong[:10])}")
    if problems:
        raise RecordInvalid("; ".join(problems))


def sophia_proposal(
    proposal: Proposal, analysis: Analysis | None, model: str, vector: Vector, settings: ProposeSettings
) -> SophiaProposal:
    """Return the proposal as Sophia takes it. Its confidence is that of its source, which knows how sure it is."""
    nodes, edges = proposal.nodes, proposal.edges
    if analysis is not None:
        nodes, edges = facts(analysis, settings.most_facts)
    return SophiaProposal(
        origin=proposal.origin,
        proposal_id=proposal.proposal_id,
        llm_provider=proposal.provider or "none",
        model=proposal.model or "none",
        confidence=proposal.confidence,
        generated_at=proposal.origin.event_time,
        nodes=nodes,
        edges=edges,
        raw_text=proposal.raw_text,
        embedding_id=embedding_id(model, proposal.raw_text),
        embedding_model=model,
        vector=vector,
        metadata=proposal.metadata,
        provenance=tuple(f"{name}={value}" for name, value in _provenance(proposal, analysis).items() if value),
    )


def facts(analysis: Analysis, most: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return nodes and edges as JSON, in the order of the text: the names in it, and what is plainly said of something."""
    things: dict[str, _Thing] = {}
    for entity in analysis.entities:
        known = len(things) < most or _plain(_name(entity.text)) in things
        if known and entity.label not in NO_THINGS and (name := _name(entity.text)):
            _mention(things, name, entity.label)
    edges: dict[str, None] = {}
    for relation in _relations(analysis):
        ends = [_name(relation[end]) for end in ("subject", "object")]
        if not all(ends) or _plain(ends[0]) == _plain(ends[1]) or len(edges) == most:
            continue
        source, target = (_mention(things, end, CONCEPT) for end in ends)
        edge = {
            "source": source.node_id,
            "target": target.node_id,
            "relation": relation["relation"],
            "evidence": relation["sentence"],
        }
        edges[_json(edge)] = None
    nodes = [
        {"id": thing.node_id, "name": thing.name, "type": thing.kind, "mentions": thing.mentions}
        for thing in things.values()
    ]
    return tuple(map(_json, nodes)), tuple(edges)


def _mention(things: dict[str, _Thing], name: str, kind: str) -> _Thing:
    """Return the thing of that name; the first kind it was seen as is its kind."""
    thing = things.setdefault(_plain(name), _Thing(name, kind))
    thing.mentions += 1 if kind != CONCEPT or thing.kind == CONCEPT else 0
    return thing


def _relations(analysis: Analysis) -> Iterator[Mapping[str, str]]:
    for finding in analysis.findings:
        found = json.loads(finding)
        if found.get("operation") == "relations":
            yield from found["relations"]


def _provenance(proposal: Proposal, analysis: Analysis | None) -> Mapping[str, str]:
    return {
        "source": proposal.source,
        "request_id": proposal.origin.request_id,
        "source_service": proposal.origin.source_service,
        "tenant": proposal.origin.tenant,
        "facts_by": GIVEN if analysis is None else analysis.model,
        "language": "" if analysis is None else analysis.language,
        "confidence_by": {"answer": "evaluation", "transcript": "recognition"}.get(proposal.source, GIVEN),
    }


def _name(text: str) -> str:
    """Return a name without what does not belong to it; empty for what is too long to be one."""
    name = " ".join(text.split()).strip(" .,;:!?\"'()[]")
    article = next((article for article in _ARTICLES if name.lower().startswith(article)), "")
    name = name[len(article) :]
    return name if len(name) <= LONGEST_NAME else ""


def _plain(name: str) -> str:
    return name.casefold()


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
