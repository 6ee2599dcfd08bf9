#!/usr/bin/env python3
"""Prints "PASSED FAILED SKIPPED" for a finished test run.

count.py junit FILE        a JUnit file, as pytest and GoogleTest write it
count.py ctest DIRECTORY   DIRECTORY/ctest.xml; a test that left results/NAME.xml counts with the cases in there
"""
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def cases(path):
    passed = failed = skipped = 0
    for case in ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def ctest(directory):
    total = [0, 0, 0]
    for test in ElementTree.parse(directory / "ctest.xml").iter("testcase"):
        ran = test.get("status") == "run"
        results = directory / "results" / (test.get("name") + ".xml")
        if results.is_file():
            counts = list(cases(results))
            # A program that ended badly although its cases passed (or that has none) is a failure of its own.
            if not ran and counts[1] == 0 or sum(counts) == 0:
                counts[1] += 1
        elif test.get("status") in ("notrun", "disabled") and test.find("skipped") is not None:
            counts = [0, 0, 1]
        else:
            counts = [1, 0, 0] if ran else [0, 1, 0]
        total = [a + b for a, b in zip(total, counts)]
    return total


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("junit", "ctest"):
        sys.exit(__doc__)
    path = pathlib.Path(sys.argv[2])
    print(*(ctest(path) if sys.argv[1] == "ctest" else cases(path)))


if __name__ == "__main__":
    main()
