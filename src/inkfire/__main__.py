"""``python -m inkfire`` is the ``inkfire`` command."""

from inkfire.cli.app import main

main()
