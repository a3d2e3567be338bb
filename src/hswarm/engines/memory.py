"""`engine.batch = "auto"`: how many prompts fit into a device's free memory at once.

An estimate: keys and values of all tokens, and of one layer the activations and attention over the prompt. Where it is
too high, running out of memory halves the batch (retry.py).
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PretrainedConfig

_SHARE = 0.5  # of the free memory: the rest is for copies that grow with a reply, and for what else runs
_MOST = 512  # a larger batch gains nothing more (docs/gpu.md)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be taken on `device`; on a CPU no more than the process may have (`ulimit -v`)."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    import psutil

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    free = int(psutil.virtual_memory().available)
    return free if limit == resource.RLIM_INFINITY else max(0, min(free, limit - psutil.Process().memory_info().vms))


def prompt_bytes(config: PretrainedConfig, dtype: torch.dtype, prompt: int, reply: int) -> int:
    """What one prompt of a batch takes, its length and its reply's in tokens."""
    text = config.get_text_config()
    heads = text.num_attention_heads
    size = getattr(text, "head_dim", None) or text.hidden_size // heads
    kept = 2 * text.num_hidden_layers * (getattr(text, "num_key_value_heads", None) or heads) * size
    inner = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    layer = prompt * (8 * text.hidden_size + 3 * inner) + heads * prompt * prompt
    return int(dtype.itemsize * ((prompt + reply) * kept + layer) + 8 * text.vocab_size)


def batch_size(free: int, one: int) -> int:
    """How many prompts that take `one` bytes each fit into `free` bytes, at least 1.

    A power of two, so that small differences in what is free change nothing.
    """
    fitting = min(_MOST, int(free * _SHARE) // one)
    return 1 << max(0, fitting.bit_length() - 1)
