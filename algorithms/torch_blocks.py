"""Any PyTorch network cut into blocks: autograd inside a block, a device's feedback across blocks.

This is how a transformer or a VGG learns by light [Launay, Poli, Boniface, Krzakala, "Direct
feedback alignment scales to modern deep learning tasks and architectures", NeurIPS 2020, its
"macro" form]. The last block ends in scores; its error is projected to the outputs of all others,
each of which takes its part as the slope there.

Two things decide whether a residual network learns so, and the published transformer has both.
Every block ends in its normalisation (post-norm): the slope then passes its derivative, which takes
out what would only lengthen the stream. Without it the stream grows and the slopes do not shrink as
backpropagation's do. And all blocks share one projection (`DFA(shared=True)`): the readout aligns
with what all blocks add together, so best with one matrix. (There the error is taken below the
readout, at the last hidden units; here at the scores.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ..devices import Can, Device, Ledger, Seed
from ..devices.host import Host
from ..mappings import Placement, build
from .backprop import Backprop
from .base import Algorithm
from .dfa import DFA
from .frozen import Frozen

FEEDBACK = "feedback"


class Blocks(nn.Module):
    """Blocks one after another, taught by backpropagation, by DFA of any kind, or the last alone.

    A row is what one error belongs to: a sample, or a token where the scores are (batch, tokens,
    n_classes). Every block's output holds the same rows, (batch, ...) or (batch, tokens, ...).
    The state dict holds the devices and their counters too, so a loaded training goes on exactly;
    `ledger` then counts from there.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        example: Any,
        rule: Algorithm | None = None,
        feedback: Callable[..., Device] | None = None,
        host_technology: str = "nvidia_a100_fp32",
        seed: int = 0,
    ) -> None:
        """Make them from blocks and an example of their input, which says how wide they are.

        `feedback` is a device class, or takes n_out, n_in, name, seed and ledger and makes one:
        of (sum of the widths, n_classes), or of the widest where the rule shares its projection.
        Raises ValueError for a rule that says nothing of blocks, DFA without a feedback, and
        outputs that do not hold the rows of the scores.
        """
        super().__init__()
        self.rule = Backprop() if rule is None else rule
        if not isinstance(self.rule, (Backprop, DFA, Frozen)):
            raise ValueError(
                f"blocks are taught by Backprop, by DFA of any kind or by Frozen, got "
                f"{type(self.rule).__name__}"
            )
        if len(blocks) < 2:
            raise ValueError(f"blocks takes two or more, got {len(blocks)}")
        self.blocks = nn.ModuleList(blocks)
        with torch.no_grad():
            outputs = self._outputs(example)
        classes = outputs[-1].shape[-1]
        rows = outputs[-1].numel() // classes
        self.widths = [self._width(k, out, rows) for k, out in enumerate(outputs[:-1], 1)]
        self.ledger = Ledger()
        devices: dict[str, Device] = {}
        root = Seed(seed)
        if isinstance(self.rule, DFA):
            if feedback is None:
                raise ValueError(f"{type(self.rule).__name__} takes a feedback device, got none")
            n_out = max(self.widths) if self.rule.shared else sum(self.widths)
            devices[FEEDBACK] = device = feedback(
                n_out=n_out, n_in=classes, name=FEEDBACK, seed=root, ledger=self.ledger
            )
            if Can.PROGRAM in device.can:
                rng = root.child("start").child(FEEDBACK).rng()
                b = rng.standard_normal((n_out, classes), np.float32)
                with self.ledger.step("program", samples=0):
                    device.program(b * np.float32(classes**-0.5))
        scores = build((classes,), classes, [])  # blocks have no layers: the host works on scores
        host = Host(self.ledger, host_technology)
        self.on = Placement(scores, devices, host, self.ledger, root)

    def forward(self, x: Any) -> Any:
        """Return the scores of x (..., n_classes)."""
        for block in self.blocks:
            x = block(x)
        return x

    def teach(self, x: Any, target: Any) -> float:
        """Leave in every parameter's `grad` what the rule says; return the mean loss.

        target holds the class of every row, (batch,) or (batch, tokens). An optimizer does the
        rest. The step is written into `ledger`: what the device did, and the host beside it.
        """
        with self.ledger.step("train", samples=len(x)):
            return self._teach(x, target)

    def alignment(self, x: Any, target: Any) -> list[float]:
        """Return for each block the cosine of its `grad` and backpropagation's on this batch.

        Call it after `teach` of the same batch: what the rule left in `grad` stays as it is, and
        no device is asked. 0 where a block was taught nothing; above 0, a small enough step down
        `grad` lowers the loss.
        """
        with torch.enable_grad():
            scores = self.forward(x)
            flat = scores.reshape(-1, scores.shape[-1])
            loss = nn.functional.cross_entropy(flat, target.reshape(-1))
        cosines = []
        for block in self.blocks:
            left = [(p, p.grad) for p in block.parameters() if p.grad is not None]
            if not left:
                cosines.append(0.0)
                continue
            true = torch.autograd.grad(loss, [p for p, _ in left], retain_graph=True)
            ours, theirs = (
                torch.cat([slope.reshape(-1) for slope in slopes])
                for slopes in ([slope for _, slope in left], true)
            )
            cosines.append(float(nn.functional.cosine_similarity(ours, theirs, dim=0)))
        return cosines

    def get_extra_state(self) -> dict[str, Any]:
        """Return what the state dict holds beside the parameters, as tensors."""
        return {key: torch.tensor(value) for key, value in self.on.state().items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_extra_state` returned."""
        self.on.restore({key: value.cpu().numpy().copy() for key, value in state.items()})

    def _teach(self, x: Any, target: Any) -> float:
        self.on.steps += 1
        chain = isinstance(self.rule, Backprop)
        with self.ledger.stage("forward"), torch.set_grad_enabled(True):
            outputs = self._outputs(x, detached=not chain)
        scores = outputs[-1]
        scores.retain_grad()
        flat = scores.reshape(-1, scores.shape[-1])
        with self.ledger.stage("error", after=("forward",)):
            self.on.host.count("ERROR", len(flat), 4 * flat.shape[0] * flat.shape[1])
            loss = nn.functional.cross_entropy(flat, target.reshape(-1))
            torch.autograd.backward(loss)
        if isinstance(self.rule, DFA):
            rows = len(flat)
            error = scores.grad.reshape(flat.shape) * rows
            with self.ledger.stage("feedback", after=("error",)):
                projected = self.rule.project(self.on, error)
            start = 0
            for out, width in zip(outputs[:-1], self.widths, strict=True):
                part = projected[:, start : start + width]
                start += 0 if self.rule.shared else width
                if out.requires_grad:
                    torch.autograd.backward(out, part.reshape(out.shape) / rows)
        return float(loss.detach())

    def _outputs(self, x: Any, detached: bool = True) -> list[Any]:
        outputs = []
        for block in self.blocks:
            x = block(x.detach() if detached else x)
            outputs.append(x)
        return outputs

    @staticmethod
    def _width(k: int, out: Any, rows: int) -> int:
        if out.numel() % rows or out.shape[0] > rows or rows % out.shape[0]:
            raise ValueError(
                f"block {k} leaves {tuple(out.shape)}, which does not hold {rows} rows alike"
            )
        return int(out.numel() // rows)
