"""Finished runs on disk: sealed folders that cannot run code and cannot be damaged unnoticed.

* `sealed`: a set of files written at once, with checksums that are checked on reading.
* `encoding`: JSON and arrays as bytes, read strictly.
* `compact`: weights in the form that takes less room, factors of kept modes or all of them.
* `contents`: what is known of a finished run.
* `checking`, `record`: finished runs to and from a sealed folder.
* `snapshots`, `checkpoint`: what a run keeps while it lasts.
"""
