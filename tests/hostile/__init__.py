"""Folders of recordings of which some are made to end, fool or stop whoever reads them."""
