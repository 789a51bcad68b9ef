"""What kind of audio some bytes are, told by the bytes themselves."""

from streams.errors import AudioInvalid

PCM = "pcm_s16le"
KINDS = (PCM, "wav", "flac", "mp3", "ogg", "webm")

_EBML = b"\x1a\x45\xdf\xa3"
_DOCTYPE_WITHIN = 64  # the EBML header says `webm` near its front
_FRAME_SYNC = 0xE0
_MPEG_RESERVED, _LAYER_3 = 0x08, 0x02


def kind(content: bytes) -> str | None:
    """Return the codec these bytes are a file of; None for raw samples and everything else."""
    if content[:4] in {b"RIFF", b"RF64"} and content[8:12] == b"WAVE":
        return "wav"
    if content[:4] == b"fLaC":
        return "flac"
    if content[:4] == b"OggS":
        return "ogg"
    if content[:4] == _EBML:
        return "webm" if b"webm" in content[:_DOCTYPE_WITHIN] else None
    return "mp3" if content[:3] == b"ID3" or _mpeg_frame(content) else None


def checked(content: bytes, codec: str) -> str:
    """Return the codec once the content agrees with it.

    Raises:
        AudioInvalid: unknown codec, no content, or content of another kind.
    """
    if codec not in KINDS:
        raise AudioInvalid([f"codec must be one of {', '.join(KINDS)}, not {codec[:40]!a}"])
    if not content:
        raise AudioInvalid(["the clip is empty"])
    found = kind(content)
    if codec == PCM:
        if found not in {None, "mp3"}:  # loud samples may look like a frame of MP3
            raise AudioInvalid([f"codec says {PCM}, but the content is a {found} file"])
        if len(content) % 2:
            raise AudioInvalid([f"{PCM} has two bytes a sample, but the clip has {len(content):,} bytes"])
    elif found != codec:
        raise AudioInvalid(
            [f"codec says {codec}, but the content is {f'a {found} file' if found else 'no file of it'}"]
        )
    return codec


def _mpeg_frame(content: bytes) -> bool:
    return (
        len(content) > 3  # noqa: PLR2004 - a frame header
        and content[0] == 0xFF  # noqa: PLR2004 - its first byte
        and content[1] & _FRAME_SYNC == _FRAME_SYNC
        and content[1] & 0x18 != _MPEG_RESERVED
        and content[1] & 0x06 == _LAYER_3
        and content[2] & 0xF0 not in {0x00, 0xF0}
        and content[2] & 0x0C != 0x0C  # noqa: PLR2004 - a reserved sample rate
    )
