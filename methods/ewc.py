r"""
EWC: hold each parameter in proportion to what it meant before
==============================================================

Some parameters decide the old answers and others hardly matter; the Fisher information says which. After each stage,
EWC measures it and ties every parameter to its value with a spring as stiff as it was important. The old domain is kept
without a single one of its samples :cite:p:`Kirkpatrick2017`.

The objective, with the Fisher information :math:`F_k` and the parameters :math:`\theta_k` after stage :math:`k`, beside
the cross-entropy on the new stage:

.. math:: \mathcal{L} = \frac{w}{2} \sum_k \sum_i F_{k,i} (\theta_i - \theta_{k,i})^2
   = \frac{w}{2} \left( \sum_i A_i (\theta_i - M_i)^2 + c \right)

The right-hand side, with :math:`A = \sum_k F_k` and :math:`M = \sum_k F_k \theta_k / A`, is the same number at the cost
of one stage.
"""

import inspect

from tladapt import EWC, Method
from tladapt.display.plots import heat_map
from tladapt.methods.fisher import fisher
from tladapt.scenarios import split_digits

print(inspect.getsource(EWC))
print(inspect.getsource(fisher))

# %%
# A small stream
# --------------
# Five stages of two digits each; which stage a sample is from is known (task-incremental), so that a model only has to
# tell 0 from 1, or 2 from 3. Less than half of the scenario's steps is enough to see the effect.

scenario = split_digits("task").but(steps=40)
finetuned = scenario.run(Method())
print(finetuned)

# %%
# With EWC:

report = scenario.run(EWC())
print(report)

# %%
# A frame marks the stage in which a pair of digits was learned; below it is what became of it.

figure = heat_map(report)

# %%
# Our numbers
# -----------
# ``python benchmarks/digits.py``: all 100 steps, five seeds, accuracy in % at the end, mean ± standard deviation.
#
# ================================ =========== =========== =========== =============
# Task-incremental                 old         newest      mean        forgetting
# ================================ =========== =========== =========== =============
# ``Method()``                     95.6 ± 1.1  98.1 ± 0.0  96.1 ± 0.9  4.4 ± 1.1
# ``EWC()``                        99.3 ± 0.4  95.7 ± 0.5  98.5 ± 0.3  0.7 ± 0.4
# joint: all stages at once        100.0 ± 0.0 96.6 ± 0.5  99.3 ± 0.1  \-
# ================================ =========== =========== =========== =============
#
# When the model must say which of all digits it is (class-incremental), EWC does little, as the literature has it:
#
# ================================ =========== =========== =========== =============
# Class-incremental                old         newest      mean        forgetting
# ================================ =========== =========== =========== =============
# ``Method()``                     0.0 ± 0.0   97.0 ± 0.8  19.4 ± 0.2  100.0 ± 0.0
# ``EWC()``                        11.1 ± 6.8  95.9 ± 0.5  28.0 ± 5.4  88.9 ± 6.8
# ``Replay(200)``                  98.9 ± 0.8  96.6 ± 0.8  98.4 ± 0.6  0.9 ± 0.9
# ================================ =========== =========== =========== =============
#
# Beside the published figures
# ----------------------------
# ``python benchmarks/field.py digit-sequences``, with ``TLADAPT_DATA``: three seeds, the last step, no target label
# read, accuracy in %, mean ± standard deviation.
#
# ============================ =========== =========== ===========
# Split-MNIST, task            old         newest      mean of all
# ============================ =========== =========== ===========
# ``Method()``                 94.0 ± 0.8  98.5 ± 0.2  94.9 ± 0.7
# ``EWC()``                    99.3 ± 0.1  97.2 ± 0.7  98.9 ± 0.2
# ============================ =========== =========== ===========
#
# ============================ =========== =========== ===========
# Split-MNIST, class           old         newest      mean of all
# ============================ =========== =========== ===========
# ``Method()``                 0.0 ± 0.0   97.8 ± 0.2  19.6 ± 0.0
# ``EWC()``                    0.8 ± 1.3   97.8 ± 0.1  20.2 ± 1.1
# ============================ =========== =========== ===========
#
# ============================ =========== =========== ===========
# Permuted MNIST               old         newest      mean of all
# ============================ =========== =========== ===========
# ``Method()``                 66.3 ± 1.6  96.6 ± 0.1  72.4 ± 1.3
# ``EWC()``                    93.9 ± 0.8  92.1 ± 0.4  93.6 ± 0.7
# ============================ =========== =========== ===========
#
# All were made with the default of that time, ``EWC(0.1)``. Published: Split-MNIST, task-incremental, 98.6 with a tuned
# weight :cite:p:`vandeVenTolias2019` and 85.5 with a small one :cite:p:`vandeVenTolias2018`, from the same code;
# class-incremental 20.0; ten permuted tasks (here five) 94.3. Their fine-tuning gets 85.2, 19.9 and 78.5.
#
# Differences from the paper
# --------------------------
# 1. Every :math:`F_k` is divided by its mean over the parameters, so that one weight serves models and data of any
#    scale. In the paper's units the weight is therefore another number in every stage.
# 2. The labels in the Fisher information are drawn from the model, one per sample, and the gradients are squared sample
#    by sample; the paper does not say how it is computed, and implementations differ :cite:p:`vandeVen2025`.
# 3. It is measured on 1 024 samples of a stage at most.
# 4. The penalties of all stages are held as one quadratic, without approximation. (:cite:t:`Huszar2018` argues for
#    another centre, the newest parameters; that is not done here.)
#
# When it hurts
# -------------
# - In class-incremental streams, see above: old and new classes never meet in a batch, so nothing tells them apart. A
#   larger weight trades one for the other: ``EWC(10)`` keeps 39.3 ± 8.5 of the old and learns 83.2 ± 3.2 of the
#   newest.
# - With many stages the springs add up, and the model grows stiff.
# - With a large weight: the step becomes longer than the spring, and the loss grows without bound. ``fit`` stops with
#   the name of the term, the stage and the step.
# - BatchNorm statistics are no parameters: they move with the new domain whatever EWC does.
#
# What it composes with
# ---------------------
# ``EWC() + Replay(200)``, where a few samples may be kept. It needs no labels, so unlabelled domains count too:
#
# ``DANN() + EWC()`` gets 90.5 ± 2.6 of the slanted digits of *digits* right,
# ``DANN()`` alone 83.7 ± 5.8.
