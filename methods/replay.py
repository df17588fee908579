r"""
Replay: rehearse a uniform sample of all that was seen
======================================================

Keep a few hundred samples of the past and mix some of them into every batch. Old and new classes then meet in one loss,
which is what anchors and distillation cannot arrange. It is the simplest method against forgetting and, where samples
may be kept, the one to beat :cite:p:`Chaudhry2019`.

The objective is the cross-entropy :math:`\ell` over the batch :math:`B`, of :math:`b` labelled domains, and the rows
:math:`M_i` that the memory :math:`M` has of each of :math:`r` earlier domains:

.. math:: \mathcal{L} = \frac{b}{b + r}\,\mathbb{E}_B\,\ell + \frac{1}{b + r} \sum_{i=1}^{r} \mathbb{E}_{M_i}\,\ell,
   \qquad P(x \in M) = \min(1, \text{capacity} / n)

Every earlier domain has the same weight, whatever its number of rows: a domain is drawn first, then one of its rows.
:math:`M` is a uniform sample of the :math:`n` rows seen before. Where labelled and unlabelled rows were seen, it is one
of each kind, and the labelled rows have at least half of the capacity.
"""

import inspect

from tladapt import Method, Replay
from tladapt.display.plots import forgetting_curves
from tladapt.scenarios import split_digits

print(inspect.getsource(Replay))

# %%
# A small stream
# --------------
# Five stages of two digits each; at the end, the model must say which of all ten it is (class-incremental). Less than
# half of the scenario's steps is enough to see the effect.

scenario = split_digits("class").but(steps=40)
finetuned = scenario.run(Method())
print(finetuned)

# %%
# A dot marks the stage in which a pair of digits was learned. Two stages later it is gone.

figure = forgetting_curves(finetuned)

# %%
# With a memory. By default it holds 500 samples, of 1 258 in the whole stream:

report = scenario.run(Replay())
print(report)

# %%

figure_with_memory = forgetting_curves(report)

# %%
# Our numbers
# -----------
# ``python benchmarks/digits.py``: all 100 steps, five seeds, accuracy in % at the end, mean ± standard deviation. A
# memory of 200 is a sixth of the stream.
#
# ================================ =========== =========== =========== =============
# Class-incremental                old         newest      mean        forgetting
# ================================ =========== =========== =========== =============
# ``Method()``                     0.0 ± 0.0   97.0 ± 0.8  19.4 ± 0.2  100.0 ± 0.0
# ``Replay(200)``                  98.9 ± 0.8  96.6 ± 0.8  98.4 ± 0.6  0.9 ± 0.9
# joint: all stages at once        99.5 ± 0.2  93.8 ± 0.5  98.4 ± 0.1  \-
# ================================ =========== =========== =========== =============
#
# ================================ =========== =========== =========== =============
# Task-incremental                 old         newest      mean        forgetting
# ================================ =========== =========== =========== =============
# ``Method()``                     95.6 ± 1.1  98.1 ± 0.0  96.1 ± 0.9  4.4 ± 1.1
# ``Replay(200)``                  100.0 ± 0.0 97.8 ± 0.8  99.6 ± 0.2  0.0 ± 0.0
# joint: all stages at once        100.0 ± 0.0 96.6 ± 0.5  99.3 ± 0.1  \-
# ================================ =========== =========== =========== =============
#
# Beside the published figures
# ----------------------------
# ``python benchmarks/field.py digit-sequences``, with ``TLADAPT_DATA``: three seeds, the last step, no target label
# read, accuracy in %, mean ± standard deviation.
#
# ============================ =========== =========== ===========
# Split-MNIST, class           old         newest      mean of all
# ============================ =========== =========== ===========
# ``Method()``                 0.0 ± 0.0   97.8 ± 0.2  19.6 ± 0.0
# ``Replay(capacity=1000)``    92.0 ± 0.8  93.6 ± 0.8  92.3 ± 0.5
# ============================ =========== =========== ===========
#
# Published: Split-MNIST, class-incremental, with as many samples, about 89, read off a figure :cite:p:`vandeVen2022`.
#
# Differences from the paper
# --------------------------
# 1. The memory changes at the end of a stage; in the paper, at every step.
# 2. A stage is passed over as often as the loop says; the paper sees every sample once.
# 3. A row stays if its random key is among the largest. That is the distribution of the reservoir of
#    :cite:t:`Vitter1985` without a loop over rows.
# 4. Old and new count by the domains they stand for, as in :cite:t:`vandeVen2022`; the paper takes all rows together.
# 5. Rows without labels are remembered too, so that an alignment still has its target, or its source, when the stage no
#    longer does.
#
# When it hurts
# -------------
# - Where samples may not be kept: a memory *is* data. The report says so (``remembers samples``).
# - Where the memory is small and the stages long: the same rows come again and again, and the model learns them by
#   heart.
# - Where classes are rare: a uniform sample holds few of them, or none. ``Replay(balanced=True)`` gives every class an
#   equal share.
# - A step costs twice as much, since as many samples are rehearsed as are new. ``batch_size`` sets another number.
#
# What it composes with
# ---------------------
# Everything. It brings an alignment the source that is gone: ``DANN() + Replay(500)``; memories never store each
# other's samples. On these streams, :doc:`LwF <lwf>` adds nothing to it.
