r"""
LayerwiseRate: train the lower layers more slowly
=================================================

The last layers of a network are about the task, the first ones about what all data has in common. So each layer gets a
learning rate of its own, lower the farther it is from the head. :cite:t:`Howard2018` call them discriminative learning
rates; as layer-wise decay they have been the usual way to fine-tune large networks since :cite:t:`Clark2020`.

The rate of the layer :math:`k` steps below the head is

.. math:: \eta_k = \eta\,d^{\,k}

where :math:`\eta` is the rate of the head (:math:`k = 0`), and :math:`d` the decay.
"""

import inspect

from tladapt import LayerwiseRate, Method
from tladapt.display.plots import heat_map
from tladapt.methods.depth import layers_of
from tladapt.scenarios import few_digits

print(inspect.getsource(LayerwiseRate))

# %%
# A small stream
# --------------
# The network knows upright digits. Then come five labelled images of each digit by other writers, slanted so much that
# it is lost on them. The learning rate is three times the usual one, as is common for a small network.

scenario = few_digits().but(lr=3e-3)
finetuned = scenario.run(Method())
print(finetuned)

# %%
# The layers are found in any network, in the order of their depth. Here there are three:

for layer in layers_of(scenario.model().encoder):
    print(layer)

report = scenario.run(LayerwiseRate())
print(report)

# %%
# More of the upright digits stays, and as much is learned of the slanted ones.

figure = heat_map(report)

# %%
# With so few layers, a stronger decay does better; 0.8 is meant for a dozen of them.

print(scenario.run(LayerwiseRate(decay=0.5)))

# %%
# Differences from the paper
# --------------------------
# 1. :cite:t:`Howard2018` have :math:`d = 1 / 2.6`, for four layers, and unfreeze them gradually besides.
#    :cite:t:`Clark2020` have 0.8 or 0.9, for networks of 12 and 24.
# 2. What a layer is, is found from how the network is built, for any network; a norm at its end belongs to its last
#    layer.
#
# When it hurts
# -------------
# - Where the new domain differs in what the first layers see: they are the slowest.
# - In a first stage, on a network that knows nothing yet: all of it has to learn.
# - In a deep network, a small :math:`d` freezes the first layers in all but name.
#
# What it composes with
# ---------------------
# ``LayerwiseRate() + EWC()`` and ``LayerwiseRate() + Replay(100)`` keep the old domain in other ways as well.
# Alignments act on the encoder at its lower rates.
