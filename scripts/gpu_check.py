"""What the transformers engine does on a GPU: equal replies, speed, memory, what changing an expert costs.

    python scripts/gpu_check.py --out gpu.json                        (a GPU; about three minutes, 15 GB of disk)
    python scripts/gpu_check.py --device cpu --size tiny --out x.json  (the same parts, small, anywhere)

Parts, each printed and written as soon as it is measured; a part that breaks is noted, the others go on:

- replies: the micro pool's greedy replies in float32, equal to those on the CPU.
- speed: a base of random weights with ten random LoRA adapters (rank 16, all linear layers). Replies of the ten
  experts by this engine, by PEFT with `set_adapter` before each expert's batch, by PEFT with one mixed batch
  (`adapter_names`), and plain `generate` of the base: tokens a second at several prompts an expert.
- memory and switching: peak memory of each, and the seconds from one expert to the next.
"""

import argparse
import json
import platform
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from hswarm.engines import open_engine
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.experts.pool import PoolSettings, open_pool, read_expert

ROOT = Path(__file__).parents[1]
MICRO = ROOT / "experts/micro"
SHAPES = {  # of Qwen2-7B, and of next to nothing
    "7b": {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28, "heads": 28, "kv": 4},
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "heads": 4, "kv": 2},
}
EXPERTS, RANK, NEW = 10, 16, 32
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def synchronised(device, work):
    """Seconds of `work`, and what it returns."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    found = work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, found


def peak(device):
    """GB of the device's memory used at most since the last call."""
    if device != "cuda":
        return None
    used = torch.cuda.max_memory_allocated() / 1e9
    torch.cuda.reset_peak_memory_stats()
    return round(used, 2)


def replies(device):
    """Greedy replies of the micro pool on `device` and on the CPU."""
    pool = open_pool(PoolSettings(path=str(MICRO / "pool"), base=str(MICRO / "base"))).experts
    names = [expert.name for expert in pool]
    words = np.random.default_rng(0).choice(names, (200, 3))
    asked = [
        Request(expert, " ".join(row) + f" {i}", Sampling(max_new_tokens=14))
        for i, row in enumerate(words)
        for expert in pool[:8]
    ]
    texts, seconds = {}, {}
    for place in dict.fromkeys([device, "cpu"]):
        settings = EngineSettings("transformers", dtype="float32", batch=200, device=place)
        engine = open_engine(settings, str(MICRO / "base"), pool)
        engine.generate(asked[:8])
        seconds[place], found = synchronised(device, lambda engine=engine: engine.generate(asked))
        texts[place] = [reply.text for reply in found]
    equal = [a == b for a, b in zip(texts[device], texts["cpu"], strict=True)]
    return {
        "replies": len(asked),
        "equal to the CPU's": sum(equal),
        "replies a second": {place: round(len(asked) / s, 1) for place, s in seconds.items()},
    }


def build(folder, size, device):
    """A base of random weights and EXPERTS adapters, in folders."""
    shape = dict(SHAPES[size])
    tokenizer = AutoTokenizer.from_pretrained(MICRO / "base")
    config = Qwen2Config(
        vocab_size=max(len(tokenizer), 1024),
        num_attention_heads=shape.pop("heads"),
        num_key_value_heads=shape.pop("kv"),
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        **shape,
    )
    torch.manual_seed(0)
    with torch.device(device):
        torch.set_default_dtype(torch.bfloat16)
        model = Qwen2ForCausalLM(config)
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=RANK, target_modules=LINEAR, task_type="CAUSAL_LM"))
    model.peft_config["default"].base_model_name_or_path = str(folder / "base")
    for i in range(EXPERTS):
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.01)
        model.save_pretrained(folder / f"pool/expert-{i}")


def prompts(count):
    return [f"question {i} " + "tav lun wex zor " * 12 for i in range(count)]


def by_engine(folder, device, counts):
    experts = [read_expert(folder / f"pool/expert-{i}") for i in range(EXPERTS)]
    settings = EngineSettings("transformers", dtype="bfloat16", batch=max(counts), device=device)
    opened, engine = synchronised(device, lambda: open_engine(settings, str(folder / "base"), experts))
    sampling, found = Sampling(max_new_tokens=NEW), {"seconds to open": round(opened, 1)}
    engine.generate([Request(e, "warm", Sampling(max_new_tokens=2)) for e in experts])
    switches = [synchronised(device, lambda e=e: engine._put([e]))[0] for e in experts * 2]
    found["seconds to change the expert"] = round(float(np.median(switches)), 4)
    for count in counts:
        asked = [Request(e, text, sampling) for e in experts for text in prompts(count)]
        seconds, made = synchronised(device, lambda asked=asked: engine.generate(asked))
        found[f"tokens/s, {count} an expert"] = round(sum(r.completion_tokens for r in made) / seconds, 1)
    return {**found, "peak GB": peak(device)}


def by_peft(folder, device, counts):
    """PEFT with set_adapter, PEFT in one mixed batch, and the base alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder / "base", padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.bfloat16).to(device).eval()
    names = [f"expert-{i}" for i in range(EXPERTS)]
    options = {"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False}

    def write(model, texts, **more):
        ids = tokenizer(texts, return_tensors="pt", padding=True, return_token_type_ids=False).to(device)
        with torch.inference_mode():
            model.generate(**ids, **options, **more)

    def timed(work, tokens):
        return round(tokens / synchronised(device, work)[0], 1)

    found = {"base alone": {}, "PEFT, set_adapter": {}, "PEFT, mixed batch": {}}
    write(base, prompts(2))
    for count in counts:
        tokens = EXPERTS * count * NEW
        found["base alone"][f"tokens/s, {count} an expert"] = timed(
            lambda count=count: [write(base, prompts(count)) for _ in names], tokens
        )
    found["base alone"]["peak GB"] = peak(device)
    model = PeftModel.from_pretrained(base, folder / "pool/expert-0", adapter_name=names[0]).eval()
    for name in names[1:]:
        model.load_adapter(folder / "pool" / name, adapter_name=name)
    write(model, prompts(2))

    def one_by_one(count):
        for name in names:
            model.set_adapter(name)
            write(model, prompts(count))

    for count in counts:
        tokens = EXPERTS * count * NEW
        key = f"tokens/s, {count} an expert"
        found["PEFT, set_adapter"][key] = timed(lambda count=count: one_by_one(count), tokens)
        rows = [name for name in names for _ in range(count)]
        found["PEFT, mixed batch"][key] = timed(
            lambda count=count, rows=rows: write(model, prompts(count) * EXPERTS, adapter_names=rows), tokens
        )
    found["PEFT, mixed batch"]["peak GB"] = peak(device)
    return found


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--size", default="7b", choices=SHAPES)
    parser.add_argument("--counts", default="1,8,64", help="prompts an expert (default: 1,8,64)")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    counts = [int(count) for count in given.counts.split(",")]
    card = torch.cuda.get_device_name() if given.device == "cuda" else platform.processor() or "CPU"
    found = {
        "card": card,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "base": given.size,
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        parts = {
            "replies": lambda: replies(given.device),
            "build": lambda: build(place, given.size, given.device),
            "this engine": lambda: by_engine(place, given.device, counts),
            "rivals": lambda: by_peft(place, given.device, counts),
        }
        for name, part in parts.items():
            start = time.perf_counter()
            try:
                found[name] = part()
            except Exception:  # a broken part must not hide the others' figures
                found[name] = {"broke": traceback.format_exc()[-1500:]}
            found[f"seconds of {name}"] = round(time.perf_counter() - start, 1)
            if given.device == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            print(name, json.dumps(found[name], indent=1), flush=True)
            given.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
