"""Convolution bottlenecks: the network, its spectra and the experiments of the companion book.

The modules, in reading order:

* `frequencies`: the frequencies of a cyclic grid and how to count them.
* `layers`, `resampling`, `model`: circular convolutions, coarser grids, and the network.
* `tasks`: the data sets.
* `train_config`, `loop`, `training`: minimising the loss with its ridge.
* `runs`, `ensembles`: a network trained on a task, with what it cost; many small ones at once.
* `spectra`, `torch_convs`: singular values per frequency, of our layers and of PyTorch's.
* `bottleneck`: which layers keep which few modes, by one rule.
* `theory`: the statements S1 to S5 as functions, costs, bounds and networks that attain them.
* `plots`: the figures.
* `notebook`: what the notebooks need around an experiment.
* `checks`: errors for bad input.
"""

from cbnlib.frequencies import Frequencies, frequencies
from cbnlib.layers import CircularConv
from cbnlib.loop import History, TrainingDivergedError
from cbnlib.model import CNN, CNNConfig
from cbnlib.runs import Run, run_task
from cbnlib.spectra import Spectrum, activation_spectra, layer_spectrum, weight_spectra
from cbnlib.torch_convs import conv_spectrum
from cbnlib.train_config import TrainConfig
from cbnlib.training import evaluate, train

__version__ = "0.1.0"

__all__ = [
    "CNN",
    "CNNConfig",
    "CircularConv",
    "Frequencies",
    "History",
    "Run",
    "Spectrum",
    "TrainConfig",
    "TrainingDivergedError",
    "activation_spectra",
    "conv_spectrum",
    "evaluate",
    "frequencies",
    "layer_spectrum",
    "run_task",
    "train",
    "weight_spectra",
]
