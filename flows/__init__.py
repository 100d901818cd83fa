"""Orchestration: Prefect flows around the graph that dvc.yaml states."""
