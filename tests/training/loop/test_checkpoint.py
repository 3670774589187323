import errno
import io
import os
from pathlib import Path

import pytest
import torch

from app.training.loop.checkpoint import (
    CheckpointError,
    TrainState,
    list_checkpoints,
    load_checkpoint,
    load_newest,
    save_checkpoint,
)


def trained(steps: int = 2) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(steps)
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(steps):
        model(torch.randn(2, 4)).sum().backward()
        optimizer.step()
    return model, optimizer


def save(root: Path, step: int, **options: object) -> Path:
    return save_checkpoint(root, *trained(step), TrainState(step=step, tokens=10 * step), keep=2, **options)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    model, optimizer = trained(3)
    save_checkpoint(tmp_path, model, optimizer, TrainState(3, 12, 34, 5.5), keep=2)
    expected = torch.rand(1)
    fresh, fresh_optimizer = trained(1)
    assert load_newest(tmp_path, fresh, fresh_optimizer) == TrainState(3, 12, 34, 5.5)
    assert torch.rand(1) == expected
    assert torch.equal(fresh.weight, model.weight)
    ours, theirs = optimizer.state_dict()["state"], fresh_optimizer.state_dict()["state"]
    assert all(torch.equal(ours[i][k], theirs[i][k]) for i in ours for k in ours[i])


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10):
        save(tmp_path, step)
    assert [p.name for p in list_checkpoints(tmp_path)] == ["step-000000010", "step-000000002"]


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, damage: str) -> None:
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    if damage == "truncate":
        (newest / "optimizer.pt").write_bytes((newest / "optimizer.pt").read_bytes()[:-8])
    elif damage == "remove":
        (newest / "model.safetensors").unlink()
    else:
        (newest / "manifest.json").write_text("{")
    with pytest.raises(CheckpointError):
        load_checkpoint(newest, *trained(1))
    assert load_newest(tmp_path, *trained(1)) == TrainState(step=1, tokens=10)


def test_without_a_manifest_there_is_no_checkpoint(tmp_path: Path) -> None:
    (save(tmp_path, 1) / "manifest.json").unlink()
    assert load_newest(tmp_path, *trained(1)) is None


def test_a_fence_prevents_the_checkpoint(tmp_path: Path) -> None:
    def refuse() -> None:
        raise PermissionError

    with pytest.raises(PermissionError):
        save(tmp_path, 1, fence=refuse)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_can_be_told_by_what_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", lambda path, mode: Full())
    with pytest.raises(OSError, match="No space left on device") as error:
        save(tmp_path, 3)
    assert error.value.__notes__ == ["the checkpoint of step 3"]


def test_what_a_killed_trainer_left_half_saved_goes_at_the_next_save(tmp_path: Path) -> None:
    (tmp_path / ".tmp-1-7").mkdir()
    (tmp_path / ".tmp-1-7" / "model.safetensors").write_text("half")
    save(tmp_path, 8)
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000008"]
