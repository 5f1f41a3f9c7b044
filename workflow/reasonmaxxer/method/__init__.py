"""The method's choices, each a table of names: gates, advantages, kinds of arm.

A name that stands in no table is an error wherever it is used; nothing falls back on another one.
"""
