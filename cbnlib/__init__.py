"""Convolution bottlenecks: the network, its spectra and the experiments of the companion book.

The rooms, each named after what it answers; a room imports only from those above it here:

* `network`: what is trained. Frequencies, circular convolutions, the network.
* `spectra`: what is read off. Singular values per frequency, the bottleneck.
* `training`: how it is trained.
* `theory`: what is proved. The statements S1 to S5 as functions.
* `interventions`: what one does to a trained network.
* `tasks`: on which data.
* `runs`: what is kept. Experiments, runs, records, sweeps.
* `xray`: what can be said of any network. The command `python -m cbnlib.xray`.
* `book`: the book's furniture. Figures, claims, notebooks.

The names below are loaded when they are first used. `network`, `spectra`, `training`, `theory`,
`interventions` and `xray` need PyTorch and NumPy alone; each other room has an extra.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from cbnlib._version import __version__ as __version__

if TYPE_CHECKING:
    from cbnlib.network.frequencies import Frequencies, frequencies
    from cbnlib.network.layers import CircularConv
    from cbnlib.network.model import CNN, CNNConfig
    from cbnlib.runs.experiment import Experiment, TaskSpec, single
    from cbnlib.runs.obtain import obtain, run_experiment, run_task
    from cbnlib.runs.run import Run
    from cbnlib.runs.search import Search, search
    from cbnlib.spectra.activations import activation_spectra, pre_activation_spectra
    from cbnlib.spectra.alignment import alignment
    from cbnlib.spectra.convolutions import layer_spectrum, weight_spectra
    from cbnlib.spectra.modules import conv_spectrum
    from cbnlib.spectra.response import frequency_response
    from cbnlib.spectra.spectrum import Spectrum
    from cbnlib.training.budget import Budget
    from cbnlib.training.config import TrainConfig
    from cbnlib.training.loop import History, TrainingDivergedError
    from cbnlib.training.train import evaluate, train

_HOMES = {
    "network.frequencies": ("Frequencies", "frequencies"),
    "network.layers": ("CircularConv",),
    "network.model": ("CNN", "CNNConfig"),
    "runs.experiment": ("Experiment", "TaskSpec", "single"),
    "runs.obtain": ("obtain", "run_experiment", "run_task"),
    "runs.run": ("Run",),
    "runs.search": ("Search", "search"),
    "spectra.activations": ("activation_spectra", "pre_activation_spectra"),
    "spectra.alignment": ("alignment",),
    "spectra.convolutions": ("layer_spectrum", "weight_spectra"),
    "spectra.modules": ("conv_spectrum",),
    "spectra.response": ("frequency_response",),
    "spectra.spectrum": ("Spectrum",),
    "training.budget": ("Budget",),
    "training.config": ("TrainConfig",),
    "training.loop": ("History", "TrainingDivergedError"),
    "training.train": ("evaluate", "train"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CNN",
    "Budget",
    "CNNConfig",
    "CircularConv",
    "Experiment",
    "Frequencies",
    "History",
    "Run",
    "Search",
    "Spectrum",
    "TaskSpec",
    "TrainConfig",
    "TrainingDivergedError",
    "activation_spectra",
    "alignment",
    "conv_spectrum",
    "evaluate",
    "frequencies",
    "frequency_response",
    "layer_spectrum",
    "obtain",
    "pre_activation_spectra",
    "run_experiment",
    "run_task",
    "search",
    "single",
    "train",
    "weight_spectra",
]


def __getattr__(name: str) -> object:
    """Load a public name from its home (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'cbnlib' has no attribute {name!r}")
    value: object = getattr(import_module(f"cbnlib.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*globals(), *__all__})
