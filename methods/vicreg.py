r"""
VICReg: features that agree on two views of a sample
====================================================

No label on either side: what can be transferred then is how to look. VICReg shows the model every sample twice, each
time disturbed at random, and asks for features that are the same both times (*invariance*), that differ from sample to
sample (*variance*, else one point would do), and that do not repeat one another (*covariance*)
:cite:p:`Bardes2022`. What the disturbance changes is forgotten; what tells samples apart is kept.

The objective, for what a projector makes of the features of both views, :math:`A` and :math:`B` of :math:`n` rows and
:math:`d` columns, with covariances :math:`C`:

.. math:: \mathcal{L} = w \left( \tfrac1{nd} \lVert A - B \rVert^2 + \tfrac12 \sum_{Z \in \{A, B\}}
   \tfrac1d \sum_j \max\left( 0, 1 - \sqrt{C(Z)_{jj} + \varepsilon} \right) + c \sum_{Z \in \{A, B\}}
   \tfrac1d \sum_{j \ne k} C(Z)_{jk}^2 \right)

The views come from the model itself: whatever its layers draw in training mode, be it dropout or a layer that turns
and moves its input. So it is at home with any kind of input.
"""

import inspect

from tladapt import Method, VICReg
from tladapt.display.plots import forgetting_curves
from tladapt.methods.vicreg import vicreg
from tladapt.scenarios import picture
from tladapt.scenarios.unlabelled import unlabelled_digits

print(inspect.getsource(VICReg))
print(inspect.getsource(vicreg))

# %%
# A small stream
# --------------
# Handwritten digits that lie turned, moved and scaled as it happened; then slanted ones of other writers beside them.
# No label is learned from. The labels of the test data judge the features: how often the five nearest neighbours of an
# image, in the test data of its own domain, tell its class. Half of the scenario's steps are enough to see the effect.

scenario = unlabelled_digits().but(steps=50)
print(scenario.network())
shown = picture(scenario)

# %%
# ``Method()`` has nothing to learn from, and leaves the network as it came:

finetuned = scenario.run(Method())
print(finetuned)

# %%
# With VICReg, first on the old domain, then on both:

report = scenario.run(VICReg())
print(report)

# %%
# What the new domain itself adds shows beside as many steps on the old one alone:

print(scenario.run(VICReg(), baseline="source-only"))

# %%
# Without any label there are clusters: ten of them, each taken for the digit that fits best.

clusters = unlabelled_digits("clustering accuracy").but(steps=50).run(VICReg())
print(clusters)
figure = forgetting_curves(clusters)

# %%
# Our numbers
# -----------
# ``python benchmarks/unlabelled.py``: all 100 steps a stage, five seeds, in % at the end, mean ± standard deviation.
#
# ================================================== =========== =========== =========== ===========
# \                                                  k-NN: old   k-NN: new   clusters:   clusters:
#                                                                            old         new
# ================================================== =========== =========== =========== ===========
# untrained: ``Method()``                            60.0 ± 6.1  65.8 ± 6.0  35.1 ± 2.6  37.1 ± 4.1
# the old domain alone: ``VICReg()``                 78.1 ± 2.7  74.8 ± 1.2  64.3 ± 3.1  55.7 ± 4.4
# the new beside the old: ``VICReg()``               79.1 ± 0.7  77.2 ± 2.8  63.6 ± 4.5  59.2 ± 4.7
# the new, the old gone: ``VICReg()``                75.2 ± 3.3  77.3 ± 2.0  57.5 ± 4.9  60.1 ± 1.1
# the new, the old gone: ``VICReg() + Replay(200)``  78.8 ± 2.8  76.8 ± 1.6  64.2 ± 5.5  59.3 ± 2.5
# ================================================== =========== =========== =========== ===========
#
# Most of the gain comes from learning at all; the new domain's own images add two to four points there. Where the old
# images are gone, the old domain loses some of what it had, and a small memory of unlabelled images holds it.
#
# Differences from the paper
# --------------------------
# 1. The views are two passes through the model's own random layers; the paper crops, flips and recolours images before
#    the model. The features can agree on no more than these layers disturb.
# 2. The projector has two hidden layers of 256 units; the paper, of 8192. Its BatchNorm layers keep no statistics.
# 3. The second pass moves no statistics of the model: BatchNorm counts every sample once.
# 4. The factors are those of the paper divided by 25, so that ``weight=1.0`` stands beside a cross-entropy.
# 5. The optimiser is the loop's, with batches of 64; the paper's has its own schedule and batches of 2048.
#
# When it hurts
# -------------
# - Where no layer is random the two views are equal, and a warning says so: the features are spread out, and no more.
# - Where the disturbance changes the class (a 6 turned into a 9), that is forgotten too.
# - On clean digits (``digits``) the neighbours of an untrained network already tell nine in ten: there is little to
#   gain, and a short training can lose some.
# - It asks for a second pass through the model, so a step takes twice as long.
#
# What it composes with
# ---------------------
# With a memory, ``VICReg() + Replay(200)``, see above: unlabelled samples are remembered, too. With labels on the old
# side it is one more term beside the cross-entropy, and learns from all rows of a batch in which any is unlabelled.
