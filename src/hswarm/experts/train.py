"""Training a pool of LoRA experts of one base, one domain each, with transformers' Trainer.

Each example is put to the expert as a node of a system would see it: alone, with previous responses some of which are
right, or with wrong ones only; so an expert learns when to listen. A share comes from the other experts' domains with
the right answer among the previous responses: there, listening is all it can do.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hswarm.errors import ConfigError, MissingExtra
from hswarm.experts.adapter import Expert
from hswarm.experts.base import find_base
from hswarm.prompts import Prompts
from hswarm.tasks.reasoning_gym import generate
from hswarm.tasks.task import Example

_TRAIN_SEED = 10_000
RESERVED_SEEDS = range(10)  # what these seeds generate is for evaluation and never trained on
RESERVED = 200  # questions a data set and seed


@dataclass(frozen=True)
class Domain:
    """One expert: its reasoning-gym data sets with their options."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str
    datasets: tuple[str, ...]
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    steps: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-][\w.-]*", self.name):
            raise ValueError(f"an expert's name is that of its folder (letters, digits, - and _), got {self.name!r}")
        if not self.datasets:
            raise ValueError(f"expert '{self.name}' needs a data set, got none")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")


@dataclass(frozen=True)
class TrainSettings:
    """A training recipe. `elsewhere` is the share of off-domain questions."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    base: str
    out: str
    experts: tuple[Domain, ...]
    seed: int = 0
    rank: int = 4
    alpha: int = 8
    target_modules: tuple[str, ...] = ("q_proj", "v_proj", "up_proj", "down_proj")
    learning_rate: float = 2e-3
    batch: int = 16
    steps: int = 100
    elsewhere: float = 0.15
    held_out: int = 64

    def __post_init__(self) -> None:
        for key in ("rank", "alpha", "learning_rate", "batch", "steps", "held_out"):
            if not getattr(self, key) > 0:
                raise ValueError(f"{key} must be more than 0, got {getattr(self, key)}")
        if not 0 <= self.elsewhere < 1:
            raise ValueError(f"elsewhere is a share from 0 up to 1, got {self.elsewhere}")
        names = [domain.name for domain in self.experts]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"experts must be some, each with a name of its own, got {names}")


def train_pool(recipe: str | Path, say: Callable[[str], None] = print) -> Path:
    """Train every expert of `recipe` (TOML) that is not finished yet; returns the pool's folder."""
    settings = read_train_recipe(Path(recipe))
    out = Path(recipe).parent / settings.out
    for domain in settings.experts:
        mark = _mark(settings, domain)
        card = out / domain.name / "README.md"
        if card.is_file() and mark in card.read_text(encoding="utf-8"):
            say(f"{domain.name}: finished before, left as it is")
            continue
        _train_one(settings, domain, out / domain.name, mark, say)
    return out


def read_train_recipe(path: Path) -> TrainSettings:
    """The settings in `path`; ConfigError lists every fault."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(TrainSettings).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as fault:
        raise ConfigError([f"no training recipe at {path}"]) from fault
    except (OSError, ValueError) as fault:
        if isinstance(fault, ValidationError):
            places = ((".".join(map(str, error["loc"])), error["msg"]) for error in fault.errors())
            raise ConfigError([f"{place}: {message}" for place, message in places]) from fault
        raise ConfigError([f"{path} cannot be read as TOML: {fault}"]) from fault


def lesson(examples: Sequence[Example], others: Sequence[Example], count: int, elsewhere: float,
           rng: random.Random) -> list[tuple[str, str]]:  # fmt: skip
    """(prompt, answer) pairs in the message format: half alone, a quarter helped, a quarter misled, some off-domain."""
    prompts, pairs = Prompts(), []
    for i in range(count):
        off = bool(others) and rng.random() < elsewhere
        example = rng.choice(others) if off else examples[i % len(examples)]
        wrong = [
            e.answer for e in (others if off else examples) if e.domain == example.domain and e.answer != example.answer
        ]
        draw = 0.6 if off else rng.random()
        previous = rng.sample(wrong, min(len(wrong), rng.randint(0, 2))) if draw >= 0.5 else []
        if 0.5 <= draw < 0.75:
            previous.insert(rng.randint(0, len(previous)), example.answer)
        pairs.append((prompts.render(example, previous), example.answer))
    return pairs


def training_questions(settings: TrainSettings) -> set[str]:
    """Every question that any expert of the recipe is trained on."""
    return {example.question for domain in settings.experts for example in _own(settings, domain)}


def _own(settings: TrainSettings, domain: Domain) -> tuple[Example, ...]:
    """The questions of an expert's own domain, without those that evaluations may ask."""
    held = _held_out(settings, domain)
    known = {example.question for example in (*held, *_reserved(settings.experts))}
    return _plenty(domain, (domain.steps or settings.steps) * settings.batch, known)


def _held_out(settings: TrainSettings, domain: Domain) -> tuple[Example, ...]:
    return generate(domain.datasets, settings.held_out, _TRAIN_SEED - 1, options=domain.options)


def _train_one(settings: TrainSettings, domain: Domain, folder: Path, mark: str, say: Callable[[str], None]) -> None:
    steps = domain.steps or settings.steps
    rng = random.Random(f"{settings.seed}/{domain.name}")
    held, own = _held_out(settings, domain), _own(settings, domain)
    known = {example.question for example in (*held, *_reserved(settings.experts))}
    count = steps * settings.batch
    others = [e for d in settings.experts if d.name != domain.name for e in _plenty(d, 200, known)]
    pairs = lesson(own, others, count, settings.elsewhere, rng)
    say(f"{domain.name}: {count} examples, {steps} steps")
    trainer = _trainer(settings, pairs, held, folder.with_name(f".{folder.name}.{mark}"), steps)
    before = trainer.evaluate()["eval_loss"]
    checkpoints = list(Path(trainer.args.output_dir).glob("checkpoint-*"))
    trainer.train(resume_from_checkpoint=bool(checkpoints))
    after = trainer.evaluate()["eval_loss"]
    scratch = Path(trainer.args.output_dir) / "adapter"
    trainer.model.peft_config["default"].base_model_name_or_path = settings.base
    trainer.model.save_pretrained(scratch)
    Expert.read(scratch).write(folder, dtype="float16")
    card = _card(settings, domain, mark, steps, len(own), before, after)
    (folder / "README.md").write_text(card, encoding="utf-8")
    shutil.rmtree(trainer.args.output_dir)
    say(f"{domain.name}: loss on {len(held)} held-out questions {before:.3f} -> {after:.3f}")


def _reserved(domains: Sequence[Domain]) -> list[Example]:
    """The questions that evaluations may ask."""
    return [
        example for domain in domains for seed in RESERVED_SEEDS
        for example in generate(domain.datasets, RESERVED * len(domain.datasets), seed, options=domain.options)
    ]  # fmt: skip


def _plenty(domain: Domain, count: int, without: set[str]) -> tuple[Example, ...]:
    """Up to `count` training questions; a domain with few distinct ones gives what it has."""
    from hswarm.errors import TaskError

    while True:
        try:
            return generate(domain.datasets, count, _TRAIN_SEED, options=domain.options, without=without)
        except TaskError:
            if count < 20:
                raise
            count = count * 2 // 3


def _trainer(settings: TrainSettings, pairs: Sequence[tuple[str, str]], held: Sequence[Example], scratch: Path,
             steps: int) -> Any:  # fmt: skip
    """transformers' Trainer over a fresh adapter, with a checkpoint half-way."""
    try:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments
    except ImportError as missing:
        raise MissingExtra("training experts", "train") from missing
    base = find_base(settings.base)
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    torch.manual_seed(settings.seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=list(settings.target_modules),
                        task_type="CAUSAL_LM")  # fmt: skip
    arguments = TrainingArguments(
        output_dir=str(scratch), max_steps=steps, per_device_train_batch_size=settings.batch,
        per_device_eval_batch_size=settings.batch, learning_rate=settings.learning_rate,
        warmup_steps=max(1, steps // 10), lr_scheduler_type="linear", weight_decay=0.0, bf16=True,
        use_cpu=not torch.cuda.is_available(), seed=settings.seed, save_steps=max(1, steps // 2), save_total_limit=1,
        logging_steps=max(1, steps // 10), report_to="none", remove_unused_columns=False, disable_tqdm=True,
        prediction_loss_only=True, train_sampling_strategy="group_by_length",
    )  # fmt: skip
    plain = [(Prompts().render(example), example.answer) for example in held]
    return Trainer(
        get_peft_model(model, config), arguments, _collator(tokenizer),
        [_tokens(tokenizer, *pair) for pair in pairs],
        [_tokens(tokenizer, *pair) for pair in plain],
    )  # fmt: skip


def _collator(tokenizer: Any) -> Callable[[list[dict[str, list[int]]]], dict[str, Any]]:
    """Pads on the left and asks for logits at the answers alone: over a large vocabulary those are costly."""
    from transformers import DataCollatorForSeq2Seq

    pad = DataCollatorForSeq2Seq(tokenizer, padding=True)

    def collate(rows: list[dict[str, list[int]]]) -> dict[str, Any]:
        keep = 1 + max(sum(label != -100 for label in row["labels"]) for row in rows)
        batch = dict(pad(rows))
        return {**batch, "labels": batch["labels"][:, -keep:], "logits_to_keep": keep}

    return collate


def _tokens(tokenizer: Any, prompt: str, answer: str) -> dict[str, list[int]]:
    """Token ids with the loss on answer and end-of-text alone; the chat template is applied once."""
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    asked = tokenizer(chat, add_special_tokens=False)["input_ids"]
    said = tokenizer(answer + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
    return {"input_ids": asked + said, "attention_mask": [1] * len(asked + said), "labels": [-100] * len(asked) + said}


def _mark(settings: TrainSettings, domain: Domain) -> str:
    """Identifies all that an expert's weights depend on."""
    whole = {key: value for key, value in asdict(settings).items() if key not in ("experts", "out")}
    content = json.dumps([whole, asdict(domain), [asdict(d) for d in settings.experts]], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _card(settings: TrainSettings, domain: Domain, mark: str, steps: int, distinct: int, before: float,
          after: float) -> str:  # fmt: skip
    options: Mapping[str, Any] = domain.options
    return f"""---
base_model: {settings.base}
library_name: peft
license: apache-2.0
pipeline_tag: text-generation
---
# {domain.name}

A LoRA expert (rank {settings.rank}, alpha {settings.alpha}) of {settings.base}, trained by `hswarm experts train`.

- data: reasoning-gym (Apache-2.0) {", ".join(domain.datasets)}, options {json.dumps(options)}, seed {_TRAIN_SEED},
  {distinct} distinct questions; {settings.elsewhere:.0%} of the lessons from the pool's other domains
- {steps} steps of {settings.batch} lessons, learning rate {settings.learning_rate:g}, seed {settings.seed}
- loss on {settings.held_out} held-out questions: {before:.3f} before, {after:.3f} after
- settings {mark}
"""
