"""Training a pool of LoRA experts of one base, one domain each, with transformers' Trainer.

An expert is finished when its card contains the hash of its settings; training resumes from the last complete
checkpoint, expert by expert. The held-out and validation questions are never trained on.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Protocol

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from hswarm import io
from hswarm.core.stats import bootstrap_interval, paired_test
from hswarm.engines.chat import chat_text
from hswarm.errors import ConfigError, MissingExtra, PoolError, TaskError
from hswarm.experts.adapter import Adapter
from hswarm.experts.base import find_base
from hswarm.experts.expert import Expert
from hswarm.options import check_ranges, explain
from hswarm.prompts import Prompts
from hswarm.tasks.task import Example
from hswarm.training.data import (
    TRAIN_SEED,
    Domain,
    Exercise,
    Row,
    TrainingExample,
    TrainingSet,
    ask,
    content_digest,
    lesson,
    make,
    plenty,
    read_rows,
    reserved,
)

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import (
        PreTrainedModel,
        PreTrainedTokenizerBase,
        Trainer,
        TrainerCallback,
        TrainerState,
        TrainingArguments,
    )

Say = Callable[[str], None]
_Count = Annotated[int, Gt(0)]
_SHORT = 256  # tokens of a lesson
Tokens = list[dict[str, list[int]]]  # of an example: input_ids, attention_mask, labels


class Quality(NamedTuple):
    """An expert's loss on the held-out lessons, and its scores on the exercises if it sat the exam."""

    loss: float
    scores: list[float] | None = None


class Exam(Protocol):
    """Scores an expert alone on exercises, one score each, shape (n,)."""

    def __call__(
        self, expert: Expert, exercises: Sequence[Exercise], scorer: str, max_new_tokens: int
    ) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class TrainSettings:
    """A training recipe: LoRA's settings, the optimiser's, and how training is measured.

    `elsewhere` is the share of off-domain questions. Each expert is scored on `held_out` questions before and after, by
    `scorer` ("" for loss alone) on replies of at most `max_new_tokens`. Training ends, with the best
    weights, after `early_stop` evaluations (of ten) without a lower loss on `validation` other questions (0: never).
    Lessons of more than `max_tokens` are left out and counted. `license` goes into the cards. The finished update is
    multiplied by `strength` (task arithmetic, arXiv 2212.04089), so that an average of several experts still acts.
    Training goes on from the adapter `start` (a folder, relative to the recipe) instead of an empty one: what all
    experts need, such as the message format, is then learnt once.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    base: str
    out: str
    experts: tuple[Domain, ...]
    seed: int = 0
    rank: _Count = 4
    alpha: _Count = 8
    target_modules: tuple[str, ...] = ("q_proj", "v_proj", "up_proj", "down_proj")
    learning_rate: Annotated[float, Gt(0)] = 2e-3
    batch: _Count = 16
    steps: _Count = 100
    elsewhere: Annotated[float, Ge(0), Lt(1)] = 0.15
    held_out: _Count = 64
    early_stop: Annotated[int, Ge(0)] = 0
    validation: _Count = 64
    max_tokens: _Count = 1024
    scorer: str = "exact"
    max_new_tokens: _Count = 32
    strength: Annotated[float, Gt(0)] = 1.0
    license: str = ""
    start: str = ""

    def __post_init__(self) -> None:
        check_ranges(self)
        names = [domain.name for domain in self.experts]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"expected at least one expert, each with its own name, got {names}")

    @property
    def final_alpha(self) -> float:
        """The finished adapter's alpha, an integer where it is one."""
        alpha = self.alpha * self.strength
        return int(alpha) if alpha == int(alpha) else alpha

    def steps_of(self, domain: Domain) -> int:
        """The most steps that an expert is trained."""
        return domain.steps or self.steps


def train_pool(recipe: str | Path, say: Say = print, exam: Exam | None = None) -> Path:
    """Train every expert of `recipe` (TOML) that is not finished yet; returns the pool's folder.

    `exam` scores each before and after (without it, cards give the loss alone).
    """
    settings, folder = read_train_recipe(Path(recipe)), Path(recipe).parent
    out, waiting = folder / settings.out, []
    for domain in settings.experts:
        mark, card = _mark(settings, domain, folder), out / domain.name / "README.md"
        if card.is_file() and mark in card.read_text(encoding="utf-8"):
            say(f"{domain.name}: already trained, skipped")
        else:
            waiting.append((domain, mark))
    pace = _Pace(sum(settings.steps_of(domain) for domain, _ in waiting))
    for domain, mark in waiting:
        _Training(settings, domain, folder, mark, say, pace).go(out / domain.name, exam)
        pace.leave(settings.steps_of(domain))
    return out


def read_train_recipe(path: Path) -> TrainSettings:
    """The settings in `path`; ConfigError lists every fault."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(TrainSettings).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as fault:
        raise ConfigError([f"no training recipe at {path}"]) from fault
    except (OSError, ValueError, RecursionError) as fault:
        if isinstance(fault, ValidationError):
            faults = [explain(error, ".".join(map(str, error["loc"])) or "recipe") for error in fault.errors()]
            raise ConfigError(faults) from fault
        raise ConfigError([f"{path} cannot be read as TOML: {fault}"]) from fault


def training_questions(settings: TrainSettings, folder: Path = Path()) -> set[str]:
    """Every question that any expert of the recipe is trained on. Files are relative to `folder`."""
    found: set[str] = set()
    for domain in settings.experts:
        found |= {example.question for example in _own(settings, domain, folder)}
    return found


class _Split(NamedTuple):
    """The rows of a file or hub data set."""

    held_out: list[Row]
    validation: list[Row]
    train: list[Row]
    commit: str = ""


def _split(settings: TrainSettings, domain: Domain, folder: Path) -> _Split:
    """Split by seed, each row into one part; at least half are for training."""
    rows, commit = read_rows(domain, folder)
    shuffled = random.Random(f"{settings.seed}/{domain.name}/split").sample(rows, len(rows))
    validation = settings.validation if settings.early_stop else 0
    kept = settings.held_out + validation
    if 2 * kept > len(rows):
        raise TaskError(
            f"expert '{domain.name}': {domain.source} has {len(rows)} distinct rows, {kept} would be held "
            "out; add rows or lower held_out and validation"
        )
    return _Split(shuffled[: settings.held_out], shuffled[settings.held_out : kept], shuffled[kept:], commit)


def _held_out(settings: TrainSettings, domain: Domain) -> tuple[Example, ...]:
    return make(domain, settings.held_out, TRAIN_SEED - 1)


def _validation(settings: TrainSettings, domain: Domain) -> tuple[Example, ...]:
    if not settings.early_stop:
        return ()
    held = {example.question for example in _held_out(settings, domain)}
    return make(domain, settings.validation, TRAIN_SEED - 2, held)


def _own(settings: TrainSettings, domain: Domain, folder: Path) -> list[Example]:
    """The questions of an expert's own domain, without those that evaluations may ask."""
    if not domain.generated:
        return [row.example for row in _split(settings, domain, folder).train if row.example]
    return list(plenty(domain, settings.steps_of(domain) * settings.batch, _known(settings, domain)))


def _known(settings: TrainSettings, domain: Domain) -> set[str]:
    """The generated questions that must not be trained on."""
    kept = (*_held_out(settings, domain), *_validation(settings, domain)) if domain.generated else ()
    return {example.question for example in (*kept, *reserved(settings.experts))}


def _others(settings: TrainSettings, domain: Domain, folder: Path) -> list[Example]:
    """Questions of the pool's other domains."""
    known = _known(settings, domain)
    return [
        example
        for other in settings.experts
        if other.name != domain.name
        for example in (plenty(other, 200, known) if other.generated else _own(settings, other, folder)[:200])
    ]


def _course(settings: TrainSettings, domain: Domain, folder: Path) -> TrainingSet:
    """All that an expert is trained and tested on."""
    rng, count = random.Random(f"{settings.seed}/{domain.name}"), settings.steps_of(domain) * settings.batch
    if domain.generated:
        held_out, validation, train = (
            [Row(example, ()) for example in part]
            for part in (_held_out(settings, domain), _validation(settings, domain), _own(settings, domain, folder))
        )
        split = _Split(held_out, validation, train)
    else:
        split = _split(settings, domain, folder)
    questions = [row.example for row in split.train if row.example]
    spoken = [one for row in split.train for one in row.lessons]
    words = round(count * (len(split.train) - len(questions)) / len(split.train))
    lessons = [one for _ in range(-(-words // max(1, len(spoken)))) for one in rng.sample(spoken, len(spoken))][:words]
    if questions:
        pairs = lesson(questions, _others(settings, domain, folder), count - words, settings.elsewhere, rng)
        lessons += [ask(*pair) for pair in pairs]
    exercises = [exercise for row in split.held_out if (exercise := _exercise(row))]
    return TrainingSet(
        lessons, _plain(split.validation), _plain(split.held_out), exercises, len(split.train), split.commit
    )


def _plain(rows: Sequence[Row]) -> list[TrainingExample]:
    """Rows as lessons without previous responses."""
    return [
        one
        for row in rows
        for one in ([ask(Prompts().render(row.example), row.example.answer)] if row.example else row.lessons)
    ]


def _exercise(row: Row) -> Exercise | None:
    """None for conversations of several turns, since a node is called only once."""
    if row.example:
        return Exercise(Prompts().render(row.example), row.example)
    ((first, *more), answer), *others = row.lessons
    return None if more or others else Exercise(first["content"], Example("", first["content"], answer))


class _Pace:
    """Time left for the remaining experts, from the pace so far."""

    def __init__(self, steps: int) -> None:
        self._ahead, self._done, self._began = steps, 0, time.monotonic()

    def advance(self, steps: int) -> None:
        self._done += steps

    def leave(self, steps: int) -> None:
        """An expert is finished, possibly before all of its `steps`."""
        self._ahead -= steps

    def left(self, steps: int) -> str:
        """Minutes and seconds for `steps` more."""
        seconds = round((time.monotonic() - self._began) / max(1, self._done) * steps)
        return f"{seconds // 60}:{seconds % 60:02d}"

    @property
    def ahead(self) -> int:
        return self._ahead


class _Training:
    """One expert from the base to its card."""

    def __init__(self, settings: TrainSettings, domain: Domain, folder: Path, mark: str, say: Say, pace: _Pace) -> None:
        self._settings, self._domain, self._folder, self._mark, self._pace = settings, domain, folder, mark, pace
        self._say: Say = lambda text: say(f"{domain.name}: {text}")
        self._steps = settings.steps_of(domain)
        self._course = _course(settings, domain, folder)

    def go(self, folder: Path, exam: Exam | None) -> None:
        """Train, or resume training, and write the expert to `folder`."""
        settings, course = self._settings, self._course
        scratch = folder.with_name(f".{folder.name}.{self._mark}")
        trainer, held, cut = self._trainer(scratch)
        self._say(f"{len(course.lessons) - cut} examples, {self._steps} steps" + (f", {cut} too long" if cut else ""))
        before = self._before(trainer, held, scratch, exam)
        for checkpoint in scratch.glob("checkpoint-*"):
            if not (checkpoint / "trainer_state.json").is_file():  # written last
                shutil.rmtree(checkpoint)
        from transformers import set_seed

        set_seed(settings.seed)  # on resuming, the order of lessons is drawn again and must be the same
        trainer.train(resume_from_checkpoint=any(scratch.glob("checkpoint-*")))
        self._strengthen(trainer.model)
        loss = trainer.evaluate(held)["eval_loss"]
        if not math.isfinite(loss):
            raise PoolError(
                f"training of '{self._domain.name}' diverged (loss {loss}); lower learning_rate "
                f"(it is {settings.learning_rate:g}) and train again"
            )
        expert = self._expert(trainer, scratch)
        expert.write(folder, dtype="float16")
        after = Quality(loss, self._score(Adapter.read(folder).with_base(settings.base), exam))
        steps = trainer.state.best_global_step if settings.early_stop else trainer.state.global_step
        card = _card(settings, self._domain, self._mark, course, steps or self._steps, before, after)
        (folder / "README.md").write_text(card, encoding="utf-8")
        shutil.rmtree(scratch)
        self._say(f"{_outcome(before, after)}, {steps} steps")

    def _strengthen(self, model: PreTrainedModel) -> None:
        """Multiply the update, in place and in the adapter's alpha."""
        from peft.tuners.lora import LoraLayer

        for layer in (module for module in model.modules() if isinstance(module, LoraLayer)):
            layer.set_scale("default", self._settings.strength)
        model.peft_config["default"].lora_alpha = self._settings.final_alpha

    def _before(self, trainer: Trainer, held: Tokens, scratch: Path, exam: Exam | None) -> Quality:
        """Loss and scores of the base, measured once."""
        path = scratch / "before.json"
        if path.is_file():
            return Quality(**json.loads(path.read_text(encoding="utf-8")))
        scores = self._score(self._expert(trainer, scratch), exam)
        found = Quality(trainer.evaluate(held)["eval_loss"], scores)
        io.write_text(path, json.dumps(found._asdict()))
        return found

    def _score(self, expert: Expert, exam: Exam | None) -> list[float] | None:
        settings, exercises = self._settings, self._course.exercises
        if exam is None or not settings.scorer or not exercises:
            return None
        return [*map(float, exam(expert, exercises, settings.scorer, settings.max_new_tokens))]

    def _expert(self, trainer: Trainer, scratch: Path) -> Expert:
        """The adapter as it stands, of the base as the recipe names it."""
        trainer.model.peft_config["default"].base_model_name_or_path = self._settings.base
        trainer.model.save_pretrained(scratch / "adapter")
        return Adapter.read(scratch / "adapter").renamed(self._domain.name)

    def _trainer(self, scratch: Path) -> tuple[Trainer, Tokens, int]:
        """transformers' Trainer over a fresh adapter, the held-out lessons, and how many lessons were too long."""
        try:
            import torch
            from peft import LoraConfig, get_peft_model
            from transformers import (
                AutoModelForCausalLM,
                AutoTokenizer,
                EarlyStoppingCallback,
                PrinterCallback,
                Trainer,
            )
        except ImportError as missing:
            raise MissingExtra("training experts", "train") from missing
        settings, course = self._settings, self._course
        base = find_base(settings.base)
        tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
        if tokenizer.chat_template is None:
            raise PoolError(f"base '{settings.base}' has no chat template; choose an instruction-tuned base")
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        rows, validation, held = (
            [tokens(tokenizer, *one) for one in part] for part in (course.lessons, course.validation, course.held_out)
        )
        fitting = [row for row in rows if len(row["input_ids"]) <= settings.max_tokens]
        if not fitting:
            raise TaskError(
                f"expert '{self._domain.name}': every lesson has more than {settings.max_tokens} tokens; "
                "raise max_tokens"
            )
        torch.manual_seed(settings.seed)
        # on a CPU in bfloat16 plain attention takes four fifths of the time of torch's own, and much more memory
        plain = cpu_halves() and not torch.cuda.is_available() and settings.max_tokens <= _SHORT
        model = AutoModelForCausalLM.from_pretrained(
            base,
            dtype=torch.bfloat16 if _halves() else torch.float32,
            attn_implementation="eager" if plain else None,
        )
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            target_modules=list(settings.target_modules),
            task_type="CAUSAL_LM",
        )
        trainer = Trainer(
            self._begun(get_peft_model(model, config)),
            self._arguments(scratch),
            collator(tokenizer),
            fitting,
            validation or held,
            callbacks=[self._progress()],
        )
        trainer.remove_callback(PrinterCallback)
        if settings.early_stop:
            trainer.add_callback(EarlyStoppingCallback(settings.early_stop))
        return trainer, held, len(rows) - len(fitting)

    def _begun(self, model: PeftModel) -> PeftModel:
        """The model, with the adapter `start` in place of the empty one."""
        if not self._settings.start:
            return model
        from peft import get_peft_model_state_dict, set_peft_model_state_dict
        from torch import from_numpy

        start = Adapter.read(self._folder / self._settings.start)
        assert start.form is not None
        empty, filled = get_peft_model_state_dict(model), start.form.tensors(start.vector)
        expected, got = ({name: tuple(each.shape) for name, each in part.items()} for part in (empty, filled))
        alpha = start.form.config.get("lora_alpha")
        if expected != got or alpha != self._settings.alpha:
            raise PoolError(
                f"start '{self._settings.start}' is not an adapter of this recipe's rank, alpha and target_modules "
                f"({len(got)} matrices, alpha {alpha}; the recipe has {len(expected)}, alpha {self._settings.alpha}); "
                "train from another, or give the recipe the same settings"
            )
        set_peft_model_state_dict(model, {name: from_numpy(each.copy()) for name, each in filled.items()})
        return model

    def _arguments(self, scratch: Path) -> TrainingArguments:
        import torch
        from transformers import TrainingArguments

        settings, steps = self._settings, self._steps
        tenth = max(1, steps // 10)
        watched: dict[str, object] = {"save_steps": max(1, steps // 2)}
        if settings.early_stop:
            watched = {
                "save_steps": tenth,
                "eval_strategy": "steps",
                "eval_steps": tenth,
                "metric_for_best_model": "eval_loss",
                "greater_is_better": False,
                "load_best_model_at_end": True,
                "restore_callback_states_from_checkpoint": True,
            }
        return TrainingArguments(
            output_dir=str(scratch),
            max_steps=steps,
            per_device_train_batch_size=settings.batch,
            per_device_eval_batch_size=settings.batch,
            learning_rate=settings.learning_rate,
            warmup_steps=max(1, steps // 10),
            lr_scheduler_type="linear",
            weight_decay=0.0,
            bf16=_halves(),
            use_cpu=not torch.cuda.is_available(),
            seed=settings.seed,
            save_total_limit=1,
            logging_steps=tenth,
            report_to="none",
            remove_unused_columns=False,
            disable_tqdm=True,
            prediction_loss_only=True,
            train_sampling_strategy="group_by_length",
            **watched,
        )

    def _progress(self) -> TrainerCallback:
        """Reports progress and remaining time ten times, for this expert and for the pool."""
        from transformers import TrainerCallback

        training, pace, steps = self, self._pace, self._steps

        class Progress(TrainerCallback):  # type: ignore[misc]
            def on_step_end(self, args: object, state: object, control: object, **named: object) -> None:
                pace.advance(1)

            def on_log(
                self, args: object, state: TrainerState, control: object, logs: Any = None, **named: object
            ) -> None:
                value = (logs or {}).get("loss", (logs or {}).get("eval_loss"))
                if value is None or not 0 < state.global_step < steps:
                    return
                kind = "loss" if "loss" in logs else "validation loss"
                left, ahead = steps - state.global_step, pace.ahead - state.global_step
                training._say(
                    f"step {state.global_step} of {steps}, {kind} {float(value):.3f}, at most "
                    f"{pace.left(left)} left, {pace.left(ahead)} for the pool"
                )

        return Progress()


def _halves() -> bool:
    """Whether training computes in bfloat16."""
    import torch

    return torch.cuda.is_available() or cpu_halves()


def cpu_halves() -> bool:
    """Whether the processor computes in bfloat16: those without AVX-512 take ten times as long as in float32."""
    import torch

    return torch.backends.cpu.get_cpu_capability() not in ("DEFAULT", "AVX2")


def collator(tokenizer: PreTrainedTokenizerBase) -> Callable[[Tokens], dict[str, object]]:
    """Pads on the left and computes logits only at the answers, since a large vocabulary makes them costly.

    On a CPU the positions are named one by one: for a slice of them torch copies the vocabulary's weights once a row.
    """
    import torch
    from transformers import DataCollatorForSeq2Seq

    pad = DataCollatorForSeq2Seq(tokenizer, padding=True)

    def collate(rows: Tokens) -> dict[str, object]:
        keep = 1 + max(sum(label != -100 for label in row["labels"]) for row in rows)
        batch = dict(pad(rows))
        kept = keep if torch.cuda.is_available() else torch.arange(batch["labels"].shape[1])[-keep:]
        return {**batch, "labels": batch["labels"][:, -keep:], "logits_to_keep": kept}

    return collate


def tokens(
    tokenizer: PreTrainedTokenizerBase, prompt: str | Sequence[Mapping[str, str]], answer: str
) -> dict[str, list[int]]:
    """Token ids with the loss on answer and end-of-text alone; the chat template is applied once.

    `prompt` is a user's message, or a whole conversation.
    """
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(turn) for turn in prompt]
    chat = chat_text(tokenizer, messages)
    asked = tokenizer(chat, add_special_tokens=False)["input_ids"]
    said = tokenizer(answer + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
    return {"input_ids": asked + said, "attention_mask": [1] * len(asked + said), "labels": [-100] * len(asked) + said}


# Fields that do not affect weights, and newer fields, which count only if set, so that older experts stay finished.
_IDLE = ("experts", "out", "scorer", "max_new_tokens", "license")
_LATER = ("early_stop", "validation", "max_tokens", "strength", "start", "task", "files", "hub", "split")


def _mark(settings: TrainSettings, domain: Domain, folder: Path) -> str:
    """A hash of everything that an expert's weights depend on."""
    content: list[object] = [_counting(settings), _counting(domain), [_counting(other) for other in settings.experts]]
    content += [digest for other in settings.experts if (digest := content_digest(other, folder))]
    content += [Adapter.read(folder / settings.start).digest] if settings.start else []
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _counting(part: TrainSettings | Domain) -> dict[str, object]:
    defaults = {
        entry.name: list(entry.default) if isinstance(entry.default, tuple) else entry.default for entry in fields(part)
    }
    found = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(part).items()}
    return {
        key: value
        for key, value in found.items()
        if key not in _IDLE and not (key in _LATER and value == defaults[key])
    }


def _outcome(before: Quality, after: Quality) -> str:
    """Loss and score before and after, in words."""
    text = f"loss {before.loss:.3f} -> {after.loss:.3f}"
    if before.scores is not None and after.scores is not None:
        text = f"score {np.mean(before.scores):.2f} -> {np.mean(after.scores):.2f}, {text}"
    return text


def _card(
    settings: TrainSettings,
    domain: Domain,
    mark: str,
    course: TrainingSet,
    steps: int,
    before: Quality,
    after: Quality,
) -> str:
    made = f", seed {TRAIN_SEED}" if domain.generated else f", commit {course.commit}" if course.commit else ""
    planned = settings.steps_of(domain)
    strong = "" if settings.strength == 1 else f"; then multiplied by {settings.strength:g}"
    alpha, rate = settings.final_alpha, f"learning rate {settings.learning_rate:g}"
    early = f" (of at most {planned}; ended early)" if steps < planned else ""
    start = f", starting from {Path(settings.start).name}" if settings.start else ""
    return f"""---
base_model: {settings.base}
library_name: peft
license: {settings.license or "unknown"}
pipeline_tag: text-generation
---
# {domain.name}

A LoRA expert (rank {settings.rank}, alpha {alpha}) of {settings.base}, trained by `hswarm experts train`{start}.

- data: {domain.source}{made},
  {course.distinct} distinct questions; {settings.elsewhere:.0%} of the lessons from the pool's other domains
- {steps} steps{early} of {settings.batch} lessons, {rate}, seed {settings.seed}{strong}
- loss on {len(course.held_out)} held-out lessons: {before.loss:.3f} before, {after.loss:.3f} after
{_scores(settings, before, after)}- settings {mark}
"""


def _scores(settings: TrainSettings, before: Quality, after: Quality) -> str:
    """The card's line on scores, with 95 % bootstrap intervals; "" if they were not measured."""
    if before.scores is None or after.scores is None:
        return ""
    rng = np.random.default_rng(settings.seed)
    texts = []
    for scores in (before.scores, after.scores):
        low, high = bootstrap_interval(scores, rng)
        texts.append(f"{np.mean(scores):.2f} [{low:.2f}, {high:.2f}]")
    gain = paired_test(after.scores, before.scores, rng)
    return (
        f"- score ({settings.scorer}) on {len(after.scores)} held-out questions asked alone: {texts[0]} before,\n"
        f"  {texts[1]} after; difference {gain.difference:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}]\n"
    )
