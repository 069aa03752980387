"""The operator's page: what people see of a running station.

It is a process of its own, which the station feeds through a pipe: nobody who looks can hold up a verdict, and a page
that dies takes nothing with it. The station's side is outbox, drawing and feed; the page's side is server, history, app
and metrics; state and channel say what passes between them. Only the page's side needs FastAPI.
"""
