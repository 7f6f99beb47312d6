"""The whole attack, one part after the other: `python -m tests.attack`. It takes about half an hour.

Signals at random instants, mutated scenarios, damaged run directories, and hostile servers on which all
drivers have to agree. Each part can be run by itself, with other numbers; shorter forms are among the tests.
"""

import subprocess
import sys

PARTS = (
    ("-m", "tests.attack.signals", "40"),
    ("-m", "tests.attack.scenarios", "2000"),
    ("-m", "tests.attack.damage", "500"),
    ("-m", "pytest", "tests/drivers/test_outcomes.py", "tests/drivers/test_endings.py"),
)


def main() -> int:
    failed: list[str] = []
    for part in PARTS:
        print("python", *part, flush=True)
        if subprocess.run([sys.executable, *part], check=False).returncode:
            failed.append(part[1])
    print(f"found faults: {', '.join(failed)}" if failed else "no fault was found")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
