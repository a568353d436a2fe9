"""What survives a restart: verdict changes, last failures, alert states, and notifications that are not delivered yet.

schema.py    the tables, and how older ones become these
database.py  opens the file: made if missing, set aside if corrupted, refused if it cannot be written
records.py   what is written together, in one transaction
pruning.py   bounds by age and by size
reading.py   what is asked of it
packing.py   kept failures as bytes
removed.py   the file is removed under us: what it held goes into a new one
returning.py from memory into the file, once a disk that was full at the start has room
history.py   the worker thread, and what the service does with all this
"""
