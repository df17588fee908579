r"""
WiSE-FT: average the weights from before and after
==================================================

Fine-tuning gains the new domain and loses the old one. The straight line between the two networks, in the space of
their weights, often has better ones on it: nearly as good on the new domain as the one end, nearly as good on the old
as the other. WiSE-FT takes a point on it, after the stage and for nothing :cite:p:`Wortsman2022`.

.. math:: \theta = (1 - \alpha)\,\theta_{\mathrm{old}} + \alpha\,\theta_{\mathrm{new}}
"""

import inspect

import torch
from matplotlib.figure import Figure

from tladapt import Classification, Evaluator, Method, WiSEFT
from tladapt.scenarios import few_digits
from tladapt.streams import domains_of

print(inspect.getsource(WiSEFT))

# %%
# A small stream
# --------------
# The network knows upright digits. Then come two labelled images of each digit by other writers, slanted so much that
# it is lost on them.

scenario = few_digits(labels=2)
model = scenario.model()
old = {name: value.clone() for name, value in model.state_dict().items()}
finetuned = scenario.run(Method(), model=model)
print(finetuned)

# %%
# With WiSE-FT:

report = scenario.run(WiSEFT())
print(report)

# %%
# The whole line, from the network as it came to the fine-tuned one. It is drawn with test data, to look at: to choose
# :math:`\alpha` by, take validation data of both domains.

new = {name: value.clone() for name, value in model.state_dict().items()}
domains = domains_of(scenario.stream)
evaluator = Evaluator(domains, Classification(), "domain", 512)
alphas, curves = torch.linspace(0, 1, 11), []
for alpha in alphas:
    floating = {n: v.lerp(new[n], alpha) for n, v in old.items() if v.is_floating_point()}
    model.load_state_dict(new | floating)
    curves.append([100 * (score or 0.0) for score in evaluator.scores(model, {0, 1})])

figure = Figure(figsize=(6, 3), layout="constrained")
axes = figure.subplots()
for domain, curve in zip(domains, zip(*curves, strict=True), strict=True):
    axes.plot(alphas, curve, "o-", label=domain.name)
axes.set_xlabel("alpha: from old to new weights")
axes.set_ylabel("accuracy in %")
axes.legend(frameon=False)

# %%
# Our numbers
# -----------
# ``python benchmarks/digits.py``: five seeds, accuracy in % at the end, mean ± standard deviation.
#
# ================================ =========== =========== =========== =============
# Two labels per digit             old         new         mean        forgetting
# ================================ =========== =========== =========== =============
# ``Method()``                     76.4 ± 3.0  76.2 ± 1.5  76.3 ± 2.1  21.7 ± 2.6
# ``WiSEFT()``                     96.0 ± 2.3  68.9 ± 5.1  82.5 ± 2.8  2.2 ± 2.1
# ``WiSEFT(0.7)``                  91.4 ± 3.5  74.6 ± 1.9  83.0 ± 2.0  6.7 ± 3.3
# ``LoRA() + WiSEFT(0.7)``         96.1 ± 1.5  69.4 ± 4.0  82.7 ± 2.4  2.1 ± 1.2
# ================================ =========== =========== =========== =============
#
# ================================ =========== =========== =========== =============
# Five labels per digit            old         new         mean        forgetting
# ================================ =========== =========== =========== =============
# ``Method()``                     86.8 ± 3.8  88.1 ± 1.8  87.4 ± 1.2  11.4 ± 3.8
# ``WiSEFT()``                     97.0 ± 0.7  79.0 ± 3.6  88.0 ± 1.8  1.1 ± 0.5
# ``WiSEFT(0.7)``                  94.9 ± 1.6  85.1 ± 1.4  90.0 ± 1.0  3.2 ± 1.3
# ================================ =========== =========== =========== =============
#
# The paper takes 0.5 where there is nothing to choose by. Here more of the new does better.
#
# Differences from the paper
# --------------------------
# 1. The paper's old network is one that answers any question without training; its head comes from a description of the
#    classes. Here it is the network of the stage before, with the head that it was trained with. A network whose head
#    is new has no old answers to keep, so that the first stage is not averaged; one that comes trained with its head
#    says so by ``learned=1``.
# 2. It acts after every stage of a stream, not once.
# 3. The statistics of BatchNorm layers are averaged with the weights. With statistics per domain, an old domain's are
#    averaged and a new domain's stay as they are.
#
# When it hurts
# -------------
# - Where the new domain is far: the line leaves the valley that the old network lies in, and the middle of it is worse
#   than both ends. A high learning rate is enough for that (try ``few_digits().but(lr=0.01)``).
# - It always gives away some of the new domain. Where the old one no longer counts, do not use it.
# - With classes that come only later: the old head knows nothing of them, and the average halves what was learned.
#
# What it composes with
# ---------------------
# All that acts during the stage: ``L2SP() + WiSEFT(0.7)``, ``DANN() + WiSEFT()``, ``LoRA() + WiSEFT(0.7)`` (averaged
# after the merge). What anchors to the weights after the stage, such as EWC, sees the average.
