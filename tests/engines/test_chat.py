"""Bases' tokenizers and chat templates, as real tokenizers on disk: what ends a reply, systems, thinking, control tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hswarm.engines.base import Sampling
from hswarm.engines.chat import Chat, chat_text
from hswarm.errors import PoolError
from tests.engines.tiny import llama, tokenizer

pytestmark = pytest.mark.model

NO_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}<s>"
)
DROPPED = "{% for m in messages if m['role'] != 'system' %}<s>{{ m['content'] }}</s>{% endfor %}<s>"
THINKING = (
    "{% for m in messages %}<s>{{ m['content'] }}</s>{% endfor %}{% if enable_thinking is false %}<no>{% endif %}<s>"
)
TURNS = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return llama(tmp_path / "base", 0)


def changed(base: Path, **entries: Any) -> Path:
    path = base / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    return base


def test_what_ends_a_reply_is_said_by_either_file(base: Path) -> None:
    end, other = tokenizer().eos_token_id, 77
    assert Chat(changed(base, eos_token_id=other), "b").stops == {end, other}
    assert Chat(changed(base, eos_token_id=[other, 78]), "b").stops == {end, other, 78}
    assert Chat(changed(base, eos_token_id=None), "b").stops == {end}


def test_config_says_what_ends_a_reply_where_nothing_else_does(base: Path) -> None:
    (base / "generation_config.json").unlink()
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"eos_token_id": [5, 6]}))
    assert {5, 6} <= Chat(base, "b").stops


def test_what_the_template_writes_after_a_reply_ends_it(base: Path) -> None:
    """A base whose files name another end would go on with a turn of the user."""
    made = tokenizer()
    made.add_tokens(["<|done|>"], special_tokens=True)
    made.chat_template = "{% for m in messages %}<s>{{ m['content'] }}<|done|>\n{% endfor %}<s>"
    made.save_pretrained(base)
    assert made.convert_tokens_to_ids("<|done|>") in Chat(base, "b").stops
    made.chat_template = "{% for m in messages %}<s>{{ m['content'] }} ### {% endfor %}<s>"  # no control token
    made.save_pretrained(base)
    assert Chat(base, "b").stops == {made.eos_token_id}


@pytest.mark.parametrize("template", ["", "Answer!", "{% for m in messages if m['role'] == 'human' %}x{% endfor %}<s>"])
def test_a_template_without_the_question_is_refused(template: str, base: Path) -> None:
    made = tokenizer()
    made.chat_template = template
    made.save_pretrained(base)
    with pytest.raises(PoolError, match="its chat template leaves out the user's message"):
        Chat(base, "b")


def test_padding_ends_a_reply_unless_it_is_another_token(base: Path) -> None:
    made = tokenizer()
    made.add_special_tokens({"pad_token": "<pad>"})
    made.save_pretrained(base)
    assert made.pad_token_id in Chat(base, "b").stops
    made.pad_token = made.bos_token
    made.save_pretrained(base)
    assert Chat(base, "b").stops == {made.eos_token_id}


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPPED])
def test_a_template_without_a_system_role_has_it_in_the_first_turn(template: str) -> None:
    made = tokenizer()
    expected = chat_text(made, [{"role": "user", "content": "Hi"}])
    assert chat_text(made, TURNS).startswith("<s>system: Be short.</s>")  # this one has it
    assert "Be short." not in expected
    made.chat_template = template
    assert chat_text(made, TURNS) == chat_text(made, [{"role": "user", "content": "Be short.\n\nHi"}])


@pytest.mark.parametrize("switch", ["enable_thinking", "thinking"])
def test_thinking_is_off_unless_asked_for(switch: str, base: Path) -> None:
    made = tokenizer()
    made.chat_template = THINKING.replace("enable_thinking", switch)
    made.save_pretrained(base)
    chat = Chat(base, "b")
    off, on = (chat.tokenizer.decode(chat.encode(["Hi"], thinking)[0]) for thinking in (False, True))
    assert "<no>" in off
    assert "<no>" not in on
    assert Sampling().text() == Sampling(thinking=False).text() != Sampling(thinking=True).text()


def test_a_control_token_that_is_split_is_named(base: Path) -> None:
    path = base / "tokenizer.json"
    content = json.loads(path.read_text())
    content["added_tokens"] = []
    path.write_text(json.dumps(content))
    config = json.loads((base / "tokenizer_config.json").read_text())
    config.pop("added_tokens_decoder", None)
    (base / "tokenizer_config.json").write_text(json.dumps(config | {"split_special_tokens": True}))
    with pytest.raises(PoolError, match="writes '<s>', which its tokenizer splits into pieces"):
        Chat(base, "b")


def test_a_tokenizer_of_the_usual_class_needs_no_torch() -> None:
    """Whose import takes longer than all else of an answer by the engine openvino."""
    base = Path(__file__).parents[2] / "experts/micro/base"
    code = "import sys; from pathlib import Path; from hswarm.engines.chat import Chat; "
    code += f"chat = Chat(Path({str(base)!r}), 'b'); print(chat.context, 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["1024", "False"]
