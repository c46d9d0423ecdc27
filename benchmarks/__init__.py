"""How fast the library is, against what one would reach for instead: `make bench`.

* `contenders`: the same training step in three ways, and the spectra in two.
* `network`: all spectra of a network of ResNet-50's size.
* `floor`: the least time a step can take, from the machine's measured rates.
* `measure`: time side by side, memory in processes of their own.
* `__main__`: the cases; writes the JSON that the book's page on performance shows.
"""
