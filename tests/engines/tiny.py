"""A llama of two layers with random weights and a tokenizer of bytes, as transformers saves them: made in a moment."""

from pathlib import Path
from typing import Any

CHAT = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}{% if add_generation_prompt %}<s>{% endif %}"


def tokenizer() -> Any:
    """One token a byte, and <s> and </s>."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(["<s>", "</s>", *alphabet])}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", pad_token="</s>")
    made.chat_template = CHAT
    return made


def llama(
    folder: Path,
    seed: int,
    hidden: int = 64,
    tied: bool = True,
    dtype: str = "float32",
    shard: str = "1GB",
    spread: float = 0.3,
    biased: bool = False,
    heads: int = 4,
) -> Path:
    """A whole model in `folder`; `shard` is the largest size of a file; `biased` gives linear layers random biases."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    words = tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=hidden,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        tie_word_embeddings=tied,
        initializer_range=spread,
        eos_token_id=words.eos_token_id,
        bos_token_id=words.bos_token_id,
        attention_bias=biased,
        mlp_bias=biased,
    )
    model = LlamaForCausalLM(config)
    for name, parameter in model.named_parameters():
        if name.endswith(".bias"):
            parameter.data.normal_(0, 0.1)
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size=shard)
    words.save_pretrained(folder)
    return folder


def adapter_of(base: Path, folder: Path, rank: int, seed: int, modules: str | list[str]) -> Path:
    """An adapter of the model in `base`, made by PEFT, with random weights."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules=modules, task_type="CAUSAL_LM", init_lora_weights=False
    )
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.peft_config["default"].base_model_name_or_path = str(base)
    model.save_pretrained(folder)
    return folder
