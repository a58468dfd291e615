"""The report of a run: `report.html` with every sample, and a page with pictures for each."""
