r"""
Reviews: from one site to another
=================================

A thousand sentences each of shoppers at Amazon, of film lovers at IMDb and of restaurant guests at Yelp, half of them
good and half bad. Those of one site come with their opinion, those of another without. Two systems read them, both
trained here: the mean of word vectors, which Word2Vec learns from the first site's sentences alone, and a small BERT,
whose pieces of words are those of both sites.
"""

from tladapt import MMD, Method
from tladapt.display.plots import heat_map
from tladapt.scenarios import reviews
from tladapt.streams import domains_of

try:
    scenario = reviews("amazon", "yelp")
except ValueError as missing:
    scenario = None
    print(missing)

# %%
# Source-only: Amazon's sentences, and nothing of Yelp's.

if scenario:
    print(scenario.run(Method(), baseline="source-only"))

# %%
# With the features of Yelp's unlabelled sentences brought to those of Amazon's:

if scenario:
    report = scenario.run(MMD())
    print(report)
    figure = heat_map(report)

# %%
# A part of the shift is in words that the first site's sentences do not have, and the network has no vector for:

if scenario:
    x = domains_of(scenario.stream)[1].train.x
    unknown = x["input_ids"][x["attention_mask"] == 1] == 0
    print(f"unknown words in Yelp's sentences: {unknown.float().mean():.0%}")
