"""`python -m outdial.cli` is `outdial`."""

from outdial.cli.main import run

if __name__ == "__main__":
    run()
