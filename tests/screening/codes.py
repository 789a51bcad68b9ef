"""Ways to hide a text from a filter and show it to a model."""

import base64
import codecs
from collections.abc import Callable, Mapping

_MORSE = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz0123456789",
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
        "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split(),
        strict=True,
    )
)
_CYRILLIC = str.maketrans("aceiopsxyABCEHKMOPTX", "асеіорѕхуАВСЕНКМОРТХ")
_LEET = str.maketrans("oieastOIEAST", "013457013457"[:6] * 2)
_SMALL = str.maketrans("abcdefghijklmnoprstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ")


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def base32_of(text: str) -> str:
    return base64.b32encode(text.encode()).decode()


def hex_of(text: str) -> str:
    return text.encode().hex()


def spaced_hex_of(text: str) -> str:
    return text.encode().hex(" ")


def binary_of(text: str) -> str:
    return " ".join(f"{byte:08b}" for byte in text.encode())


def decimal_of(text: str) -> str:
    return " ".join(str(byte) for byte in text.encode())


def url_of(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


def rot13_of(text: str) -> str:
    return codecs.encode(text, "rot13")


def reversed_of(text: str) -> str:
    return text[::-1]


def morse_of(text: str) -> str:
    words = ("".join(letter for letter in word if letter in _MORSE) for word in text.casefold().split())
    return " / ".join(" ".join(_MORSE[letter] for letter in word) for word in words if word)


def zero_width_of(text: str) -> str:
    return "\u200b".join(text)


def tags_of(text: str) -> str:
    return "".join(chr(0xE0000 + ord(letter)) if letter.isascii() else letter for letter in text)


def lookalikes_of(text: str) -> str:
    return text.translate(_CYRILLIC)


def fullwidth_of(text: str) -> str:
    return "".join(chr(ord(letter) + 0xFEE0) if "!" <= letter <= "~" else letter for letter in text)


def small_capitals_of(text: str) -> str:
    return text.casefold().translate(_SMALL)


def leetspeak_of(text: str) -> str:
    return text.translate(_LEET)


def spaced_of(text: str) -> str:
    return "  ".join(" ".join(word) for word in text.split())


def dotted_of(text: str) -> str:
    return " ".join(".".join(word) if len(word) > 1 else word for word in text.split())


def entities_of(text: str) -> str:
    return "".join(f"&#{ord(letter)};" for letter in text)


def escapes_of(text: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


def accents_of(text: str) -> str:
    return "".join(letter + "\u0301" if letter in "aeiou" else letter for letter in text)


# Everything a held-out text may be hidden by; those of TRAINED are seen in training as well.
CODES: Mapping[str, Callable[[str], str]] = {
    "base64": base64_of,
    "hex": hex_of,
    "url": url_of,
    "rot13": rot13_of,
    "reversed": reversed_of,
    "morse": morse_of,
    "zero_width": zero_width_of,
    "tags": tags_of,
    "lookalikes": lookalikes_of,
    "fullwidth": fullwidth_of,
    "leetspeak": leetspeak_of,
    "spaced": spaced_of,
    "entities": entities_of,
    "base32": base32_of,
    "binary": binary_of,
    "decimal": decimal_of,
    "spaced_hex": spaced_hex_of,
    "small_capitals": small_capitals_of,
    "dotted": dotted_of,
    "escapes": escapes_of,
    "accents": accents_of,
    "base64_of_rot13": lambda text: base64_of(rot13_of(text)),
    "hex_of_base64": lambda text: hex_of(base64_of(text)),
}
TRAINED = tuple(CODES)[:13]
# Codes whose text is named, so that a model knows what to do, against those that can be read as they are.
NEEDS_WORDS = frozenset({*CODES} - {*TRAINED[6:], "small_capitals", "dotted", "accents"})
