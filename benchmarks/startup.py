"""CPU seconds until the first line of code or the help is there, beside those of `import torch`.

    python benchmarks/startup.py --repeats 5

Each command runs in a new process, all in turns, so that a change of the machine's speed meets all of them. The last
column is the median of the ratios to `import torch` in the same turn.
"""

import argparse
import os
import statistics
import subprocess
import sys

COMMANDS = {
    "import torch": ("-c", "import torch"),
    "import tladapt": ("-c", "import tladapt"),
    "from tladapt import fit, Model, DANN, Domain": ("-c", "from tladapt import fit, Model, DANN, Domain"),
    "tladapt --help": ("-m", "tladapt", "--help"),
    "tladapt run --help": ("-m", "tladapt", "run", "--help"),
    "tladapt run digits --epoch 1": ("-m", "tladapt", "run", "digits", "--epoch", "1"),
    "tladapt methods": ("-m", "tladapt", "methods"),
    "tladapt scenarios": ("-m", "tladapt", "scenarios"),
}


def seconds(command: tuple[str, ...]) -> float:
    """Return the user and system seconds of a Python process."""
    before = os.times()
    subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    turns = [{name: seconds(command) for name, command in COMMANDS.items()} for _ in range(parser.parse_args().repeats)]
    print("| | CPU s | / import torch |\n|---|---|---|")
    for name in COMMANDS:
        median = statistics.median(turn[name] for turn in turns)
        ratio = statistics.median(turn[name] / turn["import torch"] for turn in turns)
        print(f"| `{name}` | {median:.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
