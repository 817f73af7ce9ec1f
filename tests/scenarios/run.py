# SPDX-License-Identifier: Apache-2.0
"""Runs one scenario: run.py MEMWHY BUILD_DIR MODULE FUNCTION. Exits 0, 1 with what was wrong, or 77 skipped, with why."""
import importlib
import os
import sys
import tempfile
import traceback

from support import Skip
from support.driver import Case


def main():
    memwhy, build, module, function = sys.argv[1:]
    if os.geteuid() != 0:
        print("skipped: not root")
        return 77
    with tempfile.TemporaryDirectory(prefix="memwhy-scenario-") as folder:
        os.chmod(folder, 0o755)
        case = Case(memwhy, build, folder)
        try:
            getattr(importlib.import_module(module), function)(case)
        except Skip as reason:
            print(f"skipped: {reason}")
            return 77
        except Exception:
            traceback.print_exc()
            case.tell()
            return 1
        finally:
            case.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
