"""The run as a graph: which jobs there are, who shares them, and what each of them is told.

The Snakefile imports these modules on every call, so none of them loads anything heavy.
"""
