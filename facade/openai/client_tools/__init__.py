"""PURE: the client's tools, called by an agent that knows only text (openai-surface.md §10).

The agent is told the tools and an envelope to call them by (`prompt`), what it
says is searched for envelopes (`scanner`), what stands in one is read
(`ladder`) and judged (`judge`), and what was called before is written down in
the same envelope (`history`).
"""
