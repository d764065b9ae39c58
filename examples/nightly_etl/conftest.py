from etl import app

from fleet_q.testing import fixture

fleet = fixture(app, at="2026-11-28T20:00:00Z")
