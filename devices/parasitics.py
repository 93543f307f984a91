"""The exact currents of a resistive crossbar whose wires, drivers and sense amplifiers resist.

The array has a word line for each row and a bit line for each column; cell (i, j), of
conductance G_ij, joins word line i to bit line j. Driver i holds v_i behind `driver_ohm`;
the sense amplifiers hold 0 V behind `sense_ohm`. One segment of wire lies between neighbouring
cells of a line, and one between the end cell of a line and its driver or sense amplifier.

    v_i --driver_ohm--word_ohm-- u_i0 --word_ohm-- u_i1 ...          u: word-line nodes
                                  |                                  w: bit-line nodes
                             1 / G_i0 + access_ohm
                                  |
                   ... bit_ohm-- w_i0 --bit_ohm-- ... --bit_ohm--sense_ohm-- 0 V

For a fixed G all this is linear: `effective_conductance` solves it once, and every batch after
that is a matrix product. `currents`, `voltages` and `power_W` solve for the inputs at hand.

Method. A line with its cells is a ladder, solved exactly by carrying a Thevenin source along it
(`kernels.parasitics`): that only ever adds positive numbers, so wires of 0 ohm are as good as
any. The word lines eliminated, S w = b remains, S = B - G A^-1 G (A, B: the ladders of word and
bit lines), symmetric and positive: conjugate gradients with B as preconditioner. The spectrum of
B^-1 S lies in (0, 1]; 256 x 256 cells of 100 uS on 1 ohm segments take six steps to 1e-8.
Many inputs at once take Chebyshev's method over the same splitting, which needs no inner
products; the slowest mode, which one run of conjugate gradients yields, is solved beforehand.
All is computed in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import like
from .parasitic_array import ParasiticArray, cells
from .parasitic_array import Unconverged as Unconverged
from .wires import Wires as Wires


def currents(
    g_S: Any, v_V: Any, wires: Wires, *, tolerance: float = 1e-8, max_steps: int = 1000
) -> Any:
    """Return the current into the sense amplifiers of each column, (batch, columns), in ampere.

    g_S (rows, columns) are the conductances of the cells, 0 for an open one; v_V (batch, rows) the
    driver voltages. `tolerance` bounds the residual relative to the first one; the currents are
    usually as exact. Comes in the array type of v_V, a column sensed at both ends as their sum.

    Raises ValueError for other shapes, negative conductances and what is not finite, Unconverged
    where `max_steps` do not suffice.
    """
    array = ParasiticArray(g_S, wires, tolerance, max_steps)
    v = array.inputs(v_V)
    flow = v @ array.effective() if len(v) >= min(array.shape) else array.flows(v)[1]
    return like(array.turn(flow, rows=False), v_V)


def effective_conductance(
    g_S: Any, wires: Wires, *, tolerance: float = 1e-8, max_steps: int = 1000
) -> Any:
    """Return the matrix (rows, columns), in siemens, with currents = v_V @ matrix for any v_V.

    Column j is, by reciprocity, what the word lines receive where column j alone is driven; so the
    fewer of rows and columns are solved for. Comes in the array type and dtype of g_S, whose
    meaning and whose errors are those of `currents`.
    """
    array = ParasiticArray(g_S, wires, tolerance, max_steps)
    return like(array.turn(array.effective()), g_S)


def effective_noise(
    g_S: Any, sigma_S: Any, wires: Wires, *, tolerance: float = 1e-8, max_steps: int = 1000
) -> tuple[Any, Any]:
    """Return `effective_conductance`, and the variances (rows, columns) of what 1 V at a row reads.

    sigma_S (rows, columns) is the std of each cell's conductance, independent of the others. With
    squares of inputs on the left, the second is the mean variance of each column's current over
    the signs of the inputs, to first order and by that column's own cells; for inputs of one sign
    it says too much, as the lines' drops add up: on cells of 1 to 100 uS and 1 ohm segments 4 %
    of the std at 64 x 64, 12 % at 128. `read_noise_std` has the exact law, input by
    input. Takes and raises what that does.
    """
    array = ParasiticArray(g_S, wires, tolerance, max_steps)
    sigma = cells("sigma_S", sigma_S)
    if sigma.shape != array.shape:
        raise ValueError(f"sigma_S takes {array.shape} like g_S, got {sigma.shape}")
    matrix, variance = array.noisy(sigma)
    return like(array.turn(matrix), g_S), like(array.turn(variance), g_S)


def voltages(
    g_S: Any, v_V: Any, wires: Wires, *, tolerance: float = 1e-8, max_steps: int = 1000
) -> tuple[Any, Any]:
    """Return the voltages of all nodes of the word and of the bit lines, in volt.

    Both are (batch, rows, columns), in the array type of v_V; raises what `currents` raises.
    """
    array = ParasiticArray(g_S, wires, tolerance, max_steps)
    word, bit = array.nodes(array.inputs(v_V))
    return like(array.turn(word), v_V), like(array.turn(bit), v_V)


def power_W(
    g_S: Any, v_V: Any, wires: Wires, *, tolerance: float = 1e-8, max_steps: int = 1000
) -> Any:
    """Return what the drivers deliver, (batch,) watt: the heat of cells, wires and both ends.

    Takes and raises what `currents` does. Times the length of a read, it is the array's energy.
    """
    array = ParasiticArray(g_S, wires, tolerance, max_steps)
    v = array.inputs(v_V)
    return like(np.sum(v * array.flows(v)[0], axis=1), v_V)


def read_noise_std(
    g_S: Any,
    sigma_S: Any,
    v_V: Any,
    wires: Wires,
    *,
    tolerance: float = 1e-8,
    max_steps: int = 1000,
) -> Any:
    """Return the standard deviation of each column's current, (batch, columns), in ampere.

    sigma_S (rows, columns) is that of each cell's conductance, independent of the others. To first
    order, and without another solve of a noisy array,

        dI_j / dG_ab = (u - w)_ab (u' - w')_ab / (1 + G_ab access_ohm)^2,

    where u - w is the voltage across cells and transistors for v_V, and u' - w' that for column j
    held at 1 V with all drivers at 0 V (Tellegen's theorem). Scaling sigma_S by the effective over
    the cell's own conductance instead leaves out that other rows' currents lower u - w: for cells
    of 1 to 100 uS on 1 ohm segments it says 5 % too much at 64 x 64, 17 % at 128, 36 % at 256.

    Raises what `currents` raises.
    """
    array = ParasiticArray(g_S, wires, tolerance, max_steps)
    v = array.inputs(v_V)
    sigma = cells("sigma_S", sigma_S)
    if sigma.shape != array.shape:
        raise ValueError(f"sigma_S takes {array.shape} like g_S, got {sigma.shape}")
    word, bit = array.nodes(v)
    squares = ((word - bit) * array.turn(sigma / array.loss**2)) ** 2
    variance = np.empty((len(v), array.shape[1]))
    for columns, across in array.adjoints():
        np.square(across, out=across)
        variance[:, columns] = np.tensordot(squares, across, 2)
    return like(np.sqrt(array.turn(variance, rows=False)), v_V)
