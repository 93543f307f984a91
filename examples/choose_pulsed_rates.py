"""Choose the rates of pulsed_mnist.toml: two epochs of 16,800 samples, judged on 3,200 others.

    python examples/choose_pulsed_rates.py

Takes about ten minutes on one core; needs MNIST in HWLOOP_DATA_DIR.
"""

from pathlib import Path

from hwloop.sim.experiment import read
from hwloop.sim.run import prepare_all
from hwloop.sim.threads import sharing

FILE = Path(__file__).with_name("pulsed_mnist.toml")
CELLS = {"coarse": "reram_array_om", "fine": "reram_gong_soft_bounds"}
PULSED = "{{device='pulsed_crossbar', technology='{}', w_max=0.4, {}}}"
WAYS = {
    "plain pulses": ("transfer='none'", (0.2, 0.4, 1.0)),
    "tiki_taka2, transfer 0.1": ("transfer='tiki_taka2', transfer_rate=0.1", (1.0, 4.0)),
    "tiki_taka2, transfer 0.05": ("transfer='tiki_taka2', transfer_rate=0.05", (1.0, 4.0)),
    "tiki_taka2, transfer 0.03": ("transfer='tiki_taka2', transfer_rate=0.03", (1.0, 4.0)),
    "tiki_taka4, transfer 0.03": ("transfer='tiki_taka4', transfer_rate=0.03", (1.0, 4.0)),
    "mixed precision": ("transfer='mixed_precision'", (0.4, 0.8, 1.6)),
}
LIGHT = ("algorithm.rule=ternary_dfa", "feedback={device='opu', signed=false}")
OTHERS = {
    "reprogrammed": "{device='reprogrammed', of={device='crossbar', technology='rram_milo'}}",
    "exact": "{device='matrix_engine'}",
}


def accuracy(weight: str, rate: float, more: tuple[str, ...] = ()) -> float:
    """Return the accuracy on the validation part."""
    settings = [
        "compare={}",
        "data.limit_train=20000",
        "data.validation=0.16",
        "train.epochs=2",
        f"train.schedule={'constant' if 'tiki' in weight else 'linear'}",
        f"weight={weight}",
        f"optimizer.rate={rate}",
        *more,
    ]
    arm = prepare_all(read(FILE, settings))["main"]
    with sharing(1):
        arm.train(lambda progress: None, lambda: False, lambda: None)
    return arm.curve[-1]["accuracy"]


def main() -> None:
    """Print the accuracy of every device and way at every rate."""
    tried = [
        (f"{cells}, {way}", PULSED.format(technology, setting), rates)
        for cells, technology in CELLS.items()
        for way, (setting, rates) in WAYS.items()
    ]
    tried += [(name, weight, (0.2, 0.4, 0.8)) for name, weight in OTHERS.items()]
    for name, weight, rates in tried:
        for rate in rates:
            print(f"{name:<36} {rate:<5} {accuracy(weight, rate):.4f}", flush=True)
    weight = PULSED.format(CELLS["fine"], WAYS["tiki_taka2, transfer 0.05"][0])
    for rate in (0.5, 1.0, 2.0):
        found = accuracy(weight, rate, LIGHT)
        print(f"{'fine, tiki_taka2, ternary DFA by light':<36} {rate:<5} {found:.4f}", flush=True)


if __name__ == "__main__":
    main()
