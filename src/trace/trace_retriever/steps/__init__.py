"""The steps of the chain: each module has one function of its name, run by `runner.run_step`."""
