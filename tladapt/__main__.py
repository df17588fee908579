"""`python -m tladapt`."""

from tladapt.cli import main

if __name__ == "__main__":
    main()
