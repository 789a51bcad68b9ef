"""The screen: every view of a text through every layer, and the additions of operators."""

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from schemas.records import Attack, AttackKind
from streams.ports import Encoder, Vector
from streams.screen import scoring
from streams.screen.decoding import View, views
from streams.screen.folding import conceals, folded, latin
from streams.screen.patterns import Evidence, PatternInvalid, Rule, Rules, built_in, built_in_rules, checked
from streams.screen.windows import pieces_of, sentences_of
from streams.screen.wording import hashed
from streams.settings import ScreenSettings

log = logging.getLogger("forgestream.screen")

MOST_WINDOWS = 48  # of one text that are encoded
MOST_SENTENCES = 64
MOST_REMEMBERED = 4096  # passages come back with every question they are near to
TELLING = 0.5  # of a trained layer: below it speaks for the text
_CERTAIN = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """What the screen says of a text. `reasons` name what was found, most telling first."""

    risk: float
    reasons: tuple[str, ...] = ()
    version: str = ""
    layers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Additions:
    """What operators have put on the topic of attacks, compiled, with all that was found by it.

    A text that is looked at while the topic changes is judged, and remembered, by the additions it began with.
    """

    attacks: Mapping[str, Attack]
    built_in: Rules
    added: Rules
    examples: Mapping[str, str]
    vectors: dict[str, Vector]
    seen: OrderedDict[str, Screening] = field(default_factory=OrderedDict)

    @property
    def version(self) -> str:
        """Version of rules and arrays, and how many additions were heeded."""
        return f"{built_in()[0]}.{scoring.shipped().version}+{len(self.attacks)}"


class Screen:
    """Screens texts with the shipped layers and whatever `attacks` holds at that moment.

    Args:
        encoder: makes the vectors; the vector layers are silent unless it is the one they were trained with.
        attacks: additions by id, a view of the topic `attacks`.
        settings: the thresholds.
    """

    def __init__(self, encoder: Encoder, attacks: Mapping[str, Attack], settings: ScreenSettings) -> None:
        self._encoder = encoder
        self._attacks = attacks
        self._settings = settings
        self._additions: _Additions | None = None
        if settings.mode != "off":  # loaded before the first text comes, which would wait, and with it the loop
            scoring.shipped()
            built_in_rules()

    async def look(self, text: str) -> Screening:
        """Return the risk of a text, over all of its readings.

        Raises:
            ProviderUnavailable: the encoder cannot answer now.
        """
        if self._settings.mode == "off":
            return Screening(risk=0.0)
        additions = self._current()
        if text in additions.seen:
            return additions.seen[text]
        additions.seen[text] = screening = await self._looked(text, additions)
        while len(additions.seen) > MOST_REMEMBERED:
            additions.seen.popitem(last=False)
        return screening

    async def _looked(self, text: str, additions: _Additions) -> Screening:
        read = self._read(text, additions)
        near = await self._near(read, additions)
        read = await self._heard(read, near)
        worst = Screening(risk=0.0, version=additions.version)
        for one in read:
            hit = one.hit or self._like_added([near[window] for window in one.windows if window in near], additions)
            risk = _CERTAIN if hit else scoring.risk(one.said, scoring.shipped())
            if risk > worst.risk:
                reasons = _reasons(one.view, one.evidence, one.said, hit)
                worst = Screening(risk=risk, reasons=reasons, version=additions.version, layers=_layers(one.said))
        return worst

    def _read(self, text: str, additions: _Additions) -> Sequence["_Read"]:
        """Return what can be said of each view without the encoder, and what of it could be encoded."""
        concealed = conceals(text)
        left, left_sentences = MOST_WINDOWS, MOST_SENTENCES
        read: list[_Read] = []
        for view in views(text):
            evidence, pieces = additions.built_in.evidence(view.text), pieces_of(view.text)
            words = [hashed(piece) for piece in pieces]
            said = scoring.read(evidence, words, decoded=bool(view.path), concealed=concealed, model=scoring.shipped())
            windows = pieces[:left] if latin(view.text) else []
            sentences = [sentence for window in windows for sentence in sentences_of(window)][:left_sentences]
            left, left_sentences = left - len(windows), left_sentences - len(sentences)
            read.append(_Read(view, windows, sentences, evidence, said, _added_hit(view, additions)))
        return read

    async def _near(self, read: Sequence["_Read"], additions: _Additions) -> dict[str, Vector]:
        """Return the vectors of all windows when operators have added examples, by text; those of new examples are remembered."""
        windows = [window for one in read for window in one.windows]
        if not additions.examples or not windows:
            return {}
        unknown = [text for text in additions.examples.values() if text not in additions.vectors]
        vectors = await self._encoder.encode([*windows, *unknown])
        additions.vectors.update(zip(unknown, vectors[len(windows) :], strict=True))
        return dict(zip(windows, vectors, strict=False))

    async def _heard(self, read: Sequence["_Read"], known: dict[str, Vector]) -> Sequence["_Read"]:
        """Ask the vector layers, sentences first, where the outcome depends on what they say; `known` grows."""
        model = scoring.shipped()
        if self._encoder.model != model.encoder:
            return read
        for part, layer in (("sentences", model.sentences), ("windows", model.windows)):
            asked = [getattr(one, part) if self._open(one) else () for one in read]
            if unknown := sorted({text for texts in asked for text in texts} - known.keys()):
                known |= zip(unknown, await self._encoder.encode(unknown), strict=True)
            read = [
                _told(one, part, layer.worst([known[text] for text in texts])) if texts else one
                for one, texts in zip(read, asked, strict=True)
            ]
        return read

    def _open(self, one: "_Read") -> bool:
        least, most = scoring.bounds(one.said, scoring.shipped())
        return not one.hit and least < self._settings.refuse_at <= most

    @property
    def version(self) -> str:
        """Version of rules and arrays, and how many additions are heeded now."""
        return self._current().version

    def refuses(self, screening: Screening) -> bool:
        """Tell whether the settings refuse what was seen."""
        return self._settings.mode == "refuse" and screening.risk >= self._settings.refuse_at

    def _current(self) -> _Additions:
        """Return the additions, compiled anew when the view has changed."""
        now = dict(self._attacks)
        if self._additions is None or self._additions.attacks != now:
            self._additions = _compiled(now, self._additions.vectors if self._additions else {})
        return self._additions

    def _like_added(self, near: Sequence[Vector], additions: _Additions) -> str:
        """Return the example of an operator that one of the vectors is near to; empty when there is none."""
        for attack_id, text in additions.examples.items():
            if (
                near
                and max(np.einsum("ij,j->i", np.asarray(near), np.asarray(additions.vectors[text])))
                >= self._settings.similar_at
            ):
                return f"like added example {attack_id}"
        return ""


@dataclass(frozen=True, slots=True)
class _Read:
    """A view as far as it is judged; `windows` and `sentences` could be encoded, `hit` is what an operator added that it meets."""

    view: View
    windows: Sequence[str]
    sentences: Sequence[str]
    evidence: Evidence
    said: scoring.Scores
    hit: str


def _told(one: _Read, part: str, worst: float) -> _Read:
    said = replace(one.said, sentences=worst) if part == "sentences" else replace(one.said, windows=worst)
    return replace(one, said=said)


def _added_hit(view: View, additions: _Additions) -> str:
    """Return the rule or the text of an operator that is in this view; empty when there is none."""
    rules = additions.added.evidence(view.text).rules
    if rules:
        return f"added rule {rules[0].rule_id}"
    return next(
        (f"added example {attack_id}" for attack_id, text in additions.examples.items() if text in view.text), ""
    )


def _compiled(attacks: Mapping[str, Attack], vectors: Mapping[str, Vector]) -> _Additions:
    off = {attack_id for attack_id, attack in attacks.items() if attack.kind is AttackKind.OFF}
    added: list[Rule] = []
    for attack_id, attack in attacks.items():
        if attack.kind is AttackKind.RULE:
            try:
                rule = Rule(rule_id=attack_id, family=attack.family, score=_CERTAIN, pattern=checked(attack.text))
            except PatternInvalid as error:
                log.error("attack %s is no pattern and is left out: %s", attack_id, error)  # noqa: TRY400 - no stack needed
            else:
                added.append(rule)
    examples = {key: folded(attack.text) for key, attack in attacks.items() if attack.kind is AttackKind.EXAMPLE}
    return _Additions(
        attacks,
        Rules(rule for rule in built_in()[1] if rule.rule_id not in off) if off else built_in_rules(),
        Rules(added),
        {key: text for key, text in examples.items() if text},
        {text: vectors[text] for text in examples.values() if text in vectors},
    )


def _layers(said: scoring.Scores) -> Mapping[str, float]:
    known = {"rules": said.rules, "wording": said.wording, "windows": said.windows, "sentences": said.sentences}
    return {name: round(value, 3) for name, value in known.items() if value is not None}


def _reasons(view: View, evidence: Evidence, said: scoring.Scores, hit: str) -> tuple[str, ...]:
    reasons = [hit] if hit else []
    reasons += [f"{rule.family}: rule {rule.rule_id}" for rule in evidence.rules[:3]]
    trained = {name: value for name, value in _layers(said).items() if name != "rules"}
    reasons += [f"{name} {value:.2f}" for name, value in trained.items() if value >= TELLING]
    if said.concealed:
        reasons.append("written to be misread")
    if view.path:
        reasons.append(f"decoded from {' in '.join(reversed(view.path))}")
    return tuple(reasons)
