"""A page to try a model: search the pools of a data set by words, by a picture, or by both."""
