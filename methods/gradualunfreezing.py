r"""
GradualUnfreezing: the head first, then one more layer at a time
================================================================

The last layers of a network are about the task, the first ones about what all data has in common. So the last ones
should change first, and the first ones last and least. Training starts with the head; at equal shares of the stage one
more layer is added, from the last to the first :cite:p:`Howard2018`.

Of :math:`L` layers, :math:`\min(L, \lfloor (L + 1)\,p / s \rfloor)` train beside the head when the share :math:`p` of
the stage is done, with :math:`s = 1` by default. The others stand still: weights, the statistics of BatchNorm, dropout.
"""

import inspect

from tladapt import GradualUnfreezing, Method
from tladapt.display.plots import heat_map
from tladapt.methods.depth import layers_of
from tladapt.scenarios import few_digits

print(inspect.getsource(GradualUnfreezing))

# %%
# A small stream
# --------------
# The network knows upright digits. Then come five labelled images of each digit by other writers, slanted so much that
# it is lost on them. The learning rate is three times the usual one, as is common for a small network.

scenario = few_digits().but(lr=3e-3)
finetuned = scenario.run(Method())
print(finetuned)

# %%
# The layers are found in any network, in the order of their depth; a norm, an activation, dropout or pooling belongs to
# the layer before it. Here there are three, and each is added after another quarter of the stage:

for layer in layers_of(scenario.model().encoder):
    print(layer)

report = scenario.run(GradualUnfreezing())
print(report)

# %%
# More of the upright digits stays, at little cost for the slanted ones.

figure = heat_map(report)

# %%
# Unfrozen within half of the stage, it is close to fine-tuning, or worse:

print(scenario.run(GradualUnfreezing(share=0.5)))

# %%
# Differences from the paper
# --------------------------
# 1. A layer is added at equal shares of the stage; in the paper, after every epoch.
# 2. One learning rate schedule runs over the whole stage, so that the layers that come late train at low rates. The
#    paper's slanted triangle has its peak early, too.
# 3. The paper combines it with rates that are lower for lower layers. See :doc:`LayerwiseRate <layerwiserate>`; a sum
#    of the two is refused, since both decide how layers train.
# 4. Its networks have four layers; `layers_of` cuts any network, into as many parts as it has blocks.
#
# When it hurts
# -------------
# - Where the new domain differs in what the first layers see (another sensor, another slant): they come last.
# - In a first stage, on a network that knows nothing yet.
# - With many layers and few steps, each has a share of a few steps only.
# - A dropout that is not a layer, but called by a network between its layers, stays on.
#
# What it composes with
# ---------------------
# ``GradualUnfreezing() + Replay(100)`` keeps the old domain by rehearsal as well. With ``EarlyStopping()`` the stage
# may end before the first layers came.
