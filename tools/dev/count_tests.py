#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One line that says what ran, from ctest's JUnit files: count_tests.py NAME=FILE...

Exits 1 when a file is missing or a test failed, so that "nothing ran" is never taken for "all passed".
"""
import pathlib
import sys
import xml.etree.ElementTree as xml


def counts(path):
    """(tests, failed, skipped) of one ctest run."""
    cases = xml.parse(path).getroot().findall("testcase")
    failed = sum(case.find("failure") is not None or case.get("status") == "fail" for case in cases)
    skipped = sum(case.find("skipped") is not None or case.get("status") in ("notrun", "disabled") for case in cases)
    return len(cases), failed, skipped


def main():
    parts, bad = [], False
    for argument in sys.argv[1:]:
        name, _, path = argument.partition("=")
        if not pathlib.Path(path).is_file():
            parts.append(f"{name}: did not run")
            bad = True
            continue
        tests, failed, skipped = counts(path)
        parts.append(f"{name}: {tests - failed - skipped} passed, {failed} failed, {skipped} skipped")
        bad = bad or failed > 0 or tests == 0
    print("tools/test: " + "; ".join(parts))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
