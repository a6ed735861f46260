"""The figures of `picoswarm report`: one module for each group of rows, with a function `measure()` that yields `Row`s."""
