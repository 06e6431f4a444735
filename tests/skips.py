# SPDX-License-Identifier: MIT
"""A test that is skipped is a failure, unless tests/skips.txt says why it may be. A conftest.py takes these hooks by name."""

import pathlib

import pytest

TESTS = pathlib.Path(__file__).resolve().parent
LIST = TESTS / "skips.txt"


def skip_reason(name):
    """From rows of FOLDER/FILE::TEST or a prefix of it, blanks, the reason."""
    rows = (line.split(None, 1) for line in LIST.read_text().splitlines() if line and not line.startswith("#"))
    return next((row[1] for row in rows if len(row) == 2 and name.startswith(row[0])), None)


def judge(report, path, test, why):
    name = f"{path.resolve().relative_to(TESTS)}::{test}"
    if report.skipped and not hasattr(report, "wasxfail") and not skip_reason(name):
        report.outcome = "failed"
        report.longrepr = f"{name} was skipped and is not listed in tests/skips.txt: {why}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    judge(report, item.path, item.nodeid.partition("::")[2], call.excinfo and call.excinfo.value)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    """Modules that skip themselves, by importorskip() for one."""
    report = (yield).get_result()
    if isinstance(collector, pytest.Module):
        judge(report, collector.path, "", report.longrepr)
