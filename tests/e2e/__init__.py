"""Everything together: real processes, hundreds of targets, a minute or two each. `pytest -m 'not slow'` leaves them out."""
