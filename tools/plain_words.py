"""Predictions in words that need no chapter, for the start page and the top of each claim.

A prediction that is not here keeps its own words.
"""

PLAIN = {
    # C1
    "Weights and activations keep the same modes in the middle.": (
        "In the middle layers, weights and activations keep the same frequencies."
    ),
    "All else is gone from these layers.": "The middle layers pass nothing else.",
    # C2
    "The kept modes are necessary: random others are not.": (
        "Cutting the kept frequencies hurts far more than cutting random others."
    ),
    "The kept modes are necessary at every depth and ridge: random others are not.": (
        "At every depth and ridge, cutting the kept frequencies hurts far more than cutting "
        "random others."
    ),
    "The kept modes are sufficient.": (
        "A network hardly gets worse if we cut all that it does not keep."
    ),
    "The kept modes suffice at every depth and ridge.": (
        "At every depth and ridge, a network hardly gets worse if we cut all that it does not keep."
    ),
    "The kept modes suffice at every depth and ridge, behind the first layer.": (
        "At every depth and ridge, a network hardly gets worse if we cut all that it does not "
        "keep, except in the bottleneck's first layer."
    ),
    "The bottleneck has the CBN rank, plus one constant at most.": (
        "The bottleneck keeps as many dimensions as the CBN rank, or one more."
    ),
    "At one of three ridges 8 ± 1 directions are kept, from every start.": (
        "At one of three ridges, networks for handwritten zeros keep 8 ± 1 channel directions."
    ),
    "At L = 8 no more directions are kept than at L = 6.": (
        "With 8 layers, networks keep at most as many channel directions as with 6."
    ),
    "The best network needs no more dimensions than free networks keep.": (
        "The best network of a search keeps at most as many dimensions as freely trained ones."
    ),
    "The mix is the paper's, 3 constant + 4 of degree 1 + 1 of degree 2.": (
        "Networks for handwritten zeros keep the paper's mix of channel directions, 3 constant + 4 "
        "of degree 1 + 1 of degree 2."
    ),
    "There, too, held networks end lower than free ones.": (
        "At other ridges and depths, too, networks for zeros first held to the paper's mix end "
        "with a lower loss than freely trained ones."
    ),
    "Of the budgets around 3 + 4 + 1, at most a quarter ends lower.": (
        "Of the mixes near the paper's, at most a quarter gives a lower loss."
    ),
    "With all pixels, too, held networks end lower than free ones.": (
        "Full-size zeros: networks first held to the paper's mix end with a lower loss than "
        "freely trained ones."
    ),
    "With all pixels, too, at most a quarter of the budgets ends lower.": (
        "Full-size zeros: of the mixes near the paper's, at most a quarter gives a lower loss."
    ),
    # C3
    "Without ReLUs a network costs what S1 says for its own filter.": (
        "A network without ReLUs has the norm that an exact formula gives for the map that it "
        "computes."
    ),
    "Each layer more costs about the rank, or one more for the constant.": (
        "Each further layer adds to the norm about the rank, or one more for a constant."
    ),
    "Deep networks cost the rank for each layer more.": (
        "In deep networks, each further layer adds the rank to the norm."
    ),
    "A direction costs about L m of norm.": (
        "Without one channel direction, the norm is smaller by about the depth times the "
        "direction's dimensions."
    ),
    # C4
    "At equal rank a rougher target costs more.": (
        "At equal rank, a rougher target needs a larger norm."
    ),
    # C5
    "Networks near the bound of S4 fill most of it.": (
        "In networks of small norm, the two sides of our theorem nearly agree."
    ),
    "Early, and with hardly any ridge, the excess C is far larger.": (
        "Early in training, or with hardly any ridge, the norm is much further above its lower "
        "bound than after training."
    ),
    "A small norm leaves ±1, and perhaps the constant, in the bottleneck.": (
        "The bottleneck of a network of small norm keeps the frequency pair of the target, and "
        "perhaps the constant."
    ),
    "In a network of 128 layers S4 forces the structure in some layers.": (
        "In a network of 128 layers, our theorem forces the bottleneck in some layers."
    ),
    "What is not kept is worth its price.": (
        "What a network has beside the kept frequencies lowers its data loss by more than it adds "
        "to the ridge."
    ),
    "At a larger ridge the rise without all others is no larger.": (
        "At a larger ridge, cutting all that is not kept raises the data loss at most as much."
    ),
    "Behind the first layer a deeper network's rise is no larger.": (
        "In a deeper network, cutting all that is not kept, except in the bottleneck's first "
        "layer, raises the data loss at most as much."
    ),
    # C6
    "At the end the sharpness is at most 1.05 times the threshold.": (
        "After training, the sharpness is at most 1.05 times the value at which the method can "
        "settle."
    ),
    "At the end the preconditioned sharpness is at most 1.05 times the threshold.": (
        "After training with Adam, the preconditioned sharpness is at most 1.05 times its "
        "threshold."
    ),
    "The sharpness is not larger at the large rate.": (
        "At a large learning rate, the sharpness is at most that at a small one."
    ),
    "The trace of the tangent kernel is not larger at the large rate.": (
        "At a large learning rate, the trace of the tangent kernel is at most that at a small one."
    ),
    "The largest norm that a layer receives is not larger at the large rate.": (
        "At a large learning rate, the largest input of a layer is at most that at a small one."
    ),
    "The share of the activations off the kept modes is not larger at the large rate.": (
        "At a large learning rate, the part of the activations outside the kept frequencies is "
        "at most that at a small one."
    ),
    "Within 10 % of the norm there is a network whose weights have the bottleneck and whose "
    "activations do not, and it is ten times as sharp.": (
        "With 10 % more norm, a network can leave the bottleneck in its activations and keep it "
        "in its weights, and it is ten times as sharp."
    ),
    "What lies off the kept modes rises with the tangent kernel's trace.": (
        "The larger the trace of the tangent kernel, the more lies outside the kept frequencies."
    ),
    # C7
    "From 2k+1 pixels on nothing is lost.": (
        "A middle of 2k + 1 pixels or more loses nothing of a target with frequencies up to k."
    ),
    "Below 2k+1 pixels the regularised loss is higher.": (
        "With fewer than 2k + 1 pixels, for frequencies up to k, the loss is higher."
    ),
    "At least half of the variance at the lost frequencies is missing.": (
        "On grids that are too coarse, at least half of what lies at the lost frequencies is "
        "missing."
    ),
    "Degree 2 fits: no more than 5 % is lost.": (
        "A grid that holds the frequencies up to degree 2 raises the loss by at most 5 %."
    ),
    "The regularised loss is that of full resolution.": (
        "With fewer pixels in the middle, the loss is that of full resolution."
    ),
    "The same modes are kept.": ("With fewer pixels in the middle, the same frequencies are kept."),
    "The smallest grid that holds the kept modes is enough.": (
        "A trained network still works with its middle on the smallest grid that holds the kept "
        "frequencies."
    ),
    # C8
    "The bottleneck is a position: ±1 per axis, perhaps the constant.": (
        "Networks that predict motion keep one frequency pair per axis, which holds a position, "
        "and perhaps the constant."
    ),
    "The phase in the middle layer is the next position.": (
        "Networks that predict motion hold the next position in the middle."
    ),
    "At 1.5 times the largest trained speed it is still right.": (
        "Networks that predict motion are still right at 1.5 times the largest speed of training."
    ),
    "Besides the constant, one frequency per angle passes.": (
        "For shape × texture, one frequency pair per angle passes, besides the constant."
    ),
    "Swapping the modes near the carrier swaps the texture alone.": (
        "Swapping the frequencies near that of the texture swaps the texture alone."
    ),
}
