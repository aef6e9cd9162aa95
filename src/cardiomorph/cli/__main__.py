"""``python -m cardiomorph.cli``."""

from cardiomorph.cli import main

if __name__ == "__main__":
    main()
