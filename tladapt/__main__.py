"""`python -m tladapt`, and the script `tladapt`."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while its modules are imported ends it without a traceback."""
    try:
        from tladapt.cli import main as command_line
    except KeyboardInterrupt:
        sys.stderr.write("tladapt: stopped\n")
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
