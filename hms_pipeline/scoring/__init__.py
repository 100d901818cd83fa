"""Files → tables: recordings and windows of what is given, scored in batches, inboxes, drift."""
