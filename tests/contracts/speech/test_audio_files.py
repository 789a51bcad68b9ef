"""Files of every kind we take, decoded by the real libraries; and files made to harm."""

import io
import random
import time
from typing import Any

import av
import numpy as np
import pytest

from streams.clients.audio.decoder import FileDecoder, decoded
from streams.clients.audio.kind import KINDS, kind
from streams.errors import AudioInvalid
from streams.settings import TranscribeSettings
from streams.speech import RATE_HZ, seconds
from tests.contracts.speech.recordings import ENCODERS, bomb, encoded, tone, wav_header

MOST_S = 600.0
MISLABELLED = [(a, b) for a in KINDS for b in ENCODERS if a != b and (a, b) != ("pcm_s16le", "mp3")]


def pitch(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, dtype="<i2").astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * RATE_HZ / len(samples))


@pytest.mark.parametrize("codec", ENCODERS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_file_becomes_mono_at_16_khz(codec: str, channels: int) -> None:
    file = encoded(tone(rate_hz=48_000), codec, channels=channels)

    pcm = decoded(file, codec, 0, MOST_S)

    assert kind(file) == codec
    assert seconds(pcm) == pytest.approx(1.0, abs=0.1)
    assert pitch(pcm) == pytest.approx(440.0, abs=2.0)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_raw_samples_of_any_rate_become_16_khz(rate_hz: int) -> None:
    pcm = decoded(tone(rate_hz=rate_hz).tobytes(), "pcm_s16le", rate_hz, MOST_S)

    assert seconds(pcm) == pytest.approx(1.0, abs=0.01)
    assert pitch(pcm) == pytest.approx(440.0, abs=2.0)


@pytest.mark.parametrize(("claimed", "real"), MISLABELLED)
def test_a_mislabelled_file_is_refused(claimed: str, real: str) -> None:
    with pytest.raises(AudioInvalid, match=f"codec says {claimed}, but the content is a {real} file"):
        decoded(encoded(tone(), real), claimed, RATE_HZ, MOST_S)


@pytest.mark.parametrize(
    ("content", "codec", "rate_hz", "problem"),
    [
        (b"", "wav", 0, "the clip is empty"),
        (b"\0\0", "aac", 0, "codec must be one of"),
        (b"odd", "pcm_s16le", RATE_HZ, "two bytes a sample"),
        (b"\0\0", "pcm_s16le", 0, "sample rate must be 4,000 to 192,000 Hz, not 0"),
        (b"\0\0", "pcm_s16le", 2**31 - 1, "sample rate must be"),
        (b"<html>", "webm", 0, "the content is no file of it"),
        (b"#EXTM3U\nfile:///etc/passwd\n", "mp3", 0, "the content is no file of it"),
        (wav_header(claimed_bytes=0), "wav", 0, "the file holds no sound"),
        (wav_header(rate_hz=1) + bytes(1_000), "wav", 0, "sample rate must be"),
        (wav_header(rate_hz=2**31 - 1) + bytes(1_000), "wav", 0, "wav|sample rate"),
        (wav_header(channels=64) + bytes(100_000), "wav", 0, "1 to 8 channels|damaged"),
        (wav_header(form=0x55) + bytes(1_000), "wav", 0, "wav|not taken|no sound|damaged"),
    ],
    ids=range(12),
)
def test_what_a_header_claims_is_checked(content: bytes, codec: str, rate_hz: int, problem: str) -> None:
    with pytest.raises(AudioInvalid) as refused:
        decoded(content, codec, rate_hz, MOST_S)

    assert any(part in str(refused.value) for part in problem.split("|"))


def test_a_header_may_claim_four_gigabytes_for_a_second_of_sound() -> None:
    """As programs write it that stream into a WAV file."""
    pcm = decoded(wav_header(claimed_bytes=0xFFFFFFFF) + tone().tobytes(), "wav", 0, MOST_S)

    assert seconds(pcm) == pytest.approx(1.0, abs=0.01)


def test_a_file_that_unpacks_to_half_an_hour_is_given_up_soon() -> None:
    file = bomb()
    began = time.process_time()

    with pytest.raises(AudioInvalid, match="longer than 60 s"):
        decoded(file, "flac", 0, 60.0)

    assert len(file) < 1_000_000
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("codec", ENCODERS)
def test_a_file_cut_off_or_damaged_anywhere_ends_clearly(codec: str) -> None:
    """Either sound, or a refusal: never another error, never more sound than there was."""
    whole = encoded(tone(2.0, rate_hz=48_000), codec)
    chance = random.Random(7)
    for _ in range(40):
        broken = bytearray(whole[: chance.randrange(len(whole))] if chance.random() < 0.5 else whole)
        for _ in range(chance.randrange(20)):
            if broken:
                broken[chance.randrange(len(broken))] = chance.randrange(256)
        try:
            pcm = decoded(bytes(broken), codec, 0, MOST_S)
        except AudioInvalid:
            continue
        assert seconds(pcm) <= MOST_S


def test_a_video_without_sound_is_refused() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream: Any = container.add_stream("libvpx", rate=10)
        stream.width = stream.height = 32
        container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))

    with pytest.raises(AudioInvalid, match="holds no audio"):
        decoded(file.getvalue(), "webm", 0, MOST_S)


async def test_files_are_decoded_off_the_event_loop() -> None:
    decoder = FileDecoder(TranscribeSettings())
    await decoder.start()

    pcm = await decoder.decode(encoded(tone(rate_hz=48_000), "flac"), codec="flac", sample_rate_hz=0)
    await decoder.close()

    assert seconds(pcm) == pytest.approx(1.0, abs=0.01)
