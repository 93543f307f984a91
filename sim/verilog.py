"""A printed circuit as Verilog: a combinational module, and a test bench that checks itself."""

from __future__ import annotations

from collections.abc import Sequence

from ..devices.arrays import Array
from ..devices.printed_circuit import Circuit, inputs

ROWS = "rows.hex"
"""The file that the test bench reads: a line a sample, inputs, outputs and class."""


def module(circuit: Circuit, name: str = "printed") -> str:
    """Return a synthesisable module of the circuit.

    Its ports are the inputs x0, x1, ... and `class_index`. A summand is a concatenation of the
    wired bits, so that a mask costs nothing; a weight that is no power of two is one summand for
    each of its bits. No wire is wider than its largest value.
    """
    t = circuit.topology
    lines = [
        f"// {t}: inputs of {t.input_bits} bits, activations of {t.activation_bits}.",
        f"module {name} (",
        *[f"  input  wire [{t.input_bits - 1}:0] x{i}," for i in range(t.sizes[0])],
        f"  output wire [{class_bits(circuit) - 1}:0] class_index",
        ");",
    ]
    below = [(f"x{i}", 2**t.input_bits - 1) for i in range(t.sizes[0])]
    for layer in range(t.hidden + 1):
        weight, mask, bias = circuit.layer(layer)
        found = []
        for j, b in enumerate(bias.tolist()):
            cut = None if layer == t.hidden else (t.shifts[layer], t.top)
            unit = f"o{j}" if cut is None else f"h{layer + 1}_{j}"
            said, top = _unit(unit, below, weight[j].tolist(), mask[j].tolist(), b, cut)
            lines += said
            found.append((unit, top))
        below = found
    lines += _tournament(below, class_bits(circuit))
    return "\n".join([*lines, "endmodule", ""])


def class_bits(circuit: Circuit) -> int:
    """Return the width of the class index in bits."""
    return (circuit.topology.sizes[-1] - 1).bit_length()


def _unit(
    unit: str,
    below: Sequence[tuple[str, int]],
    weight: Sequence[int],
    mask: Sequence[int],
    bias: int,
    cut: tuple[int, int] | None,
) -> tuple[list[str], int]:
    """Return the lines of one unit and its largest value; `cut` is shift and top, or None."""
    trees = []
    for sign in (1, -1):
        summands, top = [], max(sign * bias, 0)
        for (source, reach), w, m in zip(below, weight, mask, strict=True):
            m &= (1 << reach.bit_length()) - 1
            if sign * w <= 0 or not m:
                continue
            top += min(m, reach) * abs(w)
            summands += [_summand(source, m, e) for e in range(30) if abs(w) >> e & 1]
        if max(sign * bias, 0) or not summands:
            summands.append(str(max(sign * bias, 0)))
        trees.append((summands, top))
    (positive, p_top), (negative, n_top) = trees
    if p_top - (max(-bias, 0)) <= 0 or (cut is not None and (p_top - max(-bias, 0)) >> cut[0] <= 0):
        return [f"  wire {unit} = 1'b0;"], 0
    p, n = p_top.bit_length(), n_top.bit_length()
    lines = [f"  wire [{p - 1}:0] {unit}_p = {' + '.join(positive)};"]
    width = max(p, n)
    value = f"{unit}_p"
    if n_top:
        lines += [
            f"  wire [{n - 1}:0] {unit}_n = {' + '.join(negative)};",
            f"  wire [{width}:0] {unit}_d = {{1'b0, {unit}_p}} - {{1'b0, {unit}_n}};",
        ]
        value = f"{unit}_d[{width}] ? {width}'d0 : {unit}_d[{width - 1}:0]"
        lines.append(f"  wire [{width - 1}:0] {unit}_r = {value};")
        value = f"{unit}_r"
    top = p_top - max(-bias, 0)
    if cut is None:
        bits = top.bit_length()
        return [*lines, f"  wire [{bits - 1}:0] {unit} = {value};"], top
    shift, most = cut
    top >>= shift
    if top <= most:
        bits = top.bit_length()
        return [*lines, f"  wire [{bits - 1}:0] {unit} = {value} >> {shift};"], top
    bits = most.bit_length()
    high, kept = f"{value}[{width - 1}:{shift + bits}]", f"{value}[{shift + bits - 1}:{shift}]"
    said = f"|{high} ? {bits}'d{most} : {kept}"
    return [*lines, f"  wire [{bits - 1}:0] {unit} = {said};"], most


def _summand(source: str, mask: int, exponent: int) -> str:
    """Return the wired bits of a source, from its highest to its lowest, moved up by `exponent`.

    >>> _summand("x3", 0b1101, 2)
    "{x3[3:2], 1'b0, x3[0], 2'd0}"
    """
    parts: list[str] = []
    bit = mask.bit_length() - 1
    while bit >= 0:
        end = bit
        wired = mask >> bit & 1
        while end > 0 and (mask >> (end - 1) & 1) == wired:
            end -= 1
        if wired:
            parts.append(f"{source}[{bit}]" if bit == end else f"{source}[{bit}:{end}]")
        else:
            parts.append(f"{bit - end + 1}'d0")
        bit = end - 1
    if exponent:
        parts.append(f"{exponent}'d0")
    return f"{{{', '.join(parts)}}}" if len(parts) > 1 else parts[0]


def _tournament(outputs: Sequence[tuple[str, int]], index_bits: int) -> list[str]:
    """Return comparators that leave the index of the largest output, the lower one at a tie."""
    lines: list[str] = []
    players = [(name, top, f"{index_bits}'d{j}") for j, (name, top) in enumerate(outputs)]
    number = 0
    while len(players) > 1:
        winners = []
        for k in range(0, len(players) - 1, 2):
            (a, a_top, a_index), (b, b_top, b_index) = players[k], players[k + 1]
            name, top = f"m{number}", max(a_top, b_top)
            bits = max(top.bit_length(), 1)
            lines += [
                f"  wire {name}_a = {a} >= {b};",
                f"  wire [{bits - 1}:0] {name} = {name}_a ? {a} : {b};",
                f"  wire [{index_bits - 1}:0] {name}_i = {name}_a ? {a_index} : {b_index};",
            ]
            winners.append((name, top, f"{name}_i"))
            number += 1
        players = winners + players[len(players) - len(players) % 2 :]
    return [*lines, f"  assign class_index = {players[0][2]};"]


def bench(circuit: Circuit, samples: int, name: str = "printed") -> str:
    """Return a test bench that reads `samples` lines of ROWS and checks outputs and class.

    It prints `mismatches M of N`, where a sample counts once.
    """
    t = circuit.topology
    features, classes = t.sizes[0], t.sizes[-1]
    width = 32 * (features + classes + 1)
    ports = [f".x{i}(x[{i}])" for i in range(features)]
    checks = " || ".join(f"dut.o{j} !== want[{j}]" for j in range(classes))
    lines = [
        "`timescale 1ms/1us",
        f"module {name}_bench;",
        f"  reg [{width - 1}:0] rows [0:{samples - 1}];",
        f"  reg [{width - 1}:0] row;",
        f"  reg [{t.input_bits - 1}:0] x [0:{features - 1}];",
        f"  reg [31:0] want [0:{classes}];",
        f"  wire [{class_bits(circuit) - 1}:0] got;",
        "  integer k, i, wrong;",
        f"  {name} dut ({', '.join(ports)}, .class_index(got));",
        "  initial begin",
        f'    $readmemh("{ROWS}", rows);',
        "    wrong = 0;",
        f"    for (k = 0; k < {samples}; k = k + 1) begin",
        "      row = rows[k];",
        f"      for (i = 0; i < {features}; i = i + 1)",
        f"        x[i] = row[32 * ({features + classes} - i) +: 32];",
        f"      for (i = 0; i <= {classes}; i = i + 1)",
        f"        want[i] = row[32 * ({classes} - i) +: 32];",
        "      #200;",
        f"      if (got !== want[{classes}] || {checks}) wrong = wrong + 1;",
        "    end",
        f'    $display("mismatches %0d of {samples}", wrong);',
        "    $finish;",
        "  end",
        "endmodule",
        "",
    ]
    return "\n".join(lines)


def rows(circuit: Circuit, x: Array) -> str:
    """Return what ROWS holds for inputs x (samples, features): 32-bit words in hexadecimal.

    Inputs, then the outputs that the reference says, then the class that the kernel says.
    """
    columns = inputs(x, circuit.topology).T
    scores, classes = circuit.scores(x), circuit.predict(x)
    lines = [
        "".join(f"{int(v):08x}" for v in (*sample, *score, label))
        for sample, score, label in zip(columns, scores, classes, strict=True)
    ]
    return "\n".join([*lines, ""])
