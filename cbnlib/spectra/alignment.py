"""How much of the activations lies in the modes that a layer keeps."""

from collections.abc import Collection
from dataclasses import dataclass

from torch import Tensor, nn

from cbnlib.spectra.activations import Loader, PerLayer
from cbnlib.spectra.spectrum import KEPT, Spectrum


@dataclass(frozen=True, eq=False)
class Alignment:
    r"""How the energy of what a layer receives is shared out over the layer's modes.

    Attributes:
        name: The layer's name.
        spectrum: The layer's singular values.
        shares: The share of the energy along each right singular vector, shape
            `[modes, directions]`. What is missing to 1 does not act on the output.
    """

    name: str
    spectrum: Spectrum
    shares: Tensor

    def kept(self, threshold: float = KEPT) -> float:
        """The share of the energy in the modes whose singular value exceeds `threshold`."""
        raise NotImplementedError


def alignment(
    model: nn.Module, loader: Loader, *, layers: Collection[str] | None = None
) -> PerLayer[Alignment]:
    r"""How much of the activations' energy lies in the modes that the next layer keeps.

    Args:
        model: Any network, as in `activation_spectra`.
        loader: The data, as in `activation_spectra`.
        layers: Names of convolutions; None for all.
    """
    raise NotImplementedError
