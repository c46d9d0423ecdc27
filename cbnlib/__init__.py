"""Convolution bottlenecks: the network, its spectra and the experiments of the companion book.

The modules, in reading order:

* `frequencies`: the frequencies of a cyclic grid and how to count them.
* `layers`, `resampling`, `model`: circular convolutions, coarser grids, and the network.
* `tasks`: the data sets.
* `train_config`, `loop`, `training`: minimising the loss with its ridge.
* `real_dft`, `engine`: the same training step, computed fast.
* `experiments`, `runs`, `ensembles`: what defines a run; networks trained on tasks, with what they
  cost; many small ones at once.
* `records`, `sweeps`: finished runs on disk, checkpoints of unfinished ones; runs on many cores.
* `spectra`, `torch_convs`: singular values per frequency, of our layers and of PyTorch's.
* `bottleneck`: which layers keep which few modes, by one rule.
* `phases`: angles stored in coefficients: reading, swapping and decoding them.
* `variation`: kept singular directions as dials, to see what each encodes.
* `formation`: how the structure forms during training.
* `surgery`: trained networks with frequencies removed or kept.
* `compression`: trained networks with their middle on another grid, and what layers cost.
* `theory`: the statements S1 to S5 as functions, costs, bounds and networks that attain them.
* `plots`, `slideshow`: the figures, and a slider through many of them.
* `claims`: predictions with their tolerance, and the verdicts that follow.
* `notebook`: what the notebooks need around an experiment.
* `checks`: errors for bad input.
"""

from cbnlib.experiments import Experiment, TaskSpec, single
from cbnlib.frequencies import Frequencies, frequencies
from cbnlib.layers import CircularConv
from cbnlib.loop import History, TrainingDivergedError
from cbnlib.model import CNN, CNNConfig
from cbnlib.runs import Run, obtain, run_experiment, run_task
from cbnlib.spectra import Spectrum, activation_spectra, layer_spectrum, weight_spectra
from cbnlib.torch_convs import conv_spectrum
from cbnlib.train_config import TrainConfig
from cbnlib.training import evaluate, train

__version__ = "0.1.0"

__all__ = [
    "CNN",
    "CNNConfig",
    "CircularConv",
    "Experiment",
    "Frequencies",
    "History",
    "Run",
    "Spectrum",
    "TaskSpec",
    "TrainConfig",
    "TrainingDivergedError",
    "activation_spectra",
    "conv_spectrum",
    "evaluate",
    "frequencies",
    "layer_spectrum",
    "obtain",
    "run_experiment",
    "run_task",
    "single",
    "train",
    "weight_spectra",
]
