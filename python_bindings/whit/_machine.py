"""What the kernel tells about this process and its processors, in the words of whit_bench's JSON."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

from . import _native

_FEATURES = {_native.AVX2: "avx2", _native.AVX512: "avx512", _native.NEON: "neon"}
_MEMORY = {"peak_resident": "VmHWM", "resident": "VmRSS", "anonymous": "RssAnon"}
_CLOCKS = "cpu[0-9]*/cpufreq/scaling_cur_freq"


def memory() -> dict[str, int]:
    """Bytes of memory of this process: the most it had, what it has, and what of that is not from files. 0: not told."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        status = ""
    found = dict(re.findall(r"^(\w+):\s*(\d+) kB$", status, re.M))
    return {f"{name}_bytes": int(found.get(key, 0)) << 10 for name, key in _MEMORY.items()}


def clocks() -> list[int]:
    """MHz of each processor, as far as the kernel tells."""
    found = []
    for path in sorted(Path("/sys/devices/system/cpu").glob(_CLOCKS)):
        try:
            found.append(int(path.read_text()) // 1000)
        except (OSError, ValueError):  # a processor that is off
            continue
    return found


def machine() -> dict[str, Any]:
    """The processor: its architecture, the features that are used, its clocks."""
    cpu = _native.cpu_features()
    return {
        "machine": platform.machine(),
        "cpu": [name for bit, name in _FEATURES.items() if cpu & bit],
        "cpu_mhz": clocks(),
    }
