"""Execute the notebooks with papermill, those that changed, several at a time.

    python -m tools.execute                                   # every notebook, profile quick
    python -m tools.execute --profile paper --seed 1 02       # one notebook, by its number
    python -m tools.execute -p mnist_folder ~/mnist           # a parameter, where it is declared

The executed copies go to `_build/executed/<profile>/`. A notebook is executed again if its source,
its parameters, Python's minor version, the pinned packages or (if it imports it) `cbnlib` changed.
The exit status is 1 if any notebook failed; no page is left of one that did.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tools.digest import execution_digest, stored_digest
from tools.notebook import Parameter, declared_parameters, parse_parameter, read_source
from tools.project import PROFILES, ROOT, BuildError, Project
from tools.provenance import build_environment
from tools.run_notebook import Job, run_in_own_process

CELL_SECONDS = {"quick": 1200, "paper": None}
"""Limits of the editions; the others have `SMOKE_CELL_SECONDS`."""

SMOKE_CELL_SECONDS = 120


def plan(project: Project, args: argparse.Namespace) -> list[Job]:
    """The jobs for the notebooks a command line names.

    Raises:
        BuildError: An unknown profile, notebook or parameter, or a value of the wrong type.
    """
    if args.profile not in PROFILES:
        raise BuildError(f"unknown profile {args.profile!r}; there are: {', '.join(PROFILES)}")
    sources = project.sources(args.names)
    declared = {source: declared_parameters(read_source(source)) for source in sources}
    given = {"profile": args.profile, **dict(args.parameters)}
    if args.seed is not None:
        given["seed"] = args.seed
    _refuse_unknown(given, declared)
    return [_job(project, source, declared[source], given, args) for source in sources]


def _refuse_unknown(
    given: Mapping[str, str], declared: Mapping[Path, Mapping[str, Parameter]]
) -> None:
    known = sorted({name for parameters in declared.values() for name in parameters})
    for name in given:
        if name not in known:
            stems = ", ".join(source.stem for source in declared)
            raise BuildError(f"no parameter {name!r} in {stems}; there are: {', '.join(known)}")


def _job(
    project: Project,
    source: Path,
    defaults: Mapping[str, Parameter],
    given: Mapping[str, str],
    args: argparse.Namespace,
) -> Job:
    parameters = dict(defaults)
    for name in given.keys() & defaults.keys():
        parameters[name] = parse_parameter(name, given[name], defaults[name])
    return Job(
        project=project,
        source=source,
        profile=args.profile,
        parameters=parameters,
        digest=execution_digest(project, source, parameters),
        timeout=args.timeout or CELL_SECONDS.get(args.profile, SMOKE_CELL_SECONDS),
    )


def remove_stale(project: Project, jobs: Sequence[Job]) -> None:
    """Remove what the jobs make out of date: their old copies and the whole rendered site."""
    for job in jobs:
        job.copy.unlink(missing_ok=True)
        job.partial.unlink(missing_ok=True)
    if jobs:
        shutil.rmtree(project.site, ignore_errors=True)


def execute(jobs: Sequence[Job], workers: int) -> list[str]:
    """Execute notebooks, `workers` at a time; return what went wrong, an entry per failure."""
    live = sys.stderr.isatty() and min(workers, len(jobs)) == 1
    failures = []
    with ThreadPoolExecutor(workers) as pool, _leaving_at_once():
        started = [pool.submit(_run_in_process, job, live) for job in jobs]
        for future in as_completed(started):
            job, failure, seconds = future.result()
            where = job.partial if failure else job.copy
            verdict = "failed after" if failure else "done in"
            told = f"{verdict} {seconds:.0f} s: {where.relative_to(job.project.root)}"
            print(f"{job.source.stem}: {told}", flush=True)
            if failure:
                failures.append(failure)
    return failures


@contextmanager
def _leaving_at_once() -> Iterator[None]:
    """At Ctrl-C start nothing more and wait for nothing: notebooks end when this process is gone.

    An orderly exit would wait for all that run and start those that do not yet.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("\nexecute: interrupted; what was done is kept", file=sys.stderr, flush=True)
        os._exit(130)


def _run_in_process(job: Job, live: bool) -> tuple[Job, str | None, float]:
    """A process for each notebook: if one is killed, the others go on."""
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        try:
            failure = process.submit(run_in_own_process, job, live=live).result()
        except BrokenProcessPool:
            failure = f"{job.source.stem}: FAILED\n  the process that ran it was killed"
    return job, failure, time.perf_counter() - start


def build(project: Project, args: argparse.Namespace) -> int:
    """Bring the executed notebooks up to date; return the exit status."""
    jobs = plan(project, args)
    stale = [job for job in jobs if stored_digest(job.copy) != job.digest]
    for job in jobs:
        print(f"{job.source.stem}: {'executing' if job in stale else 'unchanged'}", flush=True)
    remove_stale(project, stale)
    if stale:
        environment = build_environment(project)
        stale = [replace(job, environment=environment) for job in stale]
    failures = execute(stale, args.jobs)
    if failures:
        print(f"\n{len(failures)} of {len(jobs)} notebooks failed:\n", file=sys.stderr)
        print("\n".join(failures), file=sys.stderr)
    return 1 if failures else 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="notebooks by name or number; default: all")
    parser.add_argument("--profile", default="quick", help=f"one of {', '.join(PROFILES)}")
    parser.add_argument("--seed", help="default: each notebook's own")
    parser.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE")
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--timeout", type=int, help="seconds per cell; quick: 1200, paper: none")
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    args = parse(argv)
    try:
        return build(Project(args.root.resolve()), args)
    except BuildError as error:
        print(f"execute: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
