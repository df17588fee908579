r"""
LinearProbe: train the head alone
=================================

A network that comes trained has features that may serve a new domain as they are. So the encoder stands still and the
head alone learns, a linear map of the features: few numbers, which few labels can tell. Known from asking what a layer
of a network knows :cite:p:`AlainBengio2017`, it is the first thing to try on a new domain, and the least that any
fine-tuning has to beat.

Frozen means frozen: weights, the statistics of BatchNorm whatever the model's policy, and dropout, which is off. The
features of every domain stay as they are, bit for bit. What is forgotten, is forgotten by the head.
"""

import inspect

from tladapt import LinearProbe, Method
from tladapt.display.plots import heat_map
from tladapt.scenarios import few_digits

print(inspect.getsource(LinearProbe))

# %%
# A small stream
# --------------
# The network knows upright digits. Then come five labelled images of each digit by other writers, slanted so much that
# it is lost on them. The learning rate is three times the usual one, as is common for a small network.

scenario = few_digits().but(lr=3e-3)
finetuned = scenario.run(Method())
print(finetuned)

# %%
# Fine-tuning learns the slanted digits, and forgets the upright ones. With the head alone:

report = scenario.run(LinearProbe())
print(report)

# %%
# Next to nothing is forgotten, and less is learned: these features were made for upright digits.

figure = heat_map(report)

# %%
# At a third of the learning rate fine-tuning forgets less, too, and here it is the better of the two: how far the
# weights go matters as much as which ones may.

print(few_digits().run(Method()))
print(few_digits().run(LinearProbe()))

# %%
# Differences from the paper
# --------------------------
# 1. The paper has a probe at every layer, to see what each of them knows; here it is the head, at the last one.
#
# When it hurts
# -------------
# - Where the new domain needs other features than those that there are. The head cannot make them up.
# - In a first stage, on a network that knows nothing yet: random features stay random. Start from a model that comes
#   trained (``learned=1``), or learn the first stage by a ``fit`` of its own.
# - Under the BatchNorm policies "joint" and "per-domain" as well: no statistics of the new domain are gathered.
#
# What it composes with
# ---------------------
# ``LinearProbe() + Replay(100)`` rehearses the old domain, and ``LinearProbe() + EWC()`` holds what of the head it
# needs. An alignment, such as ``LinearProbe() + DANN()``, moves nothing: what it could move is frozen.
# :doc:`LPFT <lpft>` goes on where the probe ends.
