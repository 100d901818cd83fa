"""Versions of the packaged model in MLflow: the gate, promotion, rollback and their ledger."""
