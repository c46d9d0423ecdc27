"""List every link of the rendered site to another host, and check them if asked.

    python -m tools.external_links            # writes _build/external_links.txt
    python -m tools.external_links --check    # also asks each address, with retries

The book needs no other host, so this is no part of the build: links rot on their own schedule, and
`.github/workflows/links.yml` asks once a month. Links into this project's own repository are
`check_site`'s, which knows whether their files are committed; they are left out here.
"""

import argparse
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urldefrag, urlsplit

from tools.buttons import Repository
from tools.pages import pages
from tools.project import ROOT, Project

WORKERS = 4
TRIES = 3
WAIT_SECONDS = 5.0
TIMEOUT_SECONDS = 30.0
GONE = (404, 410)
"""Answers that no second try changes."""
REFUSED = (401, 403, 405, 418, 429, 999)
"""Answers of hosts that are there and serve no programs."""
BROWSER = "Mozilla/5.0 (compatible; link check of a book)"

Answer = Callable[[str], int]
"""Takes an address, gives the HTTP status; raises `OSError` if no host answers."""


def external_links(project: Project) -> dict[str, list[str]]:
    """The addresses outside the site and the repository, each with the pages that link to it."""
    repository = Repository(project)
    found: dict[str, set[str]] = {}
    for page in pages(project.site):
        for link in page.links:
            url = urldefrag(link).url
            own = url.startswith(repository.url) or repository.path(url) is not None
            if urlsplit(url).scheme in ("http", "https") and not own:
                found.setdefault(url, set()).add(page.name)
    return {url: sorted(found[url]) for url in sorted(found)}


def ask(url: str) -> int:
    """Fetch the start of an address; return the HTTP status."""
    request = urllib.request.Request(url, headers={"User-Agent": BROWSER})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def problem(url: str, answer: Answer = ask, wait: float = WAIT_SECONDS) -> str:
    """What is wrong with an address after `TRIES` tries; empty if it leads somewhere."""
    told = ""
    for attempt in range(TRIES):
        time.sleep(wait * attempt)
        try:
            status = answer(url)
        except OSError as error:
            told = str(error)
            continue
        if status < 400 or status in REFUSED:
            return ""
        told = f"status {status}"
        if status in GONE:
            break
    return told


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 1 if an address leads nowhere."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="ask each address")
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the repository")
    args = parser.parse_args(argv)
    project = Project(args.root.resolve())
    if not pages(project.site):
        print(f"external_links: no pages in {project.site}; run `make book`", file=sys.stderr)
        return 2
    links = external_links(project)
    listed = project.build / "external_links.txt"
    lines = [f"{url}  {' '.join(names)}\n" for url, names in links.items()]
    listed.write_text("".join(lines), encoding="utf-8")
    hosts = {urlsplit(url).netloc for url in links}
    where = listed.relative_to(project.root)
    print(f"external_links: {len(links)} links to {len(hosts)} other hosts, listed in {where}")
    return _check(links) if args.check else 0


def _check(links: dict[str, list[str]]) -> int:
    with ThreadPoolExecutor(WORKERS) as pool:
        told = list(pool.map(problem, links))
    broken = {url: why for url, why in zip(links, told, strict=True) if why}
    for url, why in broken.items():
        print(f"external_links: {url}: {why}; linked from {', '.join(links[url])}", file=sys.stderr)
    print(f"external_links: {len(broken)} of {len(links)} lead nowhere")
    return int(bool(broken))


if __name__ == "__main__":
    raise SystemExit(main())
