r"""
LPFT: train the head alone first, then everything
=================================================

When fine-tuning starts, the head does not fit the new domain yet. Its large errors pull at the features, which are
good, until they fit a head that is not; far from the few new samples, and on the old domain, they are distorted. If the
head has learned first, there is little left to pull :cite:p:`Kumar2022`.

For the first half of a stage the encoder stands still, as in :doc:`LinearProbe <linearprobe>`: weights, the statistics
of BatchNorm, dropout. Then everything trains.
"""

import inspect

from tladapt import LPFT, LinearProbe, Method
from tladapt.display.plots import heat_map
from tladapt.scenarios import few_digits

print(inspect.getsource(LPFT))

# %%
# A small stream
# --------------
# The network knows upright digits. Then come five labelled images of each digit by other writers, slanted so much that
# it is lost on them. The learning rate is three times the usual one, as is common for a small network.

scenario = few_digits().but(lr=3e-3)
finetuned = scenario.run(Method())
print(finetuned)

# %%
# With the head first:

report = scenario.run(LPFT())
print(report)

# %%
# More of the upright digits stays, at little cost for the slanted ones.

figure = heat_map(report)

# %%
# Both ends of it: a short probe is close to fine-tuning, one for the whole stage is ``LinearProbe()``.

print(scenario.run(LPFT(probe=0.1)))
print(scenario.run(LPFT(probe=1.0)).scores == scenario.run(LinearProbe()).scores)

# %%
# Differences from the paper
# --------------------------
# 1. Both parts share one stage and its learning rate schedule, by default half a cosine: the second part starts at half
#    the rate, which by itself makes it gentler. The paper trains twice, each time with a rate of its own. For that,
#    call ``fit`` twice, first with ``LinearProbe()`` and then with ``Method()``.
# 2. The optimiser runs on from the one part to the other, with the averages that it has of the head.
# 3. The head goes on from what it knows of the old domain, where the classes are the same; in the paper it is new.
#
# When it hurts
# -------------
# - Half of the stage is not spent on the features. In a short stage, or where they must change a lot, that is missed.
# - In a first stage, on a network that knows nothing yet: there are no good features to spare.
# - What the paper gains, it gains on data far from the new domain, with features from very much data. A small network
#   shows less of it: at the usual learning rate, a third of this one, it makes hardly any difference here.
#
# What it composes with
# ---------------------
# ``LPFT() + Replay(100)`` keeps the old domain by rehearsal as well. Terms that act on the features, such as DANN,
# begin when the encoder does. It takes hold of what trains, so it does not go with ``GradualUnfreezing()``, of which it
# is the case of a single layer, nor with other methods of that kind.
