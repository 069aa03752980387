"""The operator's page: state and figures of a running station in a browser.

The page is a separate process that the station feeds through a pipe: readers cannot delay a verdict, and a crash of the
page does not affect the station. Station side: outbox, snapshot and feed. Page side: server, page_model, history, app
and metrics. Messages between them: state and channel. Only the page side needs FastAPI.
"""
