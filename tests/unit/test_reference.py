"""The reference that scorer and trainer are held against is float64 all through."""

from typing import Any

import pytest
import reference
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Types(TorchDispatchMode):
    """Keeps the floating types that operations return."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.dtype] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        found = function(*args, **(kwargs or {}))
        tensors = found if isinstance(found, tuple | list) else [found]
        self.seen |= {
            t.dtype for t in tensors if isinstance(t, torch.Tensor) and t.is_floating_point()
        }
        return found


@pytest.mark.parametrize("kind", ["Llama", "Qwen2", "Qwen3", "Mistral"])
def test_no_step_of_the_reference_is_less_exact_than_float64(kind, tmp_path):
    model = reference.load(reference.save_tiny(tmp_path / "model", kind))
    with Types() as types:
        found = reference.logits(model, [1, 5, 9, 4, 7])
    assert types.seen == {torch.float64}
    assert found.dtype == torch.float64
    with Types() as types:
        plain = model(input_ids=torch.tensor([[1, 5, 9, 4, 7]])).logits[0]
    assert torch.float32 in types.seen  # as transformers computes a model of this type
    assert 0 < (plain - found).abs().max() < 1e-4
