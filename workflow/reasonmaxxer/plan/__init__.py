"""The run as files and jobs: who shares what, and what each job is told.

Light, since the Snakefile calls it while the graph is built: no torch, no tables.
"""
