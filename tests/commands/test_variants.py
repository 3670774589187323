"""Files of `cloze score --variants`."""

from pathlib import Path

import pytest

from app.commands.variants import read_variants, read_wild_type
from app.errors import InvalidValue


def test_variants_of_files(tmp_path: Path) -> None:
    lines, table = tmp_path / "variants.txt", tmp_path / "dms.csv"
    lines.write_text("H24C\n\nA1G:T3S\n")
    table.write_text("﻿score,mutant\n0.1,H24C\n0.2,P25A\n", encoding="utf-8")
    assert read_variants(str(lines)) == ["H24C", "A1G:T3S"]
    assert read_variants(str(table)) == ["H24C", "P25A"]
    assert read_variants("all") == "all"
    assert read_variants("H24C") == ["H24C"]
    table.write_text("name,score\nH24C,1\n")
    with pytest.raises(InvalidValue, match="no column `mutant`"):
        read_variants(str(table))


def test_a_sequence_of_several_lines() -> None:
    assert read_wild_type([">sp|P62593", "HPET", "LVKV "]) == "HPETLVKV"
    with pytest.raises(InvalidValue, match="several"):
        read_wild_type([">one", "HP", ">two", "ET"])
