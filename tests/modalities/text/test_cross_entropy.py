import pytest
import torch

import app.modalities.text.cross_entropy as module
from app.modalities.text.cross_entropy import linear_cross_entropy


@pytest.mark.parametrize(("with_bias", "filler"), [(True, 0), (False, 0), (True, 20)])
def test_loss_and_gradients_equal_torchs_over_several_chunks(
    monkeypatch: pytest.MonkeyPatch, with_bias: bool, filler: int
) -> None:
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 16 * 40)
    torch.manual_seed(0)
    hidden_states, weight, bias = torch.randn(50 + filler, 8), torch.randn(40, 8), torch.randn(40)
    labels = torch.randint(0, 40, (50,))
    leaves = [hidden_states, weight] + ([bias] if with_bias else [])
    for leaf in leaves:
        leaf.requires_grad_()
    loss, correct = linear_cross_entropy(hidden_states, weight, bias if with_bias else None, labels)
    (3 * loss).backward()
    ours = [leaf.grad.clone() for leaf in leaves]
    for leaf in leaves:
        leaf.grad = None
    logits = hidden_states[:50] @ weight.T + (bias if with_bias else 0)
    expected = torch.nn.functional.cross_entropy(logits, labels)
    (3 * expected).backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert int(correct) == int((logits.argmax(1) == labels).sum())
    for got, leaf in zip(ours, leaves, strict=True):
        torch.testing.assert_close(got, leaf.grad, rtol=1e-5, atol=1e-6)


def test_no_position_is_a_loss_of_zero() -> None:
    loss, correct = linear_cross_entropy(torch.zeros(0, 4), torch.randn(9, 4), None, torch.zeros(0, dtype=torch.int64))
    assert (loss.item(), int(correct)) == (0.0, 0)


def test_evaluation_needs_no_gradient() -> None:
    with torch.no_grad():
        loss, _ = linear_cross_entropy(torch.randn(5, 4), torch.randn(9, 4), None, torch.arange(5))
    assert loss.item() > 0
