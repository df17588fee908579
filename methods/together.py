r"""
Together: methods add up
========================

A method is one term of the objective and what it remembers; it never owns the loop. So terms of different families add
up, and one does what another cannot: rehearsal brings back the labelled source that an alignment needs, and an anchor
holds what the alignment would let go.

The objective is the sum, for the terms :math:`m`, the batch :math:`B` of the stage and the samples :math:`R_m` that a
term adds to it:

.. math:: \mathcal{L} = \ell\Big(B \cup \bigcup_m R_m\Big) + \sum_m \mathcal{L}_m\Big(B \cup \bigcup_m R_m\Big)

All samples are joined before any loss is taken, each term has random numbers of its own, and the terms are kept in one
order: whatever order they are written in, the weights come out the same, bit for bit.
"""

import inspect

from tladapt import EWC, MMD, Method, Replay
from tladapt.display.plots import forgetting_curves
from tladapt.method import Sum
from tladapt.scenarios import digits, picture
from tladapt.streams import domains_of

print(inspect.getsource(Sum))

# %%
# A small stream
# --------------
# Upright digits with labels first. Then slanted digits of other writers, without labels, when the upright ones are
# **gone**. A fifth of the scenario's steps is enough to see the effect.

upright, slanted = domains_of(digits().stream)
scenario = digits().but(stream=[upright, slanted.unlabelled()], steps=60)
figure = picture(scenario)

# %%
# Nothing can be learned from the second stage alone, and the report says so. An alignment by itself is refused before
# anything is trained: it would have no source to bring the target to.

finetuned = scenario.run(Method())
print(finetuned)
try:
    scenario.run(MMD())
except ValueError as error:
    print(error)

# %%
# Rehearsal brings the source back, in part:

report = scenario.run(MMD() + Replay() + EWC())
print(report)

# %%

curves = forgetting_curves(report)

# %%
# The order does not matter:

again = scenario.run(EWC() + Replay() + MMD())
print(again.scores == report.scores)

# %%
# What goes together
# ------------------
# ============================================ ====================================================================
# Sum                                          What each term does for the other
# ============================================ ====================================================================
# ``DANN() + Replay(500)``                     the memory holds labelled rows of the source and unlabelled rows of
#                                              every target, so the alignment goes on when they are gone
# ``MMD() + EWC()``                            the alignment may only move what the source did not need
# ``Replay(500) + LwF()``                      both keep the old; on our streams the second adds little to the first
# ``DANN() + MMD()``                           allowed; both pull on the same features
# ============================================ ====================================================================
#
# A sum remembers the most that any of its terms remembers; the report says what. Two terms that both take hold of one
# thing (what trains, say) are refused at ``+``, with both names.
#
# Our numbers
# -----------
# ``python benchmarks/field.py digit-stream``, with ``TLADAPT_DATA``: MNIST with labels, then MNIST-M, then USPS, both
# without and with the source gone; three seeds, the last step, no target label read, accuracy in %, mean ± standard
# deviation. ``DANN()`` alone is refused, so the model stays as it was: the first row.
#
# ================================ =========== =========== ===========
# MNIST, MNIST-M, USPS             old         new         mean of all
# ================================ =========== =========== ===========
# ``Method()``                     72.3 ± 1.5  71.0 ± 2.3  71.8 ± 1.7
# ``Replay()``                     76.0 ± 1.0  76.7 ± 2.8  76.2 ± 1.6
# ``DANN() + Replay()``            79.9 ± 1.6  80.1 ± 0.9  80.0 ± 1.0
# ================================ =========== =========== ===========
#
# The embedded digits, with the source gone (``python benchmarks/digits.py``):
#
# ================================ =========== =========== ===========
# \                                upright     slanted     mean
# ================================ =========== =========== ===========
# ``Method()``                     98.7 ± 0.4  70.9 ± 4.2  84.8 ± 2.3
# ``DANN() + Replay(500)``         99.0 ± 0.5  81.3 ± 4.4  90.1 ± 2.3
# ``MMD() + Replay(500)``          99.1 ± 0.5  94.4 ± 1.2  96.8 ± 0.5
# ================================ =========== =========== ===========
#
# When it hurts
# -------------
# - Terms share one step. Each further one makes the others' weights count for less, and costs its own time.
# - An alignment that is wrong for a domain is wrong in a sum too: rehearsal holds the old one meanwhile, no more.
# - A memory of unlabelled rows takes places from labelled ones. Half of 500 are left for the source after two domains.
