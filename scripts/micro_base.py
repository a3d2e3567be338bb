"""Train the micro pool's base from scratch: a Llama of about 2.5 million parameters on generated lessons.

    python scripts/micro_base.py [OUT]      (default experts/micro/base; about 20 minutes on one core, resumes)

Tokenizer, config and weights are standard files that transformers loads. docs/micro-pool.md says what it is for.
"""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Trainer, TrainingArguments

from hswarm.prompts import Prompts
from hswarm.tasks.micro import WORLD
from hswarm.tasks.relay import TrainingExample
from hswarm.training.train import collator, tokens

STEPS, BATCH, LEARNING_RATE, SEED = 2500, 32, 1e-3, 0
VOCABULARY = 1000  # at most; it ends when every word is a token
TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def lessons(tokenizer: PreTrainedTokenizerFast, count: int, seed: str) -> list[dict[str, list[int]]]:
    """Token ids of `count` lessons, those of a batch with like numbers of responses, so that little is padded.

    Every token is learnt: what others say teaches the skills and copying too.
    """
    rng = random.Random(seed)
    batches: list[list[TrainingExample]] = []
    while len(batches) * BATCH < count:
        part = sorted((WORLD.lesson((), rng) for _ in range(16 * BATCH)), key=lambda one: len(one.responses))
        batches += rng.sample([part[i : i + BATCH] for i in range(0, len(part), BATCH)], 16)
    drawn = [one for batch in batches for one in batch][:count]
    rows = [tokens(tokenizer, Prompts().render(one.example, one.responses), one.reply) for one in drawn]
    return [{**row, "labels": row["input_ids"]} for row in rows]


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Words are tokens wherever they stand; other text falls back to bytes."""
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.Punctuation(),
            pre_tokenizers.Metaspace(prepend_scheme="always"),
        ]
    )
    made.decoder = decoders.Sequence(
        [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always"), decoders.Fuse()]
    )
    special = ["<unk>", "<pad>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[*special, *(f"<0x{byte:02X}>" for byte in range(256))],
        show_progress=False,
    )
    rng = random.Random(f"{SEED}/tokenizer")
    lessons = [WORLD.lesson((), rng) for _ in range(20_000)]
    made.train_from_iterator((Prompts().render(one.example, one.responses) for one in lessons), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<|end|>",
        chat_template=TEMPLATE,
        additional_special_tokens=["<|user|>", "<|assistant|>", "<|system|>"],
        model_max_length=1024,
    )


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(SEED)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=5,
            num_attention_heads=6,
            num_key_value_heads=6,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def main(out: Path) -> None:
    tokenizer = make_tokenizer()
    model = make_model(tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens")
    scratch = out.with_name(f".{out.name}.training")
    arguments = TrainingArguments(
        output_dir=str(scratch),
        max_steps=STEPS,
        per_device_train_batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        warmup_steps=100,
        lr_scheduler_type="cosine",
        weight_decay=0.01,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        use_cpu=not torch.cuda.is_available(),
        seed=SEED,
        save_steps=250,
        save_total_limit=1,
        logging_steps=100,
        report_to="none",
        remove_unused_columns=False,
        prediction_loss_only=True,
        disable_tqdm=True,
        train_sampling_strategy="sequential",
    )
    trainer = Trainer(model, arguments, collator(tokenizer), lessons(tokenizer, STEPS * BATCH, f"{SEED}/base"))
    trainer.train(resume_from_checkpoint=any(scratch.glob("checkpoint-*")))
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "experts/micro/base"))
