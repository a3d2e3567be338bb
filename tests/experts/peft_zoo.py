"""Adapters of every kind that PEFT writes, made by PEFT itself on a tiny llama; kept for a session of tests.

Each is a function of a base's folder and a target folder. "Trained" means moved at random from where PEFT starts it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

TARGETS = ["q_proj", "v_proj"]


class Kind(NamedTuple):
    """`options` of LoraConfig or `make`, a config of another type; `base` is which tiny llama it belongs to."""

    options: dict[str, Any] = {}  # noqa: RUF012
    make: Callable[[], Any] | None = None
    base: str = "tied"
    convert: bool = False


def _peft(name: str, **options: Any) -> Kind:
    def make() -> Any:
        import peft

        return getattr(peft, name)(**({"task_type": "CAUSAL_LM"} | options))

    return Kind(make=make)


def _lora(entry: str, config: str, **options: Any) -> Kind:
    """LoRA with a config of a variant, `config`, in its entry."""

    def make() -> Any:
        from peft import LoraConfig
        from peft.tuners.lora import config as configs

        plain: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": TARGETS, "task_type": "CAUSAL_LM"}
        return LoraConfig(**(plain | {entry: getattr(configs, config)(**options)}))

    return Kind(make=make)


KINDS: dict[str, Kind] = {
    "LoRA": Kind(),
    "rsLoRA": Kind({"use_rslora": True}),
    "gaussian start": Kind({"init_lora_weights": "gaussian"}),
    "orthogonal start": Kind({"init_lora_weights": "orthogonal"}),
    "EVA": Kind({"init_lora_weights": "eva"}),
    "MiCA": Kind({"init_lora_weights": "mica"}),
    "rank_pattern": Kind({"rank_pattern": {"q_proj": 2, "layers.1.self_attn.v_proj": 6}}),
    "alpha_pattern": Kind({"alpha_pattern": {"^model.layers.0.self_attn.q_proj": 2, "v_proj": 12}}),
    "rank_pattern with rsLoRA": Kind({"rank_pattern": {"q_proj": 2}, "use_rslora": True}),
    "all-linear": Kind({"target_modules": "all-linear"}),
    "target_modules as a regular expression": Kind({"target_modules": r".*\.1\.(self_attn|mlp)\.(q|down)_proj"}),
    "exclude_modules": Kind({"exclude_modules": ["layers.0.self_attn.q_proj"]}),
    "layers_to_transform": Kind({"layers_to_transform": [1], "layers_pattern": "layers"}),
    "bias without biases": Kind({"bias": "all"}),
    "LoRA on lm_head, tied": Kind({"target_modules": ["q_proj", "lm_head"]}),
    "LoRA on lm_head, not tied": Kind({"target_modules": ["q_proj", "lm_head"]}, base="untied"),
    "LoRA on embeddings, tied": Kind({"target_modules": ["q_proj", "embed_tokens"]}),
    "LoRA on embeddings, not tied": Kind({"target_modules": ["q_proj", "embed_tokens"]}, base="untied"),
    "LoRA on embeddings with ensure_weight_tying": Kind(
        {"target_modules": ["q_proj", "embed_tokens"], "ensure_weight_tying": True}
    ),
    "bias": Kind({"bias": "all"}, base="biased"),
    "bias lora_only": Kind({"bias": "lora_only"}, base="biased"),
    "modules_to_save lm_head, tied": Kind({"modules_to_save": ["lm_head"]}),
    "modules_to_save embed_tokens, tied": Kind({"modules_to_save": ["embed_tokens"]}),
    "modules_to_save both, not tied": Kind({"modules_to_save": ["embed_tokens", "lm_head"]}, base="untied"),
    "modules_to_save norms": Kind({"modules_to_save": ["input_layernorm", "norm"]}),
    "DoRA": Kind({"use_dora": True}),
    "DoRA with rank_pattern": Kind({"use_dora": True, "rank_pattern": {"q_proj": 2}}),
    "DoRA on embeddings": Kind({"use_dora": True, "target_modules": ["q_proj", "embed_tokens"]}),
    "trainable tokens, tied": Kind({"trainable_token_indices": [40, 70, 100]}),
    "trainable tokens, not tied": Kind({"trainable_token_indices": {"embed_tokens": [40, 70]}}, base="untied"),
    "PiSSA": Kind({"init_lora_weights": "pissa"}),
    "PiSSA by fast SVD": Kind({"init_lora_weights": "pissa_niter_4"}),
    "OLoRA": Kind({"init_lora_weights": "olora"}),
    "CorDA": Kind({"init_lora_weights": "corda"}),
    "LoftQ": Kind({"init_lora_weights": "loftq"}),
    "LoRA-GA": Kind({"init_lora_weights": "lora_ga"}),
    "PiSSA converted": Kind({"init_lora_weights": "pissa"}, convert=True),
    "OLoRA converted": Kind({"init_lora_weights": "olora"}, convert=True),
    "lora_bias": Kind({"lora_bias": True}),
    "target_parameters": Kind({"target_parameters": ["q_proj.weight"], "target_modules": ["v_proj"]}),
    "layer_replication": Kind({"layer_replication": [[0, 2], [1, 2]]}),
    "activated LoRA": Kind({"alora_invocation_tokens": [40, 41]}),
    "AdaLoRA": _peft("AdaLoraConfig", target_modules=TARGETS, total_step=10),
    "IA3": _peft("IA3Config", target_modules=["v_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "LoHa": _peft("LoHaConfig", target_modules=TARGETS),
    "LoKr": _peft("LoKrConfig", target_modules=TARGETS),
    "VeRA": _peft("VeraConfig", target_modules=["q_proj"], r=4),
    "OFT": _peft("OFTConfig", target_modules=TARGETS, r=4, oft_block_size=0),
    "BOFT": _peft("BOFTConfig", target_modules=TARGETS, boft_block_size=4),
    "HRA": _peft("HRAConfig", target_modules=TARGETS),
    "FourierFT": _peft("FourierFTConfig", target_modules=TARGETS, n_frequency=8),
    "LN tuning": _peft("LNTuningConfig", target_modules=["input_layernorm"]),
    "trainable tokens alone": _peft("TrainableTokensConfig", token_indices=[40, 70], target_modules=["embed_tokens"]),
    "prefix tuning": _peft("PrefixTuningConfig", num_virtual_tokens=4),
    "prompt tuning": _peft("PromptTuningConfig", num_virtual_tokens=4),
    "P-tuning": _peft("PromptEncoderConfig", num_virtual_tokens=4),
    "VeLoRA": _lora("velora_config", "VeloraConfig"),
    "KaSA": _lora("kasa_config", "KasaConfig"),
    "MonteCLoRA": _lora("monteclora_config", "MontecloraConfig"),
    "block-diagonal LoRA": _lora(
        "use_bdlora", "BdLoraConfig", nblocks=2, target_modules_bd_a=["q_proj"], target_modules_bd_b=["v_proj"]
    ),
    "adaption prompt": _peft("AdaptionPromptConfig", adapter_len=4, adapter_layers=2),
    "BEFT": _peft("BeftConfig", target_modules=TARGETS),
    "C3A": _peft("C3AConfig", target_modules=TARGETS, block_size=4),
    "Cartridge": _peft("CartridgeConfig", num_virtual_tokens=4),
    "CPT": _peft("CPTConfig"),
    "DEFT": _peft("DeftConfig", target_modules=TARGETS),
    "DeLoRA": _peft("DeloraConfig", target_modules=TARGETS),
    "FRoD": _peft("FrodConfig", target_modules=TARGETS),
    "GLoRA": _peft("GloraConfig", target_modules=TARGETS),
    "GraLoRA": _peft("GraloraConfig", target_modules=TARGETS),
    "HiRA": _peft("HiraConfig", target_modules=TARGETS),
    "Lily": _peft("LilyConfig", target_modules=TARGETS),
    "MiSS": _peft("MissConfig", target_modules=["q_proj"], r=4),
    "multitask prompt tuning": _peft("MultitaskPromptTuningConfig", num_virtual_tokens=4),
    "OSF": _peft("OSFConfig", target_modules=TARGETS),
    "PEANuT": _peft("PeanutConfig", target_modules=TARGETS),
    "Poly": _peft("PolyConfig", target_modules=TARGETS),
    "PSOFT": _peft("PsoftConfig", target_modules=["q_proj"], r=4),
    "PVeRA": _peft("PveraConfig", target_modules=["q_proj"]),
    "RandLoRA": _peft("RandLoraConfig", target_modules=TARGETS),
    "RoAd": _peft("RoadConfig", target_modules=TARGETS, group_size=4),
    "Shadow": _peft("ShadowConfig", target_modules=TARGETS),
    "SHiRA": _peft("ShiraConfig", target_modules=["q_proj"], r=4),
    "SuperTuning": _peft("SupertuningConfig", target_modules=TARGETS),
    "TinyLoRA": _peft("TinyLoraConfig", target_modules=TARGETS),
    "UniLoRA": _peft("UniLoraConfig", target_modules=TARGETS),
    "VB-LoRA": _peft("VBLoRAConfig", target_modules=TARGETS, vector_length=4, num_vectors=16),
    "WaveFT": _peft("WaveFTConfig", target_modules=TARGETS, n_frequency=8),
}
NOT_MADE = {"ADAMSS", "XLORA"}  # scikit-learn clusters the one's start, the other holds adapters of its own


def make(name: str, base: Path, folder: Path, spread: float = 0.15) -> Path:
    """The adapter of kind `name` for the model in `base`, written by PEFT to `folder`; `spread` is how far it moved."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    kind = KINDS[name]
    torch.manual_seed(sum(map(ord, name)))
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind.make:
            config = kind.make()
        else:
            plain = {"r": 4, "lora_alpha": 8, "target_modules": TARGETS, "task_type": "CAUSAL_LM"}
            config = LoraConfig(**(plain | kind.options | _started(kind, model)))
        model = get_peft_model(model, config)
        if kind.options.get("init_lora_weights") == "eva":
            from peft import initialize_lora_eva_weights

            initialize_lora_eva_weights(model, _batches())
        start = folder.parent / f"{folder.name}-start"
        if kind.convert:
            model.save_pretrained(start)
        _train(model, spread)
        model.peft_config["default"].base_model_name_or_path = str(base)
        if kind.options.get("init_lora_weights") == "loftq":
            model.peft_config["default"].init_lora_weights = "loftq"
        model.save_pretrained(folder, path_initial_model_for_weight_conversion=str(start) if kind.convert else None)
    return folder


def _started(kind: Kind, model: Any) -> dict[str, Any]:
    """What methods with a beginning of their own need beside its name; CorDA and LoRA-GA look at data first."""
    start = kind.options.get("init_lora_weights")
    if start == "loftq":  # its beginning needs scipy; what PEFT writes of it is the name in the config
        return {"init_lora_weights": False}
    if start == "eva":
        from peft import EvaConfig

        return {"eva_config": EvaConfig()}
    if start == "corda":
        from peft import LoraConfig
        from peft.tuners.lora.config import CordaConfig
        from peft.tuners.lora.corda import preprocess_corda

        config = LoraConfig(
            r=4, lora_alpha=8, target_modules=TARGETS, init_lora_weights="corda", corda_config=CordaConfig()
        )
        singles = [
            {key: rows[:1] for key, rows in batch.items()} for batch in _batches()
        ]  # it takes one text at a time
        preprocess_corda(model, config, run_model=lambda: [model(**single) for single in singles])
        return {"corda_config": config.corda_config}
    if start == "lora_ga":
        from peft import LoraConfig, LoraGAConfig, preprocess_loraga

        config = LoraConfig(
            r=4, lora_alpha=8, target_modules=TARGETS, init_lora_weights="lora_ga", lora_ga_config=LoraGAConfig()
        )

        def step() -> None:
            for batch in _batches():
                model(**batch, labels=batch["input_ids"]).loss.backward()

        preprocess_loraga(model, config, step)
        return {"lora_ga_config": config.lora_ga_config}
    return {"init_lora_weights": start} if start else {}


def _batches() -> list[dict[str, Any]]:
    import torch

    torch.manual_seed(7)
    ids = torch.randint(2, 250, (8, 4, 24))
    return [{"input_ids": rows, "attention_mask": torch.ones_like(rows)} for rows in ids]


def _train(model: Any, spread: float) -> None:
    import torch

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * spread)
