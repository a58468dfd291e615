"""`python -m maskpilot.cli`."""

from maskpilot.cli import main

main()
