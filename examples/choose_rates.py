"""Choose the rates of mnist_by_light.toml: four epochs each, judged on a validation part.

    python examples/choose_rates.py mnist unit
    python examples/choose_rates.py fashion_mnist standard

Takes about seven minutes on one core; needs the set in HWLOOP_DATA_DIR.
"""

import sys
from pathlib import Path

from hwloop.sim.experiment import read
from hwloop.sim.run import prepare_all

FILE = Path(__file__).with_name("mnist_by_light.toml")
RATES = {
    "backprop": (0.1, 0.2, 0.4, 0.8),
    "dfa": (0.05, 0.1, 0.2, 0.4),
    "ternary_dfa": (0.05, 0.1, 0.2, 0.4),
    "frozen": (0.2, 0.4, 0.8),
}


def main() -> None:
    """Print the validation accuracy of every rule at every rate."""
    name, scale = sys.argv[1:]
    for rule, rates in RATES.items():
        for rate in rates:
            settings = [
                "compare={}",
                f"data.set={name}",
                f"data.scale={scale}",
                "data.validation=0.16",
                "train.epochs=4",
                f"algorithm={{rule='{rule}'}}",
                f"optimizer.rate={rate}",
                "feedback={device='matrix_engine'}",
            ]
            arm = prepare_all(read(FILE, settings))["main"]
            arm.train(lambda progress: None, lambda: False, lambda: None)
            print(f"{rule:<12} {rate:<5} {arm.curve[-1]['accuracy']:.4f}", flush=True)


if __name__ == "__main__":
    main()
