"""Blocks of PyTorch modules: autograd inside, the rule's feedback across."""

from __future__ import annotations

import copy
from functools import partial

import pytest

import hwloop
from hwloop.algorithms import DFA, DRTP, Frozen, TernaryDFA
from hwloop.devices import OPU, Ideal

torch = pytest.importorskip("torch")
nn = torch.nn


def perceptron() -> list:
    torch.manual_seed(0)
    return [
        nn.Sequential(nn.Linear(6, 5), nn.Tanh()),
        nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4), nn.Tanh()),
        nn.Linear(4, 3),
    ]


def tokens() -> list:
    torch.manual_seed(0)
    layer = partial(nn.TransformerEncoderLayer, 8, 2, 16, dropout=0.0, batch_first=True)
    return [nn.Embedding(11, 8), layer(), layer(), nn.Linear(8, 11)]


X = torch.arange(24, dtype=torch.float32).reshape(4, 6).sin()
Y = torch.tensor([0, 2, 1, 1])


def test_backpropagation_across_blocks_is_autograd_s():
    blocks = hwloop.torch.Blocks(copy.deepcopy(perceptron()), X)
    plain = nn.Sequential(*perceptron())
    loss = nn.functional.cross_entropy(plain(X), Y)
    loss.backward()
    assert blocks.teach(X, Y) == pytest.approx(loss.item())
    for ours, theirs in zip(blocks.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("shared", [False, True])
def test_each_block_takes_its_part_of_the_projected_error_as_its_slope(shared):
    blocks = hwloop.torch.Blocks(copy.deepcopy(perceptron()), X, DFA(shared=shared), Ideal)
    b = blocks.on["feedback"].matrix()
    assert b.shape == (5 if shared else 9, 3)
    assert 0.3 < b.std() < 0.9  # its entries have a variance of 1 / 3
    blocks.teach(X, Y)
    first, second, last = perceptron()
    h1 = first(X)
    h2 = second(h1.detach())
    scores = last(h2.detach())
    loss = nn.functional.cross_entropy(scores, Y)
    loss.backward()
    error = torch.softmax(scores.detach(), 1) - nn.functional.one_hot(Y, 3)
    signal = error @ torch.tensor(b).T / 4
    h1.backward(signal[:, :5])
    h2.backward(signal[:, :4] if shared else signal[:, 5:])
    theirs = [p for block in (first, second, last) for p in block.parameters()]
    for ours, other in zip(blocks.parameters(), theirs, strict=True):
        torch.testing.assert_close(ours.grad, other.grad)


def test_frozen_teaches_the_last_block_alone():
    blocks = hwloop.torch.Blocks(perceptron(), X, Frozen())
    blocks.teach(X, Y)
    taught = [p.grad is not None for p in blocks.parameters()]
    assert taught == [False] * (len(taught) - 2) + [True] * 2


def test_a_transformer_learns_by_light_and_its_ledger_says_what_that_took():
    x = torch.arange(40).reshape(4, 10) * 3 % 11
    y = torch.roll(x, -1, 1)
    blocks = hwloop.torch.Blocks(tokens(), x, TernaryDFA(), partial(OPU, signed=False), seed=1)
    assert blocks.widths == [8, 8, 8]
    optimizer = torch.optim.Adam(blocks.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(blocks.teach(x, y))
        optimizer.step()
    assert losses[-1] < 0.7 * losses[0]
    assert all(p.grad.abs().sum() > 0 for p in blocks.blocks[0].parameters())
    [(step, tally)] = blocks.ledger.steps.items()
    assert (tally.times, step.samples) == (30, 4)
    light = [op for op in step.ops if op.device == "feedback"]
    assert [(op.verb, op.batch) for op in light] == [("MULTIPLY", 2 * 40)]
    assert dict(step.after)["feedback"] == ("error",)


def test_alignment_is_one_for_backpropagation_and_the_cosine_by_hand_for_dfa():
    blocks = hwloop.torch.Blocks(copy.deepcopy(perceptron()), X)
    blocks.teach(X, Y)
    assert blocks.alignment(X, Y) == pytest.approx([1.0, 1.0, 1.0], abs=1e-6)
    blocks = hwloop.torch.Blocks(copy.deepcopy(perceptron()), X, DFA(), Ideal, seed=3)
    blocks.teach(X, Y)
    kept = [p.grad.clone() for p in blocks.parameters()]
    operations = blocks.on["feedback"].state()["operations"]
    aligned = blocks.alignment(X, Y)
    assert blocks.on["feedback"].state()["operations"] == operations  # no device was asked
    plain = nn.Sequential(*perceptron())
    nn.functional.cross_entropy(plain(X), Y).backward()
    for k, block in enumerate(plain):
        size = len(list(block.parameters()))
        ours = torch.cat([g.flatten() for g in kept[:size]])
        kept = kept[size:]
        theirs = torch.cat([p.grad.flatten() for p in block.parameters()])
        expected = float(ours @ theirs / (ours.norm() * theirs.norm()))
        assert aligned[k] == pytest.approx(expected, abs=1e-6)
    assert abs(aligned[0]) < 0.99
    assert aligned[2] == pytest.approx(1.0, abs=1e-6)  # the last block is taught its own slope
    frozen = hwloop.torch.Blocks(perceptron(), X, Frozen())
    frozen.teach(X, Y)
    assert frozen.alignment(X, Y) == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)


def test_a_step_down_the_slopes_of_an_aligned_block_lowers_the_loss():
    """One shared matrix equal to the readout's transpose: residual DFA is nearly the gradient."""
    x = torch.arange(40).reshape(4, 10) * 3 % 11
    y = torch.roll(x, -1, 1)
    blocks = hwloop.torch.Blocks(tokens(), x, DFA(shared=True), Ideal)
    readout = blocks.blocks[-1].weight.detach()
    blocks.on["feedback"].program(readout.T.numpy())
    loss = blocks.teach(x, y)
    aligned = blocks.alignment(x, y)
    assert aligned[2] == pytest.approx(1.0, abs=1e-6)  # the last layer's slope is then exact
    assert 0.1 < aligned[1] < 1
    with torch.no_grad():
        for p in blocks.blocks[1].parameters():
            p -= 0.05 * p.grad
        after = nn.functional.cross_entropy(blocks(x).flatten(0, 1), y.flatten()).item()
    assert after < loss


@pytest.mark.parametrize("mode", ["balanced", "stochastic"])
def test_a_training_loaded_from_its_state_dict_goes_on_exactly(mode, tmp_path):
    x = torch.arange(40).reshape(4, 10) * 3 % 11
    y = torch.roll(x, -1, 1)

    def made():
        rule = TernaryDFA(shared=True, mode=mode)
        return hwloop.torch.Blocks(tokens(), x, rule, partial(OPU, signed=False), seed=1)

    def teach(blocks, steps):
        optimizer = torch.optim.SGD(blocks.parameters(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            blocks.teach(x, y)
            optimizer.step()

    whole, first, second = made(), made(), made()
    teach(whole, 4)
    teach(first, 2)
    torch.save(first.state_dict(), tmp_path / "half.pt")
    second.load_state_dict(torch.load(tmp_path / "half.pt", weights_only=True))
    teach(second, 2)
    for ours, theirs in zip(second.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: hwloop.torch.Blocks(perceptron(), X, DRTP()), "by DFA of any kind or by Frozen"),
        (lambda: hwloop.torch.Blocks(perceptron(), X, DFA()), "DFA takes a feedback device"),
        (lambda: hwloop.torch.Blocks(perceptron()[:1], X), "blocks takes two or more, got 1"),
        (
            lambda: hwloop.torch.Blocks(
                [nn.Flatten(0), nn.Unflatten(0, (4, 6)), nn.Linear(6, 3)], X, DFA(), Ideal
            ),
            "block 1 leaves (24,), which does not hold 4 rows alike",
        ),
    ],
)
def test_what_makes_no_blocks_is_refused(make, says):
    with pytest.raises(ValueError) as said:  # noqa: PT011
        make()
    assert says in str(said.value)
