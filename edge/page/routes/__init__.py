"""HTTP routes of the page, the only folder that imports FastAPI; `app` puts them behind the gate."""
