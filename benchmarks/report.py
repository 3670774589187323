"""benchmarks/RESULTS.md: one section a benchmark, each written anew by its own run."""

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "RESULTS.md"


def write_section(title: str, text: str, path: Path = RESULTS) -> None:
    """Replaces the section of that title, or adds it at the end."""
    page = path.read_text(encoding="utf-8") if path.is_file() else "# Results\n"
    parts = re.split(r"(?m)^(?=## )", page)
    section = f"## {title}\n\n{text.strip()}\n"
    places = [i for i, part in enumerate(parts) if part.partition("\n")[0] == f"## {title}"]
    if places:
        parts[places[0]] = section
    else:
        parts.append(section)
    path.write_text("\n".join(part.strip("\n") + "\n" for part in parts), encoding="utf-8")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Describes the machine of the figures; names neither the host nor its folders."""
    cpu = Path("/proc/cpuinfo")
    names = re.findall(r"(?m)^model name\s*:\s*(.+)$", cpu.read_text()) if cpu.is_file() else []
    name = names[0] if names else platform.processor() or platform.machine()
    able = torch.cpu.get_capabilities()
    units = [label for key, label in (("amx_bf16", "AMX bf16"), ("avx512_bf16", "AVX512-BF16")) if able.get(key)]
    gpu = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    cores = len(os.sched_getaffinity(0))
    with_units = f" ({', '.join(units)})" if units else ""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{cores} core{'s' * (cores != 1)} of {name}{with_units}{gpu}, {versions}"
