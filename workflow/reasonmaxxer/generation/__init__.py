"""Prompts in, completions out: templates, chat templates and the engines that sample."""
