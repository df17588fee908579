r"""
EarlyStopping: leave each stage with the weights that scored best
=================================================================

Trained for long enough, a network learns its training data by heart, with what is wrong in it, and gets worse on all
other data. So some of the training data is held out to look at now and then. When the score on it has not risen for a
while, the stage ends, and the best weights come back :cite:p:`Prechelt1998`.

The data to look at is the domain's validation data, ``Domain(..., validation=0.2)``: a share of the *training* data.
Test data never chooses anything.
"""

import inspect

import torch

from tladapt import Domain, EarlyStopping, Method
from tladapt.display.plots import heat_map
from tladapt.scenarios import digits, few_digits
from tladapt.streams import domains_of

print(inspect.getsource(EarlyStopping))

# %%
# A small stream
# --------------
# Upright digits, then slanted ones of other writers, all with labels, half of which are drawn at random. So are those
# of the fifth that is held out for validation: nobody looked into it. Only the test data is right.


def mislabelled(domain: Domain) -> Domain:
    """The domain, with half of its labels drawn at random."""
    random = torch.Generator().manual_seed(0)
    y = domain.train.y.clone()
    wrong = torch.rand(len(y), generator=random) < 0.5
    y[wrong] = torch.randint(10, (int(wrong.sum()),), generator=random)
    return Domain(domain.name, (domain.train.x, y), domain.test, validation=0.2, classes=10)


upright, slanted = domains_of(digits().ceiling or [])
scenario = digits().but(
    name="digits, half of the labels wrong", stream=[mislabelled(upright), mislabelled(slanted)], steps=100, lr=3e-3
)
finetuned = scenario.run(Method())
print(finetuned)

# %%
# With early stopping, which looks after every pass over the domain:

report = scenario.run(EarlyStopping())
print(report)

# %%
# Both domains gain.

figure = heat_map(report)

# %%
# When it hurts
# -------------
# - Where there is little data: what is held out is missed, and the score on it is a matter of chance. Of the fifty
#   slanted digits of another scenario it takes ten, and stops too early. (Both runs learn from the forty that are
#   left.)

few = few_digits()
upright, slanted = domains_of(few.stream)
held_out = Domain("slanted", (slanted.train.x, slanted.train.y), slanted.test, validation=0.2, classes=10)
for method in (Method(), EarlyStopping()):
    print(few.but(stream=[upright, held_out]).run(method))

# %%
# - Where the new domain has no labels, the score is that of the old domains in the stage alone. It says nothing about
#   what the new one gains: an alignment may be stopped before it has begun. A stage in which no domain has labelled
#   validation data is refused.
# - The learning rate schedule runs over the full length of the stage. One that ends early never comes to its low rates,
#   so it may be worth training fewer steps to the end instead.
# - It guards the domains of the stage, not those that are gone: what is forgotten is not in the score.
#
# Differences from the paper
# --------------------------
# 1. The paper compares many rules; this is its third (UP), counted in looks without a new best, as most libraries have
#    it.
# 2. It scores what the task is scored by, such as the accuracy, not the loss.
#
# What it composes with
# ---------------------
# With every method: it takes the best weights back before any other term keeps something of the stage, so that the
# anchors of ``EarlyStopping() + EWC()`` are the weights that it went back to. A look draws no random number: where
# nothing is taken back, the weights are those without any looks.
