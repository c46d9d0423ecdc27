r"""The least time a training step can take on this machine, by counting.

Every algorithm in the Fourier domain must multiply the filters' blocks with the coefficients of the
signals. It does so three times per layer (forward, gradient of the input, gradient of the filter),
with real blocks where $\omega=-\omega$, complex elsewhere. It must also move every signal through
four transforms. The floor charges the products at the machine's rate for large matrix products. It
charges the transforms only for reading and writing the signals once, at its rate for copying. Their
arithmetic, the ReLUs, the optimiser and all overhead are free.
"""

import torch

from benchmarks.contenders import StepCase
from benchmarks.measure import median_seconds
from cbnlib.network.frequencies import frequencies

BYTES = 4
"""Of a float32."""


def machine_rates(size: int = 2048) -> dict[str, float]:
    """Measured flops per second of a float32 matrix product and bytes per second of a copy.

    Args:
        size: Rows and columns of the matrices. The array to copy is 8 times as large.
    """
    a, out = torch.randn(size, size), torch.empty(size, size)
    product = median_seconds(lambda: torch.mm(a, a, out=out))
    source, target = torch.randn(8 * size**2), torch.empty(8 * size**2)
    copy = median_seconds(lambda: target.copy_(source))
    return {
        "flops_per_second": 2 * size**3 / product,
        "bytes_per_second": 2 * BYTES * source.numel() / copy,
    }


def count(case: StepCase) -> dict[str, float]:
    """Flops of the products and bytes that the transforms read and write, per step."""
    pixels, products = case.n**2, frequencies((case.n, case.n)).products
    flops, moved = 0.0, 0.0
    for layer, (c_in, c_out) in enumerate(case.channels()):
        # One addition for each real multiplication, per entry and sample.
        product = 2.0 * products * c_in * c_out * case.batch
        flops += product * (2 if layer == 0 else 3)
        # In: the input's transform and its gradient's inverse. Out: the reverse.
        signals = (1 if layer == 0 else 2) * c_in + 2 * c_out
        moved += 2.0 * BYTES * pixels * case.batch * signals
    return {"flops": flops, "bytes": moved}


def floor_seconds(case: StepCase, rates: dict[str, float]) -> float:
    """The floor of a step."""
    counted = count(case)
    products = counted["flops"] / rates["flops_per_second"]
    return products + counted["bytes"] / rates["bytes_per_second"]
