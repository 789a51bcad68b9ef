"""The API keys of a provider: which one is used next, how each does, and that none is ever shown."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from streams.errors import ProviderRefused, ProviderUnavailable
from streams.ports import Finish

REFUSED_REST_S = 300.0  # a key that is refused is tried again after this: somebody may have mended it
LONGEST_REST_S = 300.0  # of a key over its limit, whatever the provider wishes
SHORTEST_SECRET = 6  # shorter ones are no keys, and hiding them would spoil the text
SEPARATORS = re.compile(r"[\s,]+")


class KeyTrouble(StrEnum):
    """What is wrong with a key; another one of the same provider may do."""

    LIMITED = "limited"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a key has done since the start. `key` is its place in the settings, from 1; 0 where none is needed."""

    provider: str
    key: int
    calls: int
    input_tokens: int
    output_tokens: int
    errors: Mapping[str, int]


@dataclass(slots=True, kw_only=True, eq=False)
class Key:
    """One key. It appears by its number only."""

    number: int
    secret: str = field(repr=False)
    rests_until: float = 0.0
    trouble: KeyTrouble | None = None
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    errors: Counter[str] = field(default_factory=Counter)


class Keys:
    """The keys of one provider, shared by its models. One is used until it fails, then the next.

    `time` is monotonic, in seconds.
    """

    def __init__(self, provider: str, secrets: Sequence[str], *, rest_s: float, time: Callable[[], float]) -> None:
        self._provider = provider
        self._keys = [Key(number=number, secret=secret) for number, secret in enumerate(secrets, 1)]
        self._keys = self._keys or [Key(number=0, secret="")]
        self._secrets = sorted((s for s in secrets if len(s) >= SHORTEST_SECRET), key=len, reverse=True)
        self._rest_s = rest_s
        self._time = time
        self._current = 0

    def take(self, tried: Collection[Key]) -> Key:
        """Return the key to use now, none of `tried`.

        Raises:
            ProviderUnavailable: every key is over its limit; says when the first is free again.
            ProviderRefused: every key was refused.
        """
        now = self._time()
        for step in range(len(self._keys)):
            place = (self._current + step) % len(self._keys)
            if self._keys[place].rests_until <= now and self._keys[place] not in tried:
                self._current = place
                return self._keys[place]
        raise self._none_left(now)

    def succeeded(self, key: Key, finish: Finish) -> None:
        """Note what a call used."""
        key.calls += 1
        key.trouble = None
        key.input_tokens += finish.input_tokens
        key.output_tokens += finish.output_tokens

    def failed(self, key: Key, code: str, trouble: KeyTrouble | None, retry_after_s: float | None) -> None:
        """Note how a call failed; a key in trouble rests."""
        key.calls += 1
        key.errors[trouble or code] += 1
        if trouble is None:
            return
        wished = self._rest_s if retry_after_s is None else min(retry_after_s, LONGEST_REST_S)
        key.trouble = trouble
        key.rests_until = self._time() + (REFUSED_REST_S if trouble is KeyTrouble.REFUSED else wished)

    def accounts(self) -> Sequence[Account]:
        """Return what every key has done."""
        return [
            Account(
                provider=self._provider,
                key=key.number,
                calls=key.calls,
                input_tokens=key.input_tokens,
                output_tokens=key.output_tokens,
                errors=dict(key.errors),
            )
            for key in self._keys
        ]

    def all(self) -> Sequence[Key]:
        """Return every key."""
        return self._keys

    def scrubbed(self, text: str) -> str:
        """Return the text without any key."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _none_left(self, now: float) -> ProviderUnavailable | ProviderRefused:
        limited = [key for key in self._keys if key.trouble is KeyTrouble.LIMITED]
        if not limited:
            return ProviderRefused(f"{self._provider} refused every API key; check the keys in the settings")
        free_in_s = max(0.0, min(key.rests_until for key in limited) - now)
        what = "every API key is" if len(self._keys) > 1 else "we are"
        return ProviderUnavailable(
            f"{self._provider} says that {what} over the limit; free again in {free_in_s:.0f} s",
            retry_after_s=free_in_s,
        )


def split(keys: str) -> Sequence[str]:
    """Return the keys of a setting or file, each once."""
    return list(dict.fromkeys(key for key in SEPARATORS.split(keys) if key))
