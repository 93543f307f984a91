"""Choose the rates of mnist_by_light.toml: three a rule, four epochs, judged on a validation part.

Takes about six minutes on one core; needs Fashion-MNIST in HWLOOP_DATA_DIR.
"""

from pathlib import Path

from hwloop.sim.experiment import read
from hwloop.sim.run import prepare_all

FILE = Path(__file__).with_name("mnist_by_light.toml")
RATES = {
    "backprop": (0.1, 0.2, 0.4),
    "dfa": (0.05, 0.1, 0.2),
    "ternary_dfa": (0.05, 0.1, 0.2),
    "frozen": (0.1, 0.2, 0.4),
}

for rule, rates in RATES.items():
    for rate in rates:
        settings = [
            "compare={}",
            "data.set=fashion_mnist",
            "data.validation=0.16",
            "train.epochs=4",
            f"algorithm={{rule='{rule}'}}",
            f"optimizer.rate={rate}",
            "feedback={device='matrix_engine'}",
        ]
        arm = prepare_all(read(FILE, settings))["main"]
        arm.train(lambda progress: None, lambda: False, lambda: None)
        print(f"{rule:<12} rate {rate:<5} validation {arm.curve[-1]['accuracy']:.4f}", flush=True)
