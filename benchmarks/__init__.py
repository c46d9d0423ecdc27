"""How fast the library is, compared with what one would otherwise use (`make bench`).

* `contenders` has the same training step in three ways, and the spectra in two.
* `network` takes all spectra of a network of ResNet-50's size.
* `floor` is the least time a step can take, from the machine's measured rates.
* `measure` takes time side by side, memory in processes of their own.
* `__main__` has the cases and writes the JSON that the book's page on performance shows.
"""
