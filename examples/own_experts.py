"""Your own experts: a folder with one PEFT adapter a sub-folder. Here they are made on the spot, with PEFT.

python examples/own_experts.py
"""

import tempfile
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

import hswarm
from hswarm.experts.base import find_base
from hswarm.experts.distance import distances, inner_products
from hswarm.experts.pool import PoolSettings, open_pool

pool = Path(tempfile.mkdtemp())
for seed, name in enumerate(["red", "green", "blue"]):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(find_base("smollm2-135m"))
    config = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(pool / name)  # after your own training, of course

experts = open_pool(PoolSettings(str(pool), base="smollm2-135m"))  # names every fault, with its remedy
print(experts.names, distances(inner_products(experts)).round(2).tolist())

# A system needs no search: any topology over any experts. Here blue reads the replies of red and green, and answers.
system = hswarm.System(hswarm.Topology.star(3), experts.experts, base=experts.base)
print(system.respond(["What is the colour of grass?"]))
