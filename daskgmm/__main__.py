"""``python -m daskgmm``: the command line."""

from daskgmm.cli import main

# Workers of an embedded cluster import this module as well, under another name.
if __name__ == "__main__":
    main()
