"""What the camera's noise buys in label privacy, what more noise would buy, and what clipping does.

Two hidden layers of 1024 and ten classes, fifteen passes over the data, delta = 1e-5.
"""

from hwloop.algorithms.sensitivity import label_sensitivity
from hwloop.devices import OPU, Seed
from hwloop.sim.accounting import Sampled, composed_epsilon, gaussian_epsilon, joint_multiplier
from hwloop.sim.audit import audit

PASSES, DELTA = 15, 1e-5

opu = OPU(n_out=2048, n_in=10, name="feedback", seed=Seed(0))
b = opu.matrix()
reach = label_sensitivity(b, threshold=0.1)
floor = opu.noise_std()
print(f"One label moves a ternary projection by up to {reach:.1f} (entries of std {b.std():.3f}).")
print("\nLabel privacy of the feedback alone, each sample's projection released once a pass:")
print(f"{'noise on each output':<36}{'multiplier':>12}{'epsilon':>12}")
spreads = [("the camera's, as promised", floor)]
spreads += [(f"{k} x std of a projected error", k * 2**0.5 * b.std()) for k in (1, 10, 100, 300)]
for name, sigma in spreads:
    z = sigma / reach
    found = gaussian_epsilon(PASSES**0.5 / z, DELTA)
    print(f"{name:<36}{z:>12.2g}{found.value:>12.3g}")

print("\nThe output layer's gradient never passes the light: without noise of its own the whole")
print("gradient has epsilon = infinity, whatever the camera does.")

print("\nClip after the measurement and add noise to every layer's sum (60,000 samples, Poisson")
print("batches of 256): whole samples are private, and epsilon is finite:")
print(f"{'multiplier a layer, 3 layers':<36}{'together':>12}{'epsilon':>12}")
for z in (1.0, 3**0.5, 1.1 * 3**0.5, 1.3 * 3**0.5, 4.0):
    joint = joint_multiplier([z] * 3)
    steps = PASSES * -(-60_000 // 256)
    found = composed_epsilon([Sampled(joint, 256 / 60_000, steps)], DELTA)
    print(f"{z:<36.3f}{joint:>12.3f}{found.value:>12.3f}")

small = OPU(n_out=64, n_in=10, name="small", seed=Seed(1), scale=1.0).matrix()
seen = audit(small, 30.0, (0, 1), Seed(2))
print("\nAn attack on 400,000 simulated releases at 64 outputs and sigma = 30:")
for rate in seen.rates:
    print(
        f"false alarms {rate.alpha:<6g} labels missed {rate.false_negative:.4f}, "
        f"expected {rate.expected:.4f}"
    )
print(
    f"epsilon {seen.epsilon:.2f} is claimed; the attack shows at least {seen.epsilon_lower:.2f}, "
    f"or {seen.epsilon_lower_gaussian:.2f} if the noise is taken as Gaussian"
)
