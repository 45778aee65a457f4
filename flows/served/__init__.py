"""Flows that Prefect's UI starts: forms in front of the other flows, on places that the server's owner names."""
