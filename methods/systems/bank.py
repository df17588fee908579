r"""
A bank's calls: from the first half to the last quarter
=======================================================

A Portuguese bank called its customers to sell a deposit, 41 188 calls from 2008 to 2010 in the order in which they were
made. The first half comes with its outcomes, the last quarter without. It is the line on which nothing here can be
relied on, and the page says why.
"""

from tladapt import DANN, Method
from tladapt.display.plots import heat_map
from tladapt.scenarios import bank_marketing
from tladapt.streams import domains_of

try:
    scenario = bank_marketing().but(steps=200)  # of 1000, for the page to run in seconds
except ValueError as missing:
    scenario = None
    print(missing)

# %%
# Source-only answers "no" to every call of the last quarter:

if scenario:
    print(scenario.run(Method(), baseline="source-only"))

# %%

if scenario:
    report = scenario.run(DANN())
    print(report)
    figure = heat_map(report)

# %%
# Two things have shifted at once. The inputs: five columns are the state of the economy, which is another one by then,
# and hardly anyone in the first half had been called before. Some columns come to lie a hundred standard deviations
# away:

if scenario:
    x = domains_of(scenario.stream)[1].train.x
    print("furthest columns:", [round(v) for v in x.abs().mean(0).topk(4).values.tolist()])

# %%
# And the outcomes: one call in twenty succeeds in the first half, one in four in the last quarter. An alignment makes
# the features of both equal, so it has to lay some of these successes on failures of before.

if scenario and scenario.ceiling:
    labelled = [domain.train.y.float().mean() for domain in domains_of(scenario.ceiling)]
    print("calls that succeed:", [f"{share:.0%}" for share in labelled])

# %%
# Our numbers
# -----------
# ``python benchmarks/field.py bank``: all steps, three seeds, balanced accuracy in %, mean ± standard deviation, no
# outcome of the last quarter read.
#
# ================ =========== ===========
# \                old         new
# ================ =========== ===========
# ``source-only``  56.9 ± 0.7  50.0 ± 0.0
# ``Method()``     56.9 ± 0.7  50.0 ± 0.0
# ``DANN()``       57.2 ± 1.1  64.1 ± 0.1
# ``CORAL()``      57.3 ± 0.6  50.0 ± 0.0
# ``MMD()``        54.3 ± 2.6  47.2 ± 9.3
# ``ceiling``      50.0 ± 0.0  72.5 ± 0.1
# ================ =========== ===========
#
# ``DANN()`` gains 14 points in each of the three seeds, and yet it should not be believed. Nothing that a user without
# outcomes could see tells this setting from the next one, where the gain is within the spread over seeds::
#
#     tladapt compare bank-marketing --methods DANN --batch-size 256 --steps 300 --seeds 3
#
# What was tried beside it
# ------------------------
# Three seeds each; source-only and every alignment stayed between 31 and 62 %, with spreads of up to 14 points:
#
# - larger batches (256, 512), fewer steps, weight decay;
# - the network for tables with embedded words, ``table``, BatchNorm joint and per domain;
# - numbers cut off at three standard deviations;
# - without the five columns of the economy, and without the month as well;
# - ``EWC()``, ``LwF()`` and ``Replay()`` leave the answer at "no" (``python benchmarks/field.py tables``).
#
# The ceiling shows that it is no lack of signal: with the outcomes of the last quarter the same network reaches what is
# in the table. But then it answers "no" to all calls of the first half, since the columns of the economy tell which
# half a call is of, and that tells the most. Here some outcomes have to be asked for.
