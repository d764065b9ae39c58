"""Runs the command line: ``python -m fleet_q`` is ``fleet-q``."""

from fleet_q.services.cli.commands import main

if __name__ == "__main__":
    main()
