"""Readers of source models: one package a format."""
