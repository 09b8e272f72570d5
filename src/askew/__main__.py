"""``python -m askew``."""

from askew.cli.main import main

main()
