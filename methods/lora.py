r"""
LoRA: change each weight matrix by one of low rank
==================================================

A network that comes trained needs little change for a new domain, and whatever moves can be forgotten. LoRA freezes the
encoder and adds to each of its matrices a product of two thin ones; these and the head are all that trains. After the
stage the products are merged, and the network has the shape and the cost that it had :cite:p:`Hu2022`.

For each weight matrix :math:`W_0` of the encoder, m x n:

.. math:: W = W_0 + \frac{\alpha}{r} B A, \quad B \in \mathbb{R}^{m \times r}, A \in \mathbb{R}^{r \times n}

A starts at random and B at 0, so that the stage begins with the network as it was.
"""

import inspect

from tladapt import LoRA, Method
from tladapt.display.plots import heat_map
from tladapt.methods.lora import LowRank
from tladapt.methods.mergeable import Mergeable
from tladapt.scenarios import few_digits

print(inspect.getsource(Mergeable))
print(inspect.getsource(LoRA))
print(inspect.getsource(LowRank))

# %%
# A small stream
# --------------
# The network knows upright digits. Then come two labelled images of each digit by other writers, slanted so much that
# it is lost on them.

scenario = few_digits(labels=2)
finetuned = scenario.run(Method())
print(finetuned)

# %%
# With LoRA:

model = scenario.model()
report = scenario.run(LoRA(), model=model)
print(report)

# %%
# More of the upright digits stays, and the slanted ones are learned almost as well.

figure = heat_map(report)

# %%
# What is left is a plain network, that loads into one that has never heard of LoRA:

print(scenario.model(seed=1).load_state_dict(model.state_dict()))

# %%
# A lower rank moves less:

print(scenario.run(LoRA(rank=2, alpha=4.0)))

# %%
# Our numbers
# -----------
# ``python benchmarks/digits.py``: five seeds, accuracy in % at the end, mean ± standard deviation.
#
# ================================ =========== =========== =========== =============
# Two labels per digit             old         new         mean        forgetting
# ================================ =========== =========== =========== =============
# ``Method()``                     76.4 ± 3.0  76.2 ± 1.5  76.3 ± 2.1  21.7 ± 2.6
# ``LoRA()``                       88.0 ± 3.8  73.6 ± 0.7  80.8 ± 2.1  10.1 ± 3.4
# ``LoRA(2, 4.0)``                 93.2 ± 2.5  72.2 ± 3.1  82.7 ± 2.7  4.9 ± 2.3
# ``Replay(200)``                  98.1 ± 0.8  78.9 ± 1.9  88.5 ± 1.3  0.1 ± 0.3
# ================================ =========== =========== =========== =============
#
# With five labels per digit there is less to gain, and it hurts the new domain more:
#
# ================================ =========== =========== =========== =============
# Five labels per digit            old         new         mean        forgetting
# ================================ =========== =========== =========== =============
# ``Method()``                     86.8 ± 3.8  88.1 ± 1.8  87.4 ± 1.2  11.4 ± 3.8
# ``LoRA()``                       92.9 ± 3.0  83.5 ± 2.4  88.2 ± 1.9  5.3 ± 2.8
# ================================ =========== =========== =========== =============
#
# Differences from the paper
# --------------------------
# 1. All linear maps of the encoder are changed, convolutions as matrices of one row per output channel; the paper
#    changes two of the four matrices of attention. Recurrent weights, and rows that are looked up, stay frozen.
# 2. The products are merged after every stage, so that the next stage of a stream begins with new ones. Their sum may
#    have any rank.
# 3. The head is new in most streams, so it trains whole; biases and the scales of norms do not train.
# 4. A starts uniform, as in the authors' code, not normal; there is no dropout in the product.
#
# When it hurts
# -------------
# - On a network that knows nothing yet: a random encoder plus a low rank is mostly random still. Let the network come
#   trained (``learned=1``), or learn the first stage without.
# - Where the new domain needs much change, or has many labels.
# - The statistics of BatchNorm layers are no weights: they move as the model's policy says, and that alone can forget.
#   ``batchnorm="per-domain"`` gives the new domain its own.
#
# What it composes with
# ---------------------
# What anchors to weights sees them as they act, with the products: ``LoRA() + EWC()`` and ``LoRA() + L2SP()`` are right
# during the stage and after it. ``LoRA() + Replay(200)`` rehearses beside it; ``LoRA() + WiSEFT()`` goes back half way
# after the merge. It takes hold of what trains, so it does not go with ``LinearProbe()`` and the like.
