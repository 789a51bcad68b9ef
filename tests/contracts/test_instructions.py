"""Which kernels CTranslate2 is told to use."""

import os
from pathlib import Path

import pytest

from streams.clients import instructions


@pytest.mark.parametrize(
    ("flags", "set_before", "chosen"),
    [
        ("fpu avx2 avx512f avx512cd avx512dq avx512bw avx512vl", "", "AVX512"),
        ("fpu avx2 avx512f avx512cd avx512dq avx512bw avx512vl", "AVX2", "AVX2"),
        ("fpu avx2 avx512f", "", ""),
        (None, "", ""),
    ],
    ids=("has all", "operator chose", "has some", "not Linux"),
)
def test_avx512_is_chosen_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, set_before: str, chosen: str
) -> None:
    cpu = tmp_path / "cpuinfo"
    if flags is not None:
        cpu.write_text(f"model name\t: any\nflags\t\t: {flags}\n", encoding="utf-8")
    monkeypatch.setenv(instructions.CHOICE, set_before)
    if not set_before:
        monkeypatch.delenv(instructions.CHOICE)

    instructions.widest(cpu)

    assert os.environ.get(instructions.CHOICE, "") == chosen
