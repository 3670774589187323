"""Shards of rows, with items of one row and of many."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.datasets.reports import Reason
from app.errors import InvalidData
from app.media.accepted import IMAGES
from app.modalities.patch.decoding import Decoding
from app.system.pool_process import MIB, ProcessLimits
from app.system.process_pool import ProcessPool
from app.training.data.media_shards import MediaShard, check_reports, decode_file, split_items
from app.training.data.source_file import SourceFile
from app.training.hooks import Stopped
from tests.fakes.faults import after_the_first, crash, hang, lines, narrow, swell
from tests.fakes.image_data import picture_tar, picture_zip
from tests.fakes.loader import WAIT
from tests.fakes.tiny_images import picture

LINES = Decoding(IMAGES, "lines", (4, 3), "uint8", lines)
Make = Callable[..., MediaShard]


@pytest.fixture(scope="module")
def decoders() -> Iterator[ProcessPool]:
    with ProcessPool(2) as pool:
        yield pool


@pytest.fixture
def make(tmp_path: Path, decoders: ProcessPool) -> Make:
    def shard(path: Path, decoding: Decoding = LINES, decoders: ProcessPool = decoders) -> MediaShard:
        return decode_file(SourceFile(path, path.name), decoding, tmp_path / "cache", decoders)

    return shard


def test_items_are_runs_of_rows_in_the_order_of_the_archive(make: Make, tmp_path: Path) -> None:
    shard = make(picture_zip(tmp_path / "a.zip", count=9))
    assert len(shard) == 9
    assert all(np.array_equal(shard[seed], lines(picture(seed))) for seed in range(9))


def test_the_number_of_decoders_changes_nothing(make: Make, tmp_path: Path) -> None:
    many = make(picture_zip(tmp_path / "a.zip", count=9))
    with ProcessPool(1) as alone:
        one = decode_file(SourceFile(tmp_path / "a.zip", "a.zip"), LINES, tmp_path / "elsewhere", alone)
    assert np.array_equal(one.rows, many.rows) and np.array_equal(one.ends, many.ends)


def test_the_making_of_a_shard_can_be_stopped(make: Make, tmp_path: Path, decoders: ProcessPool) -> None:
    source = picture_zip(tmp_path / "a.zip", count=9)
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 4:
            raise Stopped("cancel")

    with pytest.raises(Stopped):
        decode_file(SourceFile(source, "a.zip"), LINES, tmp_path / "cache", decoders, check)
    assert len(make(source)) == 9


def test_decoding_ends_at_once_when_it_is_stopped(tmp_path: Path) -> None:
    def check() -> None:
        raise Stopped("cancel")

    source = picture_zip(tmp_path / "a.zip", count=9)
    with ProcessPool(1) as decoders:
        stuck = replace(LINES, decode=after_the_first(tmp_path, hang))
        with pytest.raises(Stopped):
            decode_file(SourceFile(source, "a.zip"), stuck, tmp_path / "cache", decoders, check)
        assert decoders.submit(os.getpid).result(WAIT)


@pytest.mark.parametrize(("fault", "message"), [(crash, "SIGSEGV"), (swell, "MiB of memory")])
def test_a_file_that_ends_its_decoder_is_left_out_and_reported(
    make: Make, tmp_path: Path, fault: Callable[[], None], message: str
) -> None:
    with ProcessPool(1, ProcessLimits(memory_bytes=512 * MIB, seconds=1)) as decoders:
        faulty = replace(LINES, decode=after_the_first(tmp_path, fault))
        shard = make(picture_zip(tmp_path / "a.zip", count=2), faulty, decoders)
    skipped = shard.report.skipped[Reason.BROKEN]
    assert (len(shard), shard.report.usable, skipped.count) == (1, 1, 1)
    assert message in str(skipped.examples)


def test_what_is_broken_is_counted_also_when_it_comes_from_the_cache(make: Make, tmp_path: Path) -> None:
    source = picture_zip(tmp_path / "a.zip", count=3, broken=2)
    for shard in (make(source), make(source)):
        report = check_reports([shard], "images", 0.5)
        assert (report.usable, round(report.faulty_share, 2)) == (3, 0.4)
        with pytest.raises(InvalidData, match="3 images are usable"):
            check_reports([shard], "images", 0.3)


def test_an_archive_without_anything_usable_is_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="0 images are usable"):
        check_reports([make(picture_zip(tmp_path / "a.zip", count=0))], "images", 1.0)


def test_other_settings_are_another_shard(make: Make, tmp_path: Path) -> None:
    source = picture_zip(tmp_path / "a.zip", count=2)
    other = Decoding(IMAGES, "twice", (2, 3), "float32", narrow)
    assert make(source)[0].shape != make(source, decoding=other)[0].shape


def test_a_share_is_held_out_and_no_item_is_in_both(make: Make, tmp_path: Path) -> None:
    shards = [make(picture_zip(tmp_path / "a.zip", count=8)), make(picture_tar(tmp_path / "b.tar.gz", count=2))]
    parts, held = split_items(shards, [], 0.2, seed=0, tokens=lambda rows: 16)
    training = [part[i].tobytes() for part in parts for i in range(len(part))]
    held_out = [held[i].tobytes() for i in range(len(held))]
    assert (len(training), len(held_out)) == (8, 2)
    assert not set(training) & set(held_out)
    assert sum(part.tokens for part in parts) == 8 * 16
    again = split_items(shards, [], 0.2, seed=0, tokens=lambda rows: 16)[1]
    assert [again[i].tobytes() for i in range(2)] == held_out


def test_a_single_item_cannot_be_split(make: Make, tmp_path: Path) -> None:
    shard = make(picture_zip(tmp_path / "a.zip", count=1))
    with pytest.raises(InvalidData, match="single item"):
        split_items([shard], [], 0.2, seed=0, tokens=lambda rows: 16)
    parts, held = split_items([shard], [shard], 0.2, seed=0, tokens=lambda rows: 16)
    assert (len(parts[0]), len(held)) == (1, 1)


def test_long_items_are_cut_into_samples_and_stay_together(make: Make, tmp_path: Path) -> None:
    shard = make(picture_zip(tmp_path / "a.zip", count=6))  # of 36 rows each
    [part], held = split_items([shard], [], 0.3, seed=0, tokens=lambda rows: 16, window=10)
    assert (len(part), len(held)) == (4 * 3, 2 * 3) and part.tokens == 12 * 16
    assert all(len(part[i]) == 12 for i in range(12))
    whole = {np.concatenate([part[i + j] for j in range(3)]).tobytes() for i in range(0, 12, 3)}
    assert len(whole) == 4 and whole <= {shard[i].tobytes() for i in range(6)}
    [short], _ = split_items([shard], [shard], 0.3, seed=0, tokens=lambda rows: 16, window=37)
    assert len(short) == 6 and np.array_equal(short[0], shard[0])
