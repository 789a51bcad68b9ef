"""Music of the tests' own: a band, and a voice that sings without words."""

import numpy as np

from streams.speech import RATE_HZ

Wave = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

LENGTH_S = 8.0
BEAT_S = 0.5
CHORDS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
SCALE = (0, 2, 4, 5, 7, 9)
VOWELS_HZ = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
OVERTONES = 6
HIGHEST_HZ = 4_000


def band(seed: int) -> bytes:
    """Return chords, a melody and a drum."""
    return _pcm(_band(np.random.default_rng(seed)))


def song(seed: int, *, accompanied: bool = False) -> bytes:
    """Return vowels sung in legato, with vibrato, alone or to the band."""
    chance = np.random.default_rng(seed)
    sung, at_s = np.zeros(round((LENGTH_S + 1) * RATE_HZ)), 0.0
    while at_s < LENGTH_S:
        length_s = chance.choice([0.3, 0.45, 0.6, 0.9])
        _add(sung, _vowel(_pitch(165.0, chance.choice(SCALE)), length_s, int(chance.integers(len(VOWELS_HZ)))), at_s)
        at_s += length_s + (0.3 if chance.random() < 0.15 else 0.02)
    sung = sung[: round(LENGTH_S * RATE_HZ)]
    return _pcm(sung + 0.5 * _band(chance) if accompanied else sung)


def _band(chance: np.random.Generator) -> Wave:
    played = np.zeros(round((LENGTH_S + 2) * RATE_HZ))
    for beat in range(round(LENGTH_S / BEAT_S)):
        chord, at_s = CHORDS[beat // 4 % len(CHORDS)], beat * BEAT_S
        for step in chord if beat % 2 == 0 else ():
            _add(played, 0.3 * _note(_pitch(110.0, step), 2 * BEAT_S), at_s)
        _add(played, 0.5 * _note(_pitch(440.0, chance.choice(chord)), BEAT_S), at_s)
        _add(played, 0.5 * chance.normal(0, 1, RATE_HZ // 12) * np.exp(-np.arange(RATE_HZ // 12) / 250), at_s)
    return np.asarray(played[: round(LENGTH_S * RATE_HZ)] / np.abs(played).max())


def _note(hz: float, length_s: float) -> Wave:
    at = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    wave = sum(np.sin(2 * np.pi * hz * k * at) / k**1.3 for k in range(1, OVERTONES + 1))
    return np.asarray(wave * np.exp(-3 * at / length_s) * np.minimum(1, at / 0.01))


def _vowel(hz: float, length_s: float, vowel: int) -> Wave:
    """Return harmonics as loud as three formants make them."""
    at = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(hz * (1 + 0.012 * np.sin(2 * np.pi * 5.5 * at))) / RATE_HZ
    wave = np.zeros(len(at))
    for k in range(1, int(HIGHEST_HZ / hz)):
        formants = enumerate(VOWELS_HZ[vowel])
        loud = sum(1 / (1 + ((k * hz - formant) / (80 + 30 * nth)) ** 2) / (nth + 1) for nth, formant in formants)
        wave += loud / k**0.5 * np.sin(k * phase)
    return np.asarray(wave / np.abs(wave).max() * np.minimum(1, at / 0.04) * np.minimum(1, (length_s - at) / 0.05))


def _pitch(root_hz: float, steps: int) -> float:
    return float(root_hz * 2 ** (steps / 12))


def _add(whole: Wave, part: Wave, at_s: float) -> None:
    start = round(at_s * RATE_HZ)
    whole[start : start + len(part)] += part


def _pcm(wave: Wave) -> bytes:
    return np.asarray(wave / np.abs(wave).max() * 14_000, dtype="<i2").tobytes()
