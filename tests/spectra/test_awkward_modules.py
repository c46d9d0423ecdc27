"""Networks that do not do what their modules say: each layer is right, or named as left out."""

import functools

import pytest
import torch
from model_cases import Net
from oracles import dense_matrix_of, rng
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from cbnlib import CircularConv, conv_spectrum
from cbnlib.network.model import evaluating
from cbnlib.spectra.modules import module_spectra

GRID = (6, 8)
X = torch.zeros(1, 2, *GRID, dtype=torch.double)
PIXELS = nn.PixelShuffle(2)


def conv(kind=nn.Conv2d, c_in=2, c_out=2, kernel_size=3, **options):
    options = {"padding": 1, "padding_mode": "circular"} | options
    return kind(c_in, c_out, kernel_size, **options)


zeros = functools.partial(conv, padding_mode="zeros")
patches = functools.partial(conv, kernel_size=2, stride=2, padding=0, padding_mode="zeros")
up = functools.partial(patches, nn.ConvTranspose2d)


def norm(channels=2, kind=nn.BatchNorm2d, **options):
    made = kind(channels, **options)
    for i, values in enumerate(made.state_dict().values()):
        if values.ndim:
            values.uniform_(0.5, 2, generator=rng(i))
    return made


class Marked(torch.Tensor):
    pass


class Standardised(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        weight = weight / weight.flatten(1).std(dim=1)[:, None, None, None]
        how = self.stride, self.padding, self.dilation, self.groups
        return functional.conv2d(x, weight, self.bias, *how)


class Masked(nn.Conv2d):
    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight * (weight > 0), bias)


class Renormed(nn.Conv2d):
    def forward(self, x):
        self.weight.data = torch.renorm(self.weight.data, p=2, dim=0, maxnorm=0.1)
        return super().forward(x)


class Switched(nn.Conv2d):
    def forward(self, x):
        self.weight.data.mul_(-2)
        return super().forward(x)


class Same(nn.Conv2d):
    """TensorFlow's padding, with one more pixel after the image than before it."""

    def forward(self, x):
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


class Around(nn.Conv2d):
    before, after = staticmethod(lambda x: x), staticmethod(lambda y: y)

    def forward(self, x):
        return self.after(super().forward(self.before(x)))


def around(before=None, after=None, **options):
    made = conv(Around, padding_mode="zeros", **options)
    made.before, made.after = before or made.before, after or made.after
    return made


class Coordinates(nn.Conv2d):
    def forward(self, x):
        return super().forward(torch.cat([x, torch.ones_like(x[:, :1])], dim=1))


class Twice(nn.Conv2d):
    def forward(self, x):
        return super().forward(super().forward(x))


class Called(nn.Conv2d):
    def __call__(self, x):
        return 2 * super().__call__(x)


class Padded(nn.Conv2d):
    """A stride with the padding that keeps `ceil(n / stride)` pixels, as in EfficientNet."""

    def forward(self, x):
        x = functional.pad(x, (0, 1, 0, 1))
        return functional.conv2d(x, self.weight, self.bias, self.stride)


class Replicated(nn.Conv2d):
    """Writes into the margin that was padded by zeros."""

    def forward(self, x):
        x = functional.pad(x, (1, 1))
        x[..., 0], x[..., -1] = x[..., 1], x[..., -2]
        return functional.conv2d(x, self.weight, self.bias)


class NormedWeight(nn.Conv2d):
    """Standardises by batch norm of the weight, as NFNet does."""

    def forward(self, x):
        rows = self.weight.flatten(1)[None]
        weight = functional.batch_norm(rows, None, None, training=True).view_as(self.weight)
        return functional.conv2d(x, weight, self.bias, self.stride)


class Conditional(nn.Conv2d):
    """A filter mixed by what is received, as in CondConv, dynamic convolution, StyleGAN2."""

    def forward(self, x):
        return functional.conv2d(x, self.weight * x.mean().sigmoid(), self.bias, padding=1)


class PerSample(nn.Conv2d):
    """A filter for each sample, by groups, as in StyleGAN2 or CondConv."""

    def forward(self, x):
        n, weight = len(x), self.weight.repeat(len(x), 1, 1, 1)
        y = functional.conv2d(x.reshape(1, -1, *x.shape[2:]), weight, padding=1, groups=n)
        return y.reshape(n, -1, *y.shape[2:])


class Raises(nn.Conv2d):
    def forward(self, x):
        raise RuntimeError("not today")


class Outer(nn.Conv2d):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.inner = patches()

    def forward(self, x):
        return self.inner(x)


def one(layer, forward=lambda net, x: net.layer(x), **more):
    return Net(forward, layer=layer, **more)


def hooked(hook, layer=None):
    net = one(layer or conv())
    net.layer.register_forward_hook(hook)
    return net


def pre_hooked(hook, layer=None):
    net = one(layer or patches())
    net.layer.register_forward_pre_hook(hook)
    return net


def old_weight_norm():
    with pytest.warns(FutureWarning):
        return one(nn.utils.weight_norm(patches()))


def old_spectral_norm():
    layer = nn.utils.spectral_norm(patches())
    layer(torch.ones(1, 2, *GRID))
    return one(layer)


def doubled_behind(net):
    """A hook that changes the output without a trace in its version."""
    net.layer.register_forward_hook(lambda _, __, y: setattr(y, "data", 2 * y.data))
    return net


def backward_hooked():
    net = one(conv())
    net.layer.register_full_backward_hook(lambda *_: None)
    return net


def compiled_in_place():
    net = one(conv())
    net.layer.compile(backend="eager")
    net(torch.zeros(1, 2, *GRID))
    return net


class LowRank(nn.Module):
    def forward(self, weight):
        return weight + torch.ones_like(weight)


def adapted():
    net = one(patches())
    nn.utils.parametrize.register_parametrization(net.layer, "weight", LowRank())
    return net


@torch.library.custom_op("cbnlib_tests::blur", mutates_args=())
def blur(x: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(x, 3, 1, 1)


def two_names():
    layer = conv()
    return Net(lambda net, x: net.b(x), a=layer, b=layer)


def tied():
    net = Net(lambda net, x: net.b(net.a(x)), a=conv(), b=conv())
    net.b.weight = net.a.weight
    return net


def replaced():
    net = one(conv())
    net.layer.forward = lambda x: 3 * x
    return net


def quantised():
    layer = torch.ao.nn.quantized.Conv2d(2, 2, 3)
    to_integers = functools.partial(
        torch.quantize_per_tensor, scale=1.0, zero_point=0, dtype=torch.quint8
    )
    return one(layer, lambda net, x: net.layer(to_integers(x.float())))


def warm(net):
    compiled = torch.compile(net, backend="eager")
    with torch.no_grad():
        compiled(torch.zeros(1, 2, *GRID))
    return compiled


def caught(net, x):
    try:
        net.fails(x)
    except RuntimeError:
        return functional.conv2d(net.layer(x), net.layer.weight)


def layer(net, x):
    return net.layer(x)


def functional_layer(net, x):
    return functional.conv2d(x, net.layer.weight)


def traced():
    return torch.jit.trace(one(zeros(), normed, norm=norm()).eval(), torch.zeros(1, 2, *GRID))


def frozen():
    return torch.jit.freeze(torch.jit.script(nn.Sequential(zeros(), norm()).eval()))


def exported():
    batch = {0: torch.export.Dim.DYNAMIC}
    net = one(zeros(), normed, norm=norm()).eval()
    program = torch.export.export(net, (torch.cat([X, X]),), dynamic_shapes=(batch,))
    return program.module()


def normed(net, x):
    return net.norm(net.layer(x))


def skip(net, x):
    y = net.layer(x)
    return net.norm(y) + y


def skip_behind(net, x):
    y = net.layer(x)
    return net.norm(y) + y.data


def back(net, x):
    return functional.conv_transpose2d(x, net.layer.weight, stride=2)


def differences(net, x):
    return functional.conv2d(x, net.layer.weight.sum((2, 3), keepdim=True))


def template(net, x):
    return functional.conv2d(net.layer(x), x[:, :, :3, :3])


def trained(net, x):
    mean, variance = net.norm.running_mean, net.norm.running_var
    return functional.batch_norm(net.layer(x), mean, variance, training=True)


def joined(net, x):
    return net.norm(torch.cat([net.layer(x), x], 1))


def through(net, x):
    return net.norm(net.no(net.layer(x)))


def two_norms(net, x):
    return net.second(net.layer(net.norm(net.layer(x))))


def larger(net, x):
    return net.layer(output_size=[12, 15], input=x)


def checkpointed(net, x):
    return checkpoint(net.layer, x, use_reentrant=False)


def doubled(net, x):
    return torch.func.functional_call(net.layer, {"weight": 2 * net.layer.weight}, x)


ALONE = {
    "circular": lambda: one(conv()),
    "zero padding": lambda: one(zeros()),
    "strided": lambda: one(conv(stride=2)),
    "reflect": lambda: one(conv(padding_mode="reflect")),
    "even window, same": lambda: one(zeros(kernel_size=2, padding="same")),
    "channels last": lambda: one(conv()).to(memory_format=torch.channels_last),
    "keyword": lambda: one(conv(), lambda net, x: net.layer(input=x)),
    "called twice": lambda: one(conv(), lambda net, x: net.layer(net.layer(x))),
    "unbatched": lambda: one(conv(), lambda net, x: net.layer(x[0])[None]),
    "lazy": lambda: one(nn.LazyConv2d(2, 2, stride=2)),
    "ours": lambda: one(CircularConv(2, 2, GRID)),
    "norm after ReLU": lambda: one(conv(), lambda n, x: n.norm(n.layer(x).relu()), norm=norm()),
    "norm after relu_": lambda: one(conv(), lambda n, x: n.norm(n.layer(x).relu_()), norm=norm()),
    "norm and a skip": lambda: one(conv(), skip, norm=norm()),
    "norm of more": lambda: one(conv(), joined, norm=norm(4)),
    "pruned": lambda: one(prune.random_unstructured(patches(), "weight", 0.5)),
    "norm by the batch": lambda: one(conv(), normed, norm=norm(track_running_stats=False)),
    "norm in training": lambda: one(conv(), trained, norm=norm()),
    "group norm": lambda: one(conv(), normed, norm=nn.GroupNorm(1, 2)),
    "standardised": lambda: one(patches(Standardised)),
    "masked": lambda: one(patches(Masked)),
    "renormed": lambda: one(patches(Renormed)),
    "TensorFlow's padding": lambda: one(patches(Same, kernel_size=3)),
    "no change": lambda: one(around()),
    "per sample": lambda: one(zeros(PerSample)),
    "weight norm": lambda: one(parametrizations.weight_norm(conv())),
    "spectral norm": lambda: one(parametrizations.spectral_norm(conv())),
    "orthogonal": lambda: one(parametrizations.orthogonal(patches())),
    "old weight norm": old_weight_norm,
    "old spectral norm": old_spectral_norm,
    "hook that looks": lambda: hooked(lambda *_: None),
    "hook that does not cast": lambda: hooked(lambda _, __, y: y.to(y.dtype)),
    "pre-hook that looks": lambda: pre_hooked(lambda *_: None),
    "checkpoint": lambda: one(conv(), checkpointed),
    "backward hook": backward_hooked,
    "compiled in place": compiled_in_place,
    "cast and copied": lambda: one(around(lambda x: x.float().double(), lambda y: y.clone())),
    "tensor of a subclass": lambda: one(conv(), lambda n, x: n.layer(x.as_subclass(Marked))),
    "low-rank update": adapted,
    "padded for a stride": lambda: one(patches(Padded, kernel_size=3)),
    "weight by batch norm": lambda: one(patches(NormedWeight)),
    "norm by the sample": lambda: one(conv(), normed, norm=nn.InstanceNorm2d(2)),
    "norm and a hidden skip": lambda: one(conv(), skip_behind, norm=norm()),
    "several per channel": lambda: one(conv(c_out=6, groups=2)),
    "up, dilated": lambda: one(up(kernel_size=3, output_padding=1, dilation=2)),
    "shuffled": lambda: one(zeros(c_out=4), lambda n, x: n.shuffle(n.layer(x)), shuffle=PIXELS),
    "gradients on": lambda: one(conv(), torch.enable_grad()(layer)),
}
NORMED = {
    "norm": lambda: one(conv(), normed, norm=norm()),
    "norm without a scale": lambda: one(conv(), normed, norm=norm(affine=False)),
    "norm, groups": lambda: one(patches(c_out=6, groups=2), normed, norm=norm(6)),
    "norm, transposed": lambda: one(up(c_out=6, groups=2), normed, norm=norm(6)),
    "norm, standardised": lambda: one(patches(Standardised), normed, norm=norm()),
    "norm of a subclass": lambda: one(conv(), normed, norm=norm(kind=nn.SyncBatchNorm)),
    "norm, nothing between": lambda: one(conv(), through, norm=norm(), no=nn.Dropout()),
}
OTHERWISE = {
    "output_size": (lambda: one(up(kernel_size=3, padding=1), larger), {"layer": larger}),
    "two names": (two_names, {"a": lambda net, x: net.a(x)}),
    "tied": (tied, {"a": lambda net, x: net.a(x), "b": lambda net, x: net.b(x)}),
    "two norms": (
        lambda: one(conv(), two_norms, norm=norm(), second=norm(eps=0.5)),
        {"layer (call 1)": normed, "layer (call 2)": lambda net, x: net.second(net.layer(x))},
    ),
    "outer": (lambda: one(patches(Outer)), {"layer.inner": layer}),
    "parallel": (
        lambda: nn.DataParallel(one(conv())),
        {"module.layer": lambda net, x: net.module.layer(x)},
    ),
    "compiled": (
        lambda: torch.compile(one(conv()), backend="eager"),
        {"_orig_mod.layer": layer},
    ),
    "compiled and used": (lambda: warm(one(conv())), {"_orig_mod.layer": layer}),
    "functional": (lambda: one(conv(), functional_layer), {"layer": functional_layer}),
    "of another weight": (
        lambda: one(conv(), lambda net, x: functional.conv2d(x, 2 * net.layer.weight)),
        {"convolution 1": lambda net, x: 2 * functional_layer(net, x)},
    ),
    "traced": (traced, {"layer": lambda net, x: net(x)}),
    "frozen": (frozen, {"convolution 1": lambda net, x: net(x)}),
    "exported": (exported, {"layer": lambda net, x: net(x)}),
    "a graph": (
        lambda: torch.fx.symbolic_trace(nn.Sequential(conv(), norm()).eval()),
        {"0": lambda net, x: net(x)},
    ),
    "both ways": (
        lambda: one(zeros(), lambda net, x: back(net, net.layer(x))),
        {"layer (call 1)": layer, "layer (call 2)": back},
    ),
    "differences": (
        lambda: one(zeros(), lambda net, x: net.layer(x) - differences(net, x)),
        {"layer": layer, "convolution 1": differences},
    ),
    "other parameters": (lambda: one(conv(), doubled), {"layer": doubled}),
}
RIGHT = (
    {name: (make, {"layer": layer}) for name, make in ALONE.items()}
    | {name: (make, {"layer": normed}) for name, make in NORMED.items()}
    | OTHERWISE
)

CHANGES_INPUT = {
    "input scaled": lambda: one(around(lambda x: 3 * x)),
    "input scaled in place": lambda: one(around(lambda x: x.mul_(3))),
    "input turned": lambda: one(around(lambda x: x.mT)),
    "input mirrored": lambda: one(around(lambda x: x.flip(-1))),
    "input cut": lambda: one(around(lambda x: x[..., 1:])),
    "input padded by ones": lambda: one(around(lambda x: functional.pad(x, (1, 1), value=1.0))),
    "input padded": lambda: one(around(lambda x: functional.pad(x, (1, 1, 1, 1), "circular"))),
    "more channels": lambda: one(zeros(Coordinates, 3)),
    "masked, circular": lambda: one(conv(Masked)),
    "pre-hook": lambda: pre_hooked(lambda _, x: (3 * x[0],)),
    "pre-hook, circular": lambda: pre_hooked(lambda _, x: (3 * x[0],), conv()),
    "pre-hook behind": lambda: pre_hooked(lambda _, x: setattr(x[0], "data", 3 * x[0])),
    "margin changed": lambda: one(patches(Replicated, kernel_size=3, stride=1)),
    "pre-hook in place": lambda: pre_hooked(lambda _, x: (x[0].mul_(3),)),
}
CHANGES_OUTPUT = {
    "output scaled": lambda: one(around(after=lambda y: 3 * y)),
    "output scaled in place": lambda: one(around(after=lambda y: y.mul_(3))),
    "output cut": lambda: one(around(after=lambda y: y[..., 1:])),
    "output turned": lambda: one(around(after=lambda y: y.mT)),
    "two outputs": lambda: one(around(after=lambda y: (y, y)), lambda net, x: net.layer(x)[0]),
    "hook": lambda: hooked(lambda _, __, y: 3 * y),
    "hook in place": lambda: hooked(lambda _, __, y: y.mul_(3)),
    "hook behind": lambda: doubled_behind(one(conv())),
    "copied, then scaled": lambda: one(around(after=lambda y: y.clone().mul_(3))),
    "vmap": lambda: one(conv(), lambda net, x: torch.vmap(net.layer)(x)),
}
NOT_KNOWN = {
    "twice": (lambda: one(zeros(Twice)), {"layer": "2 convolutions act inside"}),
    "outer": (lambda: one(patches(Outer)), {"layer": "0 convolutions act inside"}),
    "called": (lambda: one(zeros(Called)), {"layer": "has a __call__ of its own"}),
    "forward replaced": (replaced, {"layer": "0 convolutions act inside"}),
    "quantised": (quantised, {"other operations": "quantized::conv2d"}),
    "not called": (lambda: one(conv(), lambda _, x: x), {"layer": "not called in this pass"}),
    "raises": (
        lambda: one(conv(), caught, fails=zeros(Raises)),
        {"fails": "0 convolutions act inside"},
    ),
    "inference mode": (
        lambda: one(conv(), torch.inference_mode()(layer)),
        {"layer": "0 convolutions act inside", "other operations": "aten::conv2d (1×)"},
    ),
    "conditional": (lambda: one(zeros(Conditional)), {"layer": "its weight depends on the input"}),
    "template": (
        lambda: one(zeros(), template),
        {"convolution 1": "its weight depends on the input"},
    ),
    "patches times a matrix": (
        lambda: one(zeros(), lambda net, x: functional.unfold(net.layer(x), 3)),
        {"other operations": "aten::im2col (1×)"},
    ),
    "of another package": (
        lambda: one(zeros(), lambda net, x: blur(net.layer(x))),
        {"other operations": "cbnlib_tests::blur (1×)"},
    ),
    "complex": (
        lambda: one(zeros(dtype=torch.cdouble), lambda net, x: net.layer(x + 0j)),
        {"layer": "the weight is complex"},
    ),
    "ours, with a hook": (
        lambda: hooked(lambda _, __, y: 3 * y, CircularConv(2, 2, GRID)),
        {"layer": "has hooks"},
    ),
}
LEFT_OUT = (
    {name: (make, {"layer": "changes what goes into"}) for name, make in CHANGES_INPUT.items()}
    | {name: (make, {"layer": "changes what comes out"}) for name, make in CHANGES_OUTPUT.items()}
    | NOT_KNOWN
)


@pytest.fixture(autouse=True)
def doubles(one_thread):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.filterwarnings("ignore:.*[Ll]azy:UserWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit.* is (deprecated|not supported):DeprecationWarning")
@pytest.mark.parametrize("name", RIGHT)
def test_these_are_right(name):
    make, expected = RIGHT[name]
    net = make()
    spectra, left_out = module_spectra(net, torch.randn(1, 2, *GRID))
    assert list(spectra) == list(expected)
    assert list(left_out) == (["layer"] if name in ("outer", "of another weight") else [])
    for label, function in expected.items():
        with evaluating(net):
            matrix = dense_matrix_of(functools.partial(function, net), 2, GRID)
        spectrum, exact = spectra[label], torch.linalg.svdvals(matrix)
        values = spectrum.operator_values()
        common, tolerance = min(len(values), len(exact)), 1e-12 * float(exact[0])
        assert (exact[:common] <= values[:common] + tolerance).all()
        if spectrum.kind == "exact":
            torch.testing.assert_close(values[:common], exact[:common], rtol=0, atol=tolerance)
        else:
            assert exact[0] > 0.45 * values[0]


@pytest.mark.filterwarnings("ignore:`torch.jit.* is (deprecated|not supported):DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize("name", LEFT_OUT)
def test_these_are_left_out_by_name(name):
    make, expected = LEFT_OUT[name]
    net = make()
    spectra, left_out = module_spectra(net, torch.randn(1, 2, *GRID))
    assert list(left_out) == list(expected)
    for label, reason in expected.items():
        assert reason in left_out[label]
    assert not {*spectra} & {*left_out}


def test_batch_norm_of_what_has_no_batch_is_not_that_of_channels():
    """BatchNorm1d takes an unbatched signal for a batch of its channels."""
    model = nn.Sequential(conv(nn.Conv1d), norm(kind=nn.BatchNorm1d))
    spectra, _ = module_spectra(model, torch.randn(2, 2))
    torch.testing.assert_close(spectra["0"].values, conv_spectrum(model[0], 2).values)


def test_an_error_of_the_network_says_how_far_it_came():
    model = nn.Sequential(zeros(), zeros(c_in=3))
    with pytest.raises(RuntimeError, match="expected input") as error:
        module_spectra(model, torch.zeros(1, 2, *GRID))
    assert error.value.__notes__ == ["last convolution called: '1'"]


def test_a_weight_that_changes_from_call_to_call():
    net, plain = one(zeros(Switched), lambda net, x: net.layer(net.layer(x))), zeros()
    net.layer.load_state_dict(plain.state_dict())
    expected = conv_spectrum(plain, GRID).values
    spectra, _ = module_spectra(net, torch.zeros(1, 2, *GRID))
    torch.testing.assert_close(spectra["layer (call 1)"].values, 2 * expected)
    torch.testing.assert_close(spectra["layer (call 2)"].values, 4 * expected)
