"""How many bytes a step sends to its tiles and takes from them, as a formula.

With a matrix (n_out, n_in) cut into `down` x `across` blocks, a batch of B rows and b bytes a
number: MULTIPLY sends B n_in across b and takes B n_out down b; TRANSPOSE the other way round;
UPDATE sends B (n_in across + n_out down) b, PROGRAM n_out n_in b, each of them to every copy.
"""

from __future__ import annotations

from ..devices.host import NAME as HOST
from ..devices.ledger import Step
from ..mappings.siting import Floorplan


def tile_bytes(step: Step, plan: Floorplan) -> tuple[float, float]:
    """Return the bytes that go to tiles, and those that come from them, in one step.

    Nothing moves for a matrix on a machine that is a host itself.
    """
    into = out = 0.0
    number_B = plan.fabric.bytes_per_number
    for op in step.ops:
        if op.device == HOST or plan.cuts[op.device].kind in plan.fabric.hosts:
            continue
        cut, copies = plan.cuts[op.device], plan.copies[op.device]
        x, y = op.batch * cut.n_in * cut.across, op.batch * cut.n_out * cut.down
        if op.verb in ("MULTIPLY", "INTENSITY"):
            into, out = into + x * number_B, out + y * number_B
        elif op.verb == "TRANSPOSE":
            into, out = into + y * number_B, out + x * number_B
        elif op.verb == "UPDATE":
            into += (x + y) * copies * number_B
        elif op.verb == "PROGRAM":
            into += cut.n_out * cut.n_in * copies * number_B
    return into, out
