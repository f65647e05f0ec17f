"""What tools/mutate.py breaks is still in the code, and the tests that have to notice it exist."""

from __future__ import annotations

import tomllib

import pytest
from helpers import ROOT

MUTATIONS = tomllib.loads((ROOT / "tools" / "mutations.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_can_be_made(name):
    mutation = MUTATIONS[name]
    assert (ROOT / mutation["file"]).read_text(encoding="utf-8").count(mutation["old"]) == 1
    assert mutation["tests"] and mutation["new"] != mutation["old"]
    for test in mutation["tests"]:
        file, *names = test.split("::")
        code = (ROOT / file).read_text(encoding="utf-8")
        assert all(f"class {one}:" in code or f"def {one}(" in code for one in names), test
