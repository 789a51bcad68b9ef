"""The screen: every view of a text through every layer, and the additions of operators."""

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from schemas.records import Attack, AttackKind
from streams.ports import Encoder, Vector
from streams.screen import scoring
from streams.screen.decoding import View, views
from streams.screen.folding import conceals, folded, latin
from streams.screen.patterns import Evidence, PatternInvalid, Rule, Rules, built_in, built_in_rules, checked
from streams.screen.wording import hashed
from streams.settings import ScreenSettings

log = logging.getLogger("forgestream.screen")

WINDOW_CHARS = 200
MOST_WINDOWS = 48
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
        model = scoring.shipped()
        found = views(text)
        pieces = [pieces_of(view.text) for view in found]
        windows = _encodable(found, pieces)
        semantic = self._encoder.model == model.encoder
        vectors = await self._encoded([window for each in windows for window in each], needed=semantic, of=additions)
        worst = Screening(risk=0.0, version=additions.version)
        taken, concealed = 0, conceals(text)
        for view, own, encoded in zip(found, pieces, windows, strict=True):
            evidence = additions.built_in.evidence(view.text)
            near = vectors[taken : taken + len(encoded)] if vectors else None
            taken += len(encoded)
            said = scoring.scores(
                evidence,
                near if semantic else None,
                [hashed(piece) for piece in own],
                decoded=bool(view.path),
                concealed=concealed,
                model=model,
            )
            hit = self._added_hit(view, near, additions)
            risk = _CERTAIN if hit else scoring.risk(said, model)
            if risk > worst.risk:
                worst = Screening(
                    risk=risk,
                    reasons=_reasons(view, evidence, said, hit),
                    version=additions.version,
                    layers=_layers(said),
                )
        return worst

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

    async def _encoded(self, windows: Sequence[str], *, needed: bool, of: _Additions) -> Sequence[Vector]:
        """Return the vectors of the windows; those of new examples are remembered in passing."""
        if not windows or not (needed or of.examples):
            return ()
        unknown = [text for text in of.examples.values() if text not in of.vectors]
        vectors = await self._encoder.encode([*windows, *unknown])
        of.vectors.update(zip(unknown, vectors[len(windows) :], strict=True))
        return vectors[: len(windows)]

    def _added_hit(self, view: View, near: Sequence[Vector] | None, additions: _Additions) -> str:
        """Return what an operator added that this view meets; empty when nothing does."""
        rules = additions.added.evidence(view.text).rules
        if rules:
            return f"added rule {rules[0].rule_id}"
        for attack_id, text in additions.examples.items():
            if text in view.text:
                return f"added example {attack_id}"
            if near and max(np.asarray(near) @ np.asarray(additions.vectors[text])) >= self._settings.similar_at:
                return f"like added example {attack_id}"
        return ""


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


def _encodable(found: Sequence[View], pieces: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Return the pieces of each view that are encoded: those of Latin script, as many as fit the bound."""
    windows: list[Sequence[str]] = []
    left = MOST_WINDOWS
    for view, own in zip(found, pieces, strict=True):
        windows.append(own[:left] if latin(view.text) else ())
        left -= len(windows[-1])
    return windows


def pieces_of(text: str) -> list[str]:
    """Return a text in pieces of at most WINDOW_CHARS, each begun at a space where there is one."""
    pieces: list[str] = []
    at = 0
    while at < len(text):
        end = min(len(text), at + WINDOW_CHARS)
        space = text.rfind(" ", at + WINDOW_CHARS // 2, end) if end < len(text) else -1
        end = space if space > 0 else end
        pieces.append(text[at:end].strip())
        at = end
    return [piece for piece in pieces if piece]


def _layers(said: scoring.Scores) -> Mapping[str, float]:
    known = {"rules": said.rules, "wording": said.wording, "classifier": said.classifier, "similarity": said.similarity}
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
