"""An RO-Crate description of a built edition, of its files and from which code and when they are.

The metadata are thirty lines of JSON-LD with fixed keys, so they are written here by hand, without
a library. The format is RO-Crate 1.1.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tools import claims_data
from tools.project import Project

NAME = "ro-crate-metadata.json"
FORMAT = "https://w3id.org/ro/crate/1.1"
PAPER = "https://arxiv.org/abs/2402.08010"
FILES = {
    "index.html": ("The start page of the book", "text/html"),
    claims_data.NAME: ("Every prediction, with values, tolerance, verdict", "application/json"),
    claims_data.SCHEMA.name: ("The JSON schema of the predictions", "application/json"),
}


def write(project: Project, notebooks: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the description of an edition beside its pages.

    Args:
        project: Whose edition it is.
        notebooks: Its executed notebooks, by stem.
    """
    config = yaml.safe_load((project.root / "_config.yml").read_text(encoding="utf-8"))
    text = json.dumps(describe(config, notebooks), indent=1, ensure_ascii=False)
    (project.source / NAME).write_text(f"{text}\n", encoding="utf-8")


def describe(
    config: Mapping[str, Any], notebooks: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The description.

    Args:
        config: The book's `_config.yml`.
        notebooks: Its executed notebooks, by stem.
    """
    runs = [_run(stem, notebook) for stem, notebook in notebooks.items()]
    editions = sorted({str(n["metadata"]["companion"]["profile"]) for n in notebooks.values()})
    code = {"@id": config["repository"]["url"]}
    license_ = "https://spdx.org/licenses/MIT"
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"{config['title']} ({', '.join(editions) or 'no'} edition)",
        "description": "A book of executed notebooks that tests the claims of a paper.",
        "datePublished": max((run["endTime"] for run in runs), default="1970-01-01"),
        "license": {"@id": license_},
        "author": {"@id": "#authors"},
        "isBasedOn": {"@id": PAPER},
        "hasPart": _references(FILES),
        "mentions": _references(run["@id"] for run in runs),
    }
    metadata = {
        "@id": NAME,
        "@type": "CreativeWork",
        "conformsTo": {"@id": FORMAT},
        "about": {"@id": "./"},
    }
    files = [
        {"@id": name, "@type": "File", "name": text, "encodingFormat": kind}
        for name, (text, kind) in FILES.items()
    ]
    others = [
        {"@id": "#authors", "@type": "Organization", "name": config["author"]},
        {"@id": PAPER, "@type": "ScholarlyArticle", "name": "Which Frequencies do CNNs Need?"},
        {"@id": code["@id"], "@type": "SoftwareSourceCode", "name": "cbnlib and the notebooks"},
        {"@id": license_, "@type": "CreativeWork", "name": "MIT License"},
    ]
    graph = [metadata, root, *files, *others, *({**run, "instrument": code} for run in runs)]
    return {"@context": f"{FORMAT}/context", "@graph": graph}


def _run(stem: str, notebook: Mapping[str, Any]) -> dict[str, Any]:
    """The execution of a notebook."""
    facts, times = notebook["metadata"]["companion"], notebook["metadata"]["papermill"]
    commit = facts["environment"].get("commit", claims_data.UNKNOWN)
    parameters = ", ".join(f"{name}={value}" for name, value in facts["parameters"].items())
    return {
        "@id": f"#run-{stem}",
        "@type": "CreateAction",
        "name": f"Execution of {stem}",
        "description": f"commit {commit}; {parameters}",
        "startTime": times["start_time"],
        "endTime": times["end_time"],
        "result": {"@id": claims_data.NAME},
    }


def _references(names: Iterable[str]) -> list[dict[str, str]]:
    return [{"@id": name} for name in names]
