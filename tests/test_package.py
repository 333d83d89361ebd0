"""What the project says of itself."""

import tomllib
from pathlib import Path

import yaml

import offbench

ROOT = Path(__file__).resolve().parents[1]


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (citation["cff-version"], citation["type"], citation["title"]) == ("1.2.0", "software", project["name"])
    assert (citation["version"], citation["license"]) == (offbench.__version__, project["license"])
    assert citation["abstract"] == project["description"]
    assert citation["authors"] == [{"name": "offbench developers"}]
    # An address that does not exist would be cited for ever.
    assert not {"doi", "identifiers", "repository-code", "url"} & set(citation)
