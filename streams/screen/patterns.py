"""Rules: patterns that run in time linear in the text (RE2), each with the score of its evidence."""

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import re2

LONGEST_PATTERN = 2_000
_MACRO = re.compile(r"\{([A-Z]+)\}")
_QUOTED = re.compile(r'"[^"\n]{0,300}"')
_MOST_MEMORY = 64 << 20


class PatternInvalid(ValueError):
    """A pattern that RE2 does not take: back-references and look-around would not be linear."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One pattern over folded text; `score`, 0 to 1, is how much a match says. `markup` needs quotation marks, which quote nothing then."""

    rule_id: str
    family: str
    score: float
    pattern: str
    markup: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the rules say of one view: the strongest score outside of quotation marks, and anywhere."""

    unquoted: float
    anywhere: float
    rules: tuple[Rule, ...]


class Rules:
    """Some rules, compiled into one automaton."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        self._set = re2.Set.SearchSet(_options())
        for rule in self.rules:
            self._set.Add(rule.pattern)
        if self.rules:
            self._set.Compile()

    def evidence(self, folded: str) -> Evidence:
        """Return what matches; a text that only quotes an attack has no unquoted evidence."""
        found = self._matches(folded)
        anywhere = strongest(found)
        unquoted = anywhere
        if found and '"' in folded:
            markup = [rule for rule in found if rule.markup]
            unquoted = strongest([*markup, *self._matches(_QUOTED.sub('"', folded))])
        return Evidence(unquoted=unquoted, anywhere=anywhere, rules=tuple(found))

    def _matches(self, text: str) -> Sequence[Rule]:
        if not self.rules:
            return ()
        return sorted(
            (self.rules[number] for number in self._set.Match(text.encode("utf-8", "replace")) or ()),
            key=lambda rule: (-rule.score, rule.rule_id),
        )


def strongest(rules: Collection[Rule]) -> float:
    """Return the highest score; 0 without rules."""
    return max((rule.score for rule in rules), default=0.0)


def checked(pattern: str) -> str:
    """Return the pattern if RE2 takes it.

    Raises:
        PatternInvalid: with RE2's own words.
    """
    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise PatternInvalid(f"a pattern has 1 to {LONGEST_PATTERN:,} characters, not {len(pattern):,}")
    try:
        re2.compile(pattern, _options())
    except re2.error as error:
        said = error.args[0] if error.args else error
        raise PatternInvalid(said.decode() if isinstance(said, bytes) else str(said)) from None
    return pattern


@lru_cache(maxsize=1)
def built_in() -> tuple[str, Sequence[Rule]]:
    """Return the version of the rules that ship with the program, and the rules."""
    read = json.loads(resources.files(__package__).joinpath("rules.json").read_text(encoding="utf-8"))
    words: dict[str, str] = read["words"]
    rules = [
        Rule(
            rule_id=rule["id"],
            family=rule["family"],
            score=rule["score"],
            pattern=_MACRO.sub(lambda found: words[found.group(1)], rule["pattern"]),
            markup=rule.get("markup", False),
        )
        for rule in read["rules"]
    ]
    return read["version"], rules


@lru_cache(maxsize=1)
def built_in_rules() -> "Rules":
    """Return the rules that ship with the program, compiled, which takes a tenth of a second."""
    return Rules(built_in()[1])


def _options() -> "re2.Options":
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    return options
