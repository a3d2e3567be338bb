"""int8 weights beside float32: speed, equal replies and scores of the engine openvino on the SmolLM2 pool.

python benchmarks/int8.py [--questions 24]
The weights of every linear layer become unsigned bytes with a scale and a zero point a row; the plugin quantises what
they are multiplied with in groups of 32, where the processor can (AVX-512 or AVX2 with VNNI). Experts stay in float32
beside them. Experts answer questions of their own domains; both engines answer the same ones twice and keep nothing.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from choices import DATA
from measuring import ROOT, publish
from openvino import opset13 as op

from hswarm.core.stats import paired_test
from hswarm.engines.base import EngineSettings, Request, Sampling
from hswarm.engines.openvino import OpenVINOEngine
from hswarm.experts.pool import PoolSettings, open_pool
from hswarm.prompts import Prompts
from hswarm.scorers import task_scorer
from hswarm.tasks import load_task
from hswarm.tasks.settings import TaskSettings


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--questions", type=int, default=24)
    given = parser.parse_args()
    pool = open_pool(PoolSettings(path=str(ROOT / "experts/smollm2")))
    settings = EngineSettings("openvino", dtype="float32", prefix_cache="batch")
    tasks = {
        name: load_task(
            TaskSettings(
                name="reasoning_gym", datasets=(data,), options={data: options}, seed=5, dev=given.questions, test=1
            )
        )
        for name, (data, options) in DATA.items()
    }
    flags = Path("/proc/cpuinfo").read_text()
    figures: dict[str, Any] = {"questions": 3 * given.questions, "VNNI": "vnni" in flags}
    texts: dict[str, list[str]] = {}
    scores: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("float32", "int8"):
            engine = OpenVINOEngine(settings, pool.base)
            if name == "int8":
                engine._folder = in_bytes(engine._folder, Path(folder))
            texts[name], scores[name], seconds, tokens = [], [], [], 0
            for _ in range(2):  # the first opens the model
                texts[name].clear()
                scores[name].clear()
                before = engine.tokens_computed
                began = time.process_time()
                for expert in pool.experts:
                    if task := tasks.get(expert.name):
                        asked = [Request(expert, Prompts().render(e), Sampling(16)) for e in task.dev]
                        replies = [made.text for made in engine.generate(asked)]
                        texts[name] += replies
                        scores[name] += [score.value for score in task_scorer(task)(task.dev, replies)]
                seconds.append(time.process_time() - began)
                tokens = engine.tokens_computed - before
            figures[f"{name}: tokens a processor second"] = tokens / seconds[-1]
            figures[f"{name}: score"] = float(np.mean(scores[name]))
    figures["int8 / float32"] = (
        figures["int8: tokens a processor second"] / figures["float32: tokens a processor second"]
    )
    figures["equal replies"] = float(np.mean([a == b for a, b in zip(texts["int8"], texts["float32"], strict=True)]))
    gap = paired_test(scores["int8"], scores["float32"], np.random.default_rng(0))
    figures["int8 less float32: score, 95 %"] = list(gap[:3])
    publish("int8", "int8 weights at least 1.5 times as fast as float32, no lower score", figures)


def in_bytes(source: Path, folder: Path) -> Path:
    """The model in `source` with the weights of its linear layers as bytes, in `folder`."""
    model = ov.Core().read_model(source / "openvino_model.xml")
    for node in model.get_ops():
        weights = node.input_value(1).get_node() if node.get_type_name() == "MatMul" else None
        if weights is None or weights.get_type_name() != "Constant":
            continue
        values = weights.get_data().astype(np.float32)
        low, high = np.minimum(values.min(1, keepdims=True), 0), np.maximum(values.max(1, keepdims=True), 0)
        scale = (high - low) / 255
        zero = np.round(-low / scale)
        held = op.convert(op.constant(np.clip(np.round(values / scale) + zero, 0, 255).astype(np.uint8)), "f32")
        centred = op.subtract(held, op.convert(op.constant(zero.astype(np.uint8)), "f32"))
        node.input(1).replace_source_output(op.multiply(centred, op.constant(scale)).output(0))
    model.validate_nodes_and_infer_types()
    ov.save_model(model, folder / "openvino_model.xml", compress_to_fp16=False)
    shutil.copy(source / "shape.json", folder)
    return folder


if __name__ == "__main__":
    main()
