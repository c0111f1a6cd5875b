"""A first walk: three groups of iris flowers from two of their measures.

Run ``python examples/iris.py [FOLDER]``. Figures and the command line's run go to FOLDER, or
else to a new temporary folder; its path is printed. It needs ``pip install 'daskgmm[plot]'``.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from daskgmm import GaussianMixture, plotting

DATA = Path(__file__).resolve().parent / "data" / "iris.csv"
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder", nargs="?", help="for figures and the run")
OUTPUT = Path(parser.parse_args().folder or tempfile.mkdtemp(prefix="daskgmm-iris-"))
OUTPUT.mkdir(parents=True, exist_ok=True)
COLUMNS = ["sepal_length", "sepal_width"]

# 1. Load the flowers and take the first two measures.
flowers = pd.read_csv(DATA)
measures = flowers[COLUMNS]
print(f"{len(flowers)} flowers, of which we look at {' and '.join(COLUMNS)} (cm)")

# 2. Plot them as they are: no labels, no model.
axes = Figure(layout="constrained").add_subplot(xlabel=COLUMNS[0], ylabel=COLUMNS[1])
axes.scatter(*measures.to_numpy().T, color="black", s=18)
axes.figure.savefig(OUTPUT / "flowers.png")

# 3. Fit a mixture of three Gaussians. The species are not shown to it.
model = GaussianMixture(n_components=3, random_state=0).fit(measures)

# 4. Label each flower with its most probable component, and compare with the species.
labels = model.predict(measures)
print(pd.crosstab(flowers["species"], labels, colnames=["component"]), end="\n\n")

# 5. Plot them again in their components' colours, with ellipses of one and two standard
#    deviations; then the same beside the course of the fit.
plotting.scatter(model, measures, labels=labels).figure.savefig(OUTPUT / "components.png")
plotting.save(model, OUTPUT / "fit.png", measures)

# 6. How the fit went.
print(f"Converged: {model.converged_}")
print(f"Lower bound: {model.lower_bound_:.6f} nats a flower")
print(f"Iterations: {model.n_iter_}", end="\n\n")

# 7. The same from the shell.
fit = [
    "fit",
    DATA,
    "--columns",
    ",".join(COLUMNS),
    "-k",
    "3",
    "-o",
    OUTPUT / "run",
    "--seed",
    "0",
]
show = ["show", OUTPUT / "run"]
for command in (fit, show):
    print("$ daskgmm", *command, flush=True)
    subprocess.run([sys.executable, "-m", "daskgmm", *command], check=True)  # noqa: S603  ours

print(f"\nFigures and run: {OUTPUT}")
