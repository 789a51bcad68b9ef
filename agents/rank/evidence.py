"""Whether one model is better than another, or was lucky: a test that may be looked at after every verdict.

Scores of two models are compared in pairs: what the one has shown since the last pair, less what the other has. Were it no better, the
mean of these leads would not be above 0, and whoever bets on the lead cannot expect to win. The stake multiplied by `1 + bet * lead` at
every pair is an e-process; it exceeds 1/a with a probability of at most a, at any time, however often it is looked at (Ville).

- The bets: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024); for two samples Shekhar
  and Ramdas, "Nonparametric two-sample testing by betting", IEEE Trans. Inf. Theory 70 (2024). Several bets are made at once, in units of
  the spread seen so far, and their stakes averaged.
- Models change. A stake that has shrunk is therefore filled up to 1 (e-CUSUM), so that what was true long ago is forgotten; it then
  exceeds 1/a after 1/a pairs or more, on average: Shin, Ramdas and Rinaldo, "E-detectors", NEJSDS 2 (2024).

The bets look at spread and worst case seen so far, so that the promise holds only as far as the future resembles them; what is kept of it
is measured in docs/champions.md.
"""

from collections.abc import Sequence
from statistics import fmean

BETS = (0.125, 0.25, 0.5)  # in units of the lead's spread: best for leads of an eighth, a quarter and half of it
MOST = 1e12
_RUIN = 0.05  # what is left of a stake by a loss larger than any seen before
_PRIOR_SD, _PRIOR_COUNT = 0.15, 5  # spread of a model about which little is known, and what that guess weighs
_LEAST_SD = 0.02


def strength(evidence: Sequence[float]) -> float:
    """Return the e-value: by how much the stakes have grown on average; 1 before the first pair."""
    return fmean(evidence) if evidence else 1.0


def grown(evidence: Sequence[float], lead: float, *, spread: float, worst: float) -> tuple[float, ...]:
    """Return the stakes after one more pair.

    Args:
        evidence: the stakes so far, empty before the first pair.
        lead: of the one over the other, -1 to 1.
        spread: standard deviation of such leads, from what was seen before.
        worst: largest loss that must not ruin a stake.
    """
    safe = 0.95 / max(worst, 2 * spread)
    return tuple(
        min(MOST, max(1.0, stake) * max(_RUIN, 1.0 + min(bet / spread, safe) * lead))
        for bet, stake in zip(BETS, evidence or (1.0,) * len(BETS), strict=True)
    )


def variance(scores: Sequence[float]) -> float:
    """Return the variance of a model's scores; of few, mostly what is usual."""
    mean = fmean(scores) if scores else 0.0
    squares = sum((score - mean) ** 2 for score in scores)
    return max(_LEAST_SD**2, (squares + _PRIOR_COUNT * _PRIOR_SD**2) / (max(0, len(scores) - 1) + _PRIOR_COUNT))
