"""MLflow's side: tracked runs, the packaged model, promotion, rollback and their ledger."""
