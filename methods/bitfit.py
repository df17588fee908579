r"""
BitFit: train the biases and the head
=====================================

Of all numbers in a network, its biases are less than one in a hundred. To train them alone, and the head, is enough to
fine-tune a large one well :cite:p:`BenZaken2022`: they decide which of the features that it has are used. What differs
from domain to domain is then small, and can be kept for each of them.

Everything else in the encoder stays bit for bit: weights, the scales of norms, and the statistics of BatchNorm,
whatever the model's policy. Dropout stays on, since the encoder trains.
"""

import inspect

from tladapt import BitFit, LinearProbe, Method
from tladapt.display.plots import heat_map
from tladapt.scenarios import few_digits

print(inspect.getsource(BitFit))

# %%
# A small stream
# --------------
# The network knows upright digits. Then come five labelled images of each digit by other writers, slanted so much that
# it is lost on them. The learning rate is three times the usual one, as is common for a small network.

scenario = few_digits().but(lr=3e-3)
finetuned = scenario.run(Method())
print(finetuned)

# %%
# With the biases alone:

report = scenario.run(BitFit())
print(report)

# %%
# Little is forgotten, and somewhat less is learned.

figure = heat_map(report)

# %%
# This is more than the head learns alone, by so many numbers of the encoder:

encoder = scenario.model().encoder
biases = sum(p.numel() for name, p in encoder.named_parameters() if "bias" in name)
print(f"{biases} of {sum(p.numel() for p in encoder.parameters())}")
print(scenario.run(LinearProbe()))

# %%
# Differences from the paper
# --------------------------
# 1. The paper is about one family of networks, in which all norms are by sample. Here any parameter of one dimension
#    that has "bias" in its name is a bias, those of BatchNorm and of recurrent layers included.
# 2. BatchNorm normalises by the statistics that the model came with, which do not move.
#
# When it hurts
# -------------
# - Where the new domain needs new features: a bias can only shift those that there are.
# - At a learning rate that suits fine-tuning it learns slowly: at a third of this one, which is the usual one, it falls
#   well behind here.
# - In a first stage, on a network that knows nothing yet.
# - A network without biases is refused; some recent ones have none.
#
# What it composes with
# ---------------------
# ``BitFit() + Replay(100)`` keeps the old domain by rehearsal as well. Alignments act, but through the biases alone.
