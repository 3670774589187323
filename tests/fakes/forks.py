"""Processes that are forked from one that has imported torch: importing it anew takes seconds each time."""

import multiprocessing

import pytest
import transformers.models.bert.modeling_bert

import app.training.run
import tests.fakes.runs

_SHARED = (pytest, transformers.models.bert.modeling_bert, app.training.run, tests.fakes.runs)

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([module.__name__ for module in _SHARED])
