"""A LoRA adapter on disk, exactly as PEFT stores it, and as one flat float32 vector. Knows nothing of torch.

The file format is in peft_format.py.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from hswarm import io
from hswarm.errors import PoolError
from hswarm.experts.expert import Expert
from hswarm.experts.form import AdapterForm, Vector
from hswarm.experts.peft_format import base_of, read_adapter

VECTOR_FILE = "vector.safetensors"


@dataclass(frozen=True, eq=False)
class Adapter(Expert):
    """An adapter, or without a `form` a bare vector for the toy engine. Make it with `from_vector` or `read`."""

    vector: Vector = field(kw_only=True)

    @classmethod
    def from_vector(cls, name: str, vector: Vector, form: AdapterForm | None, base: str = "") -> Adapter:
        """An adapter of a float32 `vector`, shape (parameters,), which is made read-only.

        PoolError if it holds NaN or infinity, or is not as long as `form` says.
        """
        vector = np.ascontiguousarray(vector, dtype=np.float32)
        if form is not None and vector.shape != (form.size,):
            raise PoolError(f"expert '{name}': expected {form.size} weights in a row, got shape {vector.shape}")
        if not np.isfinite(vector).all():
            raise PoolError(f"expert '{name}': {np.count_nonzero(~np.isfinite(vector))} weights are not finite numbers")
        vector.flags.writeable = False
        whole = hashlib.sha256((form.digest if form else "vector").encode())
        whole.update(vector.data)
        return cls(name, whole.hexdigest(), base, form, vector=vector)

    @property
    def size(self) -> int:
        return self.vector.size

    @property
    def nbytes(self) -> int:
        return self.vector.nbytes

    def with_weights(self, vector: Vector, name: str | None = None) -> Adapter:
        """The same adapter with other weights, copied from `vector`, and another name if one is given."""
        return Adapter.from_vector(name or self.name, np.array(vector, dtype=np.float32), self.form, self.base)

    def write(self, folder: Path, dtype: Literal["float32", "float16"] = "float32") -> str:
        """Write PEFT's two files to `folder`, each atomically; a bare vector is one file, in float32.

        Returns the digest of what was written. PoolError if a weight does not fit `dtype`.
        """
        if self.form is None:
            io.write_tensors(folder / VECTOR_FILE, {"vector": self.vector})
            return self.digest
        if (largest := float(np.abs(self.vector).max(initial=0))) > float(np.finfo(dtype).max):
            raise PoolError(f"expert '{self.name}': a weight of {largest:g} does not fit {dtype}; write float32")
        tensors = {name: array.astype(dtype) for name, array in self.form.tensors(self.vector).items()}
        io.write_tensors(folder / "adapter_model.safetensors", tensors, {"format": "pt"})
        config = json.dumps(dict(self.form.config), indent=2, sort_keys=True) + "\n"
        io.write_text(folder / "adapter_config.json", config)
        written = self.vector.astype(dtype).astype(np.float32)
        return Adapter.from_vector(self.name, written, self.form).digest

    @classmethod
    def read(cls, folder: str | Path) -> Adapter:
        """The adapter in `folder`, named after it. PoolError says what is wrong with it."""
        folder = Path(folder)
        if (path := folder / VECTOR_FILE).is_file():
            if (vector := io.read_tensors(path).get("vector")) is None:
                raise PoolError(f"{path} holds no tensor 'vector'; copy the folder again")
            return Adapter.from_vector(folder.name, vector, None)
        config, tensors = read_adapter(folder)
        names = tuple(sorted(tensors))
        form = AdapterForm(config, names, tuple(tensors[key].shape for key in names))
        return Adapter.from_vector(folder.name, form.flatten(tensors), form, base_of(config))
