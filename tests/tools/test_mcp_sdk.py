# SPDX-License-Identifier: MIT
"""creel mcp as the official TypeScript SDK sees it, in both its generations: what is not valid by its schemas, it refuses."""

import pytest

import mcpsdk
from conftest import BUILD, CREEL, wait_until


@pytest.fixture(scope="module")
def sdk():
    return mcpsdk.install(BUILD)


@pytest.mark.parametrize("generation", mcpsdk.GENERATIONS)
def test_session(agent, sdk, generation):
    seen = mcpsdk.session(sdk, generation, [CREEL, "mcp"], agent.env)
    mcpsdk.check(seen, generation)
    wait_until(lambda: not any("7531" in line for line in agent.descendants()), "what was cancelled is killed")
