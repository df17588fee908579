"""Named streams with everything that a fair comparison must hold fixed: network, optimiser, steps."""

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tladapt.lazy import lazily

if TYPE_CHECKING:
    from tladapt.scenarios.baselines import from_scratch, joint, source_only
    from tladapt.scenarios.credit import credit_default, german_credit
    from tladapt.scenarios.digit_images import (
        digit_stream,
        mnist_mnistm,
        mnist_usps,
        permuted_mnist,
        rotated_mnist,
        split_mnist,
        usps_mnist,
    )  # fmt: skip
    from tladapt.scenarios.features import amazon_reviews, office_caltech
    from tladapt.scenarios.handwriting import digits, few_digits, picture, slant, split_digits
    from tladapt.scenarios.objects import office_images, split_cifar10
    from tladapt.scenarios.radiographs import chest_x_rays
    from tladapt.scenarios.records import adult, bank_marketing, heart
    from tladapt.scenarios.retina import vessels
    from tladapt.scenarios.scenario import Scenario
    from tladapt.scenarios.sentences import intents, reviews, reviews_bert
    from tladapt.scenarios.speech import five_clips, spoken_digits, spoken_wav2vec2, spoken_words
    from tladapt.scenarios.splits import by_class
else:  # each brings libraries of its own, and one that runs needs none of the others
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "tladapt.scenarios.baselines": ["from_scratch", "joint", "source_only"],
            "tladapt.scenarios.credit": ["credit_default", "german_credit"],
            "tladapt.scenarios.digit_images": [
                "digit_stream", "mnist_mnistm", "mnist_usps", "permuted_mnist", "rotated_mnist", "split_mnist",
                "usps_mnist",
            ],
            "tladapt.scenarios.features": ["amazon_reviews", "office_caltech"],
            "tladapt.scenarios.handwriting": ["digits", "few_digits", "picture", "slant", "split_digits"],
            "tladapt.scenarios.objects": ["office_images", "split_cifar10"],
            "tladapt.scenarios.radiographs": ["chest_x_rays"],
            "tladapt.scenarios.records": ["adult", "bank_marketing", "heart"],
            "tladapt.scenarios.retina": ["vessels"],
            "tladapt.scenarios.scenario": ["Scenario"],
            "tladapt.scenarios.sentences": ["intents", "reviews", "reviews_bert"],
            "tladapt.scenarios.speech": ["five_clips", "spoken_digits", "spoken_wav2vec2", "spoken_words"],
            "tladapt.scenarios.splits": ["by_class"],
        },
    )  # fmt: skip

NAMES = (  # those that need no files first
    "digits", "split-digits", "mnist-usps", "usps-mnist", "mnist-mnistm", "digit-stream", "split-mnist",
    "permuted-mnist", "rotated-mnist", "split-cifar10", "office-caltech", "office-images", "amazon-reviews",
    "spoken-digits", "heart", "bank-marketing", "adult", "german-credit", "credit-default", "chest-x-rays", "vessels",
    "reviews", "reviews-bert", "intents", "spoken-words", "spoken-wav2vec2", "five-clips",
)  # fmt: skip


class _Scenarios(Mapping[str, "Callable[..., Scenario]"]):
    """The functions that make the scenarios, by name; each is imported when it is looked up."""

    def __getitem__(self, name: str) -> "Callable[..., Scenario]":
        if name not in NAMES:
            raise KeyError(name)
        return getattr(import_module(__name__), name.replace("-", "_"))

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)

    def __contains__(self, name: object) -> bool:
        return name in NAMES


SCENARIOS = _Scenarios()


def named(text: str) -> "Scenario":
    """The scenario of this name; what it can be told follows a colon, as in "heart:cleveland-va".

    Raises
    ------
    ValueError
        If there is no such scenario, it cannot be told that, or its files are missing.
    """
    name, _, rest = text.partition(":")
    if name not in SCENARIOS:
        raise ValueError(f"SCENARIO {text!r}: {_meant(text)}expected one of {', '.join(SCENARIOS)}")
    make, told = SCENARIOS[name], rest.split("-") if rest else []
    if len(told) > (known := len(inspect.signature(make).parameters)):
        raise ValueError(f"SCENARIO {text!r}: {name} takes at most {known} words after a colon, parted by hyphens")
    return make(*told)


def _meant(text: str) -> str:
    """What to type instead of a name that is no scenario's."""
    if text and Path(text).exists():
        return f"for your own data, give --source {text} --target B or --domains {text} B; for a scenario, "
    similar = difflib.get_close_matches(text.lower().replace("_", "-"), SCENARIOS, n=1)
    return f"did you mean {similar[0]}? " if similar else ""


__all__ = [
    "SCENARIOS", "Scenario", "adult", "amazon_reviews", "bank_marketing", "by_class", "chest_x_rays", "credit_default",
    "digit_stream", "digits", "few_digits", "five_clips", "from_scratch", "german_credit", "heart", "intents", "joint",
    "mnist_mnistm", "mnist_usps", "named", "office_caltech", "office_images", "permuted_mnist", "picture", "reviews",
    "reviews_bert", "rotated_mnist", "slant", "source_only", "split_cifar10", "split_digits", "split_mnist",
    "spoken_digits", "spoken_wav2vec2", "spoken_words", "usps_mnist", "vessels",
]  # fmt: skip
