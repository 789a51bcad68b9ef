"""CTranslate2 has kernels for AVX-512 and uses them only when it is told to (docs/decisions/0045)."""

import os
from pathlib import Path

CPU = Path("/proc/cpuinfo")
AVX512 = frozenset({"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"})  # all that its kernels need
CHOICE = "CT2_FORCE_CPU_ISA"


def widest(cpu: Path) -> None:
    """Choose AVX-512 where the processor has it. What the operator has set is left alone."""
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    if set(flags) >= AVX512:
        os.environ.setdefault(CHOICE, "AVX512")
