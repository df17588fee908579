"""`python -m tladapt`, and the script `tladapt`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while its modules are imported ends it without a traceback."""
    try:
        from tladapt.cli import main as command_line
    except KeyboardInterrupt:
        print("tladapt: stopped", file=sys.stderr)
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
