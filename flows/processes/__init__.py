"""Processes that flows start, watch and end: Prefect servers, Ray clusters, orphans."""
