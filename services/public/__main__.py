"""``python -m fleet_q`` is the command ``fleet-q``."""

from fleet_q.services.cli.commands import main

if __name__ == "__main__":
    main()
