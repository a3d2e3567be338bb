"""Export what a search found, load it as a colleague would, and look inside: who says what on the way to the answer.

python examples/load_a_bundle.py
"""

import tempfile
from pathlib import Path

import hswarm
from hswarm.bundle.export import export_bundle
from hswarm.bundle.package import open_source
from hswarm.config.recipe import read_recipe
from hswarm.engines import open_engine
from hswarm.system.executor import Executor

root, folder = Path(__file__).parent.parent, Path(tempfile.mkdtemp())
recipe = read_recipe(root / "recipes/toy.toml", ["search.iterations=3"])  # any recipe; this one takes a second
run = hswarm.search(recipe, folder / "run")
export_bundle(open_source(run.path), folder / "bundle")  # or: hswarm export RUN DIR

system = hswarm.load(folder / "bundle")  # verifies every hash
question = "toy 0.0: steps 1 0 2; difficulty 0.20 0.20 0.20"
print(system.respond([question]))

executor = Executor(open_engine(system.engine, system.bases))
(nodes,) = executor.run([system], [hswarm.Example(id="0", question=question, answer="")], "look")
for node in system.topology.order:
    print(node, system.nodes[node].name, "reads", system.topology.predecessors(node), "says", nodes[node][0].text)
