"""Flows that Prefect's UI starts: forms in front of the flows of this project, on places that the server's owner names."""
