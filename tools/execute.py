"""Execute the notebooks with papermill, those that changed, several at a time.

    python -m tools.execute                                   # every notebook, profile quick
    python -m tools.execute --profile paper --seed 1 02       # one notebook, by its number
    python -m tools.execute -p mnist_folder ~/mnist           # a parameter, where it is declared

The executed copies go to `_build/executed/<profile>/`. A notebook is executed again if its source,
its parameters, Python's minor version, the pinned packages or a record that it asked for changed.
If it names `cbnlib`, that counts, too. The exit status is 1 if any failed, 2 if nothing was tried.
"""

# Modules that take their time to import are imported where they are needed: wrong arguments and a
# build without a change are told at once.
import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import resource_tracker
from pathlib import Path

from cbnlib.book.profiles import PROFILES
from tools.command import arguments
from tools.digest import (
    execution_digest,
    record_digests,
    same_records,
    stored_facts,
    stored_json,
)
from tools.job import Failure, Job
from tools.progress import Outlook
from tools.project import BuildError, Parameter, Project

CELL_SECONDS = {"quick": 1200, "paper": None}
"""Limits of the editions. The others have `SMOKE_CELL_SECONDS`."""

SMOKE_CELL_SECONDS = 120
UNKNOWN_SECONDS = 60.0
"""What a notebook is expected to take of which nothing is known."""

INPUTS = ("cbnlib", "notebooks", "records", "constraints.txt")
"""What an execution depends on. Changes elsewhere leave a commit's results what they are."""


def plan(project: Project, args: argparse.Namespace) -> list[Job]:
    """The jobs for the notebooks a command line names.

    Raises:
        BuildError: An unknown profile, notebook or parameter, or a value that is not allowed.
    """
    if args.profile not in PROFILES:
        raise BuildError(f"unknown profile {args.profile!r}; there are: {', '.join(PROFILES)}")
    for name in ("jobs", "timeout"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise BuildError(f"--{name} must be at least 1, got {value}")
    contents = {source: source.read_bytes() for source in project.sources(args.names)}
    declared = {source: _declared(source, content) for source, content in contents.items()}
    given = {"profile": args.profile, **dict(args.parameters)}
    if args.seed is not None:
        given["seed"] = args.seed
    _refuse_unknown(project, given, declared)
    jobs = []
    for source, content in contents.items():
        parameters = _values(declared[source], given)
        digest = execution_digest(project, source, content, parameters)
        timeout = args.timeout or CELL_SECONDS.get(args.profile, SMOKE_CELL_SECONDS)
        jobs.append(Job(project, source, content, args.profile, parameters, digest, timeout))
    return jobs


def _declared(source: Path, content: bytes) -> dict[str, Parameter]:
    """The parameters of a notebook, none if it is a bad one, which its execution will tell."""
    from tools.notebook import declared_parameters, parse_source

    try:
        return declared_parameters(parse_source(source, content))
    except BuildError:
        return {}


def _refuse_unknown(
    project: Project, given: Mapping[str, str], declared: Mapping[Path, Mapping[str, Parameter]]
) -> None:
    """A parameter that only other notebooks have does nothing. One that none has is a mistake."""
    missing = given.keys() - {name for parameters in declared.values() for name in parameters}
    if not missing or not all(declared.values()):
        return
    everywhere = [_declared(source, source.read_bytes()) for source in project.sources()]
    known = sorted({name for parameters in everywhere for name in parameters})
    for name in sorted(missing):
        if name not in known:
            raise BuildError(f"no notebook has a parameter {name!r}; there are: {', '.join(known)}")


def _values(defaults: Mapping[str, Parameter], given: Mapping[str, str]) -> dict[str, Parameter]:
    from tools.notebook import parse_parameter

    return {
        name: parse_parameter(name, given[name], default) if name in given else default
        for name, default in defaults.items()
    }


def remove_stale(project: Project, jobs: Sequence[Job]) -> None:
    """Remove what the jobs make out of date, their old copies and the whole rendered site."""
    for job in jobs:
        for path in (job.copy, job.partial, job.note):
            path.unlink(missing_ok=True)
    if jobs:
        shutil.rmtree(project.site, ignore_errors=True)


def expected_seconds(project: Project, jobs: Sequence[Job]) -> dict[str, float]:
    """What each job is expected to take, from what it took here or where the book was made."""
    tables = [stored_json(path) for path in (project.durations, project.measured_durations)]
    known: dict[str, float] = {}
    for profile in ("quick", jobs[0].profile):
        for table in tables:
            known |= table.get(profile, {})
    return {job.name: known.get(job.name, UNKNOWN_SECONDS) for job in jobs}


def execute(jobs: Sequence[Job], workers: int) -> dict[str, Failure]:
    """Execute notebooks, `workers` at a time, longest first, and return what failed, by name."""
    if not jobs:
        return {}
    project = jobs[0].project
    expected = expected_seconds(project, jobs)
    outlook, failures = Outlook(expected, workers), {}
    resource_tracker.ensure_running()  # in some versions of Python its start unblocks signals
    # Ctrl-C is for this process alone, as what the pool starts inherits blocked signals.
    blocked = (signal.SIG_BLOCK, {signal.SIGINT})
    with ThreadPoolExecutor(workers, "", signal.pthread_sigmask, blocked) as pool, _leaving():
        print(f"execute: {outlook.line()}", flush=True)
        longest_first = sorted(jobs, key=lambda job: -expected[job.name])
        started = [pool.submit(_run_in_process, job, outlook) for job in longest_first]
        for future in as_completed(started):
            job, failure, seconds = future.result()
            if failure:
                failures[job.name] = failure
                with contextlib.suppress(OSError):  # of a full disk, which is told here, too
                    failure.keep(job.note)
                print(f"{job.name}: failed after {seconds:.0f} s", flush=True)
            else:
                _keep_duration(job, seconds)
                told = job.copy.relative_to(project.root)
                print(f"{job.name}: done in {seconds:.0f} s: {told}", flush=True)
            print(f"execute: {outlook.line()}", flush=True)
    return failures


def _keep_duration(job: Job, seconds: float) -> None:
    path = job.project.measured_durations
    table = stored_json(path)
    table.setdefault(job.profile, {})[job.name] = round(seconds, 1)
    with contextlib.suppress(OSError):
        path.write_text(json.dumps(table, indent=1, sort_keys=True), encoding="utf-8")


@contextlib.contextmanager
def _leaving() -> Iterator[None]:
    """At Ctrl-C start nothing more and wait for nothing. Notebooks end when this process is gone.

    An orderly exit would wait for all that run and start those that do not yet.
    """
    try:
        yield
    except KeyboardInterrupt:
        print("\nexecute: interrupted; what was done is kept", file=sys.stderr, flush=True)
        os._exit(130)


def _run_in_process(job: Job, outlook: Outlook) -> tuple[Job, Failure | None, float]:
    """A process for each notebook, so that the others go on if one is killed."""
    from tools.run_notebook import run_in_own_process

    outlook.start(job.name)
    start = time.perf_counter()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tools.run_notebook"])  # papermill takes 2 s to import
    with ProcessPoolExecutor(1, mp_context=context) as process:
        try:
            failure = process.submit(run_in_own_process, job).result()
        except BrokenProcessPool:
            failure = Failure.of(job, "the process that ran it was killed")
    outlook.end(job.name)
    return job, failure, time.perf_counter() - start


def _is_done(job: Job) -> bool:
    facts = stored_facts(job.copy)
    return facts.get("digest") == job.digest and same_records(job.project, facts)


def build_environment(project: Project) -> dict[str, str]:
    """Versions, processor, threads of this process, and the commit of the project, if any."""
    from cbnlib.runs.provenance import commit_of, environment

    facts = environment()
    facts.pop("commit", None)
    commit = commit_of(project.root, *INPUTS)
    return facts | ({"commit": commit} if commit else {})


def build(project: Project, args: argparse.Namespace) -> int:
    """Bring the executed notebooks up to date, and return the exit status."""
    jobs = plan(project, args)
    stale = [job for job in jobs if not _is_done(job)]
    for job in jobs:
        print(f"{job.name}: {'executing' if job in stale else 'unchanged'}", flush=True)
    remove_stale(project, stale)
    if stale:
        environment = build_environment(project)
        records = record_digests(project)
        stale = [replace(job, environment=environment, records=records) for job in stale]
    failures = execute(stale, args.jobs)
    if failures:
        print(f"\n{len(failures)} of {len(jobs)} notebooks failed:\n", file=sys.stderr)
        for name in sorted(failures):
            print(failures[name].told(name), file=sys.stderr)
    return 1 if failures else 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = arguments(__doc__)
    parser.add_argument("names", nargs="*", help="notebooks by name or number; default: all")
    parser.add_argument("--profile", default="quick", help=f"one of {', '.join(PROFILES)}")
    parser.add_argument("--seed", help="default: each notebook's own")
    parser.add_argument(
        "-p", dest="parameters", nargs=2, action="append", default=[], metavar=("NAME", "VALUE")
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--timeout", type=int, help="seconds per cell; quick: 1200, smoke: 120")
    parser.add_argument("--build", type=Path, help="in place of _build, for what is made")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    args = parse(argv)
    try:
        return build(Project(args.root, args.build and args.build.resolve()), args)
    except BuildError as error:
        print(f"execute: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
