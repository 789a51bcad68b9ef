"""Texts as a screen reads them: what a model would understand, without what only hides it from a filter.

The folded text is for judging alone; what travels on the topics is never changed by it.
"""

import re
import unicodedata

_TAGS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
_DROPPED = dict.fromkeys(
    [
        0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFEFF, 0xFFA0,
        *range(0x180B, 0x180E), *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0), 0xE0001, 0xE007F,
    ]
)  # fmt: skip
_INVISIBLE = _DROPPED | _TAGS
_REGIONAL = {0x1F1E6 + number: chr(ord("a") + number) for number in range(26)}
_SMALL_CAPITALS: dict[str, str] = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz", strict=True))
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—―−", "-") | dict.fromkeys("‘’ʼ`´", "'") | dict.fromkeys("“”„«»", '"'))
_READ_AS = str.maketrans({**{chr(code): letter for code, letter in _REGIONAL.items()}, **_SMALL_CAPITALS})

# Letters of other scripts that a reader takes for Latin ones (a part of Unicode's confusables.txt, lower case).
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁԛԝьгпвнктмзбаαβεηικνορτυχωγσδеёїոսհցզօոյ",
    "aeopcyxijshdqwbrnbhktm36aabenikvoptuxwysoeeinuhgqonj",
)
_MARKS = re.compile("[\u0300-\u036f]")
_SPACES = re.compile(r"[^\S\n]+")
_WORD = re.compile(r"\w+")
_LETTERS = re.compile(r"[a-z]")
_FOREIGN = re.compile("[\u0370-\u03ff\u0400-\u052f\u0530-\u058f]")
_SPACED = re.compile(r"(?:\b[^\W\d_][ .\-_*/|]{1,3}){7,}[^\W\d_]\b")
_SEPARATORS = re.compile(r"[ .\-_*/|]")
_LONG_WORD = re.compile(r"\b[a-z]{5,14}\b")
_SCRAMBLED_WORDS = """
    bypass command commands delete developer directives disregard filter filters forget guidelines hidden ignore ignoring instruction
    instructions message messages override password policy previous print prompt prompts repeat restrictions reveal rules safety secret
    system unrestricted
"""
_NEEDLESS = "\u200b\u2060\u00ad\u180e"
_MOST_NEEDLESS = 4
_WIDE = re.compile("[\uff21-\uff3a\uff41-\uff5a]")
_MOST_WIDE = 12  # letters in full width: a Japanese text has a word or two of them
_VOWEL = re.compile("[aeiou]")
_MARKED_VOWEL = re.compile("[aeiou][\u0300-\u036f]")
_LEAST_VOWELS = 8
_MOST_MARKED = 0.8
_UNSEEN = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0020-\U000e007e]{2}")
_SMALL = re.compile(f"[{''.join(_SMALL_CAPITALS)}]")


def folded(text: str) -> str:
    """Return the text in NFKC and lower case, invisible characters removed or read, Latin marks and lookalikes plain.

    Idempotent for everything but text that was hidden in several layers.
    """
    seen = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).translate(_DROPPED).casefold()
    seen = _MARKS.sub("", unicodedata.normalize("NFD", seen.translate(_DASHES).translate(_READ_AS)))
    return _SPACES.sub(" ", _latin(unicodedata.normalize("NFC", seen))).strip()


def unspaced(text: str) -> str | None:
    """Return the words that are written in single letters, joined; None when there are none. Takes the text as it came."""
    runs = [_rejoined(run) for run in _SPACED.findall(text)]
    return " ".join(runs) or None


def unscrambled(text: str) -> str | None:
    """Return a folded text with the words of attacks restored whose inner letters were swapped; None when none were."""
    restored = _LONG_WORD.sub(lambda word: _BY_LETTERS.get(_letters(word.group()), word.group()), text)
    return restored if restored != text else None


def conceals(text: str) -> bool:
    """Tell whether the text as it came is written so that a filter reads something else than a person or a model.

    Marks that languages need (joiners of Persian, Hindi and emoji, full width in Japanese) are not counted.
    """
    if sum(text.count(character) for character in _NEEDLESS) > _MOST_NEEDLESS or _UNSEEN.search(text):
        return True
    mixed = sum(_LETTERS.search(word) is not None for word in _WORD.findall(text.casefold()) if _FOREIGN.search(word))
    small, wide = len(_SMALL.findall(text)), len(_WIDE.findall(text))
    return mixed > 1 or small > _MOST_NEEDLESS or wide > _MOST_WIDE or _marked(text) or _SPACED.search(text) is not None


def _marked(text: str) -> bool:
    """Tell whether nearly every vowel carries a mark, as in no language that is written with Latin letters."""
    apart = unicodedata.normalize("NFD", text).casefold()
    vowels = len(_VOWEL.findall(apart))
    return vowels >= _LEAST_VOWELS and len(_MARKED_VOWEL.findall(apart)) > _MOST_MARKED * vowels


def latin(text: str) -> bool:
    """Tell whether most letters are Latin: the encoder knows little of other scripts, where the rules decide alone."""
    letters = sum(letter.isalpha() for letter in text)
    return 2 * len(_LETTERS.findall(text)) >= letters


def _latin(text: str) -> str:
    """Read lookalikes as Latin in words that mix scripts, and in whole words when the text is Latin otherwise."""
    if not _FOREIGN.search(text):
        return text
    latin, foreign = len(_LETTERS.findall(text)), len(_FOREIGN.findall(text))

    def read(word: re.Match[str]) -> str:
        written = word.group()
        mixed = _LETTERS.search(written) is not None
        return written.translate(_LOOKALIKES) if mixed or latin > foreign else written

    return _WORD.sub(read, text)


def _letters(word: str) -> tuple[str, ...]:
    """Return what stays of a word when its inner letters change places."""
    return (word[0], *sorted(word[1:-1]), word[-1])


_BY_LETTERS = {_letters(word): word for word in _SCRAMBLED_WORDS.split()}


def _rejoined(run: str) -> str:
    """Join letters: two spaces stand between words, or one where letters are kept apart by another sign."""
    between = " {2,}" if "  " in run else " "
    words = re.split(between, run) if "  " in run or re.search(r"[^\w ]", run) else [run]
    return " ".join(_SEPARATORS.sub("", word) for word in words)
