"""`python -m stbridge`."""

from stbridge.cli import main

if __name__ == "__main__":
    main()
