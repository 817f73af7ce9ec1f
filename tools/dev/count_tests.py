#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One line that says what ran, from ctest's JUnit files: count_tests.py NAME=FILE...

Above it stands what each failed test printed, and last the lines of it that say why: of a long log the end is what is kept.
Exits 1 when a file is missing or a test failed, so that "nothing ran" is never taken for "all passed".
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as xml


MOST_LINES = 60  # of one test: its beginning and its end
MOST_REASONS, REASON_LENGTH = 4, 240
# Of Python, GoogleTest, the fuzz targets and the lints.
REASON = re.compile(r"Error\b|Failure|FAILED|BROKEN|assert|Expected|Which is|Actual|ERROR|a bug in memwhy")


def is_failed(case):
    return case.find("failure") is not None or case.get("status") == "fail"


def is_skipped(case):
    return case.find("skipped") is not None or case.get("status") in ("notrun", "disabled")


def shortened(text):
    lines = text.rstrip().splitlines()
    left_out = len(lines) - MOST_LINES
    if left_out <= 0:
        return lines
    half = MOST_LINES // 2
    return lines[:half] + [f"... {left_out} lines ..."] + lines[-half:]


def reasons(text):
    told = [line.strip()[:REASON_LENGTH] for line in text.splitlines() if REASON.search(line)]
    return told[:MOST_REASONS] or [line.strip()[:REASON_LENGTH] for line in text.splitlines()[:MOST_REASONS]]


def main():
    parts, why, bad = [], [], False
    for argument in sys.argv[1:]:
        name, _, path = argument.partition("=")
        if not pathlib.Path(path).is_file():
            parts.append(f"{name}: did not run")
            bad = True
            continue
        cases = xml.parse(path).getroot().findall("testcase")
        failed = [case for case in cases if is_failed(case)]
        skipped = sum(map(is_skipped, cases))
        for case in failed:
            text = case.findtext("system-out", "")
            print(f"--- {name}: {case.get('name')} failed after {case.get('time')} s")
            print("\n".join(shortened(text)))
            why += [f"failed: {name}: {case.get('name')}", *("    " + line for line in reasons(text))]
        parts.append(
            f"{name}: {len(cases) - len(failed) - skipped} passed, {len(failed)} failed, {skipped} skipped")
        bad = bad or bool(failed) or not cases
    print("\n".join([*why, "tools/test: " + "; ".join(parts)]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
