"""Convolution bottlenecks: the network, its spectra and the experiments of the companion book.

The rooms are listed below. A room imports only from those above it.

* `network` is what is trained, with frequencies, circular convolutions and the network.
* `spectra` is what is read off, the singular values per frequency and the bottleneck.
* `training` is how a network is trained.
* `theory` is what is proved, the statements S1 to S5 as functions.
* `interventions` is what one does to a trained network.
* `tasks` is the data to train on.
* `runs` is what is kept, the experiments, runs, records and sweeps.
* `xray` is what can be said of any network, the command `python -m cbnlib.xray`.
* `book` is what the book needs, the figures, claims and notebooks.

The names below are loaded when they are first used. `network`, `spectra`, `training`, `theory`,
`interventions` and `xray` need PyTorch and NumPy alone. Each other room has an extra.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from cbnlib._version import __version__ as __version__

if TYPE_CHECKING:
    from cbnlib.network.frequencies import Frequencies as Frequencies
    from cbnlib.network.frequencies import frequencies as frequencies
    from cbnlib.network.layers import CircularConv as CircularConv
    from cbnlib.network.model import CNN as CNN
    from cbnlib.network.model import CNNConfig as CNNConfig
    from cbnlib.runs.experiment import Experiment as Experiment
    from cbnlib.runs.experiment import TaskSpec as TaskSpec
    from cbnlib.runs.experiment import single as single
    from cbnlib.runs.obtain import obtain as obtain
    from cbnlib.runs.obtain import run_experiment as run_experiment
    from cbnlib.runs.obtain import run_task as run_task
    from cbnlib.runs.run import Run as Run
    from cbnlib.runs.search import Search as Search
    from cbnlib.runs.search import search as search
    from cbnlib.spectra.activations import activation_spectra as activation_spectra
    from cbnlib.spectra.activations import pre_activation_spectra as pre_activation_spectra
    from cbnlib.spectra.alignment import alignment as alignment
    from cbnlib.spectra.convolutions import layer_spectrum as layer_spectrum
    from cbnlib.spectra.convolutions import weight_spectra as weight_spectra
    from cbnlib.spectra.modules import conv_spectrum as conv_spectrum
    from cbnlib.spectra.response import frequency_response as frequency_response
    from cbnlib.spectra.spectrum import Spectrum as Spectrum
    from cbnlib.training.budget import Budget as Budget
    from cbnlib.training.config import TrainConfig as TrainConfig
    from cbnlib.training.loop import History as History
    from cbnlib.training.loop import TrainingDivergedError as TrainingDivergedError
    from cbnlib.training.train import evaluate as evaluate
    from cbnlib.training.train import train as train

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

__all__ = list(_HOME)


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
